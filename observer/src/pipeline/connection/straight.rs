//! The straight path: a message that begins with one delivery, between two others, with nothing
//! special about it, and ends with the same or with one behind it. Nearly every one is such.
//!
//! What the general way does with it in a head, a body and an end, each handed out by a parser, is
//! done here at once, and leaves the same behind. Whatever is otherwise is left to the general way
//! before anything has changed; of that, a head that was read goes with it.

use super::super::Output;
use super::super::collect::{add_body, add_gap, new_message};
use super::Connection;
use crate::http::{Input, Part, Role, Whole};
use crate::message::Mark;
use crate::tcp::{Delivery, Facts, What, Wish};

/// What became of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Read {
    /// It is left to the general way, and nothing has changed.
    Not,
    /// It was one such message.
    Whole,
    /// It was read as far as it came: a part of such a message, or a head that was read ahead and the
    /// rest in the general way.
    InPart,
}

impl Connection {
    /// Takes what is delivered, if the flow is known to be HTTP and nothing else is to be seen to, and
    /// says what is wanted of the half's rest.
    #[inline]
    pub(super) fn deliver_straight(
        &mut self,
        facts: &Facts,
        delivery: &Delivery<'_>,
        out: &mut Output,
    ) -> Option<Wish> {
        let client = self.client.filter(|_| self.pairer.has_begun())?;
        if self.tls.is_some() || self.flagged.is_some() || !self.begun {
            return None;
        }
        let role = if delivery.side == client { Role::Request } else { Role::Response };
        match self.read_straight(role, delivery, out) {
            Read::Not => None,
            Read::Whole => {
                if !self.done.is_empty() {
                    self.tell(facts, out);
                }
                Some(Wish::All)
            }
            Read::InPart => {
                self.tell(facts, out);
                Some(self.while_followed(self.wish_of(role, out), facts))
            }
        }
    }

    /// Reads what is delivered to a half, if that is one such message or a part of one.
    #[inline]
    pub(super) fn read_straight(
        &mut self,
        role: Role,
        delivery: &Delivery<'_>,
        out: &mut Output,
    ) -> Read {
        if out.in_steps {
            return Read::Not;
        }
        let What::Bytes(bytes) = delivery.what else { return self.pass_body(role, delivery, out) };
        if !self.is_between_messages(role) {
            return self.pass_body(role, delivery, out);
        }
        let parser = out.spare.look(role);
        let Some(whole) = parser.look_at(bytes) else { return Read::Not };
        let first = Mark { offset: delivery.offset, time: delivery.time, acked: delivery.acked };
        let body = bytes.get(whole.head.raw().len()..).unwrap_or_default();
        self.note_position(role, delivery);
        self.skipping = false;
        self.closing = false;
        if whole.gist.plain_body() != Some(body.len() as u64) {
            self.begin(role, whole, first, bytes, out);
            return Read::InPart;
        }
        let mark = |n: usize| Mark { offset: delivery.offset.plus(n as u64), ..first };
        let (last, gist) = (mark(bytes.len()), whole.gist);
        let mut message = new_message(whole.head, first, last, gist.anomalies());
        if !body.is_empty() {
            add_body(Some(&mut message), body, out.body_prefix());
        }
        message.complete = true;
        match role {
            Role::Request => {
                self.pairer.handle_whole_request(message, gist.asked, &mut self.done);
            }
            Role::Response => {
                self.pairer.handle_whole_response(message, gist.is_interim, &mut self.done);
            }
        }
        Read::Whole
    }

    /// The message with this head, the first of `bytes`, goes on behind them, or not all of them are its
    /// own.
    #[inline(never)]
    fn begin(&mut self, role: Role, whole: Whole, first: Mark, bytes: &[u8], out: &mut Output) {
        let n_head = whole.head.raw().len();
        let body = bytes.get(n_head..).unwrap_or_default();
        let left = whole.gist.plain_body().and_then(|n| n.checked_sub(body.len() as u64));
        let Some(left) = left else {
            let input = Input { mark: first, what: Part::Bytes(bytes) };
            self.read_on(role, whole, input, out);
            return;
        };
        let mark = |n: usize| Mark { offset: first.offset.plus(n as u64), ..first };
        let gist = whole.gist;
        let mut message = new_message(whole.head, first, mark(n_head), gist.anomalies());
        add_body(Some(&mut message), body, out.body_prefix());
        match role {
            Role::Request => self.pairer.handle_request(message, gist.asked, &mut self.done),
            Role::Response => {
                self.pairer.match_response(&first, &mut self.done);
                self.pairer.handle_response(message, &mut self.done);
            }
        }
        self.begin_body(role, first, mark(bytes.len()), left, out);
    }

    /// Reads what is delivered to a half, if that is nothing but content of the message that is being
    /// read, captured or not.
    #[inline(never)]
    fn pass_body(&mut self, role: Role, delivery: &Delivery<'_>, out: &mut Output) -> Read {
        let (bytes, n) = match delivery.what {
            What::Bytes(bytes) => (Some(bytes), bytes.len() as u64),
            What::Gap(n) | What::Skipped(n) => (None, n),
            What::End(_) => return Read::Not,
        };
        let may_be_other = match role {
            Role::Request => self.asks_takeover || self.pairer.may_withhold_body(),
            Role::Response => false,
        };
        if may_be_other || self.tunnel.is_some() || self.held.is_some() || self.withheld.is_some() {
            return Read::Not;
        }
        let (offset, time) = (delivery.offset.plus(n), delivery.time);
        let end = Mark { offset, time, acked: delivery.acked };
        let parser = self.slot(role).as_mut();
        let is_over = parser.and_then(|parser| parser.pass_body(n, end, bytes.is_some()));
        let Some(is_over) = is_over else { return Read::Not };
        self.note_position(role, delivery);
        self.skipping = matches!(delivery.what, What::Skipped(_));
        self.closing = false;
        let mut message = match role {
            Role::Request => self.pairer.request_mut(),
            Role::Response => self.pairer.response_mut(),
        };
        match bytes {
            Some(bytes) => add_body(message.as_deref_mut(), bytes, out.body_prefix()),
            None => add_gap(message.as_deref_mut(), n, self.skipping),
        }
        if !is_over {
            return Read::InPart;
        }
        if let Some(message) = message {
            message.last = end;
            message.complete = true;
        }
        match role {
            Role::Request => self.pairer.handle_request_end(&mut self.done),
            Role::Response => self.pairer.handle_response_end(&mut self.done),
        }
        self.end_body(role, out);
        Read::Whole
    }

    /// A message of the half is due and nothing of it was read, nothing that came before says
    /// anything of it, and of a response not its request either.
    #[inline]
    fn is_between_messages(&self, role: Role) -> bool {
        let ([request_opened, response_opened], is_due) = (
            self.opened,
            match role {
                Role::Request => self.requests.is_none() && !self.pairer.is_asking(),
                Role::Response => self.responses.is_none() && self.pairer.asks_plainly(),
            },
        );
        let opened = if role == Role::Request { request_opened } else { response_opened };
        is_due
            && opened
            && !self.taken_over
            && !self.asks_takeover
            && self.tunnel.is_none()
            && self.held.is_none()
            && self.withheld.is_none()
    }
}
