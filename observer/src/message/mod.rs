//! One HTTP message as the engine sees it, and the small types that name its parts.
//!
//! Vocabulary only, as `segment` is for TCP: `http` fills it, `exchange` pairs it, `event` writes it.

mod anomaly;
mod head;
mod name;
mod pair;
pub(crate) mod spare;

use std::fmt;

use crate::segment::{Offset, Timestamp};

pub use self::anomaly::{Anomalies, Anomaly};
pub use self::head::{Field, Head, Span, StartLine};
pub use self::name::{Name, Names};
pub use self::pair::{Exchange, Failure, Pairing, State, Takeover};

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
