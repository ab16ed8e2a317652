//! What workers give lines to: for each sink its queue, and the target itself where a worker may
//! write to it.
//!
//! Any number of workers give at the same time, and none waits for another: one has the target,
//! the others push. It knows neither configuration nor the sinks' threads.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockWriteGuard};
use std::time::{Duration, Instant};

use super::Lines;
use super::clock::monotonic;
use super::hand::Hand;
use super::queue::{Queue, Written};
use super::runner::Notices;
use super::stall::Stopwatch;
use super::target::Target;

/// The way to one sink.
pub(super) struct Outlet {
    pub(super) queue: Arc<Queue>,
    /// Where workers may write: what [`Target::is_prompt`] speaks for.
    target: Option<Arc<Mutex<dyn Target>>>,
    notices: Notices,
    /// What to say when the queue is full, and when it was said before.
    when_full: String,
    said_full: Mutex<Option<Instant>>,
}

/// The ways to all sinks, shared by all workers.
#[derive(Debug, Default)]
pub struct Outlets {
    /// Written to when sinks come and go; whoever does that keeps every worker from its sinks.
    list: RwLock<Vec<Arc<Outlet>>>,
    has_tails: AtomicBool,
}

impl Outlets {
    /// Gives lines to every sink, on behalf of a worker that can wait for so much.
    pub fn give(&self, lines: &Arc<Lines>, most: MostAtOnce) {
        let list = self.list.read().unwrap_or_else(PoisonError::into_inner);
        list.iter().for_each(|outlet| outlet.give(lines, most));
    }

    /// Whether clients of the control socket want lines as well.
    pub fn has_tails(&self) -> bool {
        self.has_tails.load(Ordering::Relaxed)
    }

    pub(super) fn set_has_tails(&self, has_tails: bool) {
        self.has_tails.store(has_tails, Ordering::Relaxed);
    }

    /// To change which there are. Nobody gives lines to any meanwhile.
    pub(super) fn change(&self) -> RwLockWriteGuard<'_, Vec<Arc<Outlet>>> {
        self.list.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Outlet {
    pub(super) fn new(
        queue: Arc<Queue>,
        target: Option<Arc<Mutex<dyn Target>>>,
        notices: Notices,
        when_full: String,
    ) -> Self {
        Self { queue, target, notices, when_full, said_full: Mutex::default() }
    }

    pub(super) fn give(&self, lines: &Arc<Lines>, most: MostAtOnce) {
        if !self.write(lines, most) && self.queue.push(lines) {
            self.say_full();
        }
    }

    /// Writes the lines, if this is the moment for it.
    fn write(&self, lines: &Arc<Lines>, most: MostAtOnce) -> bool {
        if lines.bytes().len() > most.0 {
            return false;
        }
        // Whoever holds it now finds in the queue what is pushed there.
        let Some(Ok(mut target)) = self.target.as_ref().map(|target| target.try_lock()) else {
            return false;
        };
        if !target.is_prompt(lines.bytes()) || !self.queue.lend(lines, monotonic()) {
            return false;
        }
        let mut lines = Arc::clone(lines);
        for n_others in 0.. {
            let written = self.write_to(&mut *target, &lines);
            let most = if n_others < MOST_FOR_OTHERS { most.0 } else { 0 };
            let Some(more) = self.queue.returned(written, most) else { break };
            lines = more;
        }
        true
    }

    /// Writes with one call, or does not: whatever has to be tried again is the thread's.
    fn write_to(&self, target: &mut dyn Target, lines: &Arc<Lines>) -> Written {
        let mut written = Written::default();
        let mut hand = Hand::new(Arc::clone(lines));
        if target.is_prompt(lines.bytes()) {
            let stopwatch = Stopwatch::start();
            // An error is met again by the thread, which has words for it.
            if let Ok(taken) = target.write(lines.bytes()) {
                written.events = hand.advance(taken.bytes);
                written.bytes = taken.bytes as u64;
            }
            written.stalled = stopwatch.stalled();
        }
        if !hand.is_done() {
            if hand.n_cut() > 0 {
                match target.take_back(hand.n_cut()) {
                    Ok(()) => written.bytes -= hand.n_cut(),
                    Err(error) => {
                        let name = self.notices.name();
                        self.notices.say(format!("a line in {name} is cut: {error}"));
                    }
                }
                hand.back_to_line_start();
            }
            let bytes = hand.rest().to_vec();
            written.rest = Some(Lines::of(bytes, hand.n_left()));
        }
        written
    }

    /// Once a minute at most: a sink at its limit empties and fills its queue all the time.
    fn say_full(&self) {
        let now = monotonic();
        let mut said = self.said_full.lock().unwrap_or_else(PoisonError::into_inner);
        if said.is_none_or(|said| now - said >= MINUTE) {
            *said = Some(now);
            self.notices.say(self.when_full.clone());
        }
    }
}

impl std::fmt::Debug for Outlet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { queue, target, .. } = self;
        f.debug_struct("Outlet").field("queue", queue).field("lends", &target.is_some()).finish()
    }
}

/// How large a piece a worker writes itself; a larger one comes to the sink's thread.
#[derive(Clone, Copy, Debug)]
pub struct MostAtOnce(usize);

impl MostAtOnce {
    /// For a worker whose ring fills meanwhile: nobody but the disk knows how long a write will take.
    /// At 32 KiB a turn of 8 ms, some 6,000 exchanges a second, a ring of 8 MiB holds what comes in two
    /// seconds.
    pub const FOR_WHO_READS: Self = Self(32 << 10);
    /// For a worker behind which others take over every ring when it is held up. What it hands to
    /// another thread costs twice: its bytes have to move to another CPU.
    pub const FOR_WHO_CAN_WAIT: Self = Self(usize::MAX);
}

/// Pieces that one worker writes for others before its own ring has its turn again.
const MOST_FOR_OTHERS: u32 = 2;
const MINUTE: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests;
