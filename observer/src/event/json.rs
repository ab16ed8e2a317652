//! JSON of the hot event, written straight into the output buffer: keys and punctuation as they
//! stand in the code, numbers and text behind them.
//!
//! Exchanges come by the hundred thousand a second, and there serde's way (a view of borrowed
//! structs, each key escaped, each address through `fmt`) cost 40 % of all instructions. What comes
//! rarely goes through serde still, and what serde would write is what stands here: the tests hold
//! the two together.

use std::net::IpAddr;

use serde::Serialize;

use super::text::{self, Text};
use crate::segment::{Endpoint, Timestamp};

/// Appends to a buffer. Whoever writes keeps the commas and braces in order.
pub(super) struct Json<'a> {
    out: &'a mut Vec<u8>,
}

impl<'a> Json<'a> {
    pub(super) fn new(out: &'a mut Vec<u8>) -> Self {
        Self { out }
    }

    /// As it stands: punctuation, keys, values that need no escape.
    #[inline(always)]
    pub(super) fn raw(&mut self, json: &str) {
        self.out.extend_from_slice(json.as_bytes());
    }

    #[inline]
    pub(super) fn number(&mut self, n: u64) {
        self.out.extend_from_slice(itoa::Buffer::new().format(n).as_bytes());
    }

    /// Text in quotation marks.
    pub(super) fn text(&mut self, bytes: &[u8]) {
        if is_plain(bytes) {
            self.out.reserve(bytes.len().saturating_add(2));
            self.out.push(b'"');
            self.out.extend_from_slice(bytes);
            self.out.push(b'"');
        } else {
            self.value(&Text(bytes));
        }
    }

    /// Sixteen hexadecimal digits, without quotation marks.
    pub(super) fn hex(&mut self, n: u64) {
        self.out.extend_from_slice(&hex(n));
    }

    /// `2023-11-14T22:13:20.000000001Z`, in quotation marks.
    pub(super) fn time(&mut self, time: Timestamp) {
        self.out.push(b'"');
        self.out.extend_from_slice(&text::rfc3339(time));
        self.out.push(b'"');
    }

    /// An address and a port, with their keys and without braces.
    pub(super) fn endpoint(&mut self, endpoint: Endpoint) {
        self.raw("\"address\":\"");
        match endpoint.ip() {
            IpAddr::V4(addr) => {
                let mut before: &[u8] = b"";
                for octet in addr.octets() {
                    self.out.extend_from_slice(before);
                    self.octet(octet);
                    before = b".";
                }
            }
            IpAddr::V6(addr) => self.display(&addr),
        }
        self.raw("\",\"port\":");
        self.number(u64::from(endpoint.port));
    }

    /// Always four bytes, of which those that are too many are taken back: a copy of constant size is
    /// an instruction, one of another size is a call.
    fn octet(&mut self, octet: u8) {
        let [digits @ .., n] = OCTETS.get(usize::from(octet)).copied().unwrap_or_default();
        self.out.extend_from_slice(&digits);
        self.out.truncate(self.out.len().saturating_sub(3 - usize::from(n)));
    }

    /// What `Display` writes, without quotation marks; nothing in it may need an escape.
    pub(super) fn display(&mut self, value: &impl std::fmt::Display) {
        // Writing to memory does not fail.
        let _ = std::io::Write::write_fmt(self.out, format_args!("{value}"));
    }

    /// What comes rarely.
    pub(super) fn value(&mut self, value: &impl Serialize) {
        super::write(value, self.out);
    }
}

/// Each octet's digits, from the left, and how many they are.
const OCTETS: [[u8; 4]; 256] = {
    let mut table = [[0; 4]; 256];
    let mut n = 0;
    while n < 256 {
        let digits = [b'0' + (n / 100) as u8, b'0' + (n / 10 % 10) as u8, b'0' + (n % 10) as u8];
        table[n] = match digits {
            [b'0', b'0', c] => [c, b' ', b' ', 1],
            [b'0', b, c] => [b, c, b' ', 2],
            [a, b, c] => [a, b, c, 3],
        };
        n += 1;
    }
    table
};

