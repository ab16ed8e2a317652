//! Which body follows a head: RFC 9112 §6.3 as one function, first match wins.

use super::Role;
use crate::message::{Anomalies, Anomaly, Head, Version};

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
    let mut coding = Coding::None;
    let mut present = false;
    let mut n_chunked = 0usize;
    for value in head.values("transfer-encoding") {
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
    let mut length = Length::None;
    for value in head.values("content-length") {
        for item in value.split(|&b| b == b',') {
            let item = super::head::trim_blank(item);
            let digits = !item.is_empty() && item.iter().all(u8::is_ascii_digit);
            let number = std::str::from_utf8(item).ok().and_then(|s| s.parse::<u64>().ok());
            let Some(n) = number.filter(|_| digits) else {
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
