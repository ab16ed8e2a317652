//! Which flows are followed when observer has to cost less.
//!
//! The choice is by flow and made where nothing of an exchange can be cut: when a flow opens, and
//! whenever nothing is under way on it. Whoever stays, stays with a count of how many it stands
//! for. Knows nothing of what flows carry, nor why there is too much.

use observer_common::flow;

use super::{Application, FlowTable};
use crate::segment::{Directive, FlowKey, Timestamp};

/// One flow in 2 to the power of a step is followed.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sampling {
    shift: u32,
    /// What holds for segments from this moment on.
    next: Option<(Timestamp, u32)>,
}

impl Sampling {
    /// Segments before `from` may still have been captured under the step before.
    pub(super) fn set(&mut self, shift: u32, from: Timestamp) {
        if let Some((_, shift)) = self.next.replace((from, shift)) {
            self.shift = shift;
        }
    }

    /// The step that holds for a segment of this time, for each as they come.
    pub(super) fn at(&mut self, time: Timestamp) -> u32 {
        if let Some((from, shift)) = self.next
            && from <= time
        {
            self.next = None;
            self.shift = shift;
        }
        self.shift
    }
}

impl<A: Application> FlowTable<A> {
    /// A flow that nothing is under way on is let go when it is not among those that are followed,
    /// and stands for as many as it was chosen from when it is.
    pub(super) fn sample_at_rest(&mut self, slot: u32, shift: u32) {
        let Some(entry) = self.slot_mut(slot) else { return };
        if entry.flow.facts.adjusted_count == adjusted_count(shift) || !entry.flow.is_at_rest() {
            return;
        }
        let key = entry.flow.facts.key;
        if key.is_kept(shift) {
            entry.flow.facts.adjusted_count = adjusted_count(shift);
            return;
        }
        self.stats.flows_sampled = self.stats.flows_sampled.saturating_add(1);
        self.remove(slot);
        self.leave_out(key);
    }

    pub(super) fn leave_out(&mut self, key: FlowKey) {
        if self.limits.skip {
            self.directives.push_back(Directive::LeaveOut(key));
        }
    }
}

/// How many flows one that is kept stands for.
pub(super) fn adjusted_count(shift: u32) -> u32 {
    1_u32.checked_shl(shift).unwrap_or(u32::MAX)
}

impl FlowKey {
    /// Whether the flow is among those that are kept where one in 2 to the power of `shift` is. The
    /// kernel decides by the same function.
    pub fn is_kept(&self, shift: u32) -> bool {
        let Self { low, high, netns } = *self;
        let key = flow::FlowKey::in_order((low.addr, low.port), (high.addr, high.port), netns);
        key.is_kept(shift)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_holds_from_its_time_on() {
        let mut sampling = Sampling::default();
        assert_eq!(sampling.at(Timestamp(5)), 0);
        sampling.set(3, Timestamp(10));
        assert_eq!(sampling.at(Timestamp(9)), 0);
        assert_eq!(sampling.at(Timestamp(10)), 3);
        // A segment that was overtaken comes under what holds by now.
        assert_eq!(sampling.at(Timestamp(9)), 3);
        sampling.set(4, Timestamp(20));
        sampling.set(2, Timestamp(30));
        assert_eq!(sampling.at(Timestamp(29)), 4);
        assert_eq!(sampling.at(Timestamp(30)), 2);
    }
}
