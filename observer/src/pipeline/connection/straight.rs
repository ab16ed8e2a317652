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
use crate::tcp::{Delivery, What};

impl Connection {
    /// Reads what is delivered to a half, if that is one such message. Returns whether it was.
    #[inline]
    pub(super) fn read_straight(
        &mut self,
        role: Role,
        delivery: &Delivery<'_>,
        out: &mut Output,
    ) -> bool {
        let What::Bytes(bytes) = delivery.what else { return false };
        if out.in_steps || !self.is_between_messages(role) {
            return false;
        }
        let parser = out.spare.look(role);
        let Some(whole) = parser.look_at(bytes) else { return false };
        let first = Mark { offset: delivery.offset, time: delivery.time, acked: delivery.acked };
        let body = bytes.get(whole.head.raw().len()..).unwrap_or_default();
        self.note_position(role, delivery);
        self.skipping = false;
        self.closing = false;
        if whole.gist.plain_body() != Some(body.len() as u64) {
            let input = Input { mark: first, what: Part::Bytes(bytes) };
            self.read_on(role, whole, input, out);
            return true;
        }
        let mark = |n: usize| Mark { offset: delivery.offset.plus(n as u64), ..first };
        let mut message = new_message(whole.head, first, mark(bytes.len()), whole.gist.anomalies());
        if !body.is_empty() {
            add_body(Some(&mut message), body, out.body_prefix());
        }
        message.complete = true;
        match role {
            Role::Request => {
                self.pairer.handle_request(message, &mut self.done);
                self.pairer.handle_request_end(&mut self.done);
            }
            Role::Response => {
                self.pairer.match_response(&first, &mut self.done);
                self.pairer.handle_response(message, &mut self.done);
                self.pairer.handle_response_end(&mut self.done);
            }
        }
        true
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
