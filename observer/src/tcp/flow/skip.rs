//! Bytes that the capture leaves out because nobody wants them: asking for it, and passing over them
//! when a later segment shows that they have gone by.

use std::collections::VecDeque;

use super::super::{Application, Delivery, What};
use super::{Flow, Side};
use crate::segment::{Directive, Offset, Segment, TcpFlags, Timestamp};

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
        for (side, from_high) in [(Side::Low, false), (Side::High, true)] {
            if let Some(until) = self.half_mut(side).take_skip_order() {
                out.push_back(Directive::Skip { flow, from_high, until });
            }
        }
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
            self.half_mut(side).note_skip(until);
        }
        if let Some(acked) = acked {
            self.pass_upto(side.opposite(), acked, segment.time, out);
        }
        let shows_position = segment.payload_len > 0
            || segment.flags.contains(TcpFlags::FIN)
            || segment.flags.contains(TcpFlags::RST);
        if shows_position && let Some(offset) = self.half(side).offset_of(segment.seq) {
            self.pass_upto(side, offset, segment.time, out);
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
