//! Which bytes may stand where in a head, sixty-four at a time: a bit a byte, so that the end of a
//! name or of a line is found by counting zeros, and no byte is looked at on its own.

/// Bytes, and what those at the place that is being read are.
pub(super) struct Classes<'a> {
    bytes: &'a [u8],
    /// The place of the byte that the lowest bits tell of.
    start: usize,
    masks: Masks,
}

/// A bit a byte, that of the first byte lowest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Masks {
    /// Printable ASCII, the space too.
    printable: u64,
    /// Letters, digits, `-` and `_`: what nearly all names of fields consist of.
    name: u64,
}

const BLOCK: usize = 64;

impl<'a> Classes<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, start: 0, masks: masks_at(bytes, 0) }
    }

    /// The first byte from `at` on that is not printable. Places never go back.
    #[inline]
    pub(super) fn printable_end(&mut self, at: usize) -> usize {
        self.end_of(at, |masks| masks.printable)
    }

    /// The first byte from `at` on that is not of a usual name.
    #[inline]
    pub(super) fn name_end(&mut self, at: usize) -> usize {
        self.end_of(at, |masks| masks.name)
    }

    #[inline(always)]
    fn end_of(&mut self, mut at: usize, class: impl Fn(&Masks) -> u64) -> usize {
        loop {
            // Places never go back, and lie inside the bytes or right behind them.
            let passed = at - self.start;
            if passed < BLOCK {
                let others = !class(&self.masks) >> passed;
                if others != 0 {
                    return at + others.trailing_zeros() as usize;
                }
                at = self.start + BLOCK;
            }
            if at >= self.bytes.len() {
                return self.bytes.len();
            }
            self.start = at;
            self.masks = masks_at(self.bytes, at);
        }
    }
}

/// Looks at the bytes from `start` on. Behind the last one nothing is of any class. Not inlined: it
/// gives back two registers, where the compiler would put all into memory.
#[inline(never)]
fn masks_at(bytes: &[u8], start: usize) -> Masks {
    let rest = bytes.get(start..).unwrap_or_default();
    match rest.first_chunk() {
        Some(block) => masks(block),
        None => {
            let mut block = [0; BLOCK];
            if let Some(place) = block.get_mut(..rest.len()) {
                place.copy_from_slice(rest);
            }
            masks(&block)
        }
    }
}

#[cfg(target_arch = "x86_64")]
fn masks(block: &[u8; BLOCK]) -> Masks {
    // SAFETY: SSE2 is a part of x86-64, every processor has it.
    unsafe { sse2::masks(block) }
}

#[cfg(not(target_arch = "x86_64"))]
use self::portable::masks;

/// A quarter of the instructions that the portable way takes (73 for 290), which is a tenth of all
/// that an exchange costs.
#[cfg(target_arch = "x86_64")]
mod sse2 {
    use std::arch::x86_64::{
        __m128i, _mm_add_epi8, _mm_cmpeq_epi8, _mm_cmplt_epi8, _mm_movemask_epi8, _mm_or_si128,
        _mm_set_epi64x, _mm_set1_epi8,
    };

    use super::{BLOCK, Masks};

    #[target_feature(enable = "sse2")]
    pub(super) fn masks(block: &[u8; BLOCK]) -> Masks {
        let mut masks = Masks { printable: 0, name: 0 };
        for (i, sixteen) in block.as_chunks::<16>().0.iter().enumerate() {
            let bytes = u128::from_le_bytes(*sixteen);
            let bytes = _mm_set_epi64x((bytes >> 64) as i64, bytes as i64);
            masks.printable |= bits(printable(bytes)) << (16 * i);
            masks.name |= bits(name(bytes)) << (16 * i);
        }
        masks
    }

    #[target_feature(enable = "sse2")]
    fn printable(bytes: __m128i) -> __m128i {
        between(b' ', bytes, b'~')
    }

