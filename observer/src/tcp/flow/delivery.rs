//! Handing parts of the stream to the application: at once where they are in order, from what was
//! stored once they are.

use super::super::assembler::Piece;
use super::super::{Application, Cause, Delivery, What, Wish};
use super::{Flow, Side};
use crate::segment::{Offset, Timestamp};

impl<A: Application> Flow<A> {
    #[expect(clippy::too_many_arguments, reason = "one call passes on what a piece consists of")]
    pub(super) fn deliver(
        &mut self,
        side: Side,
        offset: Offset,
        time: Timestamp,
        acked: Option<Offset>,
        bytes: &[u8],
        uncaptured: u64,
        out: &mut A::Output,
    ) {
        let end = offset.plus(bytes.len() as u64);
        if !bytes.is_empty() {
            let half = self.half_mut(side);
            half.advance_to(end);
            half.remember(offset, bytes);
            self.tell(Delivery { side, offset, time, acked, what: What::Bytes(bytes) }, out);
        }
        if uncaptured > 0 {
            let half = self.half_mut(side);
            let upto = end.plus(uncaptured);
            half.advance_to(upto);
            let what = match half.skips_to(upto) {
                true => What::Skipped(uncaptured),
                false => What::Gap(uncaptured),
            };
            self.tell(Delivery { side, offset: end, time, acked, what }, out);
        }
    }

    pub(super) fn tell(&mut self, delivery: Delivery<'_>, out: &mut A::Output) {
        self.tell_dth_before(delivery.side, delivery.offset, out);
        let side = delivery.side;
        let Some(app) = self.app.as_mut() else { return };
        let wish = app.deliver(&self.facts, delivery, out);
        self.heed(side, wish);
    }

    /// Passes on what is not wanted any more of what a side sends. Returns whether there is anything.
    #[inline]
    pub(super) fn heed(&mut self, side: Side, wish: Wish) -> bool {
        if !self.may_skip || wish == Wish::All {
            return false;
        }
        match wish {
            Wish::All => {}
            Wish::Without(n) => self.asks |= self.half_mut(side).skip_next(n),
            Wish::Quiet => self.be_quiet(),
            Wish::Nothing => {
                self.asks |= !self.unwanted;
                self.unwanted = true;
            }
        }
        true
    }

    /// Delivers whatever is contiguous and acknowledges only what was delivered.
    pub(super) fn drain(&mut self, out: &mut A::Output) {
        if self.facts.halves.iter().all(|h| h.pending.is_empty() && h.fin.is_none()) {
            return;
        }
        let mut progress = true;
        while progress {
            progress = false;
            for side in [Side::Low, Side::High] {
                while self.deliver_first(side, out) {
                    progress = true;
                }
                progress |= self.deliver_fin(side, out);
            }
        }
    }

    pub(super) fn deliver_first(&mut self, side: Side, out: &mut A::Output) -> bool {
        let half = self.half(side);
        let ready = half
            .pending
            .first()
            .is_some_and(|p| p.offset <= half.next() && self.half(side.opposite()).covers(p.acked));
        if ready {
            self.deliver_next(side, out);
        }
        ready
    }

    /// Delivers the piece that lies at the half's position, or its end.
    pub(super) fn deliver_next(&mut self, side: Side, out: &mut A::Output) {
        if let Some(piece) = self.half_mut(side).pending.pop_first() {
            let Piece { offset, time, acked, bytes, uncaptured } = piece;
            self.deliver(side, offset, time, acked, &bytes, uncaptured, out);
        } else if let Some(time) = self.half(side).fin.as_ref().map(|fin| fin.time) {
            self.end_half(side, time, Cause::Fin, out);
        }
    }

    pub(super) fn deliver_fin(&mut self, side: Side, out: &mut A::Output) -> bool {
        let half = self.half(side);
        let Some(fin) = half.fin.as_deref() else { return false };
        let time = fin.time;
        let ready = !half.ended
            && half.pending.is_empty()
            && fin.offset <= half.next()
            && self.half(side.opposite()).covers(fin.acked);
        if ready {
            self.end_half(side, time, Cause::Fin, out);
        }
        ready
    }

    pub(super) fn end_half(
        &mut self,
        side: Side,
        time: Timestamp,
        cause: Cause,
        out: &mut A::Output,
    ) {
        if self.half(side).ended {
            return;
        }
        self.half_mut(side).ended = true;
        let offset = self.half(side).next();
        // Whether a FIN was sent in answer to the other one.
        let fin = self.half(side).fin.as_ref().filter(|_| cause == Cause::Fin);
        let acked = fin.and_then(|f| f.acked);
        self.tell(Delivery { side, offset, time, acked, what: What::End(cause) }, out);
    }
}
