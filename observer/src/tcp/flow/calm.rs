//! The segment that nearly every one is, of a flow that is as nearly every one: in order, of no
//! special kind, and nothing waits, is left out, has ended or was damaged.
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
        if !self.calm || !is_plain(segment) {
            return false;
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
            self.calm = self.is_calm();
        }
        true
    }

    /// Whether everything is as it is nearly always.
    pub(super) fn is_calm(&self) -> bool {
        self.phase == Phase::Open
            && !matches!(self.facts.handshake, Handshake::Begun(_))
            && self.facts.halves.iter().all(Half::is_calm)
    }
}

/// Whether the segment says nothing but what it carries and acknowledges, and is whole.
fn is_plain(segment: &Segment<'_>) -> bool {
    const SPECIAL: u16 =
        TcpFlags::SYN.0 | TcpFlags::FIN.0 | TcpFlags::RST.0 | TcpFlags::DTH.0 | TcpFlags::ACK.0;
    let Origin { records_lost, damaged, from_start, skip_until, .. } = segment.origin;
    segment.flags.0 & SPECIAL == TcpFlags::ACK.0
        // See `handle_ack`.
        && segment.ack != SeqNumber(0)
        && segment.payload.len() == segment.payload_len as usize
        && records_lost == 0
        && !damaged
        && from_start.is_none()
        && skip_until.is_none()
}
