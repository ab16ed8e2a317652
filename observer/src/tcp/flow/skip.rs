//! Bytes that the capture leaves out because nobody wants them: asking for it, and passing over them
//! when a later segment shows that they have gone by.

use std::collections::VecDeque;

use observer_common::flow::TICK_SHIFT;
use observer_common::skip::QUIET_SIGN_OF_LIFE;

use super::super::{Application, Delivery, What};
use super::{Flow, Order, Side};
use crate::segment::{Directive, Offset, Segment, TcpFlags, Timestamp};

/// A quiet half gives a record for the first bytes that come so long after its last one.
const SIGN_OF_LIFE_NS: u64 = (QUIET_SIGN_OF_LIFE as u64) << TICK_SHIFT;

impl<A: Application> Flow<A> {
    pub(in super::super) fn has_directives(&self) -> bool {
        self.asks
    }

    /// Hands over what is to be asked of the capture.
    pub(in super::super) fn take_directives(&mut self, out: &mut VecDeque<Directive>) {
        self.asks = false;
        let flow = self.facts.key;
        if self.unwanted {
            out.push_back(Directive::Forget(flow));
            return;
        }
        if self.quiet == Order::Due {
            self.quiet = Order::Given;
            out.push_back(Directive::Quiet(flow));
        }
        for (side, from_high) in [(Side::Low, false), (Side::High, true)] {
            if let Some(until) = self.half_mut(side).take_skip_order() {
                out.push_back(Directive::Skip { flow, from_high, until });
            }
        }
    }

    pub(in super::super) fn is_skip_due(&self, from_high: bool) -> bool {
        self.half(if from_high { Side::High } else { Side::Low }).is_skip_due()
    }

    /// A segment shows how far both halves have come: what lies before and was to be left out has
    /// passed. Everything that is not left out was on the ring before this segment.
    pub(super) fn pass_skipped(
        &mut self,
        side: Side,
        segment: &Segment<'_>,
        acked: Option<Offset>,
        out: &mut A::Output,
    ) {
        if let Some(until) = segment.origin.skip_until {
            let half = self.half_mut(side);
            if segment.payload_len > 0 {
                // The first that is seen of a half may leave something out already.
                half.anchor_midstream(segment.seq);
            }
            half.note_skip(until);
        }
        let last_seen = std::mem::replace(&mut self.half_mut(side).last_seen, segment.time);
        if let Some(acked) = acked {
            let time = self.passed_by(self.half(side.opposite()).last_seen, segment.time);
            self.pass_upto(side.opposite(), acked, time, out);
        }
        let shows_position = segment.payload_len > 0
            || segment.flags.contains(TcpFlags::FIN)
            || segment.flags.contains(TcpFlags::RST);
        if shows_position && let Some(offset) = self.half(side).offset_of(segment.seq) {
            let time = self.passed_by(last_seen, segment.time);
            self.pass_upto(side, offset, time, out);
        }
    }

    /// When the last of the bytes had passed that a segment at `now` shows to have gone by, at the
    /// latest. Of a quiet half the capture would have shown those that came longer after its last
    /// segment.
    fn passed_by(&self, last_seen: Timestamp, now: Timestamp) -> Timestamp {
        match self.quiet {
            Order::None => now,
            Order::Due | Order::Given => now.min(last_seen.after(SIGN_OF_LIFE_NS)),
        }
    }

    /// From here on the capture leaves out all bytes of both halves.
    pub(super) fn be_quiet(&mut self) {
        if self.quiet != Order::None {
            return;
        }
        self.quiet = Order::Due;
        self.asks = true;
        for half in &mut self.facts.halves {
            half.skip_all();
        }
    }

    fn pass_upto(&mut self, side: Side, upto: Offset, time: Timestamp, out: &mut A::Output) {
        let half = self.half_mut(side);
        let offset = half.next();
        let Some(upto) = half.skipped_upto(upto) else { return };
        half.advance_to(upto);
        let what = What::Skipped(upto.since(offset));
        self.tell(Delivery { side, offset, time, acked: None, what }, out);
        self.drain(out);
    }
}
