//! The plain head: what nearly every program sends, read in one pass.
//!
//! CRLF behind each line, printable ASCII alone, a method in capitals, HTTP/1.0 or 1.1, a status with
//! a reason. Nothing can be wrong with such a head, so no anomaly is looked for. `None` says only
//! that it is not plain, or not all there: then the general readers have it. What is found here is
//! what they would find, which the tests hold it to.

use super::super::{Role, detect};
use super::is_token_byte;
use super::sound::Strict;
use crate::message::{Field, Span, StartLine, Version};

/// More fields than this are for the readers that count them.
const MAX_PLAIN_FIELDS: usize = 128;

/// Fields that most heads have room for.
const USUAL_FIELDS: usize = 12;

/// The head at the start of `bytes`.
pub(super) fn read(bytes: &[u8], role: Role) -> Option<Strict> {
    let n_line = n_printable(bytes);
    let (line, mut rest) = bytes.split_at_checked(n_line)?;
    let start = match role {
        Role::Request => request_line(line)?,
        Role::Response => status_line(line)?,
    };
    rest = rest.strip_prefix(b"\r\n")?;
    let mut fields = Vec::with_capacity(USUAL_FIELDS);
    loop {
        let at = bytes.len().checked_sub(rest.len())?;
        if let Some(behind) = rest.strip_prefix(b"\r\n") {
            let end = bytes.len().checked_sub(behind.len())?;
            return Some(Strict { start, fields, end });
        }
        let n_name = rest.iter().take_while(|&&b| TOKEN.get(usize::from(b)) == Some(&true)).count();
        let (b':', value) = rest.get(n_name..)?.split_first()? else { return None };
        let n_value = n_printable(value);
        rest = value.get(n_value..)?.strip_prefix(b"\r\n")?;
        if n_name == 0 || fields.len() >= MAX_PLAIN_FIELDS {
            return None;
        }
        let value_at = at.checked_add(n_name)?.checked_add(1)?;
        fields.push(Field {
            name: span(at, at.checked_add(n_name)?)?,
            value: trimmed(value.get(..n_value)?, value_at)?,
        });
    }
}

fn request_line(line: &[u8]) -> Option<StartLine> {
    let n_method = line.iter().take_while(|b| b.is_ascii_uppercase()).count();
    let (before, version) = line.split_at_checked(line.len().checked_sub(b" HTTP/1.1".len())?)?;
    let version = match version {
        b" HTTP/1.1" => Version::HTTP_11,
        b" HTTP/1.0" => Version::HTTP_10,
        _ => return None,
    };
    let (b' ', target) = before.get(n_method..)?.split_first()? else { return None };
    let is_one_word = !target.is_empty() && memchr::memchr(b' ', target).is_none();
    if !is_one_word || n_method == 0 || n_method > detect::MAX_METHOD {
        return None;
    }
    Some(StartLine::Request {
        method: span(0, n_method)?,
        target: span(n_method.checked_add(1)?, before.len())?,
        version,
    })
}

fn status_line(line: &[u8]) -> Option<StartLine> {
    let (start, reason) = line.split_first_chunk::<13>()?;
    let (version, [b' ', a @ b'1'..=b'5', b @ b'0'..=b'9', c @ b'0'..=b'9', b' ']) =
        start.split_first_chunk::<8>().and_then(|(v, rest)| Some((v, rest.first_chunk()?)))?
    else {
        return None;
    };
    let version = match version {
        b"HTTP/1.1" => Version::HTTP_11,
        b"HTTP/1.0" => Version::HTTP_10,
        _ => return None,
    };
    if reason.is_empty() || reason.first() == Some(&b' ') || reason.last() == Some(&b' ') {
        return None;
    }
    let digit = |byte: &u8| u16::from(byte & 0x0f);
    let status = digit(a).checked_mul(100)?.checked_add(digit(b).checked_mul(10)?)?;
    Some(StartLine::Response {
        status: status.checked_add(digit(c))?,
        reason: span(start.len(), line.len())?,
        version,
    })
}

/// Without the spaces around; a value of nothing else is empty, and its place does not matter.
fn trimmed(value: &[u8], at: usize) -> Option<Span> {
    let n_before = value.iter().take_while(|&&b| b == b' ').count();
    let n_after = value.iter().rev().take_while(|&&b| b == b' ').count();
    if n_before == value.len() {
        return Some(Span::default());
    }
    let end = at.checked_add(value.len())?.checked_sub(n_after)?;
    span(at.checked_add(n_before)?, end)
}

