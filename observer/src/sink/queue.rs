//! What stands between the capture thread and one sink: a queue bounded in bytes, and the account
//! of every event that was ever put into it.
//!
//! A worker pushes and never waits; what there is no room for is dropped as the policy says. The
//! sink's thread takes, and says what became of each event. Both sides change the account under the
//! same lock as the queue, so it balances at any moment.
//!
//! A target that takes lines at once is lent to the worker that has some: while nothing waits and
//! the thread has nothing to do with it, the worker writes them itself ([`Queue::lend`]). The flag
//! that says so is under the same lock, and the thread keeps its hands off the target meanwhile.

mod lend;

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

pub(super) use self::lend::Written;

use super::Lines;
use crate::event::stats::SinkStats;

/// What goes when there is no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Overflow {
    DropOldest,
    DropNewest,
}

/// Why an event was not delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Loss {
    /// The queue had no room for it.
    QueueFull,
    /// The spool had no room for it, or could not be written.
    SpoolFull,
    /// The receiver takes no message of that length.
    TooLarge,
    /// It still waited when the time to end had come.
    AtEnd,
    /// The receiver had gone for good.
    Closed,
}

const REASONS: [(Loss, &str); 5] = [
    (Loss::QueueFull, "queue_full"),
    (Loss::SpoolFull, "spool_full"),
    (Loss::TooLarge, "too_large"),
    (Loss::AtEnd, "at_end"),
    (Loss::Closed, "closed"),
];

#[derive(Debug)]
pub(super) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
    max_bytes: usize,
    overflow: Overflow,
    /// How long a target that has stalled stays with the thread.
    calm: Duration,
}

/// Every event that was offered or recovered is in exactly one place: `lines`, somebody's hand, the
/// spool, written, or lost for one reason.
#[derive(Debug, Default)]
struct State {
    lines: VecDeque<Arc<Lines>>,
    n_bytes: usize,
    n_queued: u64,
    n_in_hand: u64,
    n_spooled: u64,
    offered: u64,
    recovered: u64,
    written: u64,
    written_bytes: u64,
    errors: u64,
    lost: [u64; REASONS.len()],
    /// Events were dropped since the queue was last empty.
    is_overflowing: bool,
    /// The target refuses at the moment: waiting for the queue to empty would be in vain.
    is_failing: bool,
    /// A worker has the target, and the events in hand are its own.
    is_lent: bool,
    /// The target has stalled: it is lent to nobody before that.
    calm_at: Option<Instant>,
    /// Somebody waits for the queue to empty.
    n_awaiting: u32,
    phase: Phase,
    reopen: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    #[default]
    Running,
    /// The sink's thread is to write what is there and end.
    Ending,
    /// The sink's thread takes nothing any more.
    Ended,
}

/// What the sink's thread finds when it looks.
#[derive(Debug)]
pub(super) enum Next {
    Lines(Arc<Lines>),
    /// Nothing came for as long as was to be waited, or there is an order to look at.
    Nothing,
    /// Nothing is there and nothing will come.
    End,
}

impl Queue {
    pub(super) fn new(max_bytes: usize, overflow: Overflow) -> Self {
        let state = Mutex::default();
        Self { state, changed: Condvar::new(), max_bytes, overflow, calm: lend::CALM }
    }

