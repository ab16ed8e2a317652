//! Which body follows a head: RFC 9112 §6.3 as one function, first match wins.

use super::Role;
use crate::message::{Anomalies, Anomaly, Head, Name, Version};

/// How the end of a body is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyKind {
    /// No body.
    Empty,
    /// Exactly this many bytes.
    Length(u64),
    Chunked,
    /// Everything until the sender closes.
    UntilClose,
    /// A server must refuse the request (RFC 9112 §6.3), and nobody can tell where it ends.
    Unknown,
    /// No message any more: the flow is taken over behind this head.
    Takeover,
}

/// What the framing of a response depends on beside its own head.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    pub head: bool,
    pub connect: bool,
}

/// The body that follows `head`. For a response `asked` tells of its request.
pub fn body_kind(head: &Head, role: Role, asked: Asked) -> (BodyKind, Anomalies) {
    let mut anomalies = Anomalies::default();
    let (te_present, te) = transfer_encoding(head, &mut anomalies);
    let cl = content_length(head, &mut anomalies);
    let status = head.status();
    if te_present {
        if cl != Length::None {
            anomalies.insert(Anomaly::TeAndCl);
        }
        if head.version() < Version::HTTP_11 {
            anomalies.insert(Anomaly::TeInHttp10);
        }
    }
    if role == Role::Response {
        match status {
            Some(101) => return (BodyKind::Takeover, anomalies),
            Some(200..=299) if asked.connect => return (BodyKind::Takeover, anomalies),
            Some(100..=199 | 204) => {
                if te_present || matches!(cl, Length::Valid(1..) | Length::Invalid) {
                    anomalies.insert(Anomaly::UnexpectedLength);
                }
                return (BodyKind::Empty, anomalies);
            }
            Some(304) => return (BodyKind::Empty, anomalies),
            _ if asked.head => return (BodyKind::Empty, anomalies),
            _ => {}
        }
    }
    let kind = match (te, cl, role) {
        (Coding::Chunked, _, _) => BodyKind::Chunked,
        (Coding::Other, _, Role::Response) => BodyKind::UntilClose,
        // A server must answer 400 and close; without a boundary nothing more can be read here.
        (Coding::Other, Length::None, Role::Request) => BodyKind::UntilClose,
        (_, Length::Valid(n), _) => BodyKind::Length(n),
        (_, Length::Invalid, Role::Request) => BodyKind::Unknown,
        (_, _, Role::Request) => BodyKind::Empty,
        (_, _, Role::Response) => BodyKind::UntilClose,
    };
    (kind, anomalies)
}

