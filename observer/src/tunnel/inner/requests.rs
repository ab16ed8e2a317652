//! Whether a client speaks HTTP inside a tunnel. Only told from complete and strict first lines:
//! to frame what is no HTTP would invent exchanges.

use super::Told;

/// RFC 9113 §3.4.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The longest registered method has 17 characters.
const MAX_METHOD: usize = 20;

const MAX_LINE: usize = 8192;

pub(super) fn read(bytes: &[u8]) -> Told {
    let n = bytes.len().min(PREFACE.len());
    if bytes.get(..n) == PREFACE.get(..n) {
        return if n < PREFACE.len() { Told::More } else { Told::Http2 };
    }
    let n = bytes.iter().take_while(|b| b.is_ascii_uppercase() || **b == b'-').count();
    match bytes.get(n) {
        None if n <= MAX_METHOD => return Told::More,
        Some(b' ') if (3..=MAX_METHOD).contains(&n) => {}
        _ => return Told::Nothing,
    }
    let Some(end) = memchr::memchr(b'\n', bytes) else {
        let is_line = bytes.iter().all(|&b| b >= b' ' || b == b'\r');
        return if is_line && bytes.len() < MAX_LINE { Told::More } else { Told::Nothing };
    };
    let line = bytes.get(..end).unwrap_or_default().trim_ascii_end();
    let is_request = line.ends_with(b" HTTP/1.1") || line.ends_with(b" HTTP/1.0");
    if is_request { Told::Http1 } else { Told::Nothing }
}
