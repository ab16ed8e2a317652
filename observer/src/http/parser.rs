//! The sequence of messages in one half: start line, head, body, and again.
//!
//! Pulled, not pushed: [`Parser::next`] takes what the stream continues with and returns one
//! [`Item`] at a time until the input is used up, so that the caller can decide between two items
//! what the next bytes are.
//!
//! The sequence over bytes stands here; what gaps and the close do to it, in `loss`.

use super::Role;
use super::body::{Chunked, Step};
use super::framing::{BodyKind, leaves_doubt};
use super::gather::{Gather, Gathered};
use super::head::{self, Whole};
use super::item::{Ending, Input, Item, Limits, Part};
use super::outlook::Outlook;
use super::resync::Resync;
use crate::message::{Anomalies, Head, Mark};
use crate::segment::{Offset, Timestamp};

#[derive(Debug)]
pub(super) enum State {
    /// Before a start line, in sync.
    Idle,
    /// Inside a head.
    Head,
    /// The head was handed out and the caller has not said what follows.
    Undecided,
    Length(u64),
    Chunked(Box<Chunked>),
    UntilClose,
    /// The last content byte was handed out; the end is due.
    BodyDone,
    /// Nobody can tell what follows the head that was handed out: its end is due.
    BodyUnknown,
    /// A head was cut: its end is due.
    HeadCut {
        missing: u64,
    },
    /// Out of sync: looking for a start line that is beyond doubt.
    Lost,
    Opaque,
    Ended,
}

/// Reads one half.
#[derive(Debug)]
pub struct Parser {
    pub(super) role: Role,
    pub(super) state: State,
    /// The head that is being read.
    pub(super) gather: Gather,
    /// The current message's first byte.
    pub(super) first: Mark,
    /// The end of what was read last.
    pub(super) last: Mark,
    /// The end of the head or content handed out last: where a body that breaks has ended.
    pub(super) sound: Offset,
    /// Where the half is out of sync: what was seen of the next start line.
    pub(super) resync: Resync,
    /// What the messages before leave to be known of the next one.
    outlook: Outlook,
    /// Bytes of the empty lines before the message that is being read.
    n_empty: u64,
}

impl Parser {
    /// A parser for the half that carries messages of `role`. `in_sync` when its first byte is the
    /// first of the stream.
    pub fn new(role: Role, in_sync: bool, limits: Limits) -> Self {
        let zero = Mark { offset: Offset(0), time: Timestamp(0), acked: None };
        let state = if in_sync { State::Idle } else { State::Lost };
        Self {
            role,
            state,
            gather: Gather::new(role, limits),
            first: zero,
            last: zero,
            sound: Offset(0),
            resync: Resync::default(),
            outlook: Outlook::default(),
            n_empty: 0,
        }
    }

    /// Before a start line, in sync, and nothing that was read says anything of what comes: another
    /// parser that is new would go on the same.
    pub fn is_as_new(&self) -> bool {
        matches!(self.state, State::Idle)
            && self.n_empty == 0
            && self.gather.n_kept() == 0
            && self.resync.is_empty()
            && self.outlook.is_clear()
    }

    /// The head at the start of `bytes`, if it is all there and nothing is special about it; for a
    /// parser that [is as new](Self::is_as_new), and reads nothing yet.
    #[inline]
    pub fn look_at(&self, bytes: &[u8]) -> Option<Whole> {
        self.gather.plain(bytes)
    }

