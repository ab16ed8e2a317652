//! The straight path: a message that begins and ends with one delivery, between two others, with
//! nothing special about it. Nearly every one is such.
//!
//! What the general way does with it in a head, a body and an end, each handed out by a parser, is
//! done here at once, and leaves the same behind. Whatever is otherwise is left to the general way
//! before anything has changed; of that, a head that was read goes with it.

use super::super::Output;
use super::super::collect::{add_body, new_message};
use super::Connection;
use crate::http::{Input, Part, Role};
use crate::message::Mark;
use crate::tcp::{Delivery, Facts, What, Wish};

/// What became of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Read {
    /// It is left to the general way, and nothing has changed.
    Not,
    /// It was one such message.
    Whole,
    /// Its head was read ahead, and the rest in the general way.
    InSteps,
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
            Read::InSteps => {
                self.tell(facts, out);
                Some(self.while_followed(self.wish_of(role, out), facts))
            }
        }
    }

    /// Reads what is delivered to a half, if that is one such message.
    #[inline]
    pub(super) fn read_straight(
        &mut self,
        role: Role,
        delivery: &Delivery<'_>,
        out: &mut Output,
    ) -> Read {
        let What::Bytes(bytes) = delivery.what else { return Read::Not };
        if out.in_steps || !self.is_between_messages(role) {
            return Read::Not;
        }
        let parser = out.spare.look(role);
        let Some(whole) = parser.look_at(bytes) else { return Read::Not };
        let first = Mark { offset: delivery.offset, time: delivery.time, acked: delivery.acked };
        let body = bytes.get(whole.head.raw().len()..).unwrap_or_default();
        self.note_position(role, delivery);
        self.skipping = false;
        self.closing = false;
        if whole.gist.plain_body() != Some(body.len() as u64) {
            let input = Input { mark: first, what: Part::Bytes(bytes) };
            self.read_on(role, whole, input, out);
            return Read::InSteps;
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
