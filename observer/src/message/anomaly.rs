//! What can be wrong with a message, as values: traffic problems are data, not errors.

use std::fmt;

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
    /// Some lines end in CRLF, others in LF alone: recipients may see different fields.
    MixedLineEnds => "mixed_line_ends",
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
    /// Content-Length or Transfer-Encoding in a form that not everybody recognises: folded, spaces
    /// before the colon, bytes that do not belong there.
    IrregularFraming => "irregular_framing",
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
    /// Host names another host than the request target (RFC 9112 §3.2.2); the target was taken.
    HostConflict => "host_conflict",
    /// Bytes that are no HTTP request came before this response.
    MalformedRequest => "malformed_request",
    /// A ClientHello of TLS came before this response: who sent it believes that it speaks HTTPS.
    TlsRequest => "tls_request",
    /// The response began before the request had ended.
    EarlyResponse => "early_response",
    /// A message behind one that said it was the last on its connection (RFC 9112 §9.6).
    AfterClose => "after_close",
    /// The message before ends here in one reading only: perhaps this is smuggled in its body.
    DoubtfulStart => "doubtful_start",
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
