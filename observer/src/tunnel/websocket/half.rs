//! One direction of a WebSocket: frames counted by opcode, messages put together, rules checked.

use super::super::{Content, Found, Part};
use super::anomaly::{Anomalies, Anomaly};
use super::frame::{Frames, Header, Item, Opcode, unmask};
use super::{Close, Counts, Message};
use crate::segment::{Direction, Timestamp};

/// RFC 6455 §5.5: control frames carry at most so much.
const MAX_CONTROL: usize = 125;

/// A control frame that ended and that the other half has to do with.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Control {
    Ping(Vec<u8>),
    Pong(Vec<u8>),
}

/// How this half is to be read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading {
    pub(super) direction: Direction,
    /// permessage-deflate was agreed on.
    pub(super) deflate: bool,
    /// Bytes of each message to keep, where messages are wanted.
    pub(super) messages: Option<usize>,
    /// The content is looked at by somebody.
    pub(super) content: bool,
}

#[derive(Debug, Default)]
pub(super) struct Half {
    frames: Frames,
    pub(super) counts: Counts,
    pub(super) anomalies: Anomalies,
    pub(super) close: Option<Close>,
    frame: Option<Header>,
    /// What the current frame counts as, also when its content is not to be believed.
    counts_as: Option<Opcode>,
    control: Vec<u8>,
    message: Option<Message>,
}

impl Half {
    pub(super) fn is_blind(&self) -> bool {
        self.frames.is_blind()
    }

    pub(super) fn content_left(&self) -> u64 {
        self.frames.content_left()
    }

    /// The current frame's content is needed: it is a control frame, or its message is shown.
    pub(super) fn needs_content(&self) -> bool {
        let is_control = self.frame.is_some_and(|f| f.opcode.is_control());
        is_control || self.message.as_ref().is_some_and(|m| m.prefix.len() < m.wanted)
    }

    pub(super) fn handle(
        &mut self,
        reading: Reading,
        time: Timestamp,
        mut part: Part<'_>,
        found: &mut Found,
        controls: &mut Vec<Control>,
    ) {
        let on_purpose = matches!(part, Part::Gap { on_purpose: true, .. });
        while let Some(item) = self.frames.next(&mut part) {
            match item {
                Item::Header(header) => self.begin(reading, time, header),
                Item::Content { bytes, at } => {
                    self.count_content(bytes.len() as u64);
                    self.content(reading, bytes, at, found);
                }
                Item::ContentGap(n) => {
                    self.count_content(n);
                    self.gap(reading, n, on_purpose, found);
                }
                Item::End => self.end(reading, time, found, controls),
                Item::Lost => {
                    self.message = None;
                    if reading.content {
                        found.content.push(Content::Gap(0));
                    }
                }
            }
        }
    }

    fn begin(&mut self, reading: Reading, time: Timestamp, header: Header) {
        self.check(reading, header);
        let count = self.counts.of_mut(header.opcode);
        count.n_frames = count.n_frames.saturating_add(1);
        self.counts_as = Some(header.opcode);
        self.frame = Some(header);
        self.control.clear();
        match header.opcode {
            Opcode::Text | Opcode::Binary => {
                self.message = Some(Message {
                    direction: reading.direction,
                    opcode: header.opcode,
                    first: time,
                    last: time,
                    n_bytes: header.length,
                    n_frames: 1,
                    n_lost: 0,
                    is_compressed: header.reserved & RSV1 != 0,
                    prefix: Vec::new(),
                    wanted: reading.messages.unwrap_or(0),
                });
            }
            Opcode::Continuation => {
                if let Some(message) = self.message.as_mut() {
                    message.n_bytes = message.n_bytes.saturating_add(header.length);
                    message.n_frames = message.n_frames.saturating_add(1);
                }
            }
            Opcode::Close | Opcode::Ping | Opcode::Pong | Opcode::Reserved(_) => {}
        }
    }

    /// Counts content as it passes: a header may announce 2⁶³ bytes, and the flow end behind ten.
    fn count_content(&mut self, n: u64) {
        let Some(opcode) = self.counts_as else { return };
        let count = self.counts.of_mut(opcode);
        count.n_bytes = count.n_bytes.saturating_add(n);
    }

