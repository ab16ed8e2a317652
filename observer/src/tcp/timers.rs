//! When each flow is next to be looked at: times and slots, the earliest first.
//!
//! An entry is never searched for. One that is outdated, because its flow has ended or is looked at
//! sooner, would stay until its time comes, and that is up to an hour (`Limits::idle_ns`): memory
//! would follow the rate of connections and not their number. So the outdated ones are thrown out
//! together whenever most entries are.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::segment::Timestamp;

/// Below this many it is not worth a look.
const FEW: usize = 4096;

/// Entries for each flow, outdated ones included, when they are thrown out.
const MAX_PER_FLOW: usize = 4;

#[derive(Debug, Default)]
pub(super) struct Timers {
    heap: BinaryHeap<Reverse<(Timestamp, u32)>>,
}

impl Timers {
    pub(super) fn push(&mut self, due: Timestamp, slot: u32) {
        self.heap.push(Reverse((due, slot)));
    }

    /// The earliest time.
    pub(super) fn peek(&self) -> Option<Timestamp> {
        self.heap.peek().map(|&Reverse((due, _))| due)
    }

    /// Takes the earliest entry out.
    pub(super) fn pop(&mut self) -> Option<(Timestamp, u32)> {
        self.heap.pop().map(|Reverse(entry)| entry)
    }

    /// Takes the earliest entry out if its time has come.
    pub(super) fn pop_due(&mut self, now: Timestamp) -> Option<(Timestamp, u32)> {
        if self.peek()? <= now { self.pop() } else { None }
    }

    pub(super) fn clear(&mut self) {
        self.heap.clear();
    }

    /// Throws out what is outdated if there are more than [`MAX_PER_FLOW`] entries for each of
    /// `n_flows`. What is left is about one for each, so this looks at each entry that was pushed
    /// once or twice in all.
    pub(super) fn tidy(&mut self, n_flows: usize, is_current: impl Fn(Timestamp, u32) -> bool) {
        let max = n_flows.saturating_mul(MAX_PER_FLOW).saturating_add(FEW);
        if self.heap.len() <= max {
            return;
        }
        self.heap.retain(|&Reverse((due, slot))| is_current(due, slot));
        self.heap.shrink_to(max);
    }

    /// Throws out what is outdated and gives its memory back.
    pub(super) fn shrink(&mut self, is_current: impl Fn(Timestamp, u32) -> bool) {
        self.heap.retain(|&Reverse((due, slot))| is_current(due, slot));
        self.heap.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outdated_entries_do_not_pile_up_and_current_ones_stay_in_order() {
        let mut timers = Timers::default();
        // One flow in slot 7 that stays, and others that come and go in slot 1.
        timers.push(Timestamp(5), 7);
        for due in 10..1_000_000 {
            timers.push(Timestamp(due), 1);
            timers.tidy(2, |at, slot| slot == 7 || at == Timestamp(due));
            assert!(timers.heap.len() <= FEW + 2 * MAX_PER_FLOW);
        }
        assert!(timers.heap.capacity() <= 4 * FEW, "{}", timers.heap.capacity());
        assert_eq!(timers.pop_due(Timestamp(4)), None);
        assert_eq!(timers.pop_due(Timestamp(5)), Some((Timestamp(5), 7)));
        assert_eq!(timers.heap.iter().max().unwrap().0.1, 1);
    }

    #[test]
    fn many_flows_keep_all_their_entries() {
        let mut timers = Timers::default();
        for slot in 0..100_000 {
            timers.push(Timestamp(u64::from(slot)), slot);
            timers.tidy(slot as usize, |_, _| true);
        }
        for slot in 0..100_000 {
            assert_eq!(timers.pop(), Some((Timestamp(u64::from(slot)), slot)));
        }
        assert_eq!(timers.peek(), None);
    }
}
