//! The DTH bit (RFC 9401): what of a half carried it, and the moment to say so.

use super::super::Application;
use super::super::half::DthFacts;
use super::{Flow, Side};
use crate::segment::{Offset, Segment, TcpFlags};

impl<A: Application> Flow<A> {
    /// Takes note of the bit, before what the segment carries is delivered.
    pub(super) fn note_dth(&mut self, side: Side, segment: &Segment<'_>) {
        if !segment.flags.contains(TcpFlags::DTH) {
            return;
        }
        let handshake = segment.flags.contains(TcpFlags::SYN);
        let half = self.half_mut(side);
        half.anchor_midstream(segment.seq);
        // The SYN takes the sequence number before the first byte (RFC 9293 §3.4).
        let seq = if handshake { segment.seq.plus(1) } else { segment.seq };
        let at = half.offset_of(seq).unwrap_or_else(|| half.next());
        let end = at.plus(u64::from(segment.payload_len));
        // A segment without payload speaks for the byte before it.
        let start = if end > at { at } else { Offset(at.0.saturating_sub(1)) };
        let facts = half.facts_mut();
        let dth = facts.dth.get_or_insert(DthFacts {
            at,
            time: segment.time,
            handshake,
            start,
            end,
            n_segments: 0,
        });
        dth.start = dth.start.min(start);
        dth.end = dth.end.max(end);
        dth.n_segments = dth.n_segments.saturating_add(1);
    }

    /// Tells the application of a half's first flag, once everything up to it is delivered.
    pub(super) fn tell_dth(&mut self, at_any_rate: bool, out: &mut A::Output) {
        for side in [Side::Low, Side::High] {
            let half = self.half(side);
            let Some(dth) = half.facts().dth.filter(|_| !half.dth_told) else { continue };
            if !at_any_rate && half.next() < dth.at && !half.ended {
                continue;
            }
            self.half_mut(side).dth_told = true;
            self.facts.halves = [*self.halves[0].facts(), *self.halves[1].facts()];
            if let Some(app) = self.app.as_mut() {
                app.handle_dth(&self.facts, side, out);
            }
        }
    }
}
