//! Connections that have ended, remembered for a while so that late copies of their segments are
//! not taken for a connection of their own: what TIME-WAIT is for (RFC 9293 §3.3.2).
//!
//! Knows where each half ended, and nothing else of it.

use std::collections::VecDeque;

use hashbrown::HashMap;

use super::flow::Side;
use crate::segment::{FlowKey, Segment, SeqNumber, TcpFlags, Timestamp};

/// Entries kept; beyond it the oldest is forgotten early.
const MAX_ENTRIES: usize = 65_536;

/// A copy is believed to be one if it lies at most this far before the end.
const MAX_BEHIND: i32 = 1 << 30;

#[derive(Debug)]
struct Entry {
    until: Timestamp,
    /// The sequence number behind the last byte of each half, where it is known.
    ends: [Option<SeqNumber>; 2],
}

/// The recently ended connections.
#[derive(Debug, Default)]
pub(super) struct Closed {
    entries: HashMap<FlowKey, Entry, foldhash::fast::RandomState>,
    order: VecDeque<(Timestamp, FlowKey)>,
}

impl Closed {
    /// Remembers a connection until `until`.
    pub(super) fn insert(&mut self, key: FlowKey, ends: [Option<SeqNumber>; 2], until: Timestamp) {
        self.entries.insert(key, Entry { until, ends });
        self.order.push_back((until, key));
        while self.order.len() > MAX_ENTRIES {
            self.forget_oldest();
        }
    }

    /// Whether `segment` is a late copy of one that an ended connection had.
    pub(super) fn is_late(&mut self, segment: &Segment<'_>) -> bool {
        self.expire(segment.time);
        if self.entries.is_empty() || segment.flags.contains(TcpFlags::SYN) {
            return false;
        }
        let key = FlowKey::of(segment);
        let Some(entry) = self.entries.get(&key) else { return false };
        let [low, high] = entry.ends;
        let side = if segment.source == key.low { Side::Low } else { Side::High };
        let end = match side {
            Side::Low => low,
            Side::High => high,
        };
        end.is_some_and(|end| {
            let behind = end.distance_from(segment.seq.plus(segment.payload_len));
            // The FIN has a sequence number of its own.
            (-1..=MAX_BEHIND).contains(&behind)
        })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    pub(super) fn expire(&mut self, now: Timestamp) {
        while self.order.front().is_some_and(|&(until, _)| until <= now) {
            self.forget_oldest();
        }
        if self.order.is_empty() && self.order.capacity() > 1024 {
            *self = Self::default();
        }
    }

    fn forget_oldest(&mut self) {
        let Some((until, key)) = self.order.pop_front() else { return };
        // The ports may have been used and closed once more since.
        if self.entries.get(&key).is_some_and(|e| e.until == until) {
            self.entries.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::segment::{Endpoint, Origin};

    /// A connection whose lower half ended before sequence number 1000, at time 0.
    #[track_caller]
    fn check(seq: u32, payload: &[u8], flags: TcpFlags, time: u64, expected: bool) {
        let (a, b) = (Endpoint::v4([10, 0, 0, 1], 1), Endpoint::v4([10, 0, 0, 2], 2));
        let mut closed = Closed::default();
        closed.insert(FlowKey::new(a, b), [Some(SeqNumber(1000)), None], Timestamp(60));
        let segment = Segment {
            time: Timestamp(time),
            source: a,
            destination: b,
            seq: SeqNumber(seq),
            ack: SeqNumber(0),
            flags,
            window: 0,
            payload_len: payload.len() as u32,
            payload,
            origin: Origin::default(),
        };
        assert_eq!(closed.is_late(&segment), expected);
    }

    #[test]
    fn copies_are_late_and_new_connections_are_not() {
        check(990, b"0123456789", TcpFlags::ACK, 1, true);
        check(1000, b"", TcpFlags::FIN, 1, true);
        check(900, b"0123456789", TcpFlags::ACK, 1, true);
        check(1000, b"0123456789", TcpFlags::ACK, 1, false);
        check(990, b"", TcpFlags::SYN, 1, false);
        check(3_000_000_000, b"x", TcpFlags::ACK, 1, false);
    }

    #[test]
    fn an_ended_connection_is_forgotten_in_time() {
        check(990, b"0123456789", TcpFlags::ACK, 60, false);
    }
}
