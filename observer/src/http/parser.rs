//! The sequence of messages in one half: start line, head, body, and again.
//!
//! Pulled, not pushed: [`Parser::next`] takes what the stream continues with and returns one
//! [`Item`] at a time until the input is used up, so that the caller can decide between two items
//! what the next bytes are.
//!
//! A gap inside a body of known length is arithmetic. Anywhere else the message is lost, and the
//! half looks for the next start line that is beyond doubt.

use super::body::{Chunked, Step};
use super::detect::{self, MAX_START_LINE, Verdict};
use super::framing::BodyKind;
use super::resync::Resync;
use super::{Role, head};
use crate::message::{Anomalies, Anomaly, Head, Mark};

/// What one call to [`Parser::next`] works on.
#[derive(Debug)]
pub struct Input<'a> {
    /// Position, time and acknowledgement of the first byte that is left.
    pub mark: Mark,
    pub what: Part<'a>,
}

/// What a half's stream continues with.
#[derive(Debug)]
pub enum Part<'a> {
    Bytes(&'a [u8]),
    Gap(u64),
    /// Nothing more; `clean` when the sender closed by FIN.
    End {
        clean: bool,
    },
}

/// What a message, or the lack of one, consists of.
#[derive(Debug)]
pub enum Item<'a> {
    /// A message begins. The caller answers with [`Parser::set_body`] before the next call, except
    /// where the head is cut: then [`Item::End`] follows by itself.
    Head {
        head: Head,
        first: Mark,
        last: Mark,
    },
    /// Content, without transfer coding.
    Body(&'a [u8]),
    /// Content that was not captured.
    BodyGap(u64),
    /// The message ended here.
    End(Ending),
    /// The bytes from `first` on are no message. The caller answers with [`Parser::resync`],
    /// [`Parser::take_over`] or [`Parser::read_until_close`].
    NotHttp {
        first: Mark,
    },
    /// Bytes behind a takeover.
    Opaque(&'a [u8]),
    OpaqueGap(u64),
    /// Sync was lost: messages may be missing between the last and the next one.
    Lost,
}

/// How a message ended.
#[derive(Debug)]
pub struct Ending {
    /// The position and time of its end.
    pub last: Mark,
    pub complete: bool,
    pub anomalies: Anomalies,
    pub trailers: Option<Head>,
    /// Bytes that are missing where the message was lost; some may belong to the next one.
    pub missing: u64,
}

#[derive(Debug)]
enum State {
    /// Before a start line, in sync.
    Idle,
    /// Inside the first line.
    StartLine,
    /// Inside the fields; `looked` bytes were searched for the end.
    Head {
        looked: usize,
    },
    /// The head was handed out and the caller has not said what follows.
    Undecided,
    Length(u64),
    Chunked(Box<Chunked>),
    UntilClose,
    /// The last content byte was handed out; the end is due.
    BodyDone,
    /// A head was cut: its end is due.
    HeadCut {
        missing: u64,
    },
    /// Out of sync: looking for a start line that is beyond doubt.
    Lost,
    Opaque,
    Ended,
}

/// Bounds of a parser.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes kept of a head.
    pub head_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { head_bytes: 256 << 10 }
    }
}

/// Reads one half.
#[derive(Debug)]
pub struct Parser {
    role: Role,
    limits: Limits,
    state: State,
    /// The head so far, where it did not come in one piece.
    buffer: Vec<u8>,
    /// The current message's first byte.
    first: Mark,
    /// The end of what was read last.
    last: Mark,
    /// Bytes of a head beyond the bound.
    overflow: bool,
    /// Where the half is out of sync: what was seen of the next start line.
    resync: Resync,
}

impl Parser {
    /// A parser for the half that carries messages of `role`. `in_sync` when its first byte is the
    /// first of the stream.
    pub fn new(role: Role, in_sync: bool, limits: Limits) -> Self {
        let zero = Mark {
            offset: crate::segment::Offset(0),
            time: crate::segment::Timestamp(0),
            acked: None,
        };
        let state = if in_sync { State::Idle } else { State::Lost };
        Self {
            role,
            limits,
            state,
            buffer: Vec::new(),
            first: zero,
            last: zero,
            overflow: false,
            resync: Resync::default(),
        }
    }

    /// Whether a head or body has begun and not ended.
    pub fn in_message(&self) -> bool {
        !matches!(self.state, State::Idle | State::Lost | State::Opaque | State::Ended)
    }

    /// Bytes kept from earlier calls.
    pub fn n_buffered(&self) -> usize {
        self.buffer.len()
    }

