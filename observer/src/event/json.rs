//! JSON of the hot event, written straight into the output buffer: keys and punctuation as they
//! stand in the code, numbers and text behind them.
//!
//! Exchanges come by the hundred thousand a second, and there serde's way (a view of borrowed
//! structs, each key escaped, each address through `fmt`) cost 40 % of all instructions. What comes
//! rarely goes through serde still, and what serde would write is what stands here: the tests hold
//! the two together.

use std::io::Write as _;
use std::mem;

use serde::Serialize;

use super::digits::{self, OCTETS};
use super::room::Room;
use super::text::{self, Text};
use crate::segment::{Endpoint, Timestamp};

/// Writes into room that is there already: without asking for it each time, and a copy of constant
/// size is an instruction or two. Whoever writes keeps the commas and braces in order.
pub(super) struct Json<'a> {
    rest: &'a mut [u8],
    /// There was less room than there was to write.
    is_short: bool,
}

impl<'a> Json<'a> {
    /// Appends what `write` writes, which is called again with more room should there have been too
    /// little. Most lines fit into `room`.
    pub(super) fn append<T>(
        out: &mut Room,
        mut room: usize,
        write: impl Fn(&mut Json<'_>) -> T,
    ) -> T {
        loop {
            let rest = out.rest(room);
            let n_room = rest.len();
            let mut json = Json { rest, is_short: false };
            let written = write(&mut json);
            if !json.is_short {
                let n_left = json.rest.len();
                out.grow(n_room - n_left);
                return written;
            }
            room = n_room.saturating_mul(2);
        }
    }

    /// Bytes of room that are left.
    pub(super) fn n_left(&self) -> usize {
        self.rest.len()
    }

    /// What was written before, where it is known. Says whether it is.
    #[inline(always)]
    pub(super) fn known(&mut self, text: &[u8]) -> bool {
        if let Some(place) = self.take(text.len()) {
            place.copy_from_slice(text);
        }
        !text.is_empty()
    }

    /// The next `n` bytes, to be written to.
    #[inline(always)]
    fn take(&mut self, n: usize) -> Option<&'a mut [u8]> {
        if n > self.rest.len() {
            self.is_short = true;
            return None;
        }
        let (place, rest) = mem::take(&mut self.rest).split_at_mut(n);
        self.rest = rest;
        Some(place)
    }

    /// Writes all of `bytes`, and goes on behind the first `n` of them: a copy of constant size.
    #[inline(always)]
    fn put_first<const N: usize>(&mut self, bytes: [u8; N], n: usize) {
        match self.rest.first_chunk_mut() {
            Some(place) => *place = bytes,
            None => self.is_short = true,
        }
        self.take(n);
    }

    /// As it stands: punctuation, keys, values that need no escape.
    #[inline(always)]
    pub(super) fn raw(&mut self, json: &str) {
        if let Some(place) = self.take(json.len()) {
            place.copy_from_slice(json.as_bytes());
        }
    }

    #[inline]
    pub(super) fn number(&mut self, n: u64) {
        if n < 10 {
            self.put_first([b'0' | n as u8], 1);
        } else {
            self.digits(n);
        }
    }

    #[inline(never)]
    fn digits(&mut self, n: u64) {
        const EIGHT_DIGITS: u64 = 100_000_000;
        if n < 10_000 {
            let (digits, len) = digits::four(n as u32);
            return self.put_first(digits, len);
        }
        if n < EIGHT_DIGITS {
            let (digits, len) = digits::short(n as u32);
            return self.put_first(digits, len);
        }
        self.number(n / EIGHT_DIGITS);
        self.put_first(digits::eight((n % EIGHT_DIGITS) as u32).to_le_bytes(), 8);
    }

    /// Text in quotation marks.
    pub(super) fn text(&mut self, bytes: &[u8]) {
        let n = bytes.len().saturating_add(2);
        if let Some([first, middle @ .., last]) = self.rest.get_mut(..n)
            && copy_plain(middle, bytes)
        {
            (*first, *last) = (b'"', b'"');
            self.take(n);
        } else {
            self.value(&Text(bytes));
        }
    }

    /// Sixteen hexadecimal digits, without quotation marks.
    pub(super) fn hex(&mut self, digits: [u8; 16]) {
        self.put_first(digits, digits.len());
    }

    /// `2023-11-14T22:13:20.000000001Z`, in quotation marks.
    pub(super) fn time(&mut self, time: Timestamp) {
        match self.rest.first_chunk_mut::<32>() {
            Some([first, text @ .., last]) => {
                (*first, *last) = (b'"', b'"');
                text::write_rfc3339(time, text);
            }
            None => self.is_short = true,
        }
        self.take(32);
    }

    /// An address and a port, with their keys and without braces.
    pub(super) fn endpoint(&mut self, endpoint: Endpoint) {
        self.raw("\"address\":\"");
        match endpoint.ipv4() {
            Some([a, b, c, d]) => {
                for octet in [a, b, c] {
                    let (digits, n) = OCTETS[usize::from(octet)];
                    self.put_first(digits, usize::from(n));
                }
                self.number(u64::from(d));
            }
            None => self.display(&endpoint.ip()),
        }
        self.raw("\",\"port\":");
        self.number(u64::from(endpoint.port));
    }

