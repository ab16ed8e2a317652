//! Which bytes may stand where in a head, sixty-four at a time: a bit a byte, so that the end of a
//! name or of a line is found by counting zeros, and no byte is looked at on its own.

/// Bytes, and what those from the place on that is being read are.
pub(super) struct Classes<'a> {
    bytes: &'a [u8],
    /// The place of the byte that the lowest bits tell of.
    start: usize,
    /// The place behind the last one that they tell of; from there on no bit is set.
    end: usize,
    printable: Bits,
    name: Bits,
}

/// A bit a byte, that of the first byte lowest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Masks {
    /// Printable ASCII, the space too.
    printable: u64,
    /// Letters, digits, `-` and `_`: what nearly all names of fields consist of.
    name: u64,
}

/// The same of several blocks, and of one behind them that is empty.
type Bits = [u64; N_BLOCKS + 1];

const BLOCK: usize = 64;

/// Blocks that are looked at together: most heads are shorter.
const N_BLOCKS: usize = 7;

const NONE: Bits = [0; N_BLOCKS + 1];

impl<'a> Classes<'a> {
    #[inline(always)]
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        let mut classes = Self { bytes, start: 0, end: 0, printable: NONE, name: NONE };
        classes.look();
        classes
    }

    /// The first byte from `at` on that is not printable. Places never go back.
    #[inline]
    pub(super) fn printable_end(&mut self, at: usize) -> usize {
        self.end_of(at, |classes| &classes.printable)
    }

    /// The first byte from `at` on that is not of a usual name.
    #[inline]
    pub(super) fn name_end(&mut self, at: usize) -> usize {
        self.end_of(at, |classes| &classes.name)
    }

    #[inline(always)]
    fn end_of(&mut self, mut at: usize, class: impl Fn(&Self) -> &Bits) -> usize {
        loop {
            if at >= self.end {
                if self.end >= self.bytes.len() {
                    return self.bytes.len();
                }
                self.look_from(at);
            }
            let others = !sixty_four(class(self), at - self.start);
            if others != 0 {
                at += others.trailing_zeros() as usize;
                if at < self.end {
                    return at;
                }
            } else {
                at += BLOCK;
            }
        }
    }

    /// Places never go back, and lie inside the bytes or right behind them.
    #[cold]
    fn look_from(&mut self, at: usize) {
        self.start = at;
        (self.printable, self.name) = (NONE, NONE);
        self.look();
    }

    /// Looks at the next blocks from `start` on, up to the one in which a head ends.
    fn look(&mut self) {
        #[cfg(target_arch = "x86_64")]
        if std::arch::is_x86_feature_detected!("avx2") {
            // SAFETY: the processor has it, as it was just asked.
            return unsafe { self.look_avx2() };
        }
        self.look_with(masks);
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2")]
    fn look_avx2(&mut self) {
        self.look_with(|block| avx2::masks(block));
    }

    #[inline(always)]
    fn look_with(&mut self, masks: impl Fn(&[u8; BLOCK]) -> Masks) {
        let rest = self.bytes.get(self.start..).unwrap_or_default();
        let (blocks, last) = rest.as_chunks::<BLOCK>();
        let places = self.printable.iter_mut().zip(&mut self.name).take(N_BLOCKS);
        let mut n_blocks = 0;
        for ((printable, name), block) in places.zip(blocks) {
            let found = masks(block);
            (*printable, *name) = (found.printable, found.name);
            n_blocks += 1;
            // Four bytes in a row that are not printable: two line ends, behind which is no head.
            let pairs = !found.printable & (!found.printable >> 1);
            if pairs & (pairs >> 2) != 0 {
                self.end = self.start + n_blocks * BLOCK;
                return;
            }
        }
        self.end = self.start + n_blocks * BLOCK;
        if n_blocks < blocks.len() || n_blocks >= N_BLOCKS || last.is_empty() {
            return;
        }
        let found = match rest.last_chunk() {
            // Together with some of what was looked at already, which is shifted out.
            Some(block) => {
                let (found, n_known) = (masks(block), BLOCK - last.len());
                Masks { printable: found.printable >> n_known, name: found.name >> n_known }
            }
            None => {
                let mut block = [0; BLOCK];
                if let Some(place) = block.get_mut(..last.len()) {
                    place.copy_from_slice(last);
                }
                masks(&block)
            }
        };
        let places = self.printable.get_mut(n_blocks).zip(self.name.get_mut(n_blocks));
        if let Some((printable, name)) = places {
            (*printable, *name) = (found.printable, found.name);
        }
        self.end = self.bytes.len();
    }
}

