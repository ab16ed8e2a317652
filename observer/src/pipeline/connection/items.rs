//! What the parsers hand out, item by item: to the pairer, to the tunnel, and what follows a head back
//! to the parser.
//!
//! The general way, which takes everything; nearly every message goes by `straight` instead.

use std::mem;

use super::super::Output;
use super::super::collect::{add_body, add_gap, end_message, new_message};
use super::Connection;
use crate::http::{Asked, BodyKind, Gist, Input, Item, Parser, Role, Whole, asks_takeover};
use crate::message::{Anomaly, Head, Mark, Takeover};

impl Connection {
    /// Runs a parser over its input.
    pub(in super::super) fn read(&mut self, role: Role, mut input: Input<'_>, out: &mut Output) {
        // What comes later is read later: what is held may ask for takeovers of its own.
        while role == Role::Request && self.held.is_some() {
            self.release_held(out);
        }
        let Some(parser) = self.take_parser(role, out) else { return };
        self.read_items(role, parser, &mut input, out);
    }

    /// The same where the head at the start of the input was looked at, by a parser that is new.
    pub(super) fn read_on(
        &mut self,
        role: Role,
        whole: Whole,
        mut input: Input<'_>,
        out: &mut Output,
    ) {
        let mut parser = out.spare.take(role);
        let item = parser.begin_with(whole, &mut input);
        self.handle_item(role, item, &mut parser, out);
        self.read_items(role, parser, &mut input, out);
    }

    fn read_items(
        &mut self,
        role: Role,
        mut parser: Box<Parser>,
        input: &mut Input<'_>,
        out: &mut Output,
    ) {
        loop {
            let in_tunnel = self.tunnel.is_some().then_some(input.mark);
            let Some(item) = parser.next(input) else { break };
            if !in_tunnel.is_some_and(|mark| self.pass_on(role, mark, &item)) {
                self.handle_item(role, item, &mut parser, out);
            }
            if role == Role::Request && self.held.is_some() {
                self.hold_rest(input);
            }
        }
        self.put_back(role, parser, out);
    }

    fn handle_item(&mut self, role: Role, item: Item<'_>, parser: &mut Parser, out: &mut Output) {
        match role {
            Role::Request => self.handle_request_item(item, parser, out),
            Role::Response => self.handle_response_item(item, parser, out),
        }
    }

    fn handle_request_item(&mut self, item: Item<'_>, parser: &mut Parser, out: &mut Output) {
        match item {
            Item::Head { gist: Gist { is_http2_preface: true, .. }, .. } => {
                // RFC 9113 §3.4: what looks like a request opens another protocol.
                self.speak_no_http(parser);
            }
            Item::Head { head, gist, first, last } => {
                let cut = head.anomalies.contains(Anomaly::HeadIncomplete);
                let (kind, anomalies) = gist.body(&head, Asked::default());
                let message = new_message(head, first, last, gist.anomalies());
                self.pairer.handle_request(message, gist.asked, &mut self.done);
                if cut {
                    return;
                }
                parser.set_body(kind, anomalies);
                self.asks_takeover = gist.asks_takeover && !self.taken_over;
            }
            Item::Body(bytes) => add_body(self.pairer.request_mut(), bytes, out.body_prefix()),
            Item::BodyGap(n) => add_gap(self.pairer.request_mut(), n, self.skipping),
            Item::End(ending) => {
                let complete = ending.complete;
                end_message(self.pairer.request_mut(), ending);
                if mem::take(&mut self.asks_takeover) && complete {
                    self.held = Some(Box::default());
                }
                if complete || !self.closing {
                    self.pairer.handle_request_end(&mut self.done);
                }
                if !complete {
                    self.pairer.handle_requests_lost();
                }
            }
            Item::NotHttp { .. } if self.is_of_another_protocol(parser) => {
                self.speak_no_http(parser);
            }
            Item::NotHttp { .. } => {
                self.pairer.handle_malformed_request();
                parser.resync();
            }
            Item::Lost => self.pairer.handle_requests_lost(),
            // Passed on before.
            Item::Opaque(_) | Item::OpaqueGap(_) => {}
        }
    }

    fn handle_response_item(&mut self, item: Item<'_>, parser: &mut Parser, out: &mut Output) {
        match item {
            Item::Head { head, gist, first, last } => {
                self.handle_response_head(head, gist, first, last, parser, out);
            }
            Item::Body(bytes) => add_body(self.pairer.response_mut(), bytes, out.body_prefix()),
            Item::BodyGap(n) => add_gap(self.pairer.response_mut(), n, self.skipping),
            Item::End(ending) => {
                let complete = ending.complete;
                end_message(self.pairer.response_mut(), ending);
                // What the close cut short is told with the reason for the close.
                if complete || !self.closing {
                    self.pairer.handle_response_end(&mut self.done);
                }
                if !complete {
                    self.pairer.handle_responses_lost();
                }
            }
            Item::NotHttp { .. } if self.is_of_another_protocol(parser) => {
                self.speak_no_http(parser);
            }
            Item::NotHttp { first } => self.handle_no_response(first, parser, out),
            Item::Lost => self.pairer.handle_response_start_lost(),
            Item::Opaque(_) | Item::OpaqueGap(_) => {}
        }
    }

    fn handle_response_head(
        &mut self,
        head: Head,
        gist: Gist,
        first: Mark,
        last: Mark,
        parser: &mut Parser,
        out: &mut Output,
    ) {
        let cut = head.anomalies.contains(Anomaly::HeadIncomplete);
        let asked = self.pairer.match_response(&first, &mut self.done).unwrap_or_default();
        let (kind, anomalies) = gist.body(&head, asked);
        let is_final = head.status().is_none_or(|s| s == 101 || s >= 200);
        let upgrade = head.status() == Some(101);
        let message = new_message(head, first, last, anomalies);
        self.pairer.handle_response(message, &mut self.done);
        if cut {
            return;
        }
        parser.set_body(kind, anomalies);
        if kind == BodyKind::Takeover {
            let takeover = if upgrade { Takeover::Upgrade } else { Takeover::Connect };
            self.take_over(takeover, last, out);
        } else if is_final && self.answers_takeover() {
            self.asks_takeover = false;
            self.release_held(out);
        }
    }

    /// Whether the response that is being read may be the answer to a request for a takeover.
    fn answers_takeover(&self) -> bool {
        let head = self.pairer.answered_request().and_then(|request| request.head.as_ref());
        head.is_none_or(asks_takeover)
    }
}