    /// Holds a header against RFC 6455 §5.
    fn check(&mut self, reading: Reading, header: Header) {
        let mut note = |anomaly, is_broken: bool| {
            if is_broken {
                self.anomalies.insert(anomaly);
            }
        };
        let from_client = reading.direction == Direction::ToServer;
        let is_control = header.opcode.is_control();
        note(Anomaly::UnmaskedFromClient, from_client && header.mask.is_none());
        note(Anomaly::MaskedFromServer, !from_client && header.mask.is_some());
        note(Anomaly::InvalidFrameLength, header.is_odd_length);
        note(Anomaly::ReservedOpcode, matches!(header.opcode, Opcode::Reserved(_)));
        // RFC 7692 §6: RSV1 on the first frame of a compressed message and nowhere else.
        let may_be_compressed =
            reading.deflate && matches!(header.opcode, Opcode::Text | Opcode::Binary);
        let allowed = if may_be_compressed { RSV1 } else { 0 };
        note(Anomaly::ReservedBits, header.reserved & !allowed != 0);
        let is_long = header.length > MAX_CONTROL as u64;
        note(Anomaly::InvalidControlFrame, is_control && (is_long || !header.is_final));
        let is_open = self.message.is_some();
        let is_first = matches!(header.opcode, Opcode::Text | Opcode::Binary);
        let is_next = header.opcode == Opcode::Continuation;
        note(Anomaly::BrokenFragments, is_first && is_open || is_next && !is_open);
        note(Anomaly::FrameAfterClose, self.close.is_some());
    }

    fn content(&mut self, reading: Reading, bytes: &[u8], at: u64, found: &mut Found) {
        let Some(frame) = self.frame else { return };
        let clear = |n: usize| {
            let mut clear = bytes.get(..n).unwrap_or(bytes).to_vec();
            if let Some(mask) = frame.mask {
                unmask(&mut clear, mask, at);
            }
            clear
        };
        if frame.opcode.is_control() {
            let room = MAX_CONTROL.saturating_sub(self.control.len());
            self.control.extend(clear(room));
            return;
        }
        let Some(message) = self.message.as_mut() else { return };
        let room = message.wanted.saturating_sub(message.prefix.len());
        if room > 0 && message.n_lost == 0 {
            message.prefix.extend(clear(room));
        }
        if reading.content && !message.is_compressed {
            found.content.push(Content::Bytes(clear(bytes.len())));
        }
    }

    fn gap(&mut self, reading: Reading, n: u64, on_purpose: bool, found: &mut Found) {
        if self.frame.is_some_and(|f| f.opcode.is_control()) {
            self.frame = self.frame.map(|f| Header { opcode: Opcode::Reserved(CUT), ..f });
            return;
        }
        if let Some(message) = self.message.as_mut()
            && !on_purpose
        {
            message.n_lost = message.n_lost.saturating_add(n);
        }
        if reading.content {
            found.content.push(Content::Gap(n));
        }
    }

    fn end(
        &mut self,
        reading: Reading,
        time: Timestamp,
        found: &mut Found,
        controls: &mut Vec<Control>,
    ) {
        let Some(frame) = self.frame.take() else { return };
        match frame.opcode {
            Opcode::Ping => controls.push(Control::Ping(std::mem::take(&mut self.control))),
            Opcode::Pong => controls.push(Control::Pong(std::mem::take(&mut self.control))),
            Opcode::Close => self.end_close(),
            Opcode::Text | Opcode::Binary | Opcode::Continuation if frame.is_final => {
                let Some(mut message) = self.message.take() else { return };
                message.last = time;
                let counts = &mut self.counts;
                counts.n_messages = counts.n_messages.saturating_add(1);
                counts.n_fragmented =
                    counts.n_fragmented.saturating_add(u64::from(message.n_frames > 1));
                counts.n_compressed =
                    counts.n_compressed.saturating_add(u64::from(message.is_compressed));
                if reading.messages.is_some() {
                    found.messages.push(message);
                }
            }
            Opcode::Text | Opcode::Binary | Opcode::Continuation | Opcode::Reserved(_) => {}
        }
    }

    /// RFC 6455 §5.5.1: a code of two bytes and a reason, or nothing.
    fn end_close(&mut self) {
        let body = std::mem::take(&mut self.control);
        let (code, reason) = match body.split_at_checked(2) {
            Some((code, reason)) => (code.try_into().ok().map(u16::from_be_bytes), reason.to_vec()),
            None => (None, Vec::new()),
        };
        if body.len() == 1 || code.is_some_and(|code| !is_sendable(code)) {
            self.anomalies.insert(Anomaly::InvalidCloseCode);
        }
        self.close.get_or_insert(Close { code, reason });
    }
}

/// RFC 6455 §7.4: codes that may stand in a close frame.
fn is_sendable(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

/// RSV1 in [`Header::reserved`].
const RSV1: u8 = 0b100;

/// Stands for the opcode of a control frame that was cut: its content is not to be believed.
const CUT: u8 = 0xff;
