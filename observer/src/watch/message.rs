//! A request, a response and their parts, as a test wants to compare them.

use std::borrow::Cow;
use std::fmt;

use crate::event::escape;
use crate::message::{Anomaly, Head, Message, StartLine, Version};

/// One request. Text that is not UTF-8 has `\xNN` for each byte that is none, as in the NDJSON.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Request {
    pub method: String,
    /// As it was sent: `url.original`.
    pub target: String,
    pub version: Version,
    pub headers: Headers,
    pub body: Body,
    pub trailers: Headers,
    /// What is wrong with it, or can be read in more than one way.
    pub anomalies: Vec<Anomaly>,
    /// Bytes on the wire, head included.
    pub size: u64,
}

/// One response, final or interim.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Response {
    /// Absent where the answer has no head: HTTP/0.9, a hijacked connection.
    pub status: Option<u16>,
    pub reason: String,
    pub version: Option<Version>,
    pub headers: Headers,
    pub body: Body,
    pub trailers: Headers,
    pub anomalies: Vec<Anomaly>,
    pub size: u64,
}

/// Header fields in the order in which they were sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers(Vec<(String, String)>);

impl Headers {
    /// The first value of a field, whatever the case of its name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.get_all(name).next()
    }

    /// Every value of a field.
    pub fn get_all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        let found = self.0.iter().filter(move |(field, _)| field.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// Names, as sent, and values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn of(head: Option<&Head>) -> Self {
        let Some(head) = head else { return Self::default() };
        let field = |f: &crate::message::Field| (text(head, f.name), text(head, f.value));
        Self(head.fields().iter().map(field).collect())
    }
}

/// A body without transfer coding. A content coding such as gzip is not undone.
///
/// It compares with text and with bytes, and is equal to them only when it was captured whole; a
/// failing assertion prints what there is and what is missing.
#[derive(Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Body {
    /// Bytes of the body, captured or not.
    pub size: u64,
    /// The captured bytes, from the start; as many as [`Watch::bodies`](super::Watch::bodies)
    /// asked for.
    pub bytes: Vec<u8>,
    /// `bytes` is all there was, and its end was seen.
    pub is_whole: bool,
}

impl Body {
    /// The captured bytes as text.
    pub fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.bytes)
    }

    fn of(message: &mut Message) -> Self {
        let bytes = std::mem::take(&mut message.body_prefix);
        let is_whole = message.complete && bytes.len() as u64 == message.body_bytes;
        Self { size: message.body_bytes, bytes, is_whole }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { size, bytes, is_whole } = self;
        if bytes.is_empty() && *size > 0 {
            return write!(f, "{size} bytes, none captured (ask for them with `bodies`)");
        }
        write!(f, "{:?}", self.text())?;
        match is_whole {
            true => Ok(()),
            false => write!(f, " (not whole: {} of {size} bytes)", bytes.len()),
        }
    }
}

impl PartialEq<[u8]> for Body {
    fn eq(&self, other: &[u8]) -> bool {
        self.is_whole && self.bytes == other
    }
}

impl PartialEq<&[u8]> for Body {
    fn eq(&self, other: &&[u8]) -> bool {
        *self == **other
    }
}

impl<const N: usize> PartialEq<[u8; N]> for Body {
    fn eq(&self, other: &[u8; N]) -> bool {
        *self == other[..]
    }
}

impl PartialEq<str> for Body {
    fn eq(&self, other: &str) -> bool {
        *self == *other.as_bytes()
    }
}

impl PartialEq<&str> for Body {
    fn eq(&self, other: &&str) -> bool {
        *self == *other.as_bytes()
    }
}

impl Request {
    /// `None` where there is no head, which no request of ours lacks.
    pub(super) fn of(mut message: Message) -> Option<Self> {
        let body = Body::of(&mut message);
        let head = message.head.as_ref()?;
        let StartLine::Request { method, target, version } = head.start() else { return None };
        Some(Self {
            method: text(head, method),
            target: text(head, target),
            version,
            headers: Headers::of(Some(head)),
            body,
            trailers: Headers::of(message.trailers.as_deref()),
            anomalies: message.anomalies.iter().collect(),
            size: message.wire_bytes(),
        })
    }
}

impl Response {
    pub(super) fn of(mut message: Message) -> Self {
        let body = Body::of(&mut message);
        let head = message.head.as_ref();
        let reason = head.and_then(|head| match head.start() {
            StartLine::Response { reason, .. } => Some(text(head, reason)),
            StartLine::Request { .. } => None,
        });
        Self {
            status: head.and_then(Head::status),
            reason: reason.unwrap_or_default(),
            version: head.map(Head::version),
            headers: Headers::of(head),
            body,
            trailers: Headers::of(message.trailers.as_deref()),
            anomalies: message.anomalies.iter().collect(),
            size: message.wire_bytes(),
        }
    }
}

fn text(head: &Head, span: crate::message::Span) -> String {
    escape(head.bytes(span))
}