    /// Takes the head that it [looked at](Self::look_at), at the start of the input.
    pub fn begin_with(&mut self, whole: Whole, input: &mut Input<'_>) -> Item<'static> {
        self.first = input.mark;
        self.gather.begin();
        self.advance(input, whole.head.raw().len());
        self.head(whole)
    }

    /// Takes a head of which nothing is left to be said but that `left` bytes of its body follow; for a
    /// parser that [is as new](Self::is_as_new). `last` is what was read up to, and in front of it lies
    /// nothing but the message.
    pub fn begin_body(&mut self, first: Mark, last: Mark, left: u64) {
        self.first = first;
        self.last = last;
        self.sound = last.offset;
        self.state = State::Length(left);
    }

    /// Takes `n` bytes of a body of known length, up to `end`, without looking at them; `None`, and
    /// nothing is taken, where something else may be among them. Returns whether the body is over: then
    /// so is the message.
    pub fn pass_body(&mut self, n: u64, end: Mark, is_captured: bool) -> Option<bool> {
        let State::Length(left) = self.state else { return None };
        let left = left.checked_sub(n).filter(|_| n > 0)?;
        self.last = end;
        if is_captured {
            self.sound = end.offset;
        }
        self.state = match left {
            0 => self.behind_body(),
            _ => State::Length(left),
        };
        Some(left == 0)
    }

    fn behind_body(&self) -> State {
        if self.outlook.is_last() { State::Ended } else { State::Idle }
    }

    /// Bytes kept from earlier calls.
    pub fn n_buffered(&self) -> usize {
        self.gather.n_kept()
    }

    /// Bytes of the empty lines that were skipped right before the message that is being read.
    pub fn n_empty_lines(&self) -> u64 {
        self.n_empty
    }

    /// Says what follows the head that was handed out, and what made that doubtful.
    pub fn set_body(&mut self, kind: BodyKind, anomalies: Anomalies) {
        if leaves_doubt(anomalies) {
            self.outlook.note_doubt(&self.last);
        }
        self.state = match kind {
            BodyKind::Empty | BodyKind::Length(0) => State::BodyDone,
            BodyKind::Length(n) => State::Length(n),
            BodyKind::Chunked => State::Chunked(Box::new(Chunked::new())),
            BodyKind::UntilClose => State::UntilClose,
            BodyKind::Unknown => State::BodyUnknown,
            BodyKind::Takeover => State::Opaque,
        };
    }

    /// Bytes that are content for sure: of the body, of the current chunk, up to the close.
    pub fn body_left(&self) -> u64 {
        match &self.state {
            State::Length(left) => *left,
            State::Chunked(reader) => reader.chunk_left(),
            State::UntilClose => u64::MAX,
            _ => 0,
        }
    }

    /// The body that was announced does not come, and no byte of it has: the message ends with its
    /// head.
    pub fn abandon_body(&mut self) {
        if let State::Length(_) = self.state {
            self.state = State::BodyDone;
        }
    }

    /// Whether the bytes that are [`Item::NotHttp`] begin a message of a protocol that was built
    /// like HTTP and may carry it.
    pub fn is_of_another_protocol(&self) -> bool {
        self.gather.is_of_another_protocol()
    }

    /// Gives up the current position: looks for the next start line that is beyond doubt.
    pub fn resync(&mut self) {
        self.gather.take();
        self.state = State::Lost;
    }

    /// From here on the half carries no HTTP. Returns what was read ahead.
    pub fn take_over(&mut self) -> Vec<u8> {
        self.state = State::Opaque;
        self.gather.take()
    }

    /// Everything from here to the close is content. Returns what was read ahead.
    pub fn read_until_close(&mut self) -> Vec<u8> {
        self.state = State::UntilClose;
        self.gather.take()
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
                self.state = self.behind_body();
                Some(self.ending(true, Anomalies::default(), None, 0))
            }
            State::BodyUnknown => {
                self.state = State::Lost;
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

    pub(super) fn ending(
        &self,
        complete: bool,
        anomalies: Anomalies,
        trailers: Option<Box<Head>>,
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
                    self.n_empty = self.n_empty.saturating_add(n as u64);
                    if bytes.is_empty() {
                        return None;
                    }
                    self.first = input.mark;
                    self.gather.begin();
                    self.state = State::Head;
                }
                State::Head => {
                    let (used, gathered) = self.gather.read(bytes);
                    bytes = self.advance(input, used);
                    match gathered {
                        Gathered::More => {}
                        Gathered::Head(whole) => return Some(self.head(whole)),
                        Gathered::NotHttp => {
                            self.state = State::Undecided;
                            return Some(Item::NotHttp { first: self.first });
                        }
                    }
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
                        self.outlook.note_doubt(&input.mark);
                        self.last = Mark { offset: self.sound, ..input.mark };
                        self.state = State::Lost;
                        return Some(self.ending(false, anomalies, None, 0));
                    }
                },
                State::Lost => {
                    // What follows a boundary that nobody can tell may still be its body.
                    let found = if self.outlook.is_doubtful(&input.mark) {
                        self.resync.handle_gap();
                        None
                    } else {
                        self.resync.search(self.role, bytes, input.mark)
                    };
                    let Some(found) = found else {
                        self.advance(input, bytes.len());
                        return None;
                    };
                    bytes = self.advance(input, found.used);
                    self.first = found.first;
                    self.gather.begin_behind(found.line);
                    self.state = State::Head;
                }
                State::Undecided
                | State::BodyDone
                | State::BodyUnknown
                | State::HeadCut { .. }
                | State::Ended => {
                    return None;
                }
            }
        }
        None
    }

    /// Hands out a head.
    pub(super) fn head(&mut self, whole: Whole) -> Item<'static> {
        let Whole { mut head, gist } = whole;
        head.anomalies = head.anomalies.union(self.outlook.of_next(&self.first));
        self.outlook.note_head(&head, gist.closes, &self.last);
        self.state = State::Undecided;
        self.n_empty = 0;
        self.sound = self.last.offset;
        Item::Head { head, gist, first: self.first, last: self.last }
    }

    fn end_of_chunked(&mut self, lines: Vec<u8>, anomalies: Anomalies) -> Item<'static> {
        let trailers = head::parse_trailers(lines);
        let anomalies = anomalies.union(trailers.anomalies);
        let trailers = (!trailers.fields().is_empty()).then(|| Box::new(trailers));
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
        self.sound = self.last.offset;
        bytes.get(skip..end).map(Item::Body)
    }
}
