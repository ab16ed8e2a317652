//! The workers of the rings behind the first: each is a thread with a ring, an engine and lines of its
//! own. What they share is touched once a turn, and once a piece of lines: the way to the sinks, and
//! the place where each leaves its numbers for the first worker, who tells the account.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::worker::Worker;
use crate::capture::live::Bell;
use crate::drive::{Source, counters, monotonic, now};
use crate::event::stats::Snapshot;
use crate::pipeline::Stats;
use crate::privileges;
use crate::sink::{Batch, Lines, Outlets, Sinks};

/// Workers to start beside the first one.
pub(super) struct Lanes<S> {
    pub(super) workers: Vec<Worker<S>>,
    /// Ends their waits.
    pub(super) bell: Option<Arc<Bell>>,
}

/// What all workers share.
pub(super) struct Shared {
    sinks: Mutex<Sinks>,
    outlets: Arc<Outlets>,
    left: Vec<Place>,
    headers: AtomicBool,
    stop: AtomicBool,
}

/// Where a worker leaves its numbers.
struct Place {
    /// Lines made; also as of each piece that it gives to the sinks in the middle of a turn.
    events: AtomicU64,
    left: Mutex<Left>,
}

/// What a worker leaves after each turn.
struct Left {
    turned: Instant,
    engine: Stats,
    /// Whether the events of that turn told of every header field.
    headers: bool,
    failed: Option<anyhow::Error>,
}

impl Shared {
    /// For so many workers beside the first.
    pub(super) fn new(sinks: Sinks, n_lanes: usize, headers: bool) -> Self {
        let left = || Left { turned: monotonic(), engine: Stats::default(), headers, failed: None };
        let place = || Place { events: AtomicU64::new(0), left: Mutex::new(left()) };
        Self {
            outlets: sinks.outlets(),
            sinks: Mutex::new(sinks),
            left: (0..n_lanes).map(|_| place()).collect(),
            headers: AtomicBool::new(headers),
            stop: AtomicBool::new(false),
        }
    }

    /// Held for as long as it takes to look, but for a reload. Nobody holds numbers who asks for this.
    pub(super) fn sinks(&self) -> MutexGuard<'_, Sinks> {
        self.sinks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there is no worker beside the first.
    pub(super) fn is_alone(&self) -> bool {
        self.left.is_empty()
    }

    pub(super) fn into_sinks(self) -> Sinks {
        self.sinks.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether later events tell of every header field. Each worker follows with its next turn.
    pub(super) fn report_headers(&self, headers: bool) {
        self.headers.store(headers, Ordering::Relaxed);
    }

    /// Whether every worker has followed. Nobody waits for that: the rings go on filling.
    pub(super) fn all_follow(&self) -> bool {
        let headers = self.headers.load(Ordering::Relaxed);
        self.left.iter().all(|place| locked(&place.left).headers == headers)
    }

    /// Has every worker read what its ring still holds, and end. The capture has let go by now.
    pub(super) fn stop(&self, bell: Option<&Bell>) {
        self.stop.store(true, Ordering::Release);
        if let Some(bell) = bell {
            bell.strike();
        }
    }

    /// The first worker's numbers with those of all others added.
    pub(super) fn add_to(&self, mut snapshot: Snapshot) -> Snapshot {
        for place in &self.left {
            let n_events = place.events.load(Ordering::Acquire);
            snapshot.events = snapshot.events.map(|events| events + n_events);
            if let Some(engine) = &mut snapshot.engine {
                let left = counters(locked(&place.left).engine);
                left.iter().for_each(|(name, n)| *engine.entry(*name).or_default() += n);
            }
        }
        snapshot
    }

    /// When the one that has been silent longest did its last turn; `moment` where there is none
    /// beside the first. A worker that hangs holds this back.
    pub(super) fn last_turn(&self, moment: Instant) -> Instant {
        self.left.iter().map(|place| locked(&place.left).turned).fold(moment, Instant::min)
    }

    /// Why a worker has ended, if one has.
    pub(super) fn take_failure(&self) -> Option<anyhow::Error> {
        self.left.iter().find_map(|place| locked(&place.left).failed.take())
    }

    /// Gives the pieces that are full to the sinks, in the middle of a turn.
    pub(super) fn pass_on(&self, batch: &mut Batch) {
        batch.pass_on(|lines| self.give(lines));
    }

    /// Gives everything to the sinks, at the end of a turn.
    pub(super) fn pass_on_all(&self, batch: &mut Batch) {
        batch.pass_on_all(|lines| self.give(lines));
    }

    fn give(&self, lines: &Arc<Lines>) {
        self.outlets.give(lines);
        if self.outlets.has_tails() {
            self.sinks().tell_tails(lines, now());
        }
    }

    /// The same for a worker beside the first, which says first what it has made: what sinks were
    /// offered is never more than that.
    fn pass_on_of(&self, number: usize, batch: &mut Batch) {
        if let Some(place) = self.left.get(number) {
            place.events.store(batch.n_made(), Ordering::Release);
        }
        self.pass_on(batch);
    }

    /// Leaves the numbers first, and the lines then, for the same reason.
    fn hand_over<S: Source>(&self, number: usize, worker: &mut Worker<S>, headers: bool) {
        if let Some(place) = self.left.get(number) {
            let (events, engine) = worker.numbers();
            place.events.store(events, Ordering::Release);
            let mut left = locked(&place.left);
            (left.turned, left.engine, left.headers) = (monotonic(), engine, headers);
        }
        self.pass_on_all(&mut worker.batch);
    }
}

/// A worker's life: turns until it is told to stop, then what the ring still holds.
pub(super) fn work<S: Source<Error: Into<anyhow::Error>>>(
    mut worker: Worker<S>,
    number: usize,
    shared: &Shared,
) {
    // It reads its ring and changes entries of maps that are open, for which nothing is needed.
    privileges::keep_files_alone();
    let mut headers = false;
    while !shared.stop.load(Ordering::Acquire) {
        headers = shared.headers.load(Ordering::Relaxed);
        worker.report_headers(headers);
        let result = worker.turn(Duration::MAX, |batch| shared.pass_on_of(number, batch));
        shared.hand_over(number, &mut worker, headers);
        if let (Err(err), Some(place)) = (result, shared.left.get(number)) {
            locked(&place.left).failed = Some(err.into());
            break;
        }
    }
    worker.finish(|batch| shared.pass_on_of(number, batch));
    shared.hand_over(number, &mut worker, headers);
}

fn locked(left: &Mutex<Left>) -> MutexGuard<'_, Left> {
    left.lock().unwrap_or_else(PoisonError::into_inner)
}
