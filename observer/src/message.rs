//! One HTTP message as the engine sees it, and the small types that name its parts.
//!
//! Vocabulary only, as `segment` is for TCP: `http` fills it, `exchange` pairs it, `event` writes it.

use std::fmt;

use crate::segment::{Offset, Timestamp};

/// A range of bytes inside [`Head::raw`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    pub start: u32,
    pub end: u32,
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
}

/// A start line and its fields: the bytes as sent (each obs-fold replaced by spaces, RFC 9112
/// §5.2), and where the parts lie in them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    pub raw: Vec<u8>,
    pub start: StartLine,
    pub fields: Vec<Field>,
    pub anomalies: Anomalies,
}

impl Head {
    /// The bytes of `span`; empty when it does not lie inside the head.
    pub fn bytes(&self, span: Span) -> &[u8] {
        self.raw.get(span.start as usize..span.end as usize).unwrap_or_default()
    }

    /// The values of every field called `name`, in order; `name` is lower-case.
    pub fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.fields
            .iter()
            .filter(move |f| self.bytes(f.name).eq_ignore_ascii_case(name.as_bytes()))
            .map(|f| self.bytes(f.value))
    }

    /// The first value of the field called `name`.
    pub fn value<'a>(&'a self, name: &'a str) -> Option<&'a [u8]> {
        self.values(name).next()
    }

    /// Whether a list field (RFC 9110 §5.6.1) contains `token`, whatever its case.
    pub fn has_token(&self, name: &str, token: &str) -> bool {
        self.values(name).any(|value| {
            value
                .split(|&b| b == b',')
                .any(|t| t.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
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

macro_rules! anomalies {
    ($($(#[$doc:meta])* $variant:ident => $name:literal,)*) => {
        /// What is wrong with a message, or can be read in more than one way.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub enum Anomaly { $($(#[$doc])* $variant,)* }

        impl Anomaly {
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The name in `obs.anomalies`.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

anomalies! {
    /// A line ended in LF alone (RFC 9112 §2.2 lets a recipient accept it).
    LfOnly => "lf_only",
    /// A CR that no LF follows (RFC 9112 §2.2).
    BareCr => "bare_cr",
    /// A field value continued on the next line (RFC 9112 §5.2).
    ObsFold => "obs_fold",
    /// White space between field name and colon (RFC 9112 §5.1).
    SpaceBeforeColon => "space_before_colon",
    /// A field line without a colon.
    NoColon => "no_colon",
    /// A field name that is no token (RFC 9110 §5.1).
    InvalidFieldName => "invalid_field_name",
    /// A field value with a control character (RFC 9110 §5.5).
    InvalidFieldValue => "invalid_field_value",
    /// A method with lower-case letters: methods are case-sensitive (RFC 9110 §9.1).
    InvalidMethod => "invalid_method",
    /// The request target has white space, control characters or bytes that are not ASCII inside
    /// (RFC 3986 §2).
    InvalidTarget => "invalid_target",
    /// Tabs or several spaces between the parts of the start line.
    IrregularSpaces => "irregular_spaces",
    /// A version other than `HTTP/` DIGIT `.` DIGIT, or one that this protocol does not have.
    InvalidVersion => "invalid_version",
    /// A status code outside 100 to 599.
    InvalidStatus => "invalid_status",
    /// Content-Length is not a decimal number.
    InvalidLength => "invalid_length",
    /// Several Content-Length values that differ.
    ConflictingLength => "conflicting_length",
    /// Several Content-Length values that agree.
    RepeatedLength => "repeated_length",
    /// Transfer-Encoding together with Content-Length; the former was taken (RFC 9112 §6.3).
    TeAndCl => "te_and_cl",
    /// Transfer-Encoding in HTTP/1.0.
    TeInHttp10 => "te_in_http10",
    /// Transfer codings of which the last is not chunked.
    TeNotChunked => "te_not_chunked",
    /// A transfer coding that nobody registered, `identity`, or an empty one.
    UnknownCoding => "unknown_coding",
    /// `chunked` more than once; it was undone once (RFC 9112 §6.1 forbids it).
    RepeatedChunked => "repeated_chunked",
    /// A body announced where the protocol allows none (1xx, 204).
    UnexpectedLength => "unexpected_length",
    /// A chunk-size line that is none; the rest of the body has no boundary.
    InvalidChunkSize => "invalid_chunk_size",
    /// Chunk data not followed by CRLF.
    InvalidChunkEnd => "invalid_chunk_end",
    /// A chunk extension that does not follow its grammar.
    InvalidChunkExtension => "invalid_chunk_extension",
    /// A trailer line that is no field line.
    InvalidTrailer => "invalid_trailer",
    /// A head, start line or trailer section larger than its bound; what lies beyond was not kept.
    HeadTooLarge => "head_too_large",
    /// More fields than the bound; the others were not kept.
    TooManyFields => "too_many_fields",
    /// The head ended early, or part of it was not captured.
    HeadIncomplete => "head_incomplete",
    /// HTTP/1.1 without Host, or with several (RFC 9112 §3.2).
    HostCount => "host_count",
    /// Bytes that are no HTTP request came before this response.
    MalformedRequest => "malformed_request",
    /// Bytes that are no HTTP response came after the response.
    TrailingData => "trailing_data",
    /// The response began before the request had ended.
    EarlyResponse => "early_response",
    /// The request asks for an upgrade that came with a body or another contradiction.
    InvalidUpgrade => "invalid_upgrade",
    /// A message behind one that said it was the last on its connection (RFC 9112 §9.6).
    AfterClose => "after_close",
    /// The message before ends here in one reading only: perhaps this is smuggled in its body.
    DoubtfulStart => "doubtful_start",
    /// A segment of the message had a wrong checksum or contradictory lengths.
    DamagedSegment => "damaged_segment",
    /// More requests waited for their responses than the bound.
    TooManyPending => "too_many_pending",
}

/// A set of [`Anomaly`].
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Anomalies(u64);

impl Anomalies {
    pub fn insert(&mut self, anomaly: Anomaly) {
        self.0 |= 1 << anomaly as u8;
    }

    pub fn contains(self, anomaly: Anomaly) -> bool {
        self.0 & (1 << anomaly as u8) != 0
    }

    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub fn iter(self) -> impl Iterator<Item = Anomaly> {
        Anomaly::ALL.iter().copied().filter(move |&a| self.contains(a))
    }
}

impl fmt::Debug for Anomalies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(Anomaly::name)).finish()
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
    pub trailers: Option<Head>,
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

/// How sure the pair is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pairing {
    /// By position, and both rules of `exchange` hold.
    Exact,
    /// After a loss: the one request that the rules leave.
    Resynced,
    OrphanRequest,
    OrphanResponse,
}

/// Why an exchange is not complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    Timeout,
    ResetByClient,
    ResetByServer,
    TruncatedRequest,
    TruncatedResponse,
    NoResponse,
    ParseError,
}

/// How a flow went over to something that is not HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takeover {
    /// 101 Switching Protocols.
    Upgrade,
    /// 2xx to CONNECT.
    Connect,
    /// The server answered with bytes that are no HTTP response.
    Hijack,
}

/// How far an exchange got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Complete,
    /// The capture ended while it was under way.
    Pending,
    Incomplete,
}

/// A request with its interim responses and its final response.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// Counts from 1 in the flow.
    pub index: u64,
    pub request: Option<Message>,
    pub interim: Vec<Message>,
    pub response: Option<Message>,
    pub pairing: Pairing,
    pub takeover: Option<Takeover>,
    pub state: State,
    pub failure: Option<Failure>,
}

impl Exchange {
    pub fn new(index: u64) -> Self {
        Self {
            index,
            request: None,
            interim: Vec::new(),
            response: None,
            pairing: Pairing::Exact,
            takeover: None,
            state: State::Complete,
            failure: None,
        }
    }

    /// Both messages ended.
    pub fn is_done(&self) -> bool {
        let done = |m: &Option<Message>| m.as_ref().is_some_and(|m| m.complete);
        done(&self.response) && (self.request.is_none() || done(&self.request))
    }
}

impl Pairing {
    /// The name in `obs.pairing`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Resynced => "resynced",
            Self::OrphanRequest => "orphan_request",
            Self::OrphanResponse => "orphan_response",
        }
    }
}

impl Failure {
    /// The name in `error.type`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::ResetByClient => "reset_by_client",
            Self::ResetByServer => "reset_by_server",
            Self::TruncatedRequest => "truncated_request",
            Self::TruncatedResponse => "truncated_response",
            Self::NoResponse => "no_response",
            Self::ParseError => "parse_error",
        }
    }
}

impl State {
    /// The name in `obs.state`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Pending => "pending",
            Self::Incomplete => "incomplete",
        }
    }
}

impl Takeover {
    /// The name in `obs.takeover`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Upgrade => "upgrade",
            Self::Connect => "connect",
            Self::Hijack => "hijack",
        }
    }
}
