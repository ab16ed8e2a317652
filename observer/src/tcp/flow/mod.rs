//! Both halves of one TCP connection, and the order in which their bytes are delivered.
//!
//! Delivery is causal: a segment is delivered after everything of the opposite half that it
//! acknowledges, so that a response never comes out before the request that it answers, even where
//! the capture shows them the other way round. What the peer acknowledged and the capture does not
//! have is a gap; it is declared after a short wait, because captures from several queues are
//! reordered by some milliseconds.
//!
//! Knows nothing of what the bytes mean.

mod calm;
mod delivery;
mod dth;
mod facts;
mod skip;
mod wait;

use std::hash::BuildHasher as _;

use self::calm::Pace;
use self::facts::Handshake;
use super::assembler::Piece;
use super::half::{self, Fin, Half};
use super::{Application, Cause, Delivery, Limits, What};
use crate::segment::{FlowKey, Offset, Segment, SeqNumber, TcpFlags, Timestamp};

pub use self::facts::{Facts, Place, Side};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Open,
    /// A reset was seen; segments that were in flight may still come until `until`.
    Reset {
        by: Side,
        until: Timestamp,
    },
    /// Everything was told.
    Closed,
}

/// Whether the flow table should replace the flow by a new one for the same ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Taken,
    Reused,
}

#[derive(Debug)]
pub(super) struct Flow<A> {
    pub(super) facts: Facts,
    pub(super) last_seen: Timestamp,
    phase: Phase,
    app: Option<A>,
    /// The capture can be asked to leave bytes out.
    may_skip: bool,
    /// Something is to be asked of the capture.
    asks: bool,
    /// Its bytes, or nothing of it at all, are not wanted any more; whether that is still to be said.
    quiet: Order,
    unwanted: bool,
    /// As [`Flow::find_pace`] has it.
    pace: Pace,
}

/// Something that is asked of the capture once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    None,
    Due,
    Given,
}

impl<A: Application> Flow<A> {
    /// A flow begins with a SYN or with data, or with an announced death (RFC 9401); another bare
    /// ACK, FIN or RST of an unknown flow tells nothing.
    pub(super) fn begins_with(segment: &Segment<'_>) -> bool {
        let rst = segment.flags.contains(TcpFlags::RST);
        let dth = segment.flags.contains(TcpFlags::DTH);
        (segment.flags.contains(TcpFlags::SYN) || segment.payload_len > 0 || dth) && !rst
    }

    pub(super) fn new(segment: &Segment<'_>, may_skip: bool) -> Self {
        let key = FlowKey::of(segment);
        let name = foldhash::quality::FixedState::with_seed(1);
        let facts = Facts {
            key,
            id: name.hash_one((key, segment.time)),
            opened: segment.time,
            initiator: None,
            handshake: Handshake::Unseen,
            origin: Place::of(&segment.origin),
            srtt_us: 0,
            adjusted_count: 1,
            halves: [Half::default(), Half::default()],
        };
        let app = Some(A::open(&facts));
        Self {
            facts,
            last_seen: segment.time,
            phase: Phase::Open,
            app,
            may_skip,
            asks: false,
            quiet: Order::None,
            unwanted: false,
            pace: Pace::Uneasy,
        }
    }

    pub(super) fn n_buffered(&self) -> usize {
        self.facts.halves.iter().map(|h| h.pending.n_bytes()).sum()
    }

    pub(super) fn is_closed(&self) -> bool {
        self.phase == Phase::Closed
    }

    /// Nothing is under way on it, and nothing waits to be delivered.
    pub(super) fn is_at_rest(&self) -> bool {
        self.phase == Phase::Open
            && self.n_buffered() == 0
            && self.facts.halves.iter().all(|half| half.facts().dth().is_none())
            && self.app.as_ref().is_some_and(A::is_at_rest)
    }

    fn half(&self, side: Side) -> &Half {
        let [low, high] = &self.facts.halves;
        match side {
            Side::Low => low,
            Side::High => high,
        }
    }

    fn half_mut(&mut self, side: Side) -> &mut Half {
        let [low, high] = &mut self.facts.halves;
        match side {
            Side::Low => low,
            Side::High => high,
        }
    }

