//! Whether a line can be the first of an HTTP message.
//!
//! Used in sync, where a "no" means that the peer does not speak HTTP, and after a gap, where only
//! a complete and strict match may be believed.

use super::head::{is_token_byte, trim_line};

/// Bytes kept of a start line; the target is most of it.
pub(super) const MAX_START_LINE: usize = 64 << 10;

/// The longest method that is believed. The longest registered one has 17 characters
/// (UPDATEREDIRECTREF, IANA HTTP Method Registry).
pub(super) const MAX_METHOD: usize = 32;

/// What a first line, complete or not, can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// A start line with a version.
    Http,
    /// `GET` and a path with nothing behind it: HTTP/0.9 (RFC 1945 §4.1).
    Simple,
    /// The line has not ended and may still become a start line.
    Undecided,
    No,
}

/// Judges `line`, which includes its line end if `ended`, as a request line.
pub(super) fn request_line(line: &[u8], ended: bool) -> Verdict {
    let n_method = line.iter().take(MAX_METHOD + 1).take_while(|&&b| is_token_byte(b)).count();
    match line.get(n_method) {
        None if !ended && n_method <= MAX_METHOD => return Verdict::Undecided,
        Some(b' ' | b'\t') if n_method > 0 && n_method <= MAX_METHOD => {}
        _ => return Verdict::No,
    }
    if !ended {
        return Verdict::Undecided;
    }
    let line = trim_line(line);
    let (method, rest) = line.split_at_checked(n_method).unwrap_or_default();
    let rest = rest.trim_ascii();
    let last = rest.rsplit(|b| matches!(b, b' ' | b'\t')).next().unwrap_or_default();
    if last.starts_with(b"HTTP/") && last.len() < rest.len() {
        let other = last.get(5..).is_none_or(|v| !v.first().is_some_and(u8::is_ascii_digit));
        return if other { Verdict::No } else { Verdict::Http };
    }
    let simple = method == b"GET"
        && (rest.starts_with(b"/") || rest.starts_with(b"http://"))
        && !rest.iter().any(|&b| b <= b' ' || b == 0x7f);
    if simple { Verdict::Simple } else { Verdict::No }
}

/// Judges `line` as a status line.
pub(super) fn status_line(line: &[u8], ended: bool) -> Verdict {
    const PREFIX: &[u8] = b"HTTP/";
    let n = line.len().min(PREFIX.len());
    if line.get(..n) != PREFIX.get(..n) {
        return Verdict::No;
    }
    if !ended {
        return Verdict::Undecided;
    }
    let mut parts = trim_line(line).split(|&b| b == b' ' || b == b'\t').filter(|p| !p.is_empty());
    let version = parts.next().unwrap_or_default();
    let status = parts.next().unwrap_or_default();
    let versioned = version.get(5).is_some_and(u8::is_ascii_digit);
    // A reason that sticks to the code is a reason all the same.
    let numbered = status.iter().take_while(|b| b.is_ascii_digit()).count() == 3;
    if versioned && numbered { Verdict::Http } else { Verdict::No }
}

/// Whether `line`, complete with its line end, begins a message of another protocol that was built
/// like HTTP: RTSP (RFC 7826), SIP (RFC 3261), ICAP (RFC 3507), whose bodies may hold HTTP.
pub(super) fn is_of_another_protocol(line: &[u8]) -> bool {
    let line = trim_line(line);
    let mut words = line.split(|&b| b == b' ');
    let (first, second, third) = (words.next(), words.next(), words.next());
    let asks = first.is_some_and(|m| m.len() >= 3 && is_method_like(m))
        && second.is_some_and(|target| !target.is_empty())
        && third.is_some_and(is_other_version)
        && words.next().is_none();
    let answers = first.is_some_and(is_other_version)
        && second.is_some_and(|status| status.len() == 3 && status.iter().all(u8::is_ascii_digit));
    asks || answers
}

/// A protocol's name and version, as in `SIP/2.0`.
fn is_other_version(word: &[u8]) -> bool {
    let Some((name, version)) = memchr::memchr(b'/', word).and_then(|n| word.split_at_checked(n))
    else {
        return false;
    };
    let named = name.len() >= 3 && name != b"HTTP" && name.iter().all(u8::is_ascii_uppercase);
    named
        && matches!(version, [b'/', major, b'.', minor] if major.is_ascii_digit() && minor.is_ascii_digit())
}

/// Whether `line`, complete with its line end, is a start line beyond doubt: what resynchronising
/// after a gap needs. Nothing irregular is accepted here.
pub(super) fn is_certain_request(line: &[u8]) -> bool {
    let line = trim_line(line);
    let mut parts = line.split(|&b| b == b' ');
    let (method, target, version) = (parts.next(), parts.next(), parts.next());
    parts.next().is_none()
        && method.is_some_and(|m| (3..=MAX_METHOD).contains(&m.len()) && is_method_like(m))
        && target.is_some_and(|t| !t.is_empty() && t.iter().all(|&b| b > b' ' && b != 0x7f))
        && version.is_some_and(|v| matches!(v, b"HTTP/1.1" | b"HTTP/1.0"))
}

/// The same for a status line.
pub(super) fn is_certain_response(line: &[u8]) -> bool {
    status_line(line, true) == Verdict::Http
        && line.get(12).is_none_or(u8::is_ascii_whitespace)
        && (line.starts_with(b"HTTP/1.1 ") || line.starts_with(b"HTTP/1.0 "))
}

fn is_method_like(method: &[u8]) -> bool {
    method.iter().all(|&b| b.is_ascii_uppercase() || matches!(b, b'-' | b'_'))
}

