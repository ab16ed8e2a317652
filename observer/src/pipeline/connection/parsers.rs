//! The parsers of a connection's halves: where they begin, and where they are while nothing is read.
//!
//! Between two messages there is nothing to remember of most halves. Their parsers go back to the
//! engine then, which keeps one for requests and one for responses: an idle connection holds none,
//! and a busy one reads with a parser that is still in the cache.

use super::super::Output;
use super::Connection;
use crate::http::{self, Parser, Role};
use crate::message::Mark;
use crate::tcp::{Delivery, Facts, What};

/// Parsers between two messages, one of each role at most.
#[derive(Debug, Default)]
pub(in super::super) struct Spare {
    requests: Option<Box<Parser>>,
    responses: Option<Box<Parser>>,
}

impl Spare {
    fn of(&mut self, role: Role) -> &mut Option<Box<Parser>> {
        match role {
            Role::Request => &mut self.requests,
            Role::Response => &mut self.responses,
        }
    }

    /// A parser for a half that is before a start line, in sync.
    pub(super) fn take(&mut self, role: Role) -> Box<Parser> {
        self.of(role).take().unwrap_or_else(|| new(role, true))
    }

    /// The one that would be taken.
    pub(super) fn look(&mut self, role: Role) -> &Parser {
        self.of(role).get_or_insert_with(|| new(role, true))
    }
}

fn new(role: Role, in_sync: bool) -> Box<Parser> {
    Box::new(Parser::new(role, in_sync, http::Limits::default()))
}

impl Connection {
    /// Begins a half with its first delivery. It is in sync if the stream begins here, or looks as if
    /// a message did.
    pub(super) fn open_parser(
        &mut self,
        role: Role,
        facts: &Facts,
        delivery: &Delivery<'_>,
        out: &mut Output,
    ) {
        let [requests, responses] = &mut self.opened;
        let opened = if role == Role::Request { requests } else { responses };
        if std::mem::replace(opened, true) {
            return;
        }
        let in_sync = match delivery.what {
            What::Bytes(bytes) => {
                !facts.half(delivery.side).midstream || http::first_bytes(bytes, true) == Some(role)
            }
            What::Gap(_) | What::Skipped(_) | What::End(_) => !facts.half(delivery.side).midstream,
        };
        if role == Role::Response {
            match delivery.what {
                What::Bytes(_) => self.pairer.handle_first_response(delivery.offset),
                What::Gap(n) | What::Skipped(n) => {
                    self.pairer.handle_first_response(delivery.offset.plus(n));
                }
                What::End(_) => {}
            }
        }
        if !in_sync {
            let mut parser = new(role, false);
            if self.taken_over {
                // The other half ended HTTP before this one had said anything.
                parser.take_over();
            }
            self.put_back(role, parser, out);
        }
    }

    /// The parser of a half, where something of it was read.
    pub(super) fn take_parser(&mut self, role: Role, out: &mut Output) -> Option<Box<Parser>> {
        let [requests, responses] = self.opened;
        let (slot, opened) = match role {
            Role::Request => (&mut self.requests, requests),
            Role::Response => (&mut self.responses, responses),
        };
        if slot.is_some() || !opened {
            return slot.take();
        }
        let mut parser = out.spare.take(role);
        if self.taken_over {
            // HTTP ended while nothing of this half was being read.
            parser.take_over();
        }
        Some(parser)
    }

    /// Takes note that `left` bytes of a body follow, behind a head that was read on the straight path
    /// from `first` and up to `last`.
    pub(super) fn begin_body(
        &mut self,
        role: Role,
        first: Mark,
        last: Mark,
        left: u64,
        out: &mut Output,
    ) {
        let mut parser = out.spare.take(role);
        parser.begin_body(first, last, left);
        *self.slot(role) = Some(parser);
    }

    /// The body has ended, and the parser with it if it remembers nothing.
    pub(super) fn end_body(&mut self, role: Role, out: &mut Output) {
        if let Some(parser) = self.slot(role).take() {
            self.put_back(role, parser, out);
        }
    }

    /// Where the parser of a half is while something of it is being read.
    pub(super) fn slot(&mut self, role: Role) -> &mut Option<Box<Parser>> {
        match role {
            Role::Request => &mut self.requests,
            Role::Response => &mut self.responses,
        }
    }

    /// Keeps the parser where it is inside a message, or has anything to remember.
    pub(super) fn put_back(&mut self, role: Role, parser: Box<Parser>, out: &mut Output) {
        let slot = if parser.is_as_new() { out.spare.of(role) } else { self.slot(role) };
        *slot = Some(parser);
    }
}