/// Whether recipients differ in where a message with these anomalies ends.
pub(super) fn leaves_doubt(anomalies: Anomalies) -> bool {
    const DOUBTFUL: [Anomaly; 10] = [
        Anomaly::TeAndCl,
        Anomaly::TeInHttp10,
        Anomaly::TeNotChunked,
        Anomaly::RepeatedChunked,
        Anomaly::UnknownCoding,
        Anomaly::InvalidLength,
        Anomaly::ConflictingLength,
        Anomaly::IrregularFraming,
        Anomaly::MixedLineEnds,
        Anomaly::BareCr,
    ];
    DOUBTFUL.iter().any(|&anomaly| anomalies.contains(anomaly))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coding {
    None,
    Chunked,
    Other,
}

/// What the Transfer-Encoding fields say; the first part tells whether there are any. RFC 9112
/// §6.1: the last coding decides.
fn transfer_encoding(head: &Head, anomalies: &mut Anomalies) -> (bool, Coding) {
    const REGISTERED: [&[u8]; 5] = [b"gzip", b"x-gzip", b"compress", b"x-compress", b"deflate"];
    if !head.names().contains(Name::TransferEncoding) {
        return (false, Coding::None);
    }
    let mut coding = Coding::None;
    let mut present = false;
    let mut n_chunked = 0usize;
    for value in head.values(Name::TransferEncoding) {
        present = true;
        for item in value.split(|&b| b == b',') {
            let item = super::head::trim_blank(item);
            let name = super::head::trim_blank(item.split(|&b| b == b';').next().unwrap_or(item));
            let is = |known: &[u8]| name.eq_ignore_ascii_case(known);
            if item.eq_ignore_ascii_case(b"chunked") {
                coding = Coding::Chunked;
                n_chunked = n_chunked.saturating_add(1);
            } else if item.is_empty() {
                // RFC 9110 §5.6.1.2: empty elements are ignored. Not everybody does.
                anomalies.insert(Anomaly::UnknownCoding);
            } else if is(b"identity") {
                // Was a coding once (RFC 2616 §3.6) and stands for none, wherever it stands.
                anomalies.insert(Anomaly::UnknownCoding);
                if coding == Coding::Chunked {
                    anomalies.insert(Anomaly::TeNotChunked);
                }
            } else {
                if !REGISTERED.iter().any(|known| is(known)) {
                    anomalies.insert(Anomaly::UnknownCoding);
                }
                coding = Coding::Other;
            }
        }
    }
    if coding == Coding::Other {
        anomalies.insert(Anomaly::TeNotChunked);
    }
    if n_chunked > 1 {
        anomalies.insert(Anomaly::RepeatedChunked);
    }
    (present, coding)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Length {
    None,
    Valid(u64),
    Invalid,
}

/// RFC 9110 §8.6: one decimal number; a list of equal ones is accepted, others are not.
fn content_length(head: &Head, anomalies: &mut Anomalies) -> Length {
    if !head.names().contains(Name::ContentLength) {
        return Length::None;
    }
    let mut length = Length::None;
    let mut values = head.values(Name::ContentLength);
    // The common case, and much quicker: one field, and one number in it.
    if let (Some(value), None) = (values.next(), values.next())
        && let Some(n) = decimal(value)
    {
        return Length::Valid(n);
    }
    for value in head.values(Name::ContentLength) {
        for item in value.split(|&b| b == b',') {
            let item = super::head::trim_blank(item);
            let Some(n) = decimal(item) else {
                anomalies.insert(Anomaly::InvalidLength);
                if length == Length::None {
                    length = Length::Invalid;
                }
                continue;
            };
            length = match length {
                Length::None => Length::Valid(n),
                Length::Invalid => Length::Invalid,
                Length::Valid(first) => {
                    anomalies.insert(if first == n {
                        Anomaly::RepeatedLength
                    } else {
                        Anomaly::ConflictingLength
                    });
                    length
                }
            };
        }
    }
    length
}

/// A number of digits alone, where 64 bits hold it.
fn decimal(digits: &[u8]) -> Option<u64> {
    let digit = |byte: &u8| byte.checked_sub(b'0').filter(|&digit| digit <= 9).map(u64::from);
    let mut number = 0u64;
    if let 1..=9 = digits.len() {
        // No more than 32 bits can hold.
        for byte in digits {
            number = number * 10 + digit(byte)?;
        }
        return Some(number);
    }
    for byte in digits {
        number = number.checked_mul(10)?.checked_add(digit(byte)?)?;
    }
    (!digits.is_empty()).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::head;

    /// `fields`, joined by `|`, in a head that begins with `start`.
    #[track_caller]
    fn check(start: &str, fields: &str, asked: Asked, expected: BodyKind, anomalies: &[Anomaly]) {
        let role = if start.starts_with("HTTP/") { Role::Response } else { Role::Request };
        let lines: String = fields
            .split('|')
            .filter(|field| !field.is_empty())
            .map(|field| format!("{field}\r\n"))
            .collect();
        let raw = format!("{start}\r\n{lines}\r\n");
        let head = head::parse(raw.clone().into_bytes(), role).unwrap();
        let (kind, found) = body_kind(&head, role, asked);
        let found: Vec<Anomaly> = found.iter().collect();
        assert_eq!((kind, found.as_slice()), (expected, anomalies), "{raw:?}");
    }

    #[track_caller]
    fn check_request(fields: &str, expected: BodyKind, anomalies: &[Anomaly]) {
        check("POST / HTTP/1.1", fields, Asked::default(), expected, anomalies);
    }

    #[track_caller]
    fn check_response(status: u16, fields: &str, expected: BodyKind, anomalies: &[Anomaly]) {
        let start = format!("HTTP/1.1 {status} X");
        check(&start, fields, Asked::default(), expected, anomalies);
    }

    use Anomaly::{
        ConflictingLength, InvalidLength, RepeatedChunked, RepeatedLength, TeAndCl, TeInHttp10,
        TeNotChunked, UnexpectedLength, UnknownCoding,
    };
    use BodyKind::{Chunked, Empty, Length as Bytes, Takeover, Unknown, UntilClose};

    #[test]
    fn a_length_is_one_decimal_number() {
        check_request("", Empty, &[]);
        check_request("Content-Length: 5", Bytes(5), &[]);
        check_request("Content-Length: 010", Bytes(10), &[]);
        check_request("Content-Length: \t5 ", Bytes(5), &[]);
        check_request("Content-Length: 18446744073709551615", Bytes(u64::MAX), &[]);
        for invalid in ["", "+5", "-5", "0x5", "5_0", "4 2", "5.", "18446744073709551616"] {
            let field = format!("Content-Length: {invalid}");
            check_request(&field, Unknown, &[InvalidLength]);
            check_response(200, &field, UntilClose, &[InvalidLength]);
        }
    }

    #[test]
    fn of_several_lengths_the_first_is_taken() {
        check_request("Content-Length: 5|Content-Length: 5", Bytes(5), &[RepeatedLength]);
        check_request("Content-Length: 5, 5", Bytes(5), &[RepeatedLength]);
        check_request("Content-Length: 5|Content-Length: 6", Bytes(5), &[ConflictingLength]);
        check_request("Content-Length: |Content-Length: 6", Unknown, &[InvalidLength]);
        check_request("Content-Length: 6|Content-Length: x", Bytes(6), &[InvalidLength]);
    }

    #[test]
    fn chunked_wins_over_a_length() {
        check_request("Transfer-Encoding: chunked", Chunked, &[]);
        check_request("Transfer-Encoding: gzip, Chunked", Chunked, &[]);
        check_request("Transfer-Encoding: gzip|Transfer-Encoding: chunked", Chunked, &[]);
        check_request("Content-Length: 5|Transfer-Encoding: chunked", Chunked, &[TeAndCl]);
        let start = "POST / HTTP/1.0";
        check(start, "Transfer-Encoding: chunked", Asked::default(), Chunked, &[TeInHttp10]);
    }

    #[test]
    fn codings_that_are_not_quite_chunked() {
        let te = |value: &str| format!("Transfer-Encoding: {value}");
        check_request(&te("chunked, chunked"), Chunked, &[RepeatedChunked]);
        check_request(&te("chunked, identity"), Chunked, &[TeNotChunked, UnknownCoding]);
        check_request(&te(",chunked"), Chunked, &[UnknownCoding]);
        check_request(&te("gzip"), UntilClose, &[TeNotChunked]);
        check_request(&te("chunked, gzip"), UntilClose, &[TeNotChunked]);
        for odd in ["chunkedchunked", "\"chunked\"", "chunked;a=b", "xchunked", "\u{b}chunked"] {
            check_request(&te(odd), UntilClose, &[TeNotChunked, UnknownCoding]);
        }
        check_request(&te("identity"), Empty, &[UnknownCoding]);
        check_request(
            "Content-Length: 5|Transfer-Encoding: identity",
            Bytes(5),
            &[TeAndCl, UnknownCoding],
        );
        check_request("Content-Length: 5|Transfer-Encoding:", Bytes(5), &[TeAndCl, UnknownCoding]);
        check_response(200, &te("gzip"), UntilClose, &[TeNotChunked]);
    }

    #[test]
    fn some_responses_have_no_body_whatever_they_say() {
        check_response(200, "", UntilClose, &[]);
        check_response(204, "Content-Length: 5", Empty, &[UnexpectedLength]);
        check_response(100, "Transfer-Encoding: chunked", Empty, &[UnexpectedLength]);
        check_response(204, "Content-Length: 0", Empty, &[]);
        check_response(304, "Content-Length: 5", Empty, &[]);
        check_response(101, "Content-Length: 5", Takeover, &[]);
        let head = Asked { head: true, connect: false };
        check("HTTP/1.1 200 OK", "Content-Length: 5", head, Empty, &[]);
        let connect = Asked { head: false, connect: true };
        check("HTTP/1.1 200 OK", "Content-Length: 5", connect, Takeover, &[]);
        check("HTTP/1.1 407 No", "Content-Length: 5", connect, Bytes(5), &[]);
    }
}
