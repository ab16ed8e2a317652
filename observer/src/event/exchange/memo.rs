//! Parts of earlier lines, as they were written, for lines that say the same there.
//!
//! A connection's ends and its place are in every line of it, and what a request asks has often been
//! asked before, by whomever. Such a part is copied from where it was kept instead of written anew,
//! which is most of a line. What is written is the same: a part is kept together with all that it
//! was written from, and only ever taken out of a line that was written without it.
//!
//! It must not know how a part is written.

use std::sync::Arc;

use super::{Capture, FlowFacts, HttpExchange};
use crate::message::{Head, StartLine};
use crate::segment::Endpoint;

/// What is kept: each in one of few places that its number falls on, so that looking is cheap and
/// the memory bounded: 56 KiB of connections and, were all heads and parts as long as they may be,
/// some 200 KiB of requests.
#[derive(Debug, Default)]
pub(in super::super) struct Memo {
    flows: Vec<Flow>,
    asked: Vec<Asked>,
    flows_luck: Luck,
    asked_luck: Luck,
}

/// Where something is kept, or would be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    /// It was not looked for.
    #[default]
    Unasked,
    Missing(usize),
    Known(usize),
}

/// What is kept of the line to be written.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Found {
    flow: Place,
    asked: Place,
    /// What was answered is kept as well.
    is_answered: bool,
}

/// Parts of a line; an empty one is not known.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Known<'a> {
    /// From behind the time to the end of `server`.
    pub(super) ends: &'a [u8],
    /// From there to the end of `http.request`,
    pub(super) asked: &'a [u8],
    /// and from there to where the flow's name comes.
    pub(super) answered: &'a [u8],
    /// `obs.capture`.
    pub(super) capture: &'a [u8],
}

/// Where the parts of a line begin that was written, and where the last one ends.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Parts {
    pub(super) ends: usize,
    pub(super) asked: usize,
    pub(super) answered: usize,
    pub(super) name: usize,
    pub(super) capture: usize,
    pub(super) behind_capture: usize,
}

impl Memo {
    /// What is known of the line.
    #[inline]
    pub(super) fn find(&mut self, event: &HttpExchange) -> Found {
        let mut found = Found::default();
        if self.flows_luck.is_worth_a_look() {
            found.flow = self.flow_place(&event.flow);
        }
        if self.asked_luck.is_worth_a_look()
            && let Some(question) = Question::of(event)
        {
            let at = question.at();
            found.asked = Place::Missing(at);
            if let Some(asked) = self.asked.get(at)
                && asked.is(&question)
            {
                found.asked = Place::Known(at);
                found.is_answered = asked.answer.is_some() && asked.answer == Answer::of(event);
            }
        }
        found
    }

    fn flow_place(&self, facts: &FlowFacts) -> Place {
        let at = facts.id as usize % N_FLOWS;
        let is_here = |at: usize| self.flows.get(at).is_some_and(|flow| flow.is(facts));
        // Of two that fall on the same place one is in the next.
        match at {
            _ if is_here(at) => Place::Known(at),
            _ if is_here(at ^ 1) => Place::Known(at ^ 1),
            _ => Place::Missing(at),
        }
    }

