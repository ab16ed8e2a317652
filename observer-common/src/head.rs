//! Where a message's head ends and how long its body is, from the first part of a segment: what the
//! kernel needs to know to leave the body out by itself. It says so only of what is plain; every
//! oddity is for the engine, which then gets all the bytes. It must not know flows or skbs.
//!
//! What is looked at and what was found live in one [`Part`], which is memory: of values in memory
//! the verifier remembers nothing, so that all ways through one round of a loop look the same to
//! it, and it walks the loop once instead of once for each combination of what came before.

use core::hint::black_box;

#[cfg(test)]
mod tests;

/// Bytes that are looked at. Heads of servers take 150 to 600.
pub const PART: usize = 1024;

const WORDS: usize = PART / 8;
/// Lines that may end in a word: each takes two bytes at least, the first of them perhaps one.
const LINES_MAX: u32 = 4;
/// Words behind the part, always zero: a line is looked at ahead of where it is.
const PAD: usize = 4;
/// A line that starts later is not looked into, because its start may be past the part.
const LINE_MAX: u32 = PART as u32 - NAME_LEN - 1 - DIGITS_MAX - 2;

/// The first bytes of a segment, and what is known of the head in them.
#[repr(C)]
#[derive(Clone, Debug)]
pub struct Part {
    /// The bytes, as they lie in memory.
    pub words: [u64; WORDS + PAD],
    /// How many of them the segment has; what is behind them says nothing.
    pub n_bytes: u64,
    /// The value of Content-Length.
    pub length: u64,
    /// 1 when there was one.
    pub has_length: u64,
    /// The bit that the CR at the end of the last word asks of the next one's first byte.
    pub carry: u64,
    /// Where the line that ends the head ends.
    pub end: u64,
    /// The last head that was decided on.
    pub known: Known,
}

/// A head and what was found in it: a server's heads differ in their dates, and those of one second
/// often in nothing. To compare the next one with it costs less than to read it.
#[repr(C)]
#[derive(Clone, Debug)]
pub struct Known {
    pub words: [u64; WORDS],
    /// Its last eight bytes.
    pub tail: u64,
    pub length: u64,
    /// Bytes of it; 0 when there is none.
    pub end: u64,
}

/// No answer yet.
pub const MORE: u32 = 0;
/// The head ends inside the part.
pub const END: u32 = 1;
/// Not something to decide on.
pub const ODD: u32 = 2;

impl Part {
    /// For tests: in the kernel the map makes it.
    pub const EMPTY: Self = Self {
        words: [0; WORDS + PAD],
        n_bytes: PART as u64,
        length: 0,
        has_length: 0,
        carry: 0,
        end: 0,
        known: Known { words: [0; WORDS], tail: 0, length: 0, end: 0 },
    };

    /// Where the body starts, when the part begins with the head of a message whose framing is
    /// nothing but one Content-Length; that is in `length` then. 0 otherwise: an `Option` is two
    /// registers to the compiler, and it leaves one of them undefined (`R0 !read_ok`).
    ///
    /// `line` is [`Part::line`], which the kernel wants as a function of its own.
    ///
    /// Every line has to end in CRLF, and no CR or LF to stand elsewhere (RFC 9112 §2.2 lets a
    /// recipient take them for several things).
    #[inline(always)]
    pub fn find(&mut self, line: impl Fn(&mut Self, u32) -> u32) -> u32 {
        if self.is_known() {
            self.length = self.known.length;
            return self.before_body(self.known.end as u32);
        }
        // Or the compiler makes one call of `memset` of them, which goes byte by byte there.
        let none = black_box(0);
        self.length = none;
        self.has_length = none;
        self.carry = none;
        self.end = none;
        if !self.may_have_body() {
            return 0;
        }
        let mut i = 0;
        while i < WORDS {
            let word = self.word(i);
            let mut ends = bytes_equal(word, b'\n');
            let returns = bytes_equal(word, b'\r');
            if ends != returns << 8 | self.carry {
                return 0;
            }
            self.carry = returns >> 56;
            let mut k = 0;
            // Each has a CR in front of it.
            while k < LINES_MAX && ends != 0 {
                let at = (8 * i) as u32 + place(ends) + 1;
                ends &= ends - 1;
                if self.needs_look(at) {
                    match line(self, at) {
                        MORE => {}
                        END => return self.answer(),
                        _ => return 0,
                    }
                }
                k += 1;
            }
            i += 1;
        }
        0
    }

