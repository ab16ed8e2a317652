//! Pairing: which response answers which request.
//!
//! HTTP/1 answers in order, so the oldest request without a response is the one (RFC 9112 §9.3).
//! That is only as good as the knowledge of both halves, so every pair is checked against TCP:
//!
//! 1. the segment with the response's first byte acknowledges the request's first byte: a server
//!    cannot answer what it has not received;
//! 2. the request's first segment acknowledges nothing of the response: the client had not read an
//!    answer to a question that it had not asked.
//!
//! While both halves are in sync the oldest request is taken if it passes. After messages were lost
//! a request is taken only where the acknowledgements say that it and the response are neighbours
//! on the wire (`resynced`); otherwise the response stays alone and so do the requests. A request
//! whose response was due where a gap began was answered in the gap. Never a guess.
//!
//! Knows messages, not bytes.

mod loss;
mod queue;
mod rest;
mod rules;
mod straight;
mod told;

use self::queue::Queue;
use self::rules::{
    asks_before_body, incomplete, is_interim, may_answer, orphan_request, unfinished,
};

pub use self::told::Told;
use crate::http::Asked;
use crate::message::{Anomaly, Exchange, Failure, Mark, Message, Name, Pairing, Takeover, spare};
use crate::segment::Offset;

/// How the flow ended, seen from the exchanges that were open then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Close {
    Closed,
    ResetByClient,
    ResetByServer,
    Timeout,
    CaptureEnd,
}

/// A request that waits for its response or whose body is still coming, with what was received.
#[derive(Debug)]
struct Pending {
    exchange: Box<Exchange>,
    /// What the framing of its response depends on.
    asked: Asked,
    /// Behind a gap that may have held whole messages.
    unsure: bool,
    /// Bytes right before it were not captured.
    behind_gap: bool,
    /// Its response began in a gap: no response behind it is the answer.
    answer_lost: bool,
    /// No more of the request will come, complete or not.
    request_over: bool,
}

/// The index of a flow's first exchange.
pub const FIRST_INDEX: u64 = 1;

/// Interim responses kept of one exchange.
const MAX_INTERIM: usize = 16;

/// Pairs the messages of one flow.
#[derive(Debug)]
pub struct Pairer {
    pending: Queue<Pending>,
    /// Index into `pending` of the exchange whose response is being read.
    answering: bool,
    /// The request that is being read is the last of `pending`.
    asking: bool,
    next_index: u64,
    limit: u32,
    /// Responses may be missing since the last pair.
    responses_lost: bool,
    /// Requests may be missing before the next one.
    requests_lost: bool,
    /// Bytes that were no request were seen since the last request.
    malformed_request: bool,
    /// The client was seen to ask before it had read the answer to an earlier request.
    pipelines: bool,
    /// Where the last response began, and what its sender had received.
    last_response: Option<(Offset, Offset)>,
    /// A response without a request is being read; it is last to be told.
    orphan: Option<Box<Exchange>>,
}

impl Pairer {
    /// `limit` bounds the requests that wait at once.
    pub fn new(limit: u32) -> Self {
        Self {
            pending: Queue::default(),
            answering: false,
            asking: false,
            next_index: FIRST_INDEX,
            limit,
            responses_lost: false,
            requests_lost: false,
            malformed_request: false,
            pipelines: false,
            last_response: None,
            orphan: None,
        }
    }

    fn take_index(&mut self) -> u64 {
        let index = self.next_index;
        self.next_index = index.saturating_add(1);
        index
    }

    pub fn n_pending(&self) -> usize {
        self.pending.len()
    }

    /// A request head was read, and what it asks.
    pub fn handle_request(&mut self, mut message: Message, asked: Asked, out: &mut Told) {
        if self.pending.len() >= self.limit as usize
            && let Some(mut oldest) = self.pending.pop_front()
        {
            self.answering = false;
            if let Some(request) = oldest.exchange.request.as_mut() {
                request.anomalies.insert(Anomaly::TooManyPending);
            }
            self.responses_lost = true;
            out.push(orphan_request(oldest.exchange));
        }
        let behind_gap = std::mem::take(&mut self.requests_lost);
        let unsure = behind_gap || self.malformed_request;
        if std::mem::take(&mut self.malformed_request) {
            message.anomalies.insert(Anomaly::MalformedRequest);
        }
        let index = self.take_index();
        let exchange = spare::begin_exchange(index, message);
        // Out of sync the missing responses may have been read by the client.
        let in_sync =
            !self.responses_lost && !unsure && self.pending.front().is_some_and(|p| !p.unsure);
        let same_flight = self.pending.back().is_some_and(|p| {
            let before = p.exchange.request.as_ref().and_then(|r| r.first.acked);
            let now = exchange.request.as_ref().and_then(|r| r.first.acked);
            before.is_some() && before == now
        });
        self.pipelines |= in_sync || same_flight;
        self.pending.push_back(Pending {
            exchange,
            asked,
            unsure,
            behind_gap,
            answer_lost: false,
            request_over: false,
        });
        self.asking = true;
    }

