//! The segment that nearly every one is, of a flow that is as nearly every one: in order, of no
//! special kind, and nothing waits, is left out, has ended or was damaged. And the one that is so but
//! for a body that the capture leaves out.
//!
//! What the general way does with it, in a dozen looks at what may be otherwise, is done here at
//! once, and leaves the same behind. What is otherwise is left to it before anything has changed.

use super::super::half::Half;
use super::facts::Handshake;
use super::{Application, Delivery, Flow, Phase, Side, What};
use crate::segment::{Origin, Segment, SeqNumber, TcpFlags};

impl<A: Application> Flow<A> {
    /// Takes the segment if it is such. Returns whether it did.
    #[inline]
    pub(in super::super) fn handle_calm(
        &mut self,
        segment: &Segment<'_>,
        out: &mut A::Output,
    ) -> bool {
        let Segment { time, flags, seq, ack, payload, .. } = *segment;
        if self.pace != Pace::Calm || !is_whole(segment) || !is_plain(segment) {
            return self.handle_left_out(segment, out);
        }
        let side = if segment.source == self.facts.key.low { Side::Low } else { Side::High };
        let [low, high] = &mut self.facts.halves;
        let (half, opposite) = if side == Side::Low { (low, high) } else { (high, low) };
        let Some(acked) = opposite.offset_of(ack) else { return false };
        let covered = opposite.covers(Some(acked));
        let is_next = covered && half.next_seq() == Some(seq);
        if !is_next && !payload.is_empty() {
            return false;
        }
        self.last_seen = self.last_seen.max(time);
        if segment.origin.srtt_us != 0 {
            self.facts.srtt_us = segment.origin.srtt_us;
        }
        opposite.max_acked = opposite.max_acked.max(acked);
        half.note_flags(flags);
        half.last_seen = time;
        if payload.is_empty() {
            return true;
        }
        let offset = half.next();
        half.advance_to(offset.plus(payload.len() as u64));
        half.remember(offset, payload);
        let Some(app) = self.app.as_mut() else { return true };
        let what = What::Bytes(payload);
        let wish = app.deliver(
            &self.facts,
            Delivery { side, offset, time, acked: Some(acked), what },
            out,
        );
        if self.heed(side, wish) {
            self.pace = self.find_pace();
        }
        true
    }

    /// Takes the segment if it is such but for bytes of its half, or of the other one, that the capture
    /// leaves out, as long as it tells of its own bytes alone: what was left out before has been told.
    #[inline(never)]
    fn handle_left_out(&mut self, segment: &Segment<'_>, out: &mut A::Output) -> bool {
        let Segment { time, flags, seq, ack, payload, payload_len, .. } = *segment;
        if self.pace == Pace::Uneasy || !is_plain(segment) {
            return false;
        }
        let Some(n_left_out) = (payload_len as usize).checked_sub(payload.len()) else {
            return false;
        };
        let side = if segment.source == self.facts.key.low { Side::Low } else { Side::High };
        let may_skip = self.may_skip;
        let [low, high] = &mut self.facts.halves;
        let (half, opposite) = if side == Side::Low { (low, high) } else { (high, low) };
        let Some(acked) = opposite.offset_of(ack) else { return false };
        let is_next = half.next_seq() == Some(seq);
        if opposite.skipped_upto(acked).is_some() {
            return false;
        }
        if payload_len > 0 && !(is_next && opposite.covers(Some(acked))) {
            return false;
        }
        self.last_seen = self.last_seen.max(time);
        if segment.origin.srtt_us != 0 {
            self.facts.srtt_us = segment.origin.srtt_us;
        }
        opposite.max_acked = opposite.max_acked.max(acked);
        half.note_flags(flags);
        half.last_seen = time;
        if let Some(until) = segment.origin.skip_until.filter(|_| may_skip) {
            half.note_skip(until);
        }
        let offset = half.next();
        if payload_len > 0 {
            self.deliver(side, offset, time, Some(acked), payload, n_left_out as u64, out);
        }
        self.pace = self.find_pace();
        true
    }

    /// How much of everything is as it is nearly always.
    pub(super) fn find_pace(&self) -> Pace {
        let is_usual = self.phase == Phase::Open
            && !matches!(self.facts.handshake, Handshake::Begun(_))
            && self.facts.halves.iter().all(Half::is_usual);
        match is_usual {
            false => Pace::Uneasy,
            true if self.facts.halves.iter().any(Half::skips_next) => Pace::LeavesOut,
            true => Pace::Calm,
        }
    }
}

/// Known behind a segment, and never believed to be calmer than it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pace {
    /// Nothing is out of the ordinary.
    Calm,
    /// The same, but that bytes of a half are being left out.
    LeavesOut,
    Uneasy,
}

/// Whether nothing was left out of the segment, nor is to be left out behind it.
fn is_whole(segment: &Segment<'_>) -> bool {
    segment.payload.len() == segment.payload_len as usize && segment.origin.skip_until.is_none()
}

/// Whether the segment says nothing but what it carries and acknowledges, and is sound.
fn is_plain(segment: &Segment<'_>) -> bool {
    const SPECIAL: u16 =
        TcpFlags::SYN.0 | TcpFlags::FIN.0 | TcpFlags::RST.0 | TcpFlags::DTH.0 | TcpFlags::ACK.0;
    let Origin { records_lost, damaged, from_start, .. } = segment.origin;
    segment.flags.0 & SPECIAL == TcpFlags::ACK.0
        // See `handle_ack`.
        && segment.ack != SeqNumber(0)
        && records_lost == 0
        && !damaged
        && from_start.is_none()
}
