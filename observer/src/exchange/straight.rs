//! The straight path: a message that came whole, where nothing but it is under way.
//!
//! What is done with its head and with its end is done at once, and leaves the same behind.

use super::rules::may_answer;
use super::{Pairer, Told};
use crate::http::Asked;
use crate::message::Message;

impl Pairer {
    /// A request that is complete was read, and what it asks.
    #[inline]
    pub fn handle_whole_request(&mut self, message: Message, asked: Asked, out: &mut Told) {
        self.handle_request(message, asked, out);
        self.handle_request_end(out);
    }

    /// A response that is complete was read, and whether it is an interim one.
    #[inline]
    pub fn handle_whole_response(&mut self, message: Message, is_interim: bool, out: &mut Told) {
        if !is_interim && self.is_in_turn(&message) {
            self.answering = false;
            self.last_response = message.first.acked.map(|acked| (message.first.offset, acked));
            if let Some(mut done) = self.pending.pop_front() {
                done.exchange.response = Some(message);
                out.push(done.exchange);
            }
            return;
        }
        self.match_response(&message.first, out);
        self.handle_response(message, out);
        self.handle_response_end(out);
    }

    /// Nothing is in doubt, and the one request that waits is complete and can be what it answers.
    fn is_in_turn(&self, response: &Message) -> bool {
        let Some(front) = self.pending.front().filter(|_| self.pending.is_short()) else {
            return false;
        };
        let request = front.exchange.request.as_ref();
        !self.responses_lost
            && !front.unsure
            && !front.answer_lost
            && self.orphan.is_none()
            && front.exchange.response.is_none()
            && request.is_some_and(|r| r.complete && may_answer(&response.first, &r.first))
    }
}