    /// Takes one segment of this flow.
    pub(super) fn handle_segment(
        &mut self,
        segment: &Segment<'_>,
        limits: &Limits,
        out: &mut A::Output,
    ) -> Outcome {
        let side = if segment.source == self.facts.key.low { Side::Low } else { Side::High };
        if segment.flags.contains(TcpFlags::SYN) && !self.handle_syn(side, segment.seq) {
            return Outcome::Reused;
        }
        self.last_seen = self.last_seen.max(segment.time);
        self.note_facts(side, segment);
        if let Some(by_sender) = segment.origin.from_start {
            self.handle_known_start(side, by_sender, segment);
        }
        let acked = self.handle_ack(side, segment);
        if self.may_skip {
            self.pass_skipped(side, segment, acked, out);
        }
        if segment.flags.contains(TcpFlags::RST) {
            self.handle_reset(side, segment, limits);
        }
        self.note_dth(side, segment);
        self.handle_payload(side, segment, acked, out);
        self.drain(out);
        self.enforce_bounds(limits, segment.time, out);
        self.tell_bare_dth(false, out);
        self.close_if_ended(segment.time, out);
        self.pace = self.find_pace();
        Outcome::Taken
    }

    fn note_facts(&mut self, side: Side, segment: &Segment<'_>) {
        let origin = &segment.origin;
        if segment.flags.contains(TcpFlags::SYN) {
            if segment.flags.contains(TcpFlags::ACK) {
                self.facts.initiator = Some(side.opposite());
            } else {
                self.facts.initiator = Some(side);
                if self.facts.handshake == Handshake::Unseen {
                    self.facts.handshake = Handshake::Begun(segment.time);
                }
            }
        } else if let Handshake::Begun(syn) = self.facts.handshake
            && self.facts.initiator == Some(side)
            && self.half(side.opposite()).seen
        {
            self.facts.handshake = Handshake::Took(segment.time.since(syn));
        }
        if origin.srtt_us != 0 {
            self.facts.srtt_us = origin.srtt_us;
        }
        self.half_mut(side).note_segment(segment);
    }

    /// The handshake was seen by whoever captured, and not passed on: this is the first segment of
    /// its half, and what it acknowledges is where the other half begins.
    fn handle_known_start(&mut self, side: Side, by_sender: bool, segment: &Segment<'_>) {
        let opposite = side.opposite();
        self.facts.initiator = Some(if by_sender { side } else { opposite });
        if !segment.flags.contains(TcpFlags::SYN) {
            self.handle_syn(side, segment.seq.minus(1));
        }
        if segment.flags.contains(TcpFlags::ACK) {
            // What is acknowledged is a SYN, so the other end has spoken.
            self.handle_syn(opposite, segment.ack.minus(1));
            let half = self.half_mut(opposite);
            half.seen = true;
            half.facts_mut().flags = half.facts().flags.union(TcpFlags::SYN);
        }
    }

    /// Takes a half's initial sequence number; false when it cannot be that of this flow.
    fn handle_syn(&mut self, side: Side, isn: SeqNumber) -> bool {
        let referred = self.half(side.opposite()).refers();
        self.half_mut(side).handle_syn(isn, referred)
    }

    /// Learns from the acknowledgement number; returns the position it acknowledges.
    fn handle_ack(&mut self, side: Side, segment: &Segment<'_>) -> Option<Offset> {
        // RFC 9293 §3.10.7: a segment without ACK, or a reset that answers nothing, tells nothing.
        // Nor does a zero: captures made by hand have it, and one real segment in four billion.
        if !segment.flags.contains(TcpFlags::ACK) || segment.ack == SeqNumber(0) {
            return None;
        }
        let opposite = self.half_mut(side.opposite());
        opposite.anchor_midstream(segment.ack);
        opposite.acknowledged(segment.ack)
    }

    fn handle_reset(&mut self, side: Side, segment: &Segment<'_>, limits: &Limits) {
        let half = self.half(side);
        let credible = !half.is_anchored()
            || half
                .offset_of(segment.seq)
                .is_some_and(|o| o.since(half.next()) <= limits.reset_window)
                && half
                    .offset_of(segment.seq)
                    .is_some_and(|o| half.next().since(o) <= limits.reset_window);
        if credible && self.phase == Phase::Open {
            self.phase = Phase::Reset { by: side, until: segment.time.after(limits.linger_ns) };
        }
    }

