//! An exchange as a test wants it: owned, typed, printable. Names are those of `docs/events.md`.

use std::borrow::Cow;
use std::fmt::{self, Write as _};
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use super::message::{Body, Request, Response};
use crate::event::{HttpExchange, Integrity, escape};
use crate::message::{Failure, Pairing, State, Takeover};
use crate::segment::Endpoint;

/// A request with its interim responses and its final response. Absent means unknown; nothing is
/// made up.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Exchange {
    /// `obs.exchange.id`: unique, and the same whenever the same capture is read.
    pub id: String,
    /// `obs.exchange.index`: counts from 1 in the flow.
    pub index: u64,
    /// `obs.flow.id`: the same for all exchanges of one TCP connection.
    pub flow: u64,
    /// When the first byte of the request was captured.
    pub timestamp: SystemTime,
    pub client: SocketAddr,
    pub server: SocketAddr,
    /// `url.domain`: from the target or the Host field.
    pub domain: Option<String>,
    /// `url.path`, without the query.
    pub path: Option<String>,
    /// `url.query`.
    pub query: Option<String>,
    /// Absent only for an orphan response.
    pub request: Option<Request>,
    /// 1xx, in their order.
    pub interim: Vec<Response>,
    pub response: Option<Response>,
    pub timing: Timing,
    pub state: State,
    /// How sure it is that request and response belong together.
    pub pairing: Pairing,
    /// `error.type`, where it is not a status.
    pub failure: Option<Failure>,
    /// The flow stopped being HTTP with this exchange.
    pub takeover: Option<Takeover>,
    /// What impairs the exchange; all zero when nothing does.
    pub integrity: Integrity,
    /// The interface that saw it, where its name is known.
    pub interface: Option<String>,
    /// Keys of what was masked.
    pub redacted: Vec<String>,
}

/// `obs.timing`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timing {
    /// First byte of the request to last byte of the response.
    pub total: Option<Duration>,
    /// First to last byte of the request.
    pub request: Option<Duration>,
    /// Last byte of the request to first byte of the final response.
    pub ttfb: Option<Duration>,
    /// First to last byte of the final response.
    pub response: Option<Duration>,
    /// SYN to the client's ACK; from files only.
    pub handshake: Option<Duration>,
}

impl Exchange {
    /// The request's method; empty when no request was seen.
    pub fn method(&self) -> &str {
        self.request.as_ref().map_or("", |request| &request.method)
    }

    /// The request's target, as it was sent; empty when no request was seen.
    pub fn target(&self) -> &str {
        self.request.as_ref().map_or("", |request| &request.target)
    }

    /// The target's path, without the query; empty when there is none.
    pub fn path(&self) -> &str {
        self.path.as_deref().unwrap_or("")
    }

    /// The final response's status.
    pub fn status(&self) -> Option<u16> {
        self.response.as_ref()?.status
    }

    /// The request's body; equal to no text when no request was seen.
    pub fn request_body(&self) -> &Body {
        self.request.as_ref().map_or(&NO_BODY, |request| &request.body)
    }

    /// The final response's body; equal to no text when no response was seen.
    pub fn response_body(&self) -> &Body {
        self.response.as_ref().map_or(&NO_BODY, |response| &response.body)
    }

    /// The value of a field of the request, whatever the case of its name.
    pub fn request_header(&self, name: &str) -> Option<&str> {
        self.request.as_ref()?.headers.get(name)
    }

    /// The value of a field of the final response, whatever the case of its name.
    pub fn response_header(&self, name: &str) -> Option<&str> {
        self.response.as_ref()?.headers.get(name)
    }

    /// Method, target and outcome in a few words, for assertions on order:
    /// `GET /hello/ann 200`, `GET /x no_response`, `GET /hijack hijack`.
    pub fn summary(&self) -> String {
        let mut text = match &self.request {
            Some(request) => format!("{} {}", request.method, request.target),
            None => "?".to_owned(),
        };
        text.push(' ');
        // Writing to a String cannot fail.
        let _ = match (self.status(), self.failure, self.takeover) {
            (Some(status), None, _) => write!(text, "{status}"),
            (Some(status), Some(failure), _) => write!(text, "{status} {}", failure.name()),
            (None, Some(failure), _) => write!(text, "{}", failure.name()),
            (None, None, Some(takeover)) => write!(text, "{}", takeover.name()),
            (None, None, None) => write!(text, "{}", self.state.name()),
        };
        text
    }

    pub(super) fn new(event: HttpExchange) -> Self {
        let [domain, path, query] = event.url_parts().map(|part| part.map(escape));
        let ns = |ns: Option<u64>| ns.map(Duration::from_nanos);
        let timing = event.timing();
        let id = event.id();
        let timestamp = SystemTime::UNIX_EPOCH + Duration::from_nanos(event.timestamp().0);
        let HttpExchange { exchange, flow, integrity, redacted, .. } = event;
        Self {
            id,
            index: exchange.index,
            flow: flow.id,
            timestamp,
            client: address(flow.client),
            server: address(flow.server),
            domain,
            path,
            query,
            request: exchange.request.and_then(Request::of),
            interim: exchange.interim.into_iter().map(Response::of).collect(),
            response: exchange.response.map(Response::of),
            timing: Timing {
                total: ns(timing.total_ns),
                request: ns(timing.request_ns),
                ttfb: ns(timing.ttfb_ns),
                response: ns(timing.response_ns),
                handshake: ns(timing.handshake_ns),
            },
            state: exchange.state,
            pairing: exchange.pairing,
            failure: exchange.failure,
            takeover: exchange.takeover,
            integrity,
            interface: flow.capture.interface.map(|name| name.to_string()),
            redacted: redacted.into_iter().map(Cow::into_owned).collect(),
        }
    }

    /// Bytes of memory that it holds, about; bodies are what counts.
    pub(super) fn weight(&self) -> usize {
        let responses = self.interim.iter().chain(&self.response);
        let bodies = responses.map(|r| (&r.body, &r.headers));
        let all = bodies.chain(self.request.iter().map(|r| (&r.body, &r.headers)));
        let held = all.map(|(body, headers)| {
            body.bytes.len() + headers.iter().map(|(n, v)| n.len() + v.len() + 64).sum::<usize>()
        });
        size_of::<Self>() + 2 * self.target().len() + held.sum::<usize>()
    }
}

/// One line: who asked whom for what, what came of it, how long it took.
impl fmt::Display for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { client, server, .. } = self;
        write!(f, "{client} → {server}  ")?;
        // A peer chose the target: nothing in it may act on a terminal.
        for c in self.summary().chars() {
            if c.is_control() { write!(f, "{}", c.escape_default())? } else { f.write_char(c)? }
        }
        let (up, down) = (self.request_body().size, self.response_body().size);
        write!(f, "  ↑{up}B ↓{down}B")?;
        if let Some(total) = self.timing.total {
            write!(f, "  {total:.2?}")?;
        }
        if self.pairing != Pairing::Exact {
            write!(f, "  {}", self.pairing.name())?;
        }
        Ok(())
    }
}

fn address(endpoint: Endpoint) -> SocketAddr {
    SocketAddr::new(endpoint.ip(), endpoint.port)
}

static NO_BODY: Body = Body { size: 0, bytes: Vec::new(), is_whole: false };
