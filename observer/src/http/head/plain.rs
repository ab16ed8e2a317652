//! The plain head: what nearly every program sends, read in one pass.
//!
//! CRLF behind each line, printable ASCII alone, a method in capitals, HTTP/1.0 or 1.1, a status with
//! a reason. Nothing can be wrong with such a head, so no anomaly is looked for. `None` says only
//! that it is not plain, or not all there: then the general readers have it. What is found here is
//! what they would find, which the tests hold it to.

use super::super::{Role, detect};
use super::classes::Classes;
use super::known;
use crate::message::{Field, Name, Span, StartLine, Version};

/// More fields than this are for the readers that count them.
const MAX_PLAIN_FIELDS: usize = 128;

/// Most heads have fewer.
const USUAL_FIELDS: usize = 12;

/// What the head at the start of `bytes` begins with, and where it ends; its fields go into `fields`,
/// which is empty.
pub(super) fn read(
    bytes: &[u8],
    role: Role,
    fields: &mut Vec<Field>,
) -> Option<(StartLine, usize)> {
    read_with(bytes, role, fields, true)
}

/// `may_know`: fields that were read before may be taken from there.
#[inline(always)]
fn read_with(
    bytes: &[u8],
    role: Role,
    fields: &mut Vec<Field>,
    may_know: bool,
) -> Option<(StartLine, usize)> {
    // Places are kept in 32 bits.
    if bytes.len() > u32::MAX as usize {
        return None;
    }
    let mut classes = Classes::new(bytes);
    let n_line = classes.printable_end(0);
    if n_line >= detect::MAX_START_LINE {
        return None;
    }
    let line = bytes.get(..n_line)?;
    let start = match role {
        Role::Request => request_line(line)?,
        Role::Response => status_line(line)?,
    };
    let first_field = behind_crlf(bytes, n_line)?;
    if may_know && let Some(end) = known::find(bytes, first_field, role, fields) {
        return Some((start, end));
    }
    let end = read_fields(bytes, first_field, &mut classes, fields)?;
    if may_know {
        known::remember(bytes, first_field, end, fields, role);
    }
    Some((start, end))
}

/// The fields from `at` on. Returns the place behind the empty line. Not inlined: it needs all
/// registers for itself.
#[inline(never)]
fn read_fields(
    bytes: &[u8],
    mut at: usize,
    classes: &mut Classes<'_>,
    fields: &mut Vec<Field>,
) -> Option<usize> {
    fields.reserve(USUAL_FIELDS);
    loop {
        let name_end = classes.name_end(at);
        if name_end == at {
            return behind_crlf(bytes, at);
        }
        let (name, after) = bytes.get(at..)?.split_at_checked(name_end - at)?;
        if after.first() != Some(&b':') || fields.len() >= MAX_PLAIN_FIELDS {
            return None;
        }
        let value = name_end + 1;
        let line_end = classes.printable_end(value);
        fields.push(Field {
            name: Span { start: at as u32, end: name_end as u32 },
            value: trimmed(bytes, value, line_end),
            known: Name::of(name),
        });
        at = behind_crlf(bytes, line_end)?;
    }
}

/// The place behind the line end that stands at `at`.
fn behind_crlf(bytes: &[u8], at: usize) -> Option<usize> {
    bytes.get(at..)?.starts_with(b"\r\n").then_some(at + 2)
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

/// The value between these places without the spaces around; where there is nothing else it is empty,
/// and its place does not matter.
#[inline]
fn trimmed(bytes: &[u8], start: usize, end: usize) -> Span {
    // Nearly all have one space before them and none behind.
    match bytes.get(start..end) {
        Some([b' ', value @ ..]) if is_trimmed(value) => {
            Span { start: start as u32 + 1, end: end as u32 }
        }
        Some(value) => trimmed_more(value, start),
        None => Span::default(),
    }
}

#[inline(always)]
fn is_trimmed(value: &[u8]) -> bool {
    value.first().is_some_and(|&byte| byte != b' ') && value.last() != Some(&b' ')
}

#[cold]
fn trimmed_more(value: &[u8], at: usize) -> Span {
    let n_before = value.iter().take_while(|&&byte| byte == b' ').count();
    let n_behind = value.iter().rev().take_while(|&&byte| byte == b' ').count();
    if n_before == value.len() {
        return Span::default();
    }
    Span { start: (at + n_before) as u32, end: (at + value.len() - n_behind) as u32 }
}

fn span(start: usize, end: usize) -> Option<Span> {
    (end <= u32::MAX as usize).then_some(Span { start: start as u32, end: end as u32 })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::sound::Strict;
    use super::super::{Head, lenient, sound};
    use super::*;
    use crate::message::Anomalies;

    /// What is plain must be the same to all three readers, and end where the whole is looked for.
    fn check(bytes: &[u8], role: Role) -> bool {
        let mut fields = Vec::new();
        let Some((start, end)) = read(bytes, role, &mut fields) else { return false };
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
        fn what_was_read_before_changes_nothing(
            heads in proptest::collection::vec(
                ("(GET /[ab]{0,9} HTTP/1.1|HTTP/1.1 200 O[KX]{1,9})", "((Host|X): {0,2}[ab]{0,2}\r\n){0,3}",
                    "(\r\n|\r|X|)", "[ab]{0,9}"),
                1..40,
            ),
        ) {
            for (line, fields, end, rest) in heads {
                let role = if line.starts_with('H') { Role::Response } else { Role::Request };
                let head = format!("{line}\r\n{fields}{end}{rest}");
                let parts = |may_know| {
                    let mut fields = Vec::new();
                    let read = read_with(head.as_bytes(), role, &mut fields, may_know);
                    read.map(|read| (read, fields))
                };
                prop_assert_eq!(parts(true), parts(false));
            }
        }

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
