//! Messages that belong together, and how far they got.

use super::Message;

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

    /// The last byte of the final response was seen.
    pub fn is_answered(&self) -> bool {
        self.response.as_ref().is_some_and(|r| r.complete)
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