    /// Says what follows the head that was handed out.
    pub fn set_body(&mut self, kind: BodyKind) {
        self.state = match kind {
            BodyKind::Empty | BodyKind::Length(0) => State::BodyDone,
            BodyKind::Length(n) => State::Length(n),
            BodyKind::Chunked => State::Chunked(Box::new(Chunked::new())),
            BodyKind::UntilClose => State::UntilClose,
            BodyKind::Takeover => State::Opaque,
        };
    }

    /// Gives up the current position: looks for the next start line that is beyond doubt.
    pub fn resync(&mut self) {
        self.buffer = Vec::new();
        self.state = State::Lost;
    }

    /// From here on the half carries no HTTP. Returns what was read ahead.
    pub fn take_over(&mut self) -> Vec<u8> {
        self.state = State::Opaque;
        std::mem::take(&mut self.buffer)
    }

    /// Everything from here to the close is content. Returns what was read ahead.
    pub fn read_until_close(&mut self) -> Vec<u8> {
        self.state = State::UntilClose;
        std::mem::take(&mut self.buffer)
    }

    /// The next item; `None` when the input is used up.
    pub fn next<'a>(&mut self, input: &mut Input<'a>) -> Option<Item<'a>> {
        if let Some(item) = self.due(input) {
            return Some(item);
        }
        match input.what {
            Part::Bytes(bytes) => self.next_of_bytes(bytes, input),
            Part::Gap(n) => self.next_of_gap(n, input),
            Part::End { clean } => self.next_of_end(clean, input),
        }
    }

    /// An item that needs no further input.
    fn due(&mut self, input: &Input<'_>) -> Option<Item<'static>> {
        match self.state {
            State::BodyDone => {
                self.state = State::Idle;
                Some(self.ending(true, Anomalies::default(), None, 0))
            }
            State::HeadCut { missing } => {
                self.last = input.mark;
                self.state = State::Lost;
                Some(self.ending(false, Anomalies::default(), None, missing))
            }
            _ => None,
        }
    }

    fn ending(
        &self,
        complete: bool,
        anomalies: Anomalies,
        trailers: Option<Head>,
        missing: u64,
    ) -> Item<'static> {
        Item::End(Ending { last: self.last, complete, anomalies, trailers, missing })
    }

    fn next_of_bytes<'a>(&mut self, bytes: &'a [u8], input: &mut Input<'a>) -> Option<Item<'a>> {
        let mut bytes = bytes;
        while !bytes.is_empty() {
            match &mut self.state {
                State::Idle => {
                    // RFC 9112 §2.2: empty lines before a start line are skipped.
                    let n = bytes.iter().take_while(|b| matches!(b, b'\r' | b'\n')).count();
                    bytes = self.advance(input, n);
                    if bytes.is_empty() {
                        return None;
                    }
                    self.first = input.mark;
                    self.overflow = false;
                    self.buffer.clear();
                    self.state = State::StartLine;
                }
                State::StartLine => {
                    let n =
                        memchr::memchr(b'\n', bytes).map_or(bytes.len(), |n| n.saturating_add(1));
                    let whole = self.buffer.is_empty() && bytes.get(n - 1) == Some(&b'\n');
                    if whole && let Some(item) = self.whole_head(bytes, input) {
                        return Some(item);
                    }
                    self.keep(bytes.get(..n).unwrap_or_default());
                    bytes = self.advance(input, n);
                    if let Some(item) = self.judge_start_line() {
                        return Some(item);
                    }
                }
                State::Head { looked } => {
                    let from = *looked;
                    if let Some(item) = self.more_head(from, bytes, input) {
                        return Some(item);
                    }
                    let Part::Bytes(rest) = input.what else { return None };
                    bytes = rest;
                }
                State::Length(left) => {
                    let n = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                    *left = left.saturating_sub(n as u64);
                    if *left == 0 {
                        self.state = State::BodyDone;
                    }
                    return self.content(bytes, 0, n, input);
                }
                State::UntilClose => return self.content(bytes, 0, bytes.len(), input),
                State::Opaque => {
                    let n = bytes.len();
                    self.advance(input, n);
                    return Some(Item::Opaque(bytes));
                }
                State::Chunked(reader) => match reader.step(bytes) {
                    Step::Content { skip, n } => return self.content(bytes, skip, n, input),
                    Step::More => {
                        self.advance(input, bytes.len());
                        return None;
                    }
                    Step::Done { used } => {
                        let lines = reader.take_trailers();
                        let anomalies = reader.anomalies;
                        self.advance(input, used);
                        self.state = State::Idle;
                        return Some(self.end_of_chunked(lines, anomalies));
                    }
                    Step::Broken => {
                        let anomalies = reader.anomalies;
                        self.advance(input, 0);
                        self.state = State::Lost;
                        return Some(self.ending(false, anomalies, None, 0));
                    }
                },
                State::Lost => {
                    let Some(found) = self.resync.search(self.role, bytes, input.mark) else {
                        self.advance(input, bytes.len());
                        return None;
                    };
                    bytes = self.advance(input, found.used);
                    self.first = found.first;
                    self.buffer = found.line;
                    self.state = State::Head { looked: 0 };
                }
                State::Undecided | State::BodyDone | State::HeadCut { .. } | State::Ended => {
                    return None;
                }
            }
        }
        None
    }

    fn end_of_chunked(&mut self, lines: Vec<u8>, anomalies: Anomalies) -> Item<'static> {
        let trailers = head::parse_trailers(lines);
        let anomalies = anomalies.union(trailers.anomalies);
        let trailers = Some(trailers).filter(|t| !t.fields.is_empty());
        self.ending(true, anomalies, trailers, 0)
    }

    /// Moves the input `n` bytes on and returns the rest.
    fn advance<'a>(&mut self, input: &mut Input<'a>, n: usize) -> &'a [u8] {
        let Part::Bytes(bytes) = input.what else { return &[] };
        let rest = bytes.get(n..).unwrap_or_default();
        input.mark.offset = input.mark.offset.plus(n as u64);
        input.what = Part::Bytes(rest);
        self.last = input.mark;
        rest
    }

    fn content<'a>(
        &mut self,
        bytes: &'a [u8],
        skip: usize,
        n: usize,
        input: &mut Input<'a>,
    ) -> Option<Item<'a>> {
        let end = skip.saturating_add(n);
        self.advance(input, end);
        bytes.get(skip..end).map(Item::Body)
    }

    /// The common case: the head lies in one piece, and is parsed from where it lies.
    fn whole_head<'a>(&mut self, bytes: &'a [u8], input: &mut Input<'a>) -> Option<Item<'a>> {
        let end = head::find_end(bytes, 0).filter(|&end| end <= self.limits.head_bytes)?;
        let head = head::parse(bytes.get(..end)?.to_vec(), self.role)?;
        if head.version() == crate::message::Version::HTTP_09 && head.fields.is_empty() {
            return None;
        }
        self.advance(input, end);
        self.state = State::Undecided;
        Some(Item::Head { head, first: self.first, last: self.last })
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = self.limits.head_bytes.saturating_sub(self.buffer.len());
        self.overflow |= bytes.len() > room;
        self.buffer.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
    }

    /// Decides about the first line as far as it is there.
    fn judge_start_line(&mut self) -> Option<Item<'static>> {
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
    fn more_head<'a>(
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
    fn cut_head(&mut self, missing: u64) -> Option<Item<'static>> {
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

    fn next_of_gap<'a>(&mut self, n: u64, input: &mut Input<'a>) -> Option<Item<'a>> {
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
                    return Some(Item::BodyGap(n));
                }
                let anomalies = reader.anomalies;
                self.state = State::Lost;
                self.last = input.mark;
                return Some(self.ending(false, anomalies, None, n));
            }
            State::Head { .. } => {
                self.last = input.mark;
                return self.cut_head(n);
            }
            State::Idle | State::StartLine => {
                self.buffer.clear();
                self.state = State::Lost;
                Some(Item::Lost)
            }
            State::Lost => {
                self.resync.handle_gap();
                None
            }
            State::Undecided | State::BodyDone | State::HeadCut { .. } | State::Ended => None,
        };
        input.mark.offset = input.mark.offset.plus(used);
        input.what = Part::Gap(n.saturating_sub(used));
        if used > 0 && !matches!(self.state, State::Lost) {
            self.last = input.mark;
        }
        item
    }

    fn next_of_end<'a>(&mut self, clean: bool, input: &mut Input<'a>) -> Option<Item<'a>> {
        self.last.time = self.last.time.max(self.first.time);
        match std::mem::replace(&mut self.state, State::Ended) {
            State::UntilClose => Some(self.ending(clean, Anomalies::default(), None, 0)),
            State::Length(_) => Some(self.ending(false, Anomalies::default(), None, 0)),
            State::Chunked(reader) => Some(self.ending(false, reader.anomalies, None, 0)),
            State::Head { .. } => {
                let item = self.cut_head(0);
                if matches!(self.state, State::HeadCut { .. }) {
                    input.mark.offset = self.last.offset;
                } else {
                    self.state = State::Ended;
                }
                item
            }
            _ => None,
        }
    }
}