/// Methods that are believed where the bytes may begin in the middle of a word: RFC 9110, RFC 5789,
/// and what WebDAV (RFC 4918, 3253, 3648, 3744, 5323) and caches send.
const KNOWN_METHODS: &[&str] = &[
    "ACL",
    "CHECKIN",
    "CHECKOUT",
    "CONNECT",
    "COPY",
    "DELETE",
    "GET",
    "HEAD",
    "LABEL",
    "LINK",
    "LOCK",
    "MERGE",
    "MKACTIVITY",
    "MKCALENDAR",
    "MKCOL",
    "MOVE",
    "NOTIFY",
    "OPTIONS",
    "ORDERPATCH",
    "PATCH",
    "POST",
    "PROPFIND",
    "PROPPATCH",
    "PURGE",
    "PUT",
    "QUERY",
    "REPORT",
    "SEARCH",
    "SOURCE",
    "SUBSCRIBE",
    "TRACE",
    "UNLINK",
    "UNLOCK",
    "UNSUBSCRIBE",
    "UPDATE",
];

/// Whether `bytes` are too few to tell, and could become a request with a known method.
pub fn may_become_request(bytes: &[u8]) -> bool {
    KNOWN_METHODS.iter().any(|m| m.as_bytes().starts_with(bytes))
}

/// Whether the bytes at the start of a segment begin like an HTTP message: which of the two, or
/// neither. Decides who is the client where the handshake was not seen. `midway` when the stream
/// may have begun earlier: then a request needs a method that is known.
pub fn first_bytes(bytes: &[u8], midway: bool) -> Option<super::Role> {
    if bytes.starts_with(b"HTTP/") {
        return Some(super::Role::Response);
    }
    let line = match memchr::memchr(b'\n', bytes) {
        Some(end) => bytes.get(..=end)?,
        None => bytes,
    };
    let n = line.iter().take_while(|&&b| is_token_byte(b)).count();
    let method = line.get(..n)?;
    let known = KNOWN_METHODS.iter().any(|m| m.as_bytes() == method);
    if !known && (midway || !is_method_like(method) || method.len() < 3) {
        return None;
    }
    let request = match request_line(line, line.ends_with(b"\n")) {
        Verdict::Http | Verdict::Simple => true,
        Verdict::Undecided => {
            let target = line.get(n.saturating_add(1)..).unwrap_or_default();
            // The CR of a line end that is still to come.
            let target = target.strip_suffix(b"\r").unwrap_or(target);
            n < line.len() && target.iter().all(|&b| b >= b' ' && b != 0x7f)
        }
        Verdict::No => false,
    };
    request.then_some(super::Role::Request)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Role;

    #[track_caller]
    fn check_request(line: &str, expected: Verdict) {
        assert_eq!(request_line(line.as_bytes(), line.ends_with('\n')), expected, "{line:?}");
    }

    #[test]
    fn request_lines_are_told_from_other_protocols() {
        check_request("GET / HTTP/1.1\r\n", Verdict::Http);
        check_request("BREW /pot-1 HTTP/1.0\n", Verdict::Http);
        check_request("GET /a b HTTP/1.1\r\n", Verdict::Http);
        check_request("GET /index.html\r\n", Verdict::Simple);
        check_request("EHLO example.org\r\n", Verdict::No);
        check_request("OPTIONS sip:a@b SIP/2.0\r\n", Verdict::No);
        check_request("DESCRIBE rtsp://x RTSP/1.0\r\n", Verdict::No);
        check_request("OPTIONS HTTP/1.1\r\n", Verdict::No);
        check_request("OPTIONSHTTP/1.1\r\n", Verdict::No);
        check_request("GE", Verdict::Undecided);
        check_request("GET /x HT", Verdict::Undecided);
        check_request("*1\r\n$4\r\nPING\r\n", Verdict::No);
        check_request("\u{1}\u{2}", Verdict::No);
    }

    #[test]
    fn status_lines_need_a_version_and_a_code() {
        assert_eq!(status_line(b"HTTP/1.1 200 OK\r\n", true), Verdict::Http);
        assert_eq!(status_line(b"HTTP/1.0 404\n", true), Verdict::Http);
        assert_eq!(status_line(b"HT", false), Verdict::Undecided);
        assert_eq!(status_line(b"HTTP/1.1 OK\r\n", true), Verdict::No);
        assert_eq!(status_line(b"HTTP/1.1 200ok\r\n", true), Verdict::Http);
        assert_eq!(status_line(b"HTTP/1.1 2000 OK\r\n", true), Verdict::No);
        assert_eq!(status_line(b"ICY 200 OK\r\n", true), Verdict::No);
    }

    #[test]
    fn protocols_built_like_http_are_told_from_it() {
        let other = |line: &str| is_of_another_protocol(line.as_bytes());
        assert!(other("REQMOD icap://a/b ICAP/1.0\r\n"));
        assert!(other("ICAP/1.0 204 No modifications\r\n"));
        assert!(other("RTSP/1.0 200 OK\n"));
        assert!(!other("GET /a HTTP/1.1\r\n"));
        assert!(!other("HTTP/1.1 200 OK\r\n"));
        assert!(!other("PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n"));
        assert!(!other("GET /a b SIP/2.0\r\n"));
        assert!(!other("\r\n"));
    }

    #[test]
    fn the_first_bytes_tell_the_roles() {
        assert_eq!(first_bytes(b"HTTP/1.1 200 OK\r\n", true), Some(Role::Response));
        assert_eq!(first_bytes(b"POST /a HTTP/1.1\r\nHost", true), Some(Role::Request));
        assert_eq!(first_bytes(b"POST /a/very/long", true), Some(Role::Request));
        assert_eq!(first_bytes(b"SSH-2.0-OpenSSH_9.2\r\n", true), None);
        assert_eq!(first_bytes(b"<html>", true), None);
        assert_eq!(first_bytes(b"", true), None);
    }
}