    #[target_feature(enable = "sse2")]
    fn name(bytes: __m128i) -> __m128i {
        let letters = between(b'a', _mm_or_si128(bytes, all(0x20)), b'z');
        let others =
            _mm_or_si128(_mm_cmpeq_epi8(bytes, all(b'-')), _mm_cmpeq_epi8(bytes, all(b'_')));
        _mm_or_si128(_mm_or_si128(letters, between(b'0', bytes, b'9')), others)
    }

    /// One comparison: what lies between them comes to lie below everything else, as signed bytes are
    /// compared.
    #[target_feature(enable = "sse2")]
    fn between(first: u8, bytes: __m128i, last: u8) -> __m128i {
        let moved = _mm_add_epi8(bytes, all(0x80 - first));
        _mm_cmplt_epi8(moved, all(0x80 + (last - first + 1)))
    }

    #[target_feature(enable = "sse2")]
    fn all(byte: u8) -> __m128i {
        _mm_set1_epi8(byte as i8)
    }

    #[target_feature(enable = "sse2")]
    fn bits(bytes: __m128i) -> u64 {
        _mm_movemask_epi8(bytes) as u64
    }
}

/// In two steps that compilers make use of wide registers for.
#[cfg(any(test, not(target_arch = "x86_64")))]
mod portable {
    use super::{BLOCK, Masks};

    const PRINTABLE: u8 = 0x80;
    const NAME: u8 = 0x40;

    pub(super) fn masks(block: &[u8; BLOCK]) -> Masks {
        let mut classes = [0; BLOCK];
        for (class, &byte) in classes.iter_mut().zip(block) {
            let is_name = (byte | 0x20).is_ascii_lowercase() | byte.is_ascii_digit();
            let is_name = is_name | (byte == b'-') | (byte == b'_');
            let is_printable = byte.is_ascii() & !byte.is_ascii_control();
            *class = (u8::from(is_printable) * PRINTABLE) | (u8::from(is_name) * NAME);
        }
        let mut masks = Masks { printable: 0, name: 0 };
        for (i, eight) in classes.as_chunks().0.iter().enumerate() {
            let eight = u64::from_le_bytes(*eight);
            masks.printable |= high_bits(eight) << (8 * i);
            masks.name |= high_bits(eight << 1) << (8 * i);
        }
        masks
    }

    /// The highest bits of eight bytes, that of the lowest byte lowest.
    fn high_bits(eight: u64) -> u64 {
        // Each bit comes to a place of its own among the upper eight; none is carried.
        ((eight & 0x8080_8080_8080_8080) >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_byte_is_of_its_classes_wherever_it_stands() {
        for byte in 0..=u8::MAX {
            let is_name = byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
            for at in 0..BLOCK {
                let mut block = [b'a'; BLOCK];
                block[at] = byte;
                for Masks { printable, name } in [masks(&block), portable::masks(&block)] {
                    assert_eq!((printable | 1 << at, name | 1 << at), (u64::MAX, u64::MAX));
                    assert_eq!(printable >> at & 1 != 0, matches!(byte, b' '..=b'~'), "{byte:#x}");
                    assert_eq!(name >> at & 1 != 0, is_name, "{byte:#x} at {at}");
                }
            }
        }
    }

    proptest! {
        #[test]
        fn runs_end_where_a_loop_finds_them(
            bytes in proptest::collection::vec(prop_oneof![9 => b' '..=b'z', 1 => any::<u8>()], 0..300),
            steps in proptest::collection::vec((0..80usize, any::<bool>()), 1..9),
        ) {
            let mut classes = Classes::new(&bytes);
            let mut at = 0;
            for (step, name) in steps {
                at = (at + step).min(bytes.len());
                let is = |b: &u8| match name {
                    true => b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'),
                    false => matches!(b, b' '..=b'~'),
                };
                let expected = at + bytes[at..].iter().take_while(|b| is(b)).count();
                let found = if name { classes.name_end(at) } else { classes.printable_end(at) };
                prop_assert_eq!(found, expected);
                at = found;
            }
        }
    }
}
