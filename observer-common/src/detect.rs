//! Whether the first bytes of a segment look like HTTP, or like TLS. A hit enters the flow into the table; user
//! space, which sees more, takes the verdict back when it was wrong. So this errs towards yes for
//! what reads like a request line (RFC 9112 §3) or a status line (§4), and stays strict enough
//! that Redis, SSH, SMTP or FTP never get in. It must not know flows or headers.

/// Bytes that are looked at.
pub const WINDOW: usize = 32;

/// The first bytes of a payload, zeros behind its end. Aligned so that clearing it is four stores.
#[repr(C, align(8))]
pub struct Window(pub [u8; WINDOW]);

impl Window {
    /// The byte at an index that callers keep below [`WINDOW`]. The mask says so to the compiler,
    /// which would make a panic of it otherwise, and to the verifier.
    #[inline(always)]
    fn at(&self, index: usize) -> u8 {
        self.0[index & (WINDOW - 1)]
    }
}

const _: () = assert!(WINDOW.is_power_of_two());

/// Whether a payload with this first byte may be one of those below: a start line begins with a
/// capital, an empty line in front of one with a CR, a record of TLS with its type.
#[inline(always)]
pub const fn may_begin(first: u8) -> bool {
    first.is_ascii_uppercase() || first == b'\r' || first == HANDSHAKE
}

/// Whether the payload may begin an HTTP message.
///
/// - `HTTP/1.` begins a response.
/// - A method from RFC 9110 §9.3 or PATCH, a space, and any visible byte but `{` (NATS says
///   `CONNECT {`) begins a request. When the line ends inside the window and the target does not
///   start with `/` or `*`, ` HTTP/` has to stand on it: `GET key` is Redis.
/// - Any other token of capitals, `-` and `_`, a space, and a target that starts with `/`, `*` or
///   `http` begins a request, with the same condition on the line end: `CWD /pub` is FTP. The
///   preface of HTTP/2 (`PRI * HTTP/2.0`, RFC 9113 §3.4) is such a line.
///
/// Plain loops that each keep one fact: the verifier walks every path, and a state machine over
/// the same bytes took it past its million instructions.
#[inline(always)]
pub fn begins_like_http(window: &Window) -> bool {
    let w = window;
    // Most of what is not HTTP ends here.
    if !w.at(0).is_ascii_uppercase() {
        return false;
    }
    let first =
        u64::from_be_bytes([w.0[0], w.0[1], w.0[2], w.0[3], w.0[4], w.0[5], w.0[6], w.0[7]]);
    if first >> 8 == pack(b"HTTP/1.") {
        return true;
    }
    let target = after_listed(first);
    if target != 0 {
        let byte = w.at(target);
        let visible = byte > b' ' && byte < 0x7f && byte != b'{';
        return is_root(byte) || (visible && !ends_without_version(w, target));
    }
    let mut n_token = 1;
    while n_token < TOKEN_MAX && is_token(w.at(n_token)) {
        n_token += 1;
    }
    let target = n_token + 1;
    n_token >= TOKEN_MIN
        && w.at(n_token) == b' '
        && (is_root(w.at(target)) || is_http(w, target))
        && !ends_without_version(w, target)
}

/// Of what begins like HTTP, whether it is a response: no method has a `/` in it (RFC 9110 §5.6.2).
#[inline(always)]
pub fn is_response(window: &Window) -> bool {
    window.at(0) == b'H' && window.at(4) == b'/'
}

/// Whether the payload may begin with a hello of TLS: a record of the handshake type and a version
/// of up to 3.4 (RFC 8446 §5.1), and in it a ClientHello or a ServerHello (§4) of version 3.x.
#[inline(always)]
pub fn begins_like_tls(window: &Window) -> bool {
    let w = window;
    w.at(0) == HANDSHAKE
        && w.at(1) == 3
        && w.at(2) <= 4
        && (w.at(5) == 1 || w.at(5) == 2)
        && w.at(6) == 0
        && w.at(9) == 3
        && w.at(10) <= 4
}