    #[cfg_attr(not(test), expect(dead_code, reason = "tests are less patient"))]
    pub(super) fn with_calm(self, calm: Duration) -> Self {
        Self { calm, ..self }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it holds the lock; if it did, the numbers would still be there.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes over `lines`, whatever that costs others. True when this is the first loss since the
    /// queue was last empty: worth a word.
    pub(super) fn push(&self, lines: &Arc<Lines>) -> bool {
        let mut state = self.lock();
        let n = lines.n_events();
        state.offered += n;
        if state.phase == Phase::Ended {
            state.lose(Loss::Closed, n);
            return false;
        }
        let n_bytes = lines.bytes().len();
        let mut lost = 0;
        if self.overflow == Overflow::DropOldest {
            while state.n_bytes > 0 && state.n_bytes + n_bytes > self.max_bytes {
                let Some(oldest) = state.pop() else { break };
                lost += oldest.n_events();
            }
        }
        // One piece is always taken, or a queue smaller than a piece would never take any.
        if state.n_bytes == 0 || state.n_bytes + n_bytes <= self.max_bytes {
            let was_empty = state.lines.is_empty();
            state.n_bytes += n_bytes;
            state.n_queued += n;
            state.lines.push_back(Arc::clone(lines));
            // Whoever has the target looks here when it is through.
            if was_empty && !state.is_lent {
                self.changed.notify_all();
            }
        } else {
            lost += n;
        }
        state.lose(Loss::QueueFull, lost);
        lost > 0 && !std::mem::replace(&mut state.is_overflowing, true)
    }

    /// The next lines for the sink's thread, which now has them in hand.
    pub(super) fn next(&self, wait: Duration) -> Next {
        let mut state = self.lock();
        if state.lines.is_empty() || state.is_lent {
            if state.lines.is_empty() {
                state.is_overflowing = false;
                self.changed.notify_all();
            }
            let go_on = |state: &mut State| match state.phase {
                Phase::Ended => false,
                Phase::Running | Phase::Ending if state.is_lent => true,
                Phase::Running => state.lines.is_empty() && !state.reopen,
                Phase::Ending => false,
            };
            let waited = self.changed.wait_timeout_while(state, wait, go_on);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
            if state.is_lent && state.phase != Phase::Ended {
                return Next::Nothing;
            }
        }
        if state.reopen {
            // Before anything that came later.
            return Next::Nothing;
        }
        match state.pop() {
            Some(lines) => {
                state.n_in_hand += lines.n_events();
                Next::Lines(lines)
            }
            None if state.phase != Phase::Running => Next::End,
            None => Next::Nothing,
        }
    }

    /// Waits after a failure, not longer than `pause`, and not when the end or a reopening is
    /// ordered, or when the queue is half full and `until_half_full`.
    pub(super) fn pause(&self, pause: Duration, until_half_full: bool) {
        let state = self.lock();
        let go_on = |state: &mut State| {
            let is_full = until_half_full && state.n_bytes * 2 > self.max_bytes;
            state.phase == Phase::Running && !state.reopen && !is_full
        };
        // However the wait ended, the caller looks again.
        let _ = self.changed.wait_timeout_while(state, pause, go_on);
    }

    /// Everything that waits, when that is more than half of the room: the spool's share.
    pub(super) fn take_for_spool(&self, even_little: bool) -> Vec<Arc<Lines>> {
        let mut state = self.lock();
        if !even_little && state.n_bytes * 2 <= self.max_bytes {
            return Vec::new();
        }
        state.n_in_hand += state.n_queued;
        (state.n_bytes, state.n_queued) = (0, 0);
        state.is_overflowing = false;
        state.lines.drain(..).collect()
    }

    /// Events in hand were delivered. Bytes are counted also for a line that is not whole yet.
    pub(super) fn written(&self, events: u64, bytes: u64) {
        let mut state = self.lock();
        if state.phase == Phase::Ended {
            // Too late: these were counted as lost when the time to end had come.
            return;
        }
        state.n_in_hand = state.n_in_hand.saturating_sub(events);
        state.written += events;
        state.written_bytes += bytes;
    }

    /// Bytes that were counted as written were taken back.
    pub(super) fn taken_back(&self, bytes: u64) {
        let mut state = self.lock();
        state.written_bytes = state.written_bytes.saturating_sub(bytes);
    }

    /// Events in hand are lost.
    pub(super) fn lost(&self, reason: Loss, events: u64) {
        let mut state = self.lock();
        state.n_in_hand = state.n_in_hand.saturating_sub(events);
        state.lose(reason, events);
    }

    /// Events in hand went to the spool.
    pub(super) fn spooled(&self, events: u64) {
        let mut state = self.lock();
        state.n_in_hand = state.n_in_hand.saturating_sub(events);
        state.n_spooled += events;
    }

    /// Events of the spool are in hand.
    pub(super) fn unspooled(&self, events: u64) {
        let mut state = self.lock();
        state.n_spooled = state.n_spooled.saturating_sub(events);
        state.n_in_hand += events;
    }

    /// Events were found in the spool that an earlier process has left.
    pub(super) fn recovered(&self, events: u64) {
        let mut state = self.lock();
        state.recovered += events;
        state.n_spooled += events;
    }

    /// Whether the target refuses, and whether it did so just now.
    pub(super) fn failing(&self, failing: bool, error: bool) {
        let mut state = self.lock();
        state.is_failing = failing;
        state.errors += u64::from(error);
        self.changed.notify_all();
    }

    /// Orders the file or the connection to be opened anew.
    pub(super) fn reopen(&self) {
        self.lock().reopen = true;
        self.changed.notify_all();
    }

    /// Whether a reopening is ordered, and nobody else has the target. Whoever asks holds it.
    pub(super) fn take_reopen(&self) -> bool {
        let mut state = self.lock();
        !state.is_lent && std::mem::take(&mut state.reopen)
    }

    /// Orders the sink's thread to write what is there and to end.
    pub(super) fn end(&self) {
        let mut state = self.lock();
        if state.phase == Phase::Running {
            state.phase = Phase::Ending;
        }
        self.changed.notify_all();
    }

    pub(super) fn is_ending(&self) -> bool {
        self.lock().phase != Phase::Running
    }

    pub(super) fn has_ended(&self) -> bool {
        self.lock().phase == Phase::Ended
    }

    /// The sink's thread says that it takes nothing any more; what waits is lost.
    pub(super) fn ended(&self, reason: Loss) {
        let mut state = self.lock();
        state.give_up(reason);
        self.changed.notify_all();
    }

    /// Waits until the sink's thread has nothing left or cannot get rid of it.
    pub(super) fn wait_empty(&self, patience: Duration) {
        let go_on = |state: &mut State| {
            let is_busy = state.n_queued + state.n_in_hand > 0;
            is_busy && !state.is_failing && state.phase != Phase::Ended
        };
        let mut state = self.lock();
        state.n_awaiting += 1;
        let waited = self.changed.wait_timeout_while(state, patience, go_on);
        waited.unwrap_or_else(PoisonError::into_inner).0.n_awaiting -= 1;
    }

    /// Waits until the sink's thread has ended; what it has not done by then is lost.
    pub(super) fn wait_ended(&self, patience: Duration) {
        let go_on = |state: &mut State| state.phase != Phase::Ended;
        let waited = self.changed.wait_timeout_while(self.lock(), patience, go_on);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.give_up(Loss::AtEnd);
    }

    pub(super) fn stats(&self, name: &str) -> SinkStats {
        let state = self.lock();
        let lost_by = REASONS.iter().zip(state.lost).filter(|(_, n)| *n > 0);
        SinkStats {
            name: name.to_owned(),
            events: state.written,
            bytes: state.written_bytes,
            lost: state.lost.iter().sum(),
            errors: state.errors,
            offered: state.offered,
            recovered: state.recovered,
            waiting: state.n_queued + state.n_in_hand + state.n_spooled,
            waiting_bytes: state.n_bytes as u64,
            spooled: state.n_spooled,
            lost_by: lost_by.map(|((_, reason), n)| (*reason, n)).collect(),
        }
    }
}

impl State {
    fn pop(&mut self) -> Option<Arc<Lines>> {
        let lines = self.lines.pop_front()?;
        self.n_bytes -= lines.bytes().len();
        self.n_queued -= lines.n_events();
        Some(lines)
    }

    fn lose(&mut self, reason: Loss, events: u64) {
        let all = REASONS.iter().zip(&mut self.lost);
        for (_, count) in all.filter(|((known, _), _)| *known == reason) {
            *count += events;
        }
    }

    /// Nothing is taken or written any more.
    fn give_up(&mut self, reason: Loss) {
        self.phase = Phase::Ended;
        let left = self.n_queued + self.n_in_hand;
        self.lose(reason, left);
        (self.n_bytes, self.n_queued, self.n_in_hand) = (0, 0, 0);
        self.lines.clear();
    }
}

#[cfg(test)]
mod tests;