    /// The request that is being read, to add to it.
    pub fn request_mut(&mut self) -> Option<&mut Message> {
        if !self.asking {
            return None;
        }
        self.pending.back_mut()?.exchange.request.as_mut()
    }

    /// Whether the client may leave out the body that it announced: it asked first (RFC 9110
    /// §10.1.1), was given a final answer, and has sent none of it yet.
    pub fn may_withhold_body(&self) -> bool {
        let Some(exchange) = self.pending.back().filter(|_| self.asking).map(|p| &p.exchange)
        else {
            return false;
        };
        let answered = exchange.response.as_ref().is_some_and(|r| r.complete);
        answered && exchange.request.as_ref().is_some_and(asks_before_body)
    }

    /// The request that is being read ended.
    pub fn handle_request_end(&mut self, out: &mut Told) {
        if let Some(last) = self.pending.back_mut().filter(|_| self.asking) {
            last.request_over = true;
        }
        self.asking = false;
        self.emit_done(out);
    }

    /// A response begins at `first`: finds its request. Returns what its framing depends on, and
    /// whether a request was found.
    pub fn match_response(&mut self, first: &Mark, out: &mut Told) -> Option<Asked> {
        self.answering = false;
        let passes = |p: &Pending| {
            let Some(request) = p.exchange.request.as_ref() else { return false };
            p.exchange.response.is_none() && !p.answer_lost && may_answer(first, &request.first)
        };
        let in_sync = !self.responses_lost && self.pending.front().is_some_and(|p| !p.unsure);
        let found = if in_sync {
            self.pending.front().is_some_and(passes).then_some(0)
        } else {
            self.find_after_loss(first, passes)
        };
        let i = found?;
        for _ in 0..i {
            let Some(skipped) = self.pending.pop_front() else { break };
            out.push(orphan_request(skipped.exchange));
        }
        let front = self.pending.front_mut()?;
        if !in_sync {
            front.exchange.pairing = Pairing::Resynced;
        }
        front.unsure = false;
        self.responses_lost = false;
        self.answering = true;
        Some(front.asked)
    }

    /// The response to the request found last, or one without a request.
    pub fn handle_response(&mut self, mut message: Message, out: &mut Told) {
        self.last_response = message.first.acked.map(|acked| (message.first.offset, acked));
        if self.answering
            && let Some(front) = self.pending.front_mut()
        {
            let request = front.exchange.request.as_ref();
            let early = request.is_some_and(|r| !r.complete && !asks_before_body(r));
            if early && !is_interim(&message) {
                message.anomalies.insert(Anomaly::EarlyResponse);
            }
            front.exchange.response = Some(message);
            return;
        }
        if std::mem::take(&mut self.malformed_request) {
            message.anomalies.insert(Anomaly::MalformedRequest);
        }
        self.flush_orphan(out);
        let mut exchange = Box::new(Exchange::new(self.take_index()));
        exchange.pairing = Pairing::OrphanResponse;
        exchange.response = Some(message);
        self.orphan = Some(exchange);
    }

    /// The flow is taken over with the response that is being read.
    pub fn set_takeover(&mut self, takeover: Takeover) {
        let exchange = match self.pending.front_mut() {
            Some(front) if self.answering => Some(&mut front.exchange),
            _ => self.orphan.as_mut(),
        };
        if let Some(exchange) = exchange {
            exchange.takeover = Some(takeover);
        }
    }

    /// Whether any message was seen.
    pub fn has_begun(&self) -> bool {
        self.next_index > FIRST_INDEX
    }

    /// The request that is being read.
    pub fn request(&self) -> Option<&Message> {
        self.pending.back().filter(|_| self.asking)?.exchange.request.as_ref()
    }

    /// The response that is being read.
    pub fn response(&self) -> Option<&Message> {
        match self.answering {
            true => self.pending.front()?.exchange.response.as_ref(),
            false => self.orphan.as_ref()?.response.as_ref(),
        }
    }

    /// The response that is being read, to add to it.
    pub fn response_mut(&mut self) -> Option<&mut Message> {
        if self.answering {
            return self.pending.front_mut()?.exchange.response.as_mut();
        }
        self.orphan.as_mut()?.response.as_mut()
    }