    pub(super) fn known(&self, found: Found) -> Known<'_> {
        let mut known = Known::default();
        if let Place::Known(at) = found.flow
            && let Some(flow) = self.flows.get(at)
        {
            (known.ends, known.capture) = (flow.ends.written(), flow.capture.written());
        }
        if let Place::Known(at) = found.asked
            && let Some(asked) = self.asked.get(at)
        {
            let (question, answer) = asked.parts();
            known.asked = question;
            if found.is_answered {
                known.answered = answer;
            }
        }
        known
    }

    /// Keeps what was not known of a line that was written now.
    #[inline]
    pub(super) fn learn(&mut self, event: &HttpExchange, found: Found, line: &[u8], parts: Parts) {
        match found.flow {
            Place::Unasked => {}
            Place::Known(_) => self.flows_luck.found(),
            Place::Missing(at) => self.learn_flow(at, &event.flow, line, parts),
        }
        match found.asked {
            Place::Unasked => {}
            Place::Known(_) if found.is_answered => self.asked_luck.found(),
            Place::Known(at) | Place::Missing(at) => {
                self.learn_asked(at, event, found, line, parts);
            }
        }
    }

    #[cold]
    fn learn_flow(&mut self, at: usize, facts: &FlowFacts, line: &[u8], parts: Parts) {
        if self.flows.is_empty() {
            self.flows.resize_with(N_FLOWS, Flow::default);
        }
        // By turns, so that neither of two that fall on the same place drives out the other.
        let at = at ^ (self.flows_luck.n_missed & 1) as usize;
        let Some(flow) = self.flows.get_mut(at) else { return };
        let ends = line.get(parts.ends..parts.asked).unwrap_or_default();
        let capture = line.get(parts.capture..parts.behind_capture).unwrap_or_default();
        flow.of = match flow.ends.keep(ends) && flow.capture.keep(capture) {
            true => Some((facts.id, facts.client, facts.server, facts.capture.clone())),
            false => None,
        };
    }

    #[cold]
    fn learn_asked(
        &mut self,
        at: usize,
        event: &HttpExchange,
        found: Found,
        line: &[u8],
        parts: Parts,
    ) {
        let Some(question) = Question::of(event) else { return };
        if self.asked.is_empty() {
            self.asked.resize_with(N_ASKED, Asked::default);
        }
        let Some(asked) = self.asked.get_mut(at) else { return };
        if found.asked == Place::Missing(at) {
            let text = line.get(parts.asked..parts.answered).unwrap_or_default();
            asked.keep(&question, text);
        }
        let answer = line.get(parts.answered..parts.name).unwrap_or_default();
        asked.keep_answer(Answer::of(event), answer);
    }
}

/// A flow's parts, and what they were written from.
#[derive(Debug, Default)]
struct Flow {
    of: Option<(u64, Endpoint, Endpoint, Capture)>,
    ends: Piece<N_ENDS>,
    capture: Piece<N_CAPTURE>,
}

impl Flow {
    fn is(&self, facts: &FlowFacts) -> bool {
        let Some((id, client, server, capture)) = &self.of else { return false };
        *id == facts.id
            && *client == facts.client
            && *server == facts.server
            && is_same_place(capture, &facts.capture)
    }
}

/// Whether both are the same, by what is quick to compare: names that are the same and stand
/// elsewhere are not found to be.
fn is_same_place(one: &Capture, other: &Capture) -> bool {
    let interface = match (&one.interface, &other.interface) {
        (Some(one), Some(other)) => Arc::ptr_eq(one, other),
        (one, other) => one.is_none() && other.is_none(),
    };
    interface
        && std::ptr::eq(one.hook, other.hook)
        && std::ptr::eq(one.backend, other.backend)
        && one.vlan == other.vlan
        && one.encapsulation == other.encapsulation
        && one.netns == other.netns
}

/// All that the part on a request is written from.
struct Question<'a> {
    head: &'a Head,
    wire_bytes: u64,
    body_bytes: u64,
}

impl<'a> Question<'a> {
    /// `None` where the part is too seldom the same.
    fn of(event: &'a HttpExchange) -> Option<Self> {
        let message = event.exchange.request.as_ref().filter(|_| !event.headers)?;
        let head = message.head.as_ref()?;
        Some(Self { head, wire_bytes: message.wire_bytes(), body_bytes: message.body_bytes })
    }

    /// Where it would be: by the head that is shared, or by the end of the target and the length of
    /// the head, in which most requests differ that differ at all.
    fn at(&self) -> usize {
        let number = self.head.shared_number().map_or_else(
            || {
                let StartLine::Request { target, .. } = self.head.start() else { return 0 };
                let raw = self.head.raw();
                let upto = raw.get(..target.end as usize).unwrap_or_default();
                let tail = upto.last_chunk().map_or(0, |tail| u64::from_le_bytes(*tail));
                tail ^ (raw.len() as u64).rotate_left(56)
            },
            |number| number as u64,
        );
        (number.wrapping_mul(SPREAD) >> (u64::BITS - N_ASKED.ilog2())) as usize
    }
}