fn span(start: usize, end: usize) -> Option<Span> {
    (end <= u32::MAX as usize).then_some(Span { start: start as u32, end: end as u32 })
}

/// How many bytes at the start are printable ASCII, spaces too.
fn n_printable(bytes: &[u8]) -> usize {
    const LOW: u64 = 0x7f7f_7f7f_7f7f_7f7f;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    // The sums stay within their bytes: the high bit is not in them.
    const TO_SPACE: u64 = 0x6060_6060_6060_6060;
    const TO_DELETE: u64 = 0x0101_0101_0101_0101;
    let (words, rest) = bytes.as_chunks::<8>();
    for (i, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let low = word & LOW;
        let printable = low.saturating_add(TO_SPACE) & !low.saturating_add(TO_DELETE) & !word;
        let others = !printable & HIGH;
        if others != 0 {
            return (i * 8).saturating_add(others.trailing_zeros() as usize / 8);
        }
    }
    let n_rest = rest.iter().take_while(|b| matches!(b, b' '..=b'~')).count();
    bytes.len().saturating_sub(rest.len()).saturating_add(n_rest)
}

/// [`is_token_byte`] as a table.
const TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = is_token_byte(byte as u8);
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{Head, lenient, sound};
    use super::*;
    use crate::message::Anomalies;

    /// What is plain must be the same to all three readers, and end where the whole is looked for.
    fn check(bytes: &[u8], role: Role) -> bool {
        let Some(Strict { start, fields, end }) = read(bytes, role) else { return false };
        let raw = bytes[..end].to_vec();
        let plain = Head::new(raw.clone(), start, fields, Anomalies::default());
        assert_eq!(Some(end), super::super::find_end(bytes, 0));
        assert_eq!(Some(&plain), lenient(raw.clone(), role).as_ref(), "{plain:?}");
        // httparse takes fewer fields, and refuses some bytes in targets.
        if let Some(Strict { start, fields, .. }) = sound::strict(&raw, role) {
            assert_eq!(plain, sound::sound(raw, start, fields));
        }
        true
    }

    const REQUEST: &str = "GET /a/b?c=d&e HTTP/1.1\r\nHost: shop.example:8080\r\nX-Empty:\r\nX-Blank:   \
                           \r\nAccept:*/*\r\nCookie:  a=b; c  \r\n\r\nnext";
    const RESPONSE: &str = "HTTP/1.0 304 Not Modified\r\nDate: Sat, 21 Nov 2026 06:00:00 GMT\r\nETag: \
                            \"x\"\r\n\r\n";

    #[test]
    fn a_plain_head_is_read_as_the_others_read_it() {
        assert!(check(REQUEST.as_bytes(), Role::Request));
        assert!(check(RESPONSE.as_bytes(), Role::Response));
        assert!(check(b"OPTIONS * HTTP/1.1\r\n\r\n", Role::Request));
        let many = |n: usize| format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(n));
        assert!(check(many(128).as_bytes(), Role::Request));
        assert!(!check(many(129).as_bytes(), Role::Request));
    }

    #[test]
    fn whatever_one_byte_makes_of_it_is_read_the_same_or_left_to_others() {
        for (text, role) in [(REQUEST, Role::Request), (RESPONSE, Role::Response)] {
            let mut n_plain = 0;
            for at in 0..text.len() {
                for byte in 0..=u8::MAX {
                    let mut changed = text.as_bytes().to_vec();
                    changed[at] = byte;
                    n_plain += usize::from(check(&changed, role));
                }
                let mut shorter = text.as_bytes().to_vec();
                shorter.remove(at);
                check(&shorter, role);
                assert!(!check(&text.as_bytes()[..at.min(text.len() - 5)], role));
            }
            assert!(n_plain > 1000, "{n_plain}");
        }
    }

    proptest! {
        #[test]
        fn random_heads_are_read_the_same_or_left_to_others(
            first in "(GET|POST|M-X|get|) (/[!-~]{0,20}| |)( )?(HTTP/1.[019])?",
            status in "HTTP/1.[01] [0-9]{2,4}( [ -~]{0,9})?",
            fields in proptest::collection::vec("[A-Za-z-]{0,9}[ ]?:[ \t]?[ -~]{0,20}\r?\n", 0..6),
        ) {
            let fields: String = fields.concat();
            check(format!("{first}\r\n{fields}\r\n").as_bytes(), Role::Request);
            check(format!("{status}\r\n{fields}\r\n").as_bytes(), Role::Response);
        }
    }
}