/// The bits from that one on.
#[inline(always)]
fn sixty_four(bits: &Bits, from: usize) -> u64 {
    let (at, shift) = (from / BLOCK, from % BLOCK);
    // Never beyond the last but one, so that this is all that there is to ask.
    let word = |at: usize| bits.get(at % (N_BLOCKS + 1)).copied().unwrap_or_default();
    word(at) >> shift | (word(at + 1) << 1) << (BLOCK - 1 - shift)
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

/// The same again with half the instructions, where the processor has wider registers.
#[cfg(target_arch = "x86_64")]
mod avx2 {
    use std::arch::x86_64::{
        __m256i, _mm256_add_epi8, _mm256_cmpeq_epi8, _mm256_cmpgt_epi8, _mm256_movemask_epi8,
        _mm256_or_si256, _mm256_set_epi64x, _mm256_set1_epi8,
    };

    use super::{BLOCK, Masks};

    #[target_feature(enable = "avx2")]
    #[inline]
    pub(super) fn masks(block: &[u8; BLOCK]) -> Masks {
        let mut masks = Masks { printable: 0, name: 0 };
        for (i, half) in block.as_chunks::<32>().0.iter().enumerate() {
            let bytes = load(half);
            masks.printable |= bits(printable(bytes)) << (32 * i);
            masks.name |= bits(name(bytes)) << (32 * i);
        }
        masks
    }

    /// One load, as compilers see it.
    #[target_feature(enable = "avx2")]
    #[inline]
    fn load(bytes: &[u8; 32]) -> __m256i {
        let mut words = [0; 4];
        for (word, eight) in words.iter_mut().zip(bytes.as_chunks().0) {
            *word = i64::from_le_bytes(*eight);
        }
        let [a, b, c, d] = words;
        _mm256_set_epi64x(d, c, b, a)
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    fn printable(bytes: __m256i) -> __m256i {
        between(b' ', bytes, b'~')
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    fn name(bytes: __m256i) -> __m256i {
        let letters = between(b'a', _mm256_or_si256(bytes, all(0x20)), b'z');
        let others = _mm256_or_si256(
            _mm256_cmpeq_epi8(bytes, all(b'-')),
            _mm256_cmpeq_epi8(bytes, all(b'_')),
        );
        _mm256_or_si256(_mm256_or_si256(letters, between(b'0', bytes, b'9')), others)
    }

    /// As with narrower registers.
    #[target_feature(enable = "avx2")]
    #[inline]
    fn between(first: u8, bytes: __m256i, last: u8) -> __m256i {
        let moved = _mm256_add_epi8(bytes, all(0x80 - first));
        _mm256_cmpgt_epi8(all(0x80 + (last - first + 1)), moved)
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    fn all(byte: u8) -> __m256i {
        _mm256_set1_epi8(byte as i8)
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    fn bits(bytes: __m256i) -> u64 {
        u64::from(_mm256_movemask_epi8(bytes) as u32)
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
                let wide = Classes::new(&block);
                let wide = Masks { printable: wide.printable[0], name: wide.name[0] };
                for found in [wide, masks(&block), portable::masks(&block)] {
                    let Masks { printable, name } = found;
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
            bytes in proptest::collection::vec(prop_oneof![9 => b' '..=b'z', 1 => any::<u8>()], 0..1500),
            steps in proptest::collection::vec((0..200usize, any::<bool>()), 1..20),
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
