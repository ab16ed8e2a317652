//! A WebSocket (RFC 6455): both halves, and what only both together tell.

mod anomaly;
mod frame;
mod half;

pub use self::anomaly::{Anomalies, Anomaly};
pub use self::frame::Opcode;
use self::half::{Control, Half, Reading};
use super::{Both, Found, Part};
use crate::segment::{Direction, Timestamp};

/// Frames and their content.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    pub n_frames: u64,
    /// Content without headers, as far as it passed.
    pub n_bytes: u64,
}

/// What one half has sent. Complete only while boundaries are known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub continuation: Count,
    pub text: Count,
    pub binary: Count,
    pub close: Count,
    pub ping: Count,
    pub pong: Count,
    pub reserved: Count,
    /// Messages that ended; of those, in several frames; of those, compressed.
    pub n_messages: u64,
    pub n_fragmented: u64,
    pub n_compressed: u64,
}

impl Counts {
    fn of_mut(&mut self, opcode: Opcode) -> &mut Count {
        match opcode {
            Opcode::Continuation => &mut self.continuation,
            Opcode::Text => &mut self.text,
            Opcode::Binary => &mut self.binary,
            Opcode::Close => &mut self.close,
            Opcode::Ping => &mut self.ping,
            Opcode::Pong => &mut self.pong,
            Opcode::Reserved(_) => &mut self.reserved,
        }
    }
}

/// A close frame (RFC 6455 §5.5.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Close {
    pub code: Option<u16>,
    pub reason: Vec<u8>,
}

/// A message that ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub direction: Direction,
    pub opcode: Opcode,
    /// When its first frame began and its last one ended.
    pub first: Timestamp,
    pub last: Timestamp,
    /// Content of all its frames, as sent.
    pub n_bytes: u64,
    pub n_frames: u64,
    pub n_lost: u64,
    pub is_compressed: bool,
    /// The first bytes, unmasked; compressed where the message is.
    pub prefix: Vec<u8>,
    wanted: usize,
}

/// How long pongs took (RFC 6455 §5.5.3), by who sent the ping.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RoundTrip {
    pub n_answered: u64,
    pub min_ns: u64,
    pub max_ns: u64,
    pub last_ns: u64,
}

/// What there is to say of a WebSocket at one moment.
#[derive(Clone, Debug, Default)]
pub struct Report {
    pub deflate: bool,
    pub counts: Both<Counts>,
    /// A gap took a frame's header: from there on nothing of this half was counted.
    pub blind: Both<bool>,
    pub close: Both<Option<Close>>,
    /// By the direction of the ping.
    pub round_trip: Both<RoundTrip>,
    pub anomalies: Anomalies,
}

#[derive(Debug)]
pub(super) struct WebSocket {
    deflate: bool,
    messages: Option<usize>,
    halves: Both<Half>,
    /// The last ping of each half: a pong may answer that one alone.
    pings: Both<Option<(Vec<u8>, Timestamp)>>,
    round_trip: Both<RoundTrip>,
}

impl WebSocket {
    /// `messages`: bytes to keep of each message, where messages are wanted at all.
    pub(super) fn new(deflate: bool, messages: Option<usize>) -> Self {
        Self {
            deflate,
            messages,
            halves: Both::default(),
            pings: Both::default(),
            round_trip: Both::default(),
        }
    }

    pub(super) fn handle(
        &mut self,
        direction: Direction,
        time: Timestamp,
        part: Part<'_>,
        content: bool,
        found: &mut Found,
    ) {
        let reading =
            Reading { direction, deflate: self.deflate, messages: self.messages, content };
        let mut controls = Vec::new();
        self.halves.of_mut(direction).handle(reading, time, part, found, &mut controls);
        for control in controls {
            match control {
                Control::Ping(body) => *self.pings.of_mut(direction) = Some((body, time)),
                Control::Pong(body) => self.answer(direction.opposite(), &body, time),
            }
        }
    }

    /// A pong came for the half that may have sent a ping.
    fn answer(&mut self, pinged: Direction, body: &[u8], time: Timestamp) {
        let ping = self.pings.of_mut(pinged);
        let Some((_, sent)) = ping.take_if(|(sent, _)| sent == body) else { return };
        let ns = time.since(sent);
        let trip = self.round_trip.of_mut(pinged);
        trip.min_ns = if trip.n_answered == 0 { ns } else { trip.min_ns.min(ns) };
        trip.max_ns = trip.max_ns.max(ns);
        trip.last_ns = ns;
        trip.n_answered = trip.n_answered.saturating_add(1);
    }

    /// Where the frames of this half begin and end is lost.
    pub(super) fn is_blind(&self, direction: Direction) -> bool {
        self.halves.of(direction).is_blind()
    }

    /// The rest of the current frame, where nothing of it is needed to count or show it.
    pub(super) fn dispensable(&self, direction: Direction) -> u64 {
        let half = self.halves.of(direction);
        if half.is_blind() {
            return u64::MAX;
        }
        if half.needs_content() { 0 } else { half.content_left() }
    }

    pub(super) fn report(&self) -> Report {
        let Both { to_server, to_client } = &self.halves;
        Report {
            deflate: self.deflate,
            counts: Both { to_server: to_server.counts, to_client: to_client.counts },
            blind: Both { to_server: to_server.is_blind(), to_client: to_client.is_blind() },
            close: Both { to_server: to_server.close.clone(), to_client: to_client.close.clone() },
            round_trip: self.round_trip,
            anomalies: to_server.anomalies.union(to_client.anomalies),
        }
    }
}
