//! The rules by which messages belong together, and what an exchange is told as that did not end.

use super::{Close, Pairer};
use crate::http::{Asked, Role};
use crate::message::{Exchange, Failure, Mark, Message, Name, Pairing, State};
use crate::segment::Offset;

/// Whether request and response are neighbours on the wire: when the request was sent, the client
/// had received everything before the response and nothing of it; when the response was sent, the
/// server had received everything up to the end of the request and nothing behind it. Between a
/// client and a server that take turns no other pair can look like this, whatever was lost.
pub(super) fn is_lockstep(response: &Mark, request: &Message) -> bool {
    request.complete
        && request.first.acked == Some(response.offset)
        && response.acked == Some(request.last.offset)
}

/// RFC 9110 §15.2: a final response is still to come. 101 is final for HTTP.
pub(super) fn is_interim(message: &Message) -> bool {
    let status = message.head.as_ref().and_then(crate::message::Head::status);
    status.is_some_and(|s| (100..200).contains(&s) && s != 101)
}

/// The two rules in the module's first lines.
pub(super) fn may_answer(response: &Mark, request: &Mark) -> bool {
    let received = response.acked.is_none_or(|acked: Offset| acked > request.offset);
    let not_before = request.acked.is_none_or(|acked| acked <= response.offset);
    received && not_before
}

/// A request whose response was lost on the way to us. That is not a failure of the server's.
pub(super) fn orphan_request(mut exchange: Box<Exchange>) -> Box<Exchange> {
    exchange.pairing = Pairing::OrphanRequest;
    exchange.state = State::Incomplete;
    exchange
}

pub(super) fn incomplete(mut exchange: Box<Exchange>, failure: Failure) -> Box<Exchange> {
    exchange.state = State::Incomplete;
    exchange.failure = Some(failure);
    exchange
}

/// An exchange that was under way when the flow ended.
pub(super) fn unfinished(exchange: Box<Exchange>, close: Close) -> Box<Exchange> {
    let request_open = exchange.request.as_ref().is_some_and(|r| !r.complete);
    let failure = match (close, &exchange.response) {
        (Close::CaptureEnd, _) => None,
        (Close::ResetByClient, _) => Some(Failure::ResetByClient),
        (Close::ResetByServer, _) => Some(Failure::ResetByServer),
        (Close::Timeout, _) => Some(Failure::Timeout),
        (Close::Closed, Some(r)) if !r.complete => Some(Failure::TruncatedResponse),
        (Close::Closed, _) if request_open => Some(Failure::TruncatedRequest),
        (Close::Closed, _) => Some(Failure::NoResponse),
    };
    let mut exchange = exchange;
    exchange.state = if failure.is_none() { State::Pending } else { State::Incomplete };
    exchange.failure = failure;
    if exchange.response.is_none() && close != Close::CaptureEnd {
        exchange.pairing = Pairing::OrphanRequest;
    }
    exchange
}

/// The client asked whether to send the body (RFC 9110 §10.1.1) and has sent none of it.
pub(super) fn asks_before_body(request: &Message) -> bool {
    let head = request.head.as_ref();
    request.body_bytes == 0 && head.is_some_and(|h| h.value(Name::Expect).is_some())
}

impl Pairer {
    /// Whether the client asked before it sends the body that it announced, and has sent none of it
    /// yet: another request may come in its place.
    pub fn is_body_in_doubt(&self) -> bool {
        self.request().is_some_and(asks_before_body)
    }

    /// The index of the exchange that the next byte of a half belongs to; that the last one did,
    /// when the flow `is_over` to something else.
    pub fn index_at(&self, role: Role, is_over: bool) -> Option<u64> {
        let last = self.next_index.saturating_sub(1);
        let front = self.pending.front().map(|p| p.exchange.index);
        let index = match role {
            Role::Request if is_over || self.asking => last,
            Role::Request => self.next_index,
            Role::Response => front.filter(|_| !is_over).unwrap_or(last),
        };
        (index > 0).then_some(index)
    }

    /// A request is being read.
    pub fn is_asking(&self) -> bool {
        self.asking
    }

    /// Whatever the next response answers, its framing does not depend on that.
    pub fn asks_plainly(&self) -> bool {
        self.pending.is_short() && self.pending.front().is_none_or(|p| p.asked == Asked::default())
    }

    /// What came last where a request was due was none.
    pub fn is_request_malformed(&self) -> bool {
        self.malformed_request
    }
}