/// The type of a handshake's records.
const HANDSHAKE: u8 = 22;

/// Bytes of an empty line in front, which is to be passed over (RFC 9112 §2.2).
#[inline(always)]
pub fn n_empty_line(window: &Window) -> u32 {
    if window.0[0] == b'\r' && window.0[1] == b'\n' { 2 } else { 0 }
}

/// Whether the line ends inside the window and no ` HTTP/` stands on it, from the target on.
#[inline(always)]
fn ends_without_version(w: &Window, target: usize) -> bool {
    let mut tail = 0;
    let mut i = target;
    while i < WINDOW {
        tail = tail << 8 | w.at(i) as u64;
        if tail & LOW_SIX == pack(b" HTTP/") {
            return false;
        }
        if w.at(i) == b'\n' {
            return true;
        }
        i += 1;
    }
    false
}

#[inline(always)]
fn is_token(byte: u8) -> bool {
    byte.is_ascii_uppercase() || byte == b'-' || byte == b'_'
}

#[inline(always)]
fn is_root(byte: u8) -> bool {
    byte == b'/' || byte == b'*'
}

/// An absolute target (RFC 9112 §3.2.2).
#[inline(always)]
fn is_http(w: &Window, at: usize) -> bool {
    w.at(at) | 0x20 == b'h'
        && w.at(at + 1) | 0x20 == b't'
        && w.at(at + 2) | 0x20 == b't'
        && w.at(at + 3) | 0x20 == b'p'
}

/// Where the target starts after a method of RFC 9110 §9.3 or PATCH (RFC 5789) and a space, given
/// the first eight bytes; 0 when there is no such method.
#[inline(always)]
fn after_listed(first: u64) -> usize {
    let (four, five, six, seven) = (first >> 32, first >> 24, first >> 16, first >> 8);
    if four == pack(b"GET ") || four == pack(b"PUT ") {
        4
    } else if five == pack(b"POST ") || five == pack(b"HEAD ") {
        5
    } else if six == pack(b"PATCH ") || six == pack(b"TRACE ") {
        6
    } else if seven == pack(b"DELETE ") {
        7
    } else if first == pack(b"OPTIONS ") || first == pack(b"CONNECT ") {
        8
    } else {
        0
    }
}

/// Up to eight bytes, the last in the lowest octet.
const fn pack(text: &[u8]) -> u64 {
    let mut packed = 0;
    let mut i = 0;
    while i < text.len() {
        packed = packed << 8 | text[i] as u64;
        i += 1;
    }
    packed
}

const LOW_SIX: u64 = 0xffff_ffff_ffff;
/// The shortest method that is registered has three letters; two leaves room for a local one.
const TOKEN_MIN: usize = 2;
/// The longest method that is registered, UPDATEREDIRECTREF (RFC 4437), has 17 letters.
const TOKEN_MAX: usize = 24;

