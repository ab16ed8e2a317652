//! Bytes where a message was due, and they are none: another protocol, HTTP/0.9, a hijack, or stray.
//!
//! Decides what they are by what was asked; reads none of them.

use super::super::collect::add_body;
use super::{Connection, Output};
use crate::http::Parser;
use crate::message::{Head, Mark, Message, Takeover, Version};
use crate::segment::Direction;

impl Connection {
    /// Whether the flow begins with a protocol that was built like HTTP.
    pub(super) fn is_of_another_protocol(&self, parser: &Parser) -> bool {
        !self.pairer.has_begun() && parser.is_of_another_protocol()
    }

    /// What the client has sent so far is no HTTP.
    pub(super) fn speaks_no_http(&self) -> bool {
        !self.pairer.has_begun() && (self.taken_over || self.pairer.is_request_malformed())
    }

    /// Nothing on the flow is HTTP, whatever it looks like. `parser` is the one that reads just now.
    pub(super) fn speak_no_http(&mut self, parser: &mut Parser) {
        self.taken_over = true;
        parser.take_over();
        let others = [&mut self.requests, &mut self.responses].into_iter().flatten();
        others.for_each(|other| drop(other.take_over()));
    }

    /// Bytes where a response was due, and they are none.
    pub(super) fn handle_no_response(
        &mut self,
        first: Mark,
        parser: &mut Parser,
        out: &mut Output,
    ) {
        let version = self.pairer.oldest_unanswered(&first).map(|request| {
            let version = request.head.as_ref().map_or(Version::HTTP_11, Head::version);
            (version, request.complete)
        });
        match version {
            // RFC 1945 §6: a Simple-Response is the content alone.
            Some((Version::HTTP_09, _)) => {
                self.pairer.match_response(&first, &mut self.done);
                self.pairer.handle_response(Message::new(None, first), &mut self.done);
                let bytes = parser.read_until_close();
                add_body(self.pairer.response_mut(), &bytes, out.body_prefix());
            }
            Some((_, true)) if self.pairer.n_pending() == 1 => {
                if self.pairer.match_response(&first, &mut self.done).is_none() {
                    parser.resync();
                    return;
                }
                self.pairer.handle_response(Message::new(None, first), &mut self.done);
                let n_empty = parser.n_empty_lines();
                let ahead = parser.take_over();
                self.take_over(Takeover::Hijack, first, out);
                if let Some(tunnel) = self.tunnel.as_mut() {
                    // Where a response was due they were skipped; they are the tunnel's first bytes.
                    tunnel.handle_gap(Direction::ToClient, first, n_empty, true);
                    tunnel.handle_bytes(Direction::ToClient, first, &ahead);
                }
            }
            // More questions wait: stray bytes behind a response are likelier than a hijack.
            Some(_) | None => {
                self.pairer.handle_responses_lost();
                parser.resync();
            }
        }
    }
}
