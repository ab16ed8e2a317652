//! One HTTP message as the engine sees it, and the small types that name its parts.
//!
//! Vocabulary only, as `segment` is for TCP: `http` fills it, `exchange` pairs it, `event` writes it.

mod anomaly;
mod name;
mod pair;
pub(crate) mod spare;

use std::{fmt, mem};

use crate::segment::{Offset, Timestamp};

pub use self::anomaly::{Anomalies, Anomaly};
pub use self::name::{Name, Names};
pub use self::pair::{Exchange, Failure, Pairing, State, Takeover};

/// A range of bytes inside [`Head::raw`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    pub start: u32,
    pub end: u32,
}

impl Span {
    pub fn len(self) -> usize {
        self.end.saturating_sub(self.start) as usize
    }

    pub fn is_empty(self) -> bool {
        self.len() == 0
    }
}

/// The version in a start line, as its two digits say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    pub major: u8,
    pub minor: u8,
}

impl Version {
    pub const HTTP_09: Self = Self { major: 0, minor: 9 };
    pub const HTTP_10: Self = Self { major: 1, minor: 0 };
    pub const HTTP_11: Self = Self { major: 1, minor: 1 };
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// The first line of a message (RFC 9112 §3 and §4), as spans of the head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartLine {
    Request { method: Span, target: Span, version: Version },
    Response { status: u16, reason: Span, version: Version },
}

/// One field line: the name as sent, the value without surrounding white space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    pub name: Span,
    pub value: Span,
    /// Which of the fields that observer reads it is.
    pub known: Option<Name>,
}

/// A start line and its fields: the bytes as sent (each obs-fold replaced by spaces, RFC 9112
/// §5.2), and where the parts lie in them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    pub raw: Vec<u8>,
    pub start: StartLine,
    pub anomalies: Anomalies,
    fields: Vec<Field>,
    names: Names,
}

impl Head {
    pub fn new(raw: Vec<u8>, start: StartLine, fields: Vec<Field>, anomalies: Anomalies) -> Self {
        let mut names = Names::default();
        fields.iter().filter_map(|field| field.known).for_each(|known| names.insert(known));
        Self { raw, start, anomalies, fields, names }
    }

    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// Gives the field at `index` another value.
    pub fn set_value(&mut self, index: usize, value: Span) {
        if let Some(field) = self.fields.get_mut(index) {
            field.value = value;
        }
    }

    /// The known names among its fields.
    pub fn names(&self) -> Names {
        self.names
    }

    /// The bytes of `span`; empty when it does not lie inside the head.
    pub fn bytes(&self, span: Span) -> &[u8] {
        self.raw.get(span.start as usize..span.end as usize).unwrap_or_default()
    }

    /// The values of every field called `name`, in order.
    pub fn values(&self, name: Name) -> impl Iterator<Item = &[u8]> {
        let fields = if self.names.contains(name) { self.fields.as_slice() } else { &[] };
        fields.iter().filter(move |f| f.known == Some(name)).map(|f| self.bytes(f.value))
    }

    /// The first value of the field called `name`.
    pub fn value(&self, name: Name) -> Option<&[u8]> {
        self.values(name).next()
    }

    /// Whether a list field (RFC 9110 §5.6.1) contains `token`, whatever its case.
    pub fn has_token(&self, name: Name, token: &str) -> bool {
        let is = |text: &[u8]| text.trim_ascii().eq_ignore_ascii_case(token.as_bytes());
        self.values(name).any(|value| match value {
            // What stands there nearly always, and is one token.
            b"keep-alive" => token.eq_ignore_ascii_case("keep-alive"),
            _ => value.split(|&b| b == b',').any(is),
        })
    }

    pub fn method(&self) -> Option<&[u8]> {
        match self.start {
            StartLine::Request { method, .. } => Some(self.bytes(method)),
            StartLine::Response { .. } => None,
        }
    }

    pub fn target(&self) -> Option<&[u8]> {
        match self.start {
            StartLine::Request { target, .. } => Some(self.bytes(target)),
            StartLine::Response { .. } => None,
        }
    }

    /// Where `://` stands in the request target, if it does: before it the scheme of a target in
    /// absolute form (RFC 9112 §3.2.2), or part of a path.
    pub fn scheme_end(target: &[u8]) -> Option<usize> {
        memchr::memchr_iter(b':', target)
            .find(|&at| target.get(at..).is_some_and(|rest| rest.starts_with(b"://")))
    }

    /// A request without version and fields: HTTP/0.9 (RFC 1945 §4.1).
    pub fn is_simple(&self) -> bool {
        matches!(self.start, StartLine::Request { version: Version::HTTP_09, .. })
            && self.fields.is_empty()
    }

    pub fn status(&self) -> Option<u16> {
        match self.start {
            StartLine::Request { .. } => None,
            StartLine::Response { status, .. } => Some(status),
        }
    }

    pub fn version(&self) -> Version {
        match self.start {
            StartLine::Request { version, .. } | StartLine::Response { version, .. } => version,
        }
    }
}

impl Drop for Head {
    fn drop(&mut self) {
        spare::give_back(mem::take(&mut self.raw), mem::take(&mut self.fields));
    }
}

/// A position in a stream, and what its segment tells: when it was captured, and how much of the
/// opposite half its sender had acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    pub offset: Offset,
    pub time: Timestamp,
    pub acked: Option<Offset>,
}

/// One request or response, as far as it was seen.
#[derive(Clone, Debug)]
pub struct Message {
    /// Absent where the answer has no head: HTTP/0.9, a hijacked connection.
    pub head: Option<Head>,
    /// Its first byte.
    pub first: Mark,
    /// The end so far: offset behind, and time of, the last byte seen.
    pub last: Mark,
    /// Bytes of the body without transfer coding, missing ones included.
    pub body_bytes: u64,
    /// Bytes of the message that were not captured.
    pub gap_bytes: u64,
    /// The start of the body, where it was asked for.
    pub body_prefix: Vec<u8>,
    pub trailers: Option<Box<Head>>,
    pub anomalies: Anomalies,
    /// The last byte was seen, or its place is known.
    pub complete: bool,
}

impl Message {
    pub fn new(head: Option<Head>, first: Mark) -> Self {
        let anomalies = head.as_ref().map_or_else(Anomalies::default, |h| h.anomalies);
        Self {
            head,
            first,
            last: first,
            body_bytes: 0,
            gap_bytes: 0,
            body_prefix: Vec::new(),
            trailers: None,
            anomalies,
            complete: false,
        }
    }

    /// Bytes of the whole message on the wire, so far.
    pub fn wire_bytes(&self) -> u64 {
        self.last.offset.since(self.first.offset)
    }

    pub fn is_method(&self, method: &str) -> bool {
        self.head.as_ref().and_then(Head::method) == Some(method.as_bytes())
    }
}
