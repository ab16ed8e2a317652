//! What a gap, or the close, does to the message that is being read.
//!
//! A gap inside a body of known length is arithmetic. Anywhere else the message is lost, and the
//! half looks for the next start line that is beyond doubt.

use super::Role;
use super::item::{Input, Item, Part};
use super::parser::{Parser, State};
use crate::message::Anomalies;

impl Parser {
    pub(super) fn next_of_gap<'a>(&mut self, n: u64, input: &mut Input<'a>) -> Option<Item<'a>> {
        if n == 0 {
            return None;
        }
        let mut used = n;
        let item = match &mut self.state {
            State::Length(left) => {
                used = n.min(*left);
                *left = left.saturating_sub(used);
                if *left == 0 {
                    self.state = State::BodyDone;
                }
                Some(Item::BodyGap(used))
            }
            State::UntilClose => Some(Item::BodyGap(n)),
            State::Opaque => Some(Item::OpaqueGap(n)),
            State::Chunked(reader) => {
                if reader.skip(n) {
                    input.mark.offset = input.mark.offset.plus(n);
                    input.what = Part::Gap(0);
                    self.last = input.mark;
                    self.sound = input.mark.offset;
                    return Some(Item::BodyGap(n));
                }
                let anomalies = reader.anomalies;
                self.state = State::Lost;
                self.last = input.mark;
                return Some(self.ending(false, anomalies, None, n));
            }
            State::Head => {
                self.last = input.mark;
                return Some(self.cut_head(n));
            }
            State::Idle => {
                self.state = State::Lost;
                Some(Item::Lost)
            }
            State::Lost => {
                self.resync.handle_gap();
                None
            }
            State::Undecided
            | State::BodyDone
            | State::BodyUnknown
            | State::HeadCut { .. }
            | State::Ended => None,
        };
        input.mark.offset = input.mark.offset.plus(used);
        input.what = Part::Gap(n.saturating_sub(used));
        if used > 0 && !matches!(self.state, State::Lost) {
            self.last = input.mark;
        }
        item
    }

    pub(super) fn next_of_end<'a>(
        &mut self,
        clean: bool,
        input: &mut Input<'a>,
    ) -> Option<Item<'a>> {
        self.last.time = self.last.time.max(self.first.time);
        match std::mem::replace(&mut self.state, State::Ended) {
            // A request has no such framing (RFC 9112 §6.3): its end was never said.
            State::UntilClose => {
                let complete = clean && self.role == Role::Response;
                Some(self.ending(complete, Anomalies::default(), None, 0))
            }
            State::Length(_) => Some(self.ending(false, Anomalies::default(), None, 0)),
            State::Chunked(reader) => Some(self.ending(false, reader.anomalies, None, 0)),
            State::Head => {
                let item = self.cut_head(0);
                if matches!(self.state, State::HeadCut { .. }) {
                    input.mark.offset = self.last.offset;
                } else {
                    self.state = State::Ended;
                }
                Some(item)
            }
            _ => None,
        }
    }

    /// Hands out a head of which the rest is missing, if its first line is there.
    fn cut_head(&mut self, missing: u64) -> Item<'static> {
        let Some(head) = self.gather.cut() else {
            self.state = State::Lost;
            return Item::Lost;
        };
        let item = self.head(head);
        self.state = State::HeadCut { missing };
        item
    }
}