    /// Whether [`Self::line`] could find anything but [`MORE`]: most lines tell by their first byte that
    /// it could not.
    #[inline(always)]
    fn needs_look(&self, at: u32) -> bool {
        let first = self.eight(at) as u8;
        at > LINE_MAX
            || first | LETTER == b'c'
            || first | LETTER == b't'
            || first == b'\r'
            || first == b' '
            || first == b'\t'
    }

    /// Looks at the line that starts at `at`: [`MORE`], [`END`] or [`ODD`].
    #[inline(always)]
    pub fn line(&mut self, at: u32) -> u32 {
        let first = self.eight(at);
        if first as u16 == u16::from_le_bytes(*b"\r\n") {
            self.end = u64::from(at) + 2;
            return if at + 2 < PART as u32 { END } else { ODD };
        }
        // Its start may be cut off, or it continues the line before (obs-fold, RFC 9112 §5.2).
        if at > LINE_MAX || first as u8 == b' ' || first as u8 == b'\t' {
            return ODD;
        }
        let folded = first | LETTERS_8;
        // Transfer-Encoding, or something that a lenient reader may take for it.
        if folded == pack(b"transfer") {
            return ODD;
        }
        if first | LETTERS_7 != pack(b"content-") {
            return MORE;
        }
        let second = self.eight(at + 8);
        if (second | LETTERS_6) & LOW_6 != pack(b"length") & LOW_6 {
            return MORE;
        }
        if (second >> 48) as u8 != b':' || self.has_length != 0 {
            return ODD;
        }
        self.has_length = 1;
        let space = u32::from((second >> 56) as u8 == b' ');
        self.number(at + NAME_LEN + space)
    }

    /// Digits up to the end of the line.
    #[inline(always)]
    fn number(&mut self, at: u32) -> u32 {
        self.length = 0;
        let mut k = 0;
        while k <= DIGITS_MAX {
            let byte = self.eight(at + k) as u8;
            if byte == b'\r' {
                return if k == 0 { ODD } else { MORE };
            }
            let digit = byte.wrapping_sub(b'0');
            if digit > 9 {
                return ODD;
            }
            self.length = self.length.wrapping_mul(10).wrapping_add(u64::from(digit));
            k += 1;
        }
        ODD
    }

    /// `HTTP/1.x` and a status that has a body, or one of the methods that send one. Responses to
    /// HEAD look as if they had one; they show by what follows ([`Part::answer`]).
    #[inline(always)]
    fn may_have_body(&self) -> bool {
        let first = self.word(0);
        if !begins_response(first) {
            return first & LOW_5 == pack(b"POST ")
                || first & LOW_4 == pack(b"PUT ")
                || first & LOW_6 == pack(b"PATCH ");
        }
        // ` 200 OK`: RFC 9112 §6.3 has no body after 1xx, 204 and 304.
        let status = (self.word(1) & LOW_4) as u32;
        let is_plain = status as u8 == b' ' && (status >> 8) as u8 >= b'2';
        is_plain && status != u32::from_le_bytes(*b" 204") && status != u32::from_le_bytes(*b" 304")
    }

    /// What was found, at the end of the head.
    #[inline(always)]
    fn answer(&mut self) -> u32 {
        if self.has_length == 0 {
            return 0;
        }
        self.remember();
        self.before_body(self.end as u32)
    }

    /// The end of the head where a body follows; 0 where what begins there is a response behind one to
    /// HEAD, or may be because not enough of it lies in the part.
    #[inline(always)]
    fn before_body(&self, end: u32) -> u32 {
        let is_last = u64::from(end) >= self.n_bytes;
        let is_cut = end + BEGINNING_LEN > PART as u32;
        if !is_last && (is_cut || begins_response(self.eight(end))) { 0 } else { end }
    }