    /// The request that the response being read answers.
    pub fn answered_request(&self) -> Option<&Message> {
        if !self.answering {
            return None;
        }
        self.pending.front()?.exchange.request.as_ref()
    }

    /// The response that is being read ended.
    pub fn handle_response_end(&mut self, out: &mut Told) {
        if self.answering
            && let Some(front) = self.pending.front_mut()
        {
            if front.exchange.response.as_ref().is_some_and(is_interim) {
                // RFC 9110 §15.2: the final response is still to come.
                if let Some(message) = front.exchange.response.take()
                    && front.exchange.interim.len() < MAX_INTERIM
                {
                    front.exchange.interim.push(message);
                }
                self.answering = false;
                return;
            }
            if front.exchange.response.as_ref().is_some_and(|r| !r.complete) {
                let front = self.pending.pop_front();
                self.answering = false;
                if let Some(cut) = front {
                    out.push(incomplete(cut.exchange, Failure::TruncatedResponse));
                }
                return;
            }
        } else if self.orphan.as_ref().and_then(|o| o.response.as_ref()).is_some_and(is_interim) {
            // Not an exchange of its own: an interim response without its request tells nothing.
            self.orphan = None;
            return;
        }
        self.flush_orphan(out);
        self.emit_done(out);
    }

    fn flush_orphan(&mut self, out: &mut Told) {
        let Some(orphan) = self.orphan.take() else { return };
        let complete = orphan.response.as_ref().is_some_and(|r| r.complete);
        out.push(if complete { orphan } else { incomplete(orphan, Failure::TruncatedResponse) });
    }

    /// Tells exchanges whose both messages ended. A response may end before its request does.
    fn emit_done(&mut self, out: &mut Told) {
        let is_over = |p: &Pending| p.request_over && p.exchange.is_answered();
        while self.pending.front().is_some_and(|p| p.exchange.is_done() || is_over(p)) {
            self.answering = false;
            let Some(Pending { exchange, .. }) = self.pending.pop_front() else { break };
            let done = exchange.is_done();
            out.push(if done { exchange } else { incomplete(exchange, Failure::TruncatedRequest) });
        }
    }

    /// Requests may be missing from here on.
    pub fn handle_requests_lost(&mut self) {
        self.requests_lost = true;
    }

    /// Responses may be missing from here on.
    pub fn handle_responses_lost(&mut self) {
        self.responses_lost = true;
    }

    /// Bytes are missing where a response was due: it began in the gap. What began there can have
    /// been an interim response only where the client asked for one (RFC 9110 §10.1.1).
    pub fn handle_response_start_lost(&mut self) {
        self.responses_lost = true;
        if let Some(front) = self.pending.iter_mut().find(|p| !p.answer_lost)
            && let Some(head) = front.exchange.request.as_ref().and_then(|m| m.head.as_ref())
        {
            front.answer_lost = head.value(Name::Expect).is_none();
        }
    }

    /// Bytes came that are no request.
    pub fn handle_malformed_request(&mut self) {
        self.malformed_request = true;
    }

    /// The oldest request that is complete and has no response yet, if it could be answered by
    /// bytes that begin at `first`.
    pub fn oldest_unanswered(&self, first: &Mark) -> Option<&Message> {
        let front = self.pending.front().filter(|p| !p.unsure && !self.responses_lost)?;
        let request = front.exchange.request.as_ref()?;
        let unanswered = front.exchange.response.is_none();
        (unanswered && may_answer(first, &request.first)).then_some(request)
    }

    /// Tells everything that is left as it stands. `blind` when responses could not be seen: then
    /// nobody can say that there was none.
    pub fn close(&mut self, close: Close, blind: bool, out: &mut Told) {
        self.flush_orphan_at(close, out);
        if self.may_withhold_body()
            && let Some(request) = self.request_mut()
        {
            // Refused, and gone without the body: nothing is missing.
            request.complete = true;
        }
        self.answering = false;
        while let Some(Pending { exchange, answer_lost, .. }) = self.pending.pop_front() {
            let unseen =
                exchange.response.is_none() && (blind || answer_lost || self.responses_lost);
            out.push(match exchange.is_done() {
                true => exchange,
                false if unseen => orphan_request(exchange),
                false => unfinished(exchange, close),
            });
        }
    }

    fn flush_orphan_at(&mut self, close: Close, out: &mut Told) {
        if let Some(orphan) = self.orphan.take() {
            let complete = orphan.response.as_ref().is_some_and(|r| r.complete);
            out.push(if complete { orphan } else { unfinished(orphan, close) });
        }
    }
}