/// All that the part on a response is written from, beside the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Answer {
    status: Option<u16>,
    wire_bytes: u64,
    body_bytes: u64,
    is_ipv4: bool,
}

impl Answer {
    /// `None` where the part is too seldom the same.
    fn of(event: &HttpExchange) -> Option<Self> {
        let exchange = &event.exchange;
        let response = exchange.response.as_ref().filter(|_| exchange.failure.is_none())?;
        Some(Self {
            status: response.head.as_ref()?.status(),
            wire_bytes: response.wire_bytes(),
            body_bytes: response.body_bytes,
            is_ipv4: event.flow.client.ipv4().is_some(),
        })
    }
}

/// A request's part with that on its last answer.
#[derive(Debug, Default)]
struct Asked {
    head: Option<Head>,
    wire_bytes: u64,
    body_bytes: u64,
    answer: Option<Answer>,
    /// The request's part, and the part on the answer.
    bytes: Vec<u8>,
    n_question: usize,
}

impl Asked {
    fn is(&self, question: &Question<'_>) -> bool {
        self.wire_bytes == question.wire_bytes
            && self.body_bytes == question.body_bytes
            && self.head.as_ref() == Some(question.head)
    }

    fn parts(&self) -> (&[u8], &[u8]) {
        self.bytes.split_at_checked(self.n_question).unwrap_or_default()
    }

    fn keep(&mut self, question: &Question<'_>, text: &[u8]) {
        self.bytes.clear();
        (self.head, self.answer, self.n_question) = (None, None, 0);
        if question.head.raw().len() > MAX_HEAD || text.is_empty() || text.len() > MAX_TEXT {
            return;
        }
        self.bytes.extend_from_slice(text);
        self.n_question = text.len();
        self.head = Some(question.head.kept());
        (self.wire_bytes, self.body_bytes) = (question.wire_bytes, question.body_bytes);
    }

    fn keep_answer(&mut self, answer: Option<Answer>, text: &[u8]) {
        self.bytes.truncate(self.n_question);
        self.answer = answer.filter(|_| self.head.is_some() && text.len() <= MAX_TEXT);
        if self.answer.is_some() {
            self.bytes.extend_from_slice(text);
        }
    }
}

/// Text of at most `N` bytes.
#[derive(Debug)]
struct Piece<const N: usize> {
    bytes: [u8; N],
    n: usize,
}

impl<const N: usize> Default for Piece<N> {
    fn default() -> Self {
        Self { bytes: [0; N], n: 0 }
    }
}

impl<const N: usize> Piece<N> {
    fn written(&self) -> &[u8] {
        self.bytes.get(..self.n).unwrap_or_default()
    }

    /// False where it is too long.
    fn keep(&mut self, text: &[u8]) -> bool {
        let Some(place) = self.bytes.get_mut(..text.len()) else { return false };
        place.copy_from_slice(text);
        self.n = text.len();
        true
    }
}

/// Whether looking, and keeping what is not found, is worth its while. Where lines hardly ever say
/// the same, one in seventeen is looked for.
#[derive(Debug, Default)]
struct Luck {
    /// Lines since one was found.
    n_missed: u32,
}

impl Luck {
    fn found(&mut self) {
        self.n_missed = 0;
    }

    #[inline]
    fn is_worth_a_look(&mut self) -> bool {
        self.n_missed = self.n_missed.wrapping_add(1);
        self.n_missed <= PATIENCE || self.n_missed.is_multiple_of(ONE_IN)
    }
}

/// Flows: as many as a worker of a busy server has under way at once, or more.
const N_FLOWS: usize = 128;
const N_ASKED: usize = 64;
/// Bytes of the part with both ends: enough for two addresses of IPv6.
const N_ENDS: usize = 208;
const N_CAPTURE: usize = 112;
/// Heads that are longer have cookies in them, or the like.
const MAX_HEAD: usize = 1 << 10;
const MAX_TEXT: usize = 1 << 10;
const PATIENCE: u32 = 64;
/// Odd, so that both places of a flow have their turn.
const ONE_IN: u32 = 17;
/// The golden ratio in 64 bits: consecutive values fall far from each other.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

#[cfg(test)]
mod tests;
