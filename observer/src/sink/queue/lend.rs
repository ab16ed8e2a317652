//! When a worker may write to a target by itself, and when the target goes back to its thread.
//!
//! Passing lines to a thread costs as much as making them where they are few: they lie in the caches
//! of the CPU that made them, and the thread has to be woken. So while a target takes what it is
//! given at once, nothing waits for it and nothing has been ordered, a worker that has few lines is
//! lent the target and writes them. What other workers push meanwhile it finds in the queue when it is through, and
//! writes that as well. The first write that the target stalls in, or does not take whole, ends
//! that: what is left is queued, as everything from then on, and the thread does what it does.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Phase, Queue};
use crate::sink::Lines;

/// What became of lines that a worker wrote itself.
#[derive(Debug, Default)]
pub(in crate::sink) struct Written {
    pub(in crate::sink) events: u64,
    pub(in crate::sink) bytes: u64,
    /// What the target did not take.
    pub(in crate::sink) rest: Option<Lines>,
    /// The target has stalled, and when that was noticed.
    pub(in crate::sink) stalled: Option<Instant>,
}

impl Queue {
    /// Lends the target to the caller, which now has `lines` in hand and is to write them. False, and
    /// nothing has changed, when anything else has to happen to the target first.
    pub(in crate::sink) fn lend(&self, lines: &Lines, now: Instant) -> bool {
        let mut state = self.lock();
        let is_busy = state.is_lent || state.n_queued + state.n_in_hand + state.n_spooled > 0;
        let has_orders = state.phase != Phase::Running || state.reopen;
        if is_busy || has_orders || state.is_failing || state.calm_at.is_some_and(|at| now < at) {
            return false;
        }
        state.calm_at = None;
        state.is_lent = true;
        state.offered += lines.n_events();
        state.n_in_hand += lines.n_events();
        true
    }

    /// Takes the account of lines that were lent. Where others have queued lines meanwhile, they are
    /// now in the caller's hand, `most` bytes of them at most; otherwise the target is given back.
    pub(in crate::sink) fn returned(&self, written: Written, most: usize) -> Option<Arc<Lines>> {
        let mut state = self.lock();
        let Written { events, bytes, rest, stalled } = written;
        let is_sound = rest.is_none() && stalled.is_none();
        // At the end all that was in hand was counted as lost already.
        if state.phase != Phase::Ended {
            state.written += events;
            state.written_bytes += bytes;
            state.n_in_hand = 0;
            if let Some(rest) = rest {
                state.n_bytes += rest.bytes().len();
                state.n_queued += rest.n_events();
                state.lines.push_front(Arc::new(rest));
            }
        }
        if let Some(now) = stalled {
            state.calm_at = Some(now + self.calm);
        }
        if is_sound && state.phase == Phase::Running && !state.reopen {
            let next = state.lines.front();
            if next.is_some_and(|lines| lines.bytes().len() <= most)
                && let Some(lines) = state.pop()
            {
                state.n_in_hand = lines.n_events();
                return Some(lines);
            }
            state.is_overflowing &= !state.lines.is_empty();
        }
        state.is_lent = false;
        let is_asked = state.phase != Phase::Running || state.reopen || state.n_awaiting > 0;
        if is_asked || !state.lines.is_empty() {
            self.changed.notify_all();
        }
        None
    }

    /// The target made the sink's thread wait, or failed: it stays with the thread for a while.
    pub(in crate::sink) fn stalled(&self, now: Instant) {
        self.lock().calm_at = Some(now + self.calm);
    }
}

/// Longer than what disks do every so often: dirty pages are written out, and journals committed,
/// every five seconds (`vm.dirty_writeback_centisecs`, `commit=` in ext4(5)). One that stalls at each
/// of these stays with its thread.
pub(super) const CALM: Duration = Duration::from_secs(10);