    /// Whether the part begins with the head that is known, to its last byte.
    #[inline(always)]
    fn is_known(&self) -> bool {
        let end = self.known.end as u32;
        if end < 8 || self.eight(end - 8) != self.known.tail {
            return false;
        }
        let n_words = (end >> 3) as usize;
        let mut i = 0;
        while i < WORDS {
            if i >= n_words {
                return true;
            }
            match (self.words.get(i), self.known.words.get(i)) {
                (Some(word), Some(known)) if word == known => {}
                _ => return false,
            }
            i += 1;
        }
        true
    }

    #[inline(always)]
    fn remember(&mut self) {
        let n_words = (self.end >> 3) as usize;
        let mut i = 0;
        while i < WORDS {
            if i >= n_words {
                break;
            }
            if let (Some(word), Some(known)) = (self.words.get(i), self.known.words.get_mut(i)) {
                // Or the loop becomes a call of `memcpy`, with the same effect.
                *known = black_box(*word);
            }
            i += 1;
        }
        // A head that ends has a line in it.
        self.known.tail = self.eight((self.end as u32).wrapping_sub(8));
        self.known.length = self.length;
        self.known.end = self.end;
    }

    #[inline(always)]
    fn word(&self, i: usize) -> u64 {
        u64::from_le(self.words[i])
    }

    /// Eight bytes at any place, the first one lowest; zeros behind the part.
    #[inline(always)]
    fn eight(&self, at: u32) -> u64 {
        // The compiler knows where callers look and drops the bound, which the verifier wants to
        // see (`R4 unbounded memory access`).
        let i = black_box((at >> 3) as usize);
        let i = if i < WORDS + PAD - 1 { i } else { WORDS + PAD - 2 };
        let shift = (at & 7) * 8;
        // A shift by 64 is none: hence in two steps.
        self.word(i) >> shift | self.word(i + 1) << 1 << (63 - shift)
    }
}

/// Whether a response begins with these eight bytes, the first one lowest.
#[inline(always)]
pub const fn begins_response(bytes: u64) -> bool {
    bytes << 8 == pack(b"HTTP/1.") << 8
}

/// The highest bit of each byte that equals `byte`, exactly: the shorter way to find a zero byte
/// also finds a 1 behind one.
#[inline(always)]
const fn bytes_equal(word: u64, byte: u8) -> u64 {
    const LOW: u64 = 0x7f7f_7f7f_7f7f_7f7f;
    let different = word ^ (u64::MAX / 0xff * byte as u64);
    !(((different & LOW) + LOW) | different | LOW)
}

/// The byte of the lowest bit of those that [`bytes_equal`] found.
#[inline(always)]
const fn place(found: u64) -> u32 {
    // The bit alone, moved to the lowest of its byte: the product brings the byte of the constant that
    // is its number to the top.
    let lowest = (found & found.wrapping_neg()) >> 7;
    (lowest.wrapping_mul(0x0001_0203_0405_0607) >> 56) as u32
}

/// Up to eight bytes, the first in the lowest octet.
const fn pack(text: &[u8]) -> u64 {
    let mut packed = 0;
    let mut i = text.len();
    while i > 0 {
        i -= 1;
        packed = packed << 8 | text[i] as u64;
    }
    packed
}

const LOW_4: u64 = u64::MAX >> 32;
const LOW_5: u64 = u64::MAX >> 24;
const LOW_6: u64 = u64::MAX >> 16;
/// The bit that tells small letters from capitals, in as many bytes as there are letters.
const LETTER: u8 = 0x20;
const LETTERS_6: u64 = 0x2020_2020_2020;
const LETTERS_7: u64 = 0x20_2020_2020_2020;
const LETTERS_8: u64 = 0x2020_2020_2020_2020;

/// `content-length:`
const NAME_LEN: u32 = 15;
/// `HTTP/1.`
const BEGINNING_LEN: u32 = 7;
/// Ten digits are 2³¹ and more; nobody's body takes more than 15.
const DIGITS_MAX: u32 = 15;

const _: () = assert!(PAD * 8 >= 16);
