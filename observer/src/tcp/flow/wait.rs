//! Waiting for missing bytes, and giving them up: by what the peer acknowledged, by time, by bound.

use super::super::half::Half;
use super::super::{Application, Delivery, Limits, What};
use super::{Flow, Side};
use crate::segment::{Offset, Timestamp};

/// Why something that was captured cannot be delivered.
enum Blocked {
    /// Bytes of this half up to here are missing.
    Missing { side: Side, upto: Offset },
    /// Each half's next segment acknowledges more of the other than was seen: one of them was sent
    /// again later, with a later acknowledgement. This half's goes first.
    Mutual { side: Side },
}

impl<A: Application> Flow<A> {
    /// Past its share of memory a half stops waiting for what is missing.
    pub(super) fn enforce_bounds(&mut self, limits: &Limits, now: Timestamp, out: &mut A::Output) {
        while self.facts.halves.iter().any(|h| {
            h.pending.n_bytes() > limits.half_bytes || h.pending.n_pieces() > limits.half_pieces
        }) && self.unblock(now, out)
        {}
    }

    pub(super) fn gap_deadline(&self, limits: &Limits) -> Option<Timestamp> {
        let since = self.facts.halves.iter().filter_map(Half::waiting_since).min()?;
        let evidence = self.facts.halves.iter().any(Half::hole_is_acknowledged)
            || self.facts.halves.iter().any(|h| !h.seen);
        Some(since.after(if evidence { limits.reorder_ns } else { limits.gap_ns }))
    }

    /// Gives up what blocks delivery. Returns false when nothing was blocked.
    pub(super) fn unblock(&mut self, now: Timestamp, out: &mut A::Output) -> bool {
        match self.blocked() {
            None => return false,
            Some(Blocked::Missing { side, upto }) => {
                let offset = self.half(side).next();
                self.half_mut(side).advance_to(upto);
                let what = What::Gap(upto.since(offset));
                self.tell(Delivery { side, offset, time: now, acked: None, what }, out);
            }
            Some(Blocked::Mutual { side }) => self.deliver_next(side, out),
        }
        self.drain(out);
        true
    }

    /// What to give up first.
    fn blocked(&self) -> Option<Blocked> {
        let sides = [Side::Low, Side::High];
        // First the holes that the peer's acknowledgement proves.
        for side in sides {
            let half = self.half(side);
            let Some(end) = self.hole_end(side) else { continue };
            if half.hole_is_acknowledged() {
                return Some(Blocked::Missing { side, upto: end.min(half.max_acked) });
            }
        }
        // Then bytes that a waiting segment of the other half acknowledges and nobody has seen.
        for side in sides {
            let (half, opposite) = (self.half(side), self.half(side.opposite()));
            let Some((offset, Some(acked))) = half.waiting_for() else { continue };
            if offset > half.next() || opposite.covers(Some(acked)) {
                continue;
            }
            let waiting = opposite.waiting_for();
            if waiting.is_some_and(|(offset, _)| offset <= opposite.next()) {
                return Some(Blocked::Mutual { side: side.opposite() });
            }
            let end = self.hole_end(side.opposite()).unwrap_or(Offset(u64::MAX));
            return Some(Blocked::Missing { side: side.opposite(), upto: acked.min(end) });
        }
        // Last the holes that only time speaks for.
        sides
            .into_iter()
            .find_map(|side| Some(Blocked::Missing { side, upto: self.hole_end(side)? }))
    }

    /// Where the missing bytes at `next` end: at a stored piece, or at the FIN.
    fn hole_end(&self, side: Side) -> Option<Offset> {
        let half = self.half(side);
        if half.ended {
            return None;
        }
        let piece = half.pending.first().map(|p| p.offset);
        piece.or(half.fin.as_ref().map(|f| f.offset)).filter(|&end| end > half.next())
    }
}