/// Sixteen hexadecimal digits, eight at a time.
fn hex(n: u64) -> [u8; 16] {
    let digits = |half: u32| {
        // A nibble in each byte, the highest first.
        let mut spread = u64::from(half);
        spread = (spread | spread << 16) & 0x0000_ffff_0000_ffff;
        spread = (spread | spread << 8) & 0x00ff_00ff_00ff_00ff;
        spread = (spread | spread << 4) & 0x0f0f_0f0f_0f0f_0f0f;
        // 6 and 10 together are 16: the bit tells which nibbles are letters.
        let letters = (spread + 0x0606_0606_0606_0606) >> 4 & 0x0101_0101_0101_0101;
        (spread + 0x3030_3030_3030_3030 + letters * u64::from(b'a' - b'0' - 10)).to_be_bytes()
    };
    let (high, low) = (digits((n >> 32) as u32), digits(n as u32));
    std::array::from_fn(|i| if i < 8 { high[i] } else { low[i - 8] })
}

/// Whether the bytes are ASCII in which nothing needs an escape (RFC 8259 §7).
fn is_plain(bytes: &[u8]) -> bool {
    // Eight bytes a step; what is left over overlaps with what was looked at before.
    if let Some(last) = bytes.last_chunk::<8>() {
        let (words, _) = bytes.as_chunks::<8>();
        return words.iter().fold(escapes_in(*last), |found, word| found | escapes_in(*word)) == 0;
    }
    let mut word = [b' '; 8];
    for (to, from) in word.iter_mut().zip(bytes) {
        *to = *from;
    }
    escapes_in(word) == 0
}

/// Not zero where a byte of the word is a quotation mark, a backslash, a control character or not
/// ASCII. Wrapping is the arithmetic: a borrow can only come from a byte that is found itself.
fn escapes_in(word: [u8; 8]) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let word = u64::from_ne_bytes(word);
    let below = |word: u64, n: u8| word.wrapping_sub(ONES.wrapping_mul(u64::from(n))) & !word;
    let equal = |c: u8| below(word ^ ONES.wrapping_mul(u64::from(c)), 1);
    (word | below(word, 0x20) | equal(b'"') | equal(b'\\')) & HIGH
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(write: impl FnOnce(&mut Json<'_>)) -> String {
        let mut out = Vec::new();
        write(&mut Json::new(&mut out));
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_byte_is_escaped_as_serde_escapes_it() {
        for byte in 0..=u8::MAX {
            for n_before in 0..20 {
                let mut bytes = vec![b'a'; n_before];
                bytes.push(byte);
                bytes.extend_from_slice(b"zz");
                let expected = serde_json::to_string(&Text(&bytes)).unwrap();
                assert_eq!(written(|json| json.text(&bytes)), expected);
            }
        }
    }

    #[test]
    fn numbers_and_addresses_are_those_of_display() {
        assert_eq!(written(|json| json.number(u64::MAX)), u64::MAX.to_string());
        assert_eq!(written(|json| json.hex(0x00ab_cdef_0123_4567)), "00abcdef01234567");
        for octet in 0..=u8::MAX {
            assert_eq!(written(|json| json.octet(octet)), octet.to_string());
        }
        let v4 = Endpoint::v4([10, 0, 200, 255], 8080);
        assert_eq!(written(|json| json.endpoint(v4)), r#""address":"10.0.200.255","port":8080"#);
        let v6 = Endpoint::v6(std::net::Ipv6Addr::LOCALHOST.octets(), 1);
        assert_eq!(written(|json| json.endpoint(v6)), r#""address":"::1","port":1"#);
    }

    proptest! {
        #[test]
        fn hexadecimal_is_what_format_writes(n in any::<u64>()) {
            prop_assert_eq!(written(|json| json.hex(n)), format!("{n:016x}"));
        }

        #[test]
        fn text_is_what_serde_writes(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let expected = serde_json::to_string(&Text(&bytes)).unwrap();
            prop_assert_eq!(written(|json| json.text(&bytes)), expected);
        }

        #[test]
        fn plain_text_is_what_serde_writes(text in "[ -~]{0,60}") {
            let expected = serde_json::to_string(&text).unwrap();
            prop_assert_eq!(written(|json| json.text(text.as_bytes())), expected);
        }
    }
}
