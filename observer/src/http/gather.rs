//! Gathering a head out of the pieces it comes in, within a bound.

use super::detect::{self, MAX_START_LINE, Verdict};
use super::item::{Input, Item};
use super::parser::{Parser, State};
use super::{Role, head};
use crate::message::Anomaly;

impl Parser {
    /// The common case: the head lies in one piece, and is parsed from where it lies.
    pub(super) fn whole_head<'a>(
        &mut self,
        bytes: &'a [u8],
        input: &mut Input<'a>,
    ) -> Option<Item<'a>> {
        let end = head::find_end(bytes, 0).filter(|&end| end <= self.limits.head_bytes)?;
        let head = head::parse(bytes.get(..end)?.to_vec(), self.role)?;
        if head.version() == crate::message::Version::HTTP_09 && head.fields.is_empty() {
            return None;
        }
        self.advance(input, end);
        self.state = State::Undecided;
        Some(Item::Head { head, first: self.first, last: self.last })
    }

    pub(super) fn keep(&mut self, bytes: &[u8]) {
        let room = self.limits.head_bytes.saturating_sub(self.buffer.len());
        self.overflow |= bytes.len() > room;
        self.buffer.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
    }

    /// Decides about the first line as far as it is there.
    pub(super) fn judge_start_line(&mut self) -> Option<Item<'static>> {
        let ended = self.buffer.ends_with(b"\n");
        let verdict = match self.role {
            Role::Request => detect::request_line(&self.buffer, ended),
            Role::Response => detect::status_line(&self.buffer, ended),
        };
        match verdict {
            Verdict::Undecided if self.buffer.len() < MAX_START_LINE => None,
            Verdict::Http => {
                self.state = State::Head { looked: 0 };
                None
            }
            Verdict::Simple => {
                let head = head::parse(std::mem::take(&mut self.buffer), self.role)?;
                self.state = State::Undecided;
                Some(Item::Head { head, first: self.first, last: self.last })
            }
            Verdict::Undecided | Verdict::No => {
                self.state = State::Undecided;
                Some(Item::NotHttp { first: self.first })
            }
        }
    }

    /// Collects fields until the empty line.
    pub(super) fn more_head<'a>(
        &mut self,
        looked: usize,
        bytes: &'a [u8],
        input: &mut Input<'a>,
    ) -> Option<Item<'a>> {
        // The end may lie across the border of two pieces, so the search goes over the buffer.
        let before = self.buffer.len();
        self.buffer.extend_from_slice(bytes);
        let Some(end) = head::find_end(&self.buffer, looked) else {
            let looked = self.buffer.len();
            if looked > self.limits.head_bytes {
                self.forget_overflow();
            }
            self.state = State::Head { looked: self.buffer.len() };
            self.advance(input, bytes.len());
            return None;
        };
        self.buffer.truncate(end);
        self.advance(input, end.saturating_sub(before));
        self.finish_head()
    }

    /// Drops the middle of a head that exceeds the bound, all but the last line begun. The fields
    /// that decide the framing are kept wherever they stand.
    fn forget_overflow(&mut self) {
        self.overflow = true;
        let start = memchr::memchr(b'\n', &self.buffer).map_or(0, |n| n.saturating_add(1));
        let keep_upto = (self.limits.head_bytes / 2).max(start);
        let keep_upto = self.buffer.get(..keep_upto).map_or(start, |kept| {
            memchr::memrchr(b'\n', kept).map_or(start, |n| n.saturating_add(1))
        });
        let tail = self.buffer.split_off(keep_upto.min(self.buffer.len()));
        let last_line = memchr::memrchr(b'\n', &tail).map_or(0, |n| n.saturating_add(1));
        for line in tail.get(..last_line).unwrap_or_default().split_inclusive(|&b| b == b'\n') {
            if head::decides_framing(line) {
                self.buffer.extend_from_slice(line);
            }
        }
        let rest = tail.get(last_line..).unwrap_or_default();
        // A single line longer than the bound keeps its beginning.
        let room = rest.len().min(self.limits.head_bytes / 4);
        self.buffer.extend_from_slice(rest.get(..room).unwrap_or_default());
    }

    fn finish_head(&mut self) -> Option<Item<'static>> {
        let raw = std::mem::take(&mut self.buffer);
        let Some(mut head) = head::parse(raw, self.role) else {
            self.state = State::Undecided;
            return Some(Item::NotHttp { first: self.first });
        };
        if std::mem::take(&mut self.overflow) {
            head.anomalies.insert(Anomaly::HeadTooLarge);
        }
        self.state = State::Undecided;
        Some(Item::Head { head, first: self.first, last: self.last })
    }

    /// Hands out a head of which the rest is missing, if its first line is there.
    pub(super) fn cut_head(&mut self, missing: u64) -> Option<Item<'static>> {
        let raw = std::mem::take(&mut self.buffer);
        let head = head::parse(raw, self.role).filter(|h| h.raw.contains(&b'\n'));
        let Some(mut head) = head else {
            self.state = State::Lost;
            return Some(Item::Lost);
        };
        head.anomalies.insert(Anomaly::HeadIncomplete);
        self.state = State::HeadCut { missing };
        Some(Item::Head { head, first: self.first, last: self.last })
    }
}