    /// What `Display` writes, without quotation marks; nothing in it may need an escape.
    pub(super) fn display(&mut self, value: &impl std::fmt::Display) {
        // Nothing but too little room makes it fail.
        self.is_short |= write!(self.rest, "{value}").is_err();
    }

    /// What comes rarely.
    #[cold]
    pub(super) fn value(&mut self, value: &impl Serialize) {
        // No map here has a key that is not text, so again it can only be too little room.
        self.is_short |= serde_json::to_writer(&mut self.rest, value).is_err();
    }
}

/// Copies text in which nothing needs an escape (RFC 8259 §7), ASCII alone. Returns whether it was
/// that. `to` is as long as `from`.
#[inline]
fn copy_plain(to: &mut [u8], from: &[u8]) -> bool {
    // What is left over of whole steps is copied with some of what was copied before.
    if let (Some(last), Some(place)) = (from.last_chunk::<16>(), to.last_chunk_mut()) {
        let mut found = escapes_in_sixteen(*last);
        *place = *last;
        for (bytes, place) in from.as_chunks().0.iter().zip(to.as_chunks_mut().0) {
            let more = escapes_in_sixteen(*bytes);
            found = std::array::from_fn(|i| found[i] | more[i]);
            *place = *bytes;
        }
        return found == [0; 16];
    }
    copy_short(to, from)
}

/// The same of less than sixteen bytes: both ends, which overlap.
#[inline]
fn copy_short(to: &mut [u8], from: &[u8]) -> bool {
    let found = if let Some((first, last)) = copy_ends::<8>(to, from) {
        escapes_in(first) | escapes_in(last)
    } else if let Some(([a, b, c, d], [e, f, g, h])) = copy_ends::<4>(to, from) {
        escapes_in([a, b, c, d, e, f, g, h])
    } else if let Some(([a, b], [c, d])) = copy_ends::<2>(to, from) {
        escapes_in([a, b, c, d, b' ', b' ', b' ', b' '])
    } else if let (Some(&byte), Some(place)) = (from.first(), to.first_mut()) {
        *place = byte;
        escapes_in([byte, b' ', b' ', b' ', b' ', b' ', b' ', b' '])
    } else {
        0
    };
    found == 0
}

/// The first and the last `N` bytes, copied.
#[inline(always)]
fn copy_ends<const N: usize>(to: &mut [u8], from: &[u8]) -> Option<([u8; N], [u8; N])> {
    let (first, last) = (*from.first_chunk()?, *from.last_chunk()?);
    *to.first_chunk_mut()? = first;
    *to.last_chunk_mut()? = last;
    Some((first, last))
}

/// Not zero in a byte that is a quotation mark, a backslash, a control character or not ASCII: a form
/// that compilers make a few wide instructions of. As signed bytes, what is not ASCII is below the
/// control characters.
#[inline(always)]
fn escapes_in_sixteen(bytes: [u8; 16]) -> [u8; 16] {
    bytes.map(|byte| {
        let is_control = (byte as i8) < b' ' as i8;
        if is_control | (byte == b'"') | (byte == b'\\') { u8::MAX } else { 0 }
    })
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

    fn written(write: impl Fn(&mut Json<'_>)) -> String {
        let mut out = Room::from(b"before".to_vec());
        Json::append(&mut out, 64, write);
        String::from_utf8(out.into()).unwrap().strip_prefix("before").unwrap().to_owned()
    }

    #[test]
    fn every_byte_is_escaped_as_serde_escapes_it() {
        for byte in 0..=u8::MAX {
            for n_before in 0..40 {
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
        for n in [0, 9, 10, 99_999_999, 100_000_000, 9_999_999_999_999_999, 1 << 60, u64::MAX] {
            assert_eq!(written(|json| json.number(n)), n.to_string());
        }
        for octet in 0..=u8::MAX {
            let endpoint = Endpoint::v4([octet, 1, 22, octet], 1);
            let expected = format!(r#""address":"{octet}.1.22.{octet}","port":1"#);
            assert_eq!(written(|json| json.endpoint(endpoint)), expected);
        }
        let v4 = Endpoint::v4([10, 0, 200, 255], 8080);
        assert_eq!(written(|json| json.endpoint(v4)), r#""address":"10.0.200.255","port":8080"#);
        let v6 = Endpoint::v6(std::net::Ipv6Addr::LOCALHOST.octets(), 1);
        assert_eq!(written(|json| json.endpoint(v6)), r#""address":"::1","port":1"#);
    }

    proptest! {
        #[test]
        fn numbers_are_what_format_writes(n in any::<u64>(), shift in 0..64u32) {
            prop_assert_eq!(written(|json| json.number(n >> shift)), (n >> shift).to_string());
        }

        #[test]
        fn whatever_the_length_there_is_room(texts in proptest::collection::vec(0..900usize, 0..9)) {
            let texts: Vec<String> = texts.into_iter().map(|n| "x\"".repeat(n)).collect();
            let json = written(|json| {
                for text in &texts {
                    json.text(text.as_bytes());
                    json.raw("|");
                }
            });
            let expected = texts.iter().map(|text| serde_json::to_string(text).unwrap() + "|");
            prop_assert_eq!(json, expected.collect::<String>());
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
