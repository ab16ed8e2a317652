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
        let told = half.dth_told;
        // Sent again, or a probe of an idle connection (RFC 9293 §3.8.4): it comes behind
        // everything that was sent before, and nothing of the stream comes with it.
        let next = half.next();
        let is_old = end > at && end <= next;
        let new = DthFacts {
            at: if is_old { next } else { at },
            time: segment.time,
            handshake,
            bare: is_old || end == at,
            carried: None,
            n_segments: 0,
        };
        let dth = half.dth_or_insert(new);
        if new.at < dth.at && !told {
            // Captured later and sent earlier.
            *dth = DthFacts { carried: dth.carried, n_segments: dth.n_segments, ..new };
        }
        if end > at {
            let (first, last) = dth.carried.unwrap_or((at, end));
            dth.carried = Some((first.min(at), last.max(end)));
        }
        dth.n_segments = dth.n_segments.saturating_add(1);
    }

    /// The half's stream continues at `offset`: tells of the bit first, if it is on what follows.
    pub(super) fn tell_dth_before(&mut self, side: Side, offset: Offset, out: &mut A::Output) {
        let half = self.half(side);
        let due = |dth: &DthFacts| !dth.bare && dth.at <= offset;
        if !half.dth_told && half.facts().dth().is_some_and(due) {
            self.tell_dth(side, out);
        }
    }

    /// Tells of segments without payload once everything before them is delivered; of all that is
    /// left, at the end.
    pub(super) fn tell_bare_dth(&mut self, is_end: bool, out: &mut A::Output) {
        for side in [Side::Low, Side::High] {
            let half = self.half(side);
            let due = |dth: &DthFacts| is_end || dth.bare && (half.next() >= dth.at || half.ended);
            if !half.dth_told && half.facts().dth().is_some_and(due) {
                self.tell_dth(side, out);
            }
        }
    }

    fn tell_dth(&mut self, side: Side, out: &mut A::Output) {
        self.half_mut(side).dth_told = true;
        if let Some(app) = self.app.as_mut() {
            app.handle_dth(&self.facts, side, out);
        }
    }
}