// The longest look ahead: a token, a space, `http`.
const _: () = assert!(TOKEN_MAX + 1 + 4 <= WINDOW);

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(bytes: &[u8], expected: bool) {
        let mut window = [0; WINDOW];
        let n = bytes.len().min(WINDOW);
        window[..n].copy_from_slice(&bytes[..n]);
        assert_eq!(begins_like_http(&Window(window)), expected);
        assert!(!expected || may_begin(window[0]));
    }

    #[test]
    fn request_lines_with_listed_methods() {
        check(b"GET / HTTP/1.1\r\n", true);
        check(b"GET /\r\n", true);
        check(b"DELETE /a HTTP/1.1\r\n", true);
        check(b"OPTIONS * HTTP/1.1\r\n", true);
        check(b"CONNECT example.com:443 HTTP/1.1\r\n", true);
        check(b"CONNECT [::1]:443 HTTP/1.1\r\n", true);
        check(b"GET http://example.com/a/very/long/path/indeed HTTP/1.1\r\n", true);
        check(b"PATCH /x", true);
    }

    #[test]
    fn request_lines_with_methods_nobody_listed() {
        check(b"PROPFIND /dav HTTP/1.1\r\n", true);
        check(b"M-SEARCH * HTTP/1.1\r\n", true);
        check(b"UPDATEREDIRECTREF /a/long/path/that/goes/on HTTP/1.1\r\n", true);
        check(b"PURGE http://cache.example/x HTTP/1.1\r\n", true);
        check(b"BREW /pot HTTP/1.1\r\n", true);
        check(b"MY_METHOD /x HTTP/1.1\r\n", true);
    }

    #[test]
    fn status_lines() {
        check(b"HTTP/1.1 200 OK\r\n", true);
        check(b"HTTP/1.0 404 Not Found\r\n", true);
        check(b"HTTP/1.", true);
        check(b"HTTP/3 200", false);
        check(b"HTTP/1x", false);
    }

    #[test]
    fn the_preface_of_http2() {
        check(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", true);
    }

    #[test]
    fn an_empty_line_in_front_is_known_as_one() {
        let mut window = Window([0; WINDOW]);
        window.0[..4].copy_from_slice(b"\r\nGE");
        assert_eq!(n_empty_line(&window), 2);
        assert!(may_begin(window.0[0]));
        window.0[..4].copy_from_slice(b"GET ");
        assert_eq!(n_empty_line(&window), 0);
        check(b"\r\n\r\n", false);
    }

    #[test]
    fn a_request_line_without_a_proper_target_is_still_worth_a_look() {
        check(b"GET foo HTTP/1.1\r\n\r\n", true);
        check(b"GET ?q=1 HTTP/1.1\r\n\r\n", true);
    }

    #[test]
    fn other_protocols_stay_out() {
        check(b"*1\r\n$4\r\nPING\r\n", false);
        check(b"+OK\r\n", false);
        check(b"GET key\r\n", false);
        check(b"SET key value\r\n", false);
        check(b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n", false);
        check(b"EHLO mail.example.com\r\n", false);
        check(b"MAIL FROM:<a@example.com>\r\n", false);
        check(b"USER anonymous\r\n", false);
        check(b"CWD /pub\r\n", false);
        check(b"INFO {\"server_id\":\"x\"}\r\n", false);
        check(b"CONNECT {\"verbose\":false}\r\n", false);
        check(b"INVITE sip:bob@example.com SIP/2.0\r\n", false);
        check(b"PRIVMSG #observer :hello\r\n", false);
        check(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", false);
        check(b"get / http/1.1\r\n", false);
        check(b"A / HTTP/1.1\r\n", false);
        check(b"GET\r\n", false);
        check(b"GET  / HTTP/1.1\r\n", false);
        check(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ / HTTP/1.1\r\n", false);
        check(b"", false);
    }

    #[test]
    fn hellos_of_tls() {
        let check = |bytes: &[u8], expected| {
            let mut window = [0; WINDOW];
            window[..bytes.len()].copy_from_slice(bytes);
            assert_eq!(begins_like_tls(&Window(window)), expected, "{bytes:x?}");
            assert!(!expected || may_begin(window[0]));
        };
        check(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", true);
        check(b"\x16\x03\x03\x00\x7a\x02\x00\x00\x76\x03\x03", true);
        // A certificate, application data, a version that is none, a body that is too long.
        check(b"\x16\x03\x03\x0f\x00\x0b\x00\x0e\xfc\x00\x0e", false);
        check(b"\x17\x03\x03\x02\x00\x01\x00\x01\xfc\x03\x03", false);
        check(b"\x16\x03\x09\x02\x00\x01\x00\x01\xfc\x03\x03", false);
        check(b"\x16\x03\x01\x02\x00\x01\x09\x01\xfc\x03\x03", false);
        check(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x47\x03", false);
        check(b"\x16\x03\x01", false);
    }

    #[test]
    fn a_request_line_may_come_in_pieces() {
        check(b"GET", false);
        check(b"GET ", false);
        check(b"GET /", true);
        check(b"GET h", true);
        check(b"PURGE /", true);
        check(b"PURGE h", false);
    }
}