    fn handle_payload(
        &mut self,
        side: Side,
        segment: &Segment<'_>,
        acked: Option<Offset>,
        out: &mut A::Output,
    ) {
        // Data in a SYN (RFC 7413) comes after the SYN's own sequence number.
        let syn = segment.flags.contains(TcpFlags::SYN);
        let seq = if syn { segment.seq.plus(1) } else { segment.seq };
        let len = u64::from(segment.payload_len);
        if segment.flags.contains(TcpFlags::FIN) {
            let half = self.half_mut(side);
            half.anchor_midstream(seq);
            if let Some(offset) = half.offset_of(seq).filter(|_| half.fin.is_none()) {
                let fin = Fin { offset: offset.plus(len), acked, time: segment.time };
                half.fin = Some(Box::new(fin));
            }
        }
        // The payload of a reset is a message for people (RFC 9293 §3.10.7.2), not stream data.
        if len == 0 || segment.flags.contains(TcpFlags::RST) {
            return;
        }
        let covered = self.half(side.opposite()).covers(acked);
        let half = self.half_mut(side);
        if half.ended {
            return;
        }
        match half.place(seq, len) {
            half::Place::Old => half.handle_retransmission(seq, segment.payload),
            half::Place::Elsewhere => half.note_out_of_window(),
            half::Place::New { offset, skip } => {
                let bytes = segment.payload.get(skip..).unwrap_or_default();
                let uncaptured = len.saturating_sub(skip as u64).saturating_sub(bytes.len() as u64);
                let in_order = offset == half.next() && half.pending.is_empty() && covered;
                if in_order {
                    self.deliver(side, offset, segment.time, acked, bytes, uncaptured, out);
                } else {
                    let bytes = bytes.to_vec();
                    half.store(Piece { offset, time: segment.time, acked, bytes, uncaptured });
                }
            }
        }
    }

    fn close_if_ended(&mut self, now: Timestamp, out: &mut A::Output) {
        if !self.is_closed() && self.facts.halves.iter().all(|h| h.ended) {
            self.close(now, Cause::Fin, out);
        }
    }

    /// When `handle_timeout` has something to do.
    pub(super) fn deadline(&self, limits: &Limits) -> Timestamp {
        match self.phase {
            Phase::Reset { until, .. } => until,
            Phase::Closed => Timestamp(u64::MAX),
            Phase::Open => {
                let idle = self.last_seen.after(limits.idle_ns);
                self.gap_deadline(limits).map_or(idle, |gap| gap.min(idle))
            }
        }
    }

    /// Acts on the deadline.
    pub(super) fn handle_timeout(&mut self, now: Timestamp, limits: &Limits, out: &mut A::Output) {
        self.pace = Pace::Uneasy;
        match self.phase {
            Phase::Reset { by, until } if until <= now => {
                self.close(until, Cause::Reset { by }, out);
            }
            Phase::Reset { .. } | Phase::Closed => {}
            Phase::Open => {
                while self.gap_deadline(limits).is_some_and(|deadline| deadline <= now)
                    && self.unblock(now, out)
                {}
                self.close_if_ended(now, out);
                if !self.is_closed() && self.last_seen.after(limits.idle_ns) <= now {
                    self.close(now, Cause::Timeout, out);
                }
            }
        }
    }

    /// The sequence numbers behind the last byte of each half.
    pub(super) fn ends(&self) -> [Option<SeqNumber>; 2] {
        let [low, high] = &self.facts.halves;
        [low.next_seq(), high.next_seq()]
    }

    /// Tells everything that is left and ends both halves.
    pub(super) fn close(&mut self, now: Timestamp, cause: Cause, out: &mut A::Output) {
        if self.is_closed() {
            return;
        }
        self.pace = Pace::Uneasy;
        // Whatever cuts short the wait for segments in flight: it was the reset that ended the flow.
        let cause = match (self.phase, cause) {
            (Phase::Reset { by, .. }, Cause::Evicted | Cause::Reused | Cause::CaptureEnd) => {
                Cause::Reset { by }
            }
            _ => cause,
        };
        self.drain(out);
        while self.unblock(now, out) {}
        // Both had closed, and only bytes that never came stood between that and here.
        let cause = match cause {
            Cause::Evicted | Cause::Reused | Cause::CaptureEnd | Cause::Timeout
                if self.facts.halves.iter().all(|half| half.ended) =>
            {
                Cause::Fin
            }
            _ => cause,
        };
        for side in [Side::Low, Side::High] {
            let half = self.half(side);
            if half.hole_is_acknowledged() && half.seen && !half.ended {
                let (offset, upto) = (half.next(), half.max_acked);
                self.half_mut(side).advance_to(upto);
                let what = What::Gap(upto.since(offset));
                self.tell(Delivery { side, offset, time: now, acked: None, what }, out);
            }
        }
        let first = self.facts.initiator.unwrap_or(Side::Low);
        for side in [first, first.opposite()] {
            self.end_half(side, now, cause, out);
        }
        self.tell_bare_dth(true, out);
        if let Some(app) = self.app.take() {
            app.close(&self.facts, now, cause, out);
        }
        self.phase = Phase::Closed;
    }
}
