//! `http.exchange`: one request with its response.

mod line;
mod memo;
mod obs;
mod spare;
mod timing;
pub(super) mod url;

use std::borrow::Cow;
use std::sync::Arc;

use self::memo::Known;
pub(super) use self::memo::Memo;
pub use self::timing::Timing;
use self::url::Url;
use super::json::Json;
use super::parts::ExchangeName;
use super::room::Room;
use crate::message::{Exchange, spare as message_spare};
use crate::segment::{Endpoint, Timestamp};

/// What the flow tells beside the messages.
#[derive(Clone, Debug)]
pub struct FlowFacts {
    /// The same in every event of the flow; two flows differ with all likelihood.
    pub id: u64,
    /// How many flows it stands for: more than 1 where others were sampled out.
    pub adjusted_count: u32,
    pub client: Endpoint,
    pub server: Endpoint,
    pub handshake_ns: Option<u64>,
    /// Microseconds; 0 when unknown.
    pub srtt_us: u32,
    /// Segments of both halves that brought nothing new, so far.
    pub retransmissions: u32,
    /// The DTH bit (RFC 9401) was seen from the client, from the server.
    pub dth: (bool, bool),
    pub capture: Capture,
}

/// Where the flow was captured.
#[derive(Clone, Debug)]
pub struct Capture {
    /// Where it is not observer's own.
    pub netns: Option<Netns>,
    pub interface: Option<Arc<str>>,
    pub hook: &'static str,
    pub backend: &'static str,
    pub vlan: Option<u16>,
    pub encapsulation: Option<&'static str>,
}

/// A network namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Netns {
    pub inode: u32,
    /// The name that `ip netns` gave it.
    pub name: Option<Arc<str>>,
}

/// What impairs the event. All zero and false: nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Integrity {
    pub midstream: bool,
    pub overlap_conflicts: u32,
    /// Records of this flow that were lost on the ring.
    pub ring_loss: u32,
    pub damaged_segments: u32,
}

/// The event.
#[derive(Clone, Debug)]
pub struct HttpExchange {
    pub exchange: Box<Exchange>,
    /// Indices of the exchanges whose tunnels it took place in, the outermost first.
    pub inside: Vec<u64>,
    pub flow: FlowFacts,
    pub integrity: Integrity,
    /// Every header field is wanted, not only the promoted ones.
    pub headers: bool,
    /// Keys of what was masked.
    pub redacted: Vec<Cow<'static, str>>,
}

/// What most lines have beside that.
const ROOM: usize = 1 << 10;

impl HttpExchange {
    /// The event, in memory of an earlier one if some waits; nothing is masked in it yet.
    pub(crate) fn boxed(
        exchange: Box<Exchange>,
        inside: &[u64],
        flow: FlowFacts,
        integrity: Integrity,
        headers: bool,
    ) -> Box<Self> {
        let Some(mut event) = spare::take() else {
            // Written where it stays.
            let (inside, redacted) = (inside.to_vec(), Vec::new());
            let event = Self { exchange, inside, flow, integrity, headers, redacted };
            return Box::write(Box::new_uninit(), event);
        };
        let empty = std::mem::replace(&mut event.exchange, exchange);
        message_spare::give_back_empty(empty);
        event.inside.extend_from_slice(inside);
        (event.flow, event.integrity, event.headers) = (flow, integrity, headers);
        event
    }

    /// It was told: its memory is for one to come.
    pub(super) fn give_back(self: Box<Self>) {
        spare::give_back(self);
    }

    /// First byte of the request; where there is none, of the response.
    pub fn timestamp(&self) -> Timestamp {
        let exchange = &self.exchange;
        let first = exchange.request.as_ref().or(exchange.response.as_ref());
        first.map_or(Timestamp(0), |m| m.first.time)
    }

    pub fn timing(&self) -> Timing {
        Timing::new(&self.exchange, self.flow.handshake_ns)
    }

    /// `obs.exchange.id`.
    pub fn id(&self) -> String {
        ExchangeName::new(self.flow.id, &self.inside, self.exchange.index).to_string()
    }

    /// `url.domain`, `url.path` and `url.query`.
    pub fn url_parts(&self) -> [Option<&[u8]>; 3] {
        let head = self.exchange.request.as_ref().and_then(|m| m.head.as_ref());
        head.and_then(Url::new).map_or([None; 3], |url| url.parts())
    }

    pub(super) fn write_json(&self, out: &mut Room) {
        Json::append(out, self.room(), |json| line::write(self, Known::default(), json));
    }

    /// The same with what is known of earlier lines, and a line end.
    pub(super) fn write_line(&self, memo: &mut Memo, out: &mut Room) {
        let found = memo.find(self);
        let known = memo.known(found);
        let start = out.len();
        let parts = Json::append(out, self.room(), |json| {
            let parts = line::write(self, known, json);
            json.raw("\n");
            parts
        });
        memo.learn(self, found, out.since(start), parts);
    }

    /// What is taken from the heads comes twice at most: the path, and the whole target.
    fn room(&self) -> usize {
        let head = self.exchange.request.as_ref().and_then(|m| m.head.as_ref());
        ROOM.saturating_add(head.map_or(0, |head| head.raw().len()).saturating_mul(2))
    }
}
