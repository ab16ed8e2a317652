//! The workers of the rings behind the first: each is a thread with a ring, an engine and lines of its
//! own. What they share is touched once a turn: the sinks, which take whole pieces, and the place
//! where each leaves its numbers for the first worker, who tells the account.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::worker::{IDLE, Worker};
use crate::capture::live::Bell;
use crate::drive::{Source, monotonic, now};
use crate::event::stats::Snapshot;
use crate::privileges;
use crate::sink::Sinks;

/// Workers to start beside the first one.
pub(super) struct Lanes<S> {
    pub(super) workers: Vec<Worker<S>>,
    /// Ends their waits.
    pub(super) bell: Option<Arc<Bell>>,
}

/// What all workers share.
pub(super) struct Shared {
    sinks: Mutex<Sinks>,
    left: Vec<Mutex<Left>>,
    headers: AtomicBool,
    stop: AtomicBool,
}

/// What a worker leaves after each turn.
struct Left {
    turned: Instant,
    events: u64,
    engine: BTreeMap<&'static str, u64>,
    /// Whether the events of that turn told of every header field.
    headers: bool,
    failed: Option<anyhow::Error>,
}

impl Shared {
    /// For so many workers beside the first.
    pub(super) fn new(sinks: Sinks, n_lanes: usize, headers: bool) -> Self {
        let left = || Left {
            turned: monotonic(),
            events: 0,
            engine: BTreeMap::new(),
            headers,
            failed: None,
        };
        Self {
            sinks: Mutex::new(sinks),
            left: (0..n_lanes).map(|_| Mutex::new(left())).collect(),
            headers: AtomicBool::new(headers),
            stop: AtomicBool::new(false),
        }
    }

    /// Held for as long as it takes to pass on a batch, or to look; but for a reload, during which
    /// nothing may be written to a sink that is replaced. Nobody holds numbers who asks for this.
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

    /// Whether later events tell of every header field. Comes back when that holds for every worker,
    /// which takes as long as one may wait for segments, and then once more at most.
    pub(super) fn report_headers(&self, headers: bool) {
        self.headers.store(headers, Ordering::Relaxed);
        let deadline = monotonic() + 3 * IDLE;
        let holds = || self.left.iter().all(|left| locked(left).headers == headers);
        while !holds() && monotonic() < deadline {
            std::thread::sleep(LOOK);
        }
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
        for left in &self.left {
            let left = locked(left);
            snapshot.events = snapshot.events.map(|events| events + left.events);
            if let Some(engine) = &mut snapshot.engine {
                left.engine.iter().for_each(|(name, n)| *engine.entry(*name).or_default() += n);
            }
        }
        snapshot
    }

    /// When the one that has been silent longest did its last turn; `moment` where there is none
    /// beside the first. A worker that hangs holds this back.
    pub(super) fn last_turn(&self, moment: Instant) -> Instant {
        self.left.iter().map(|left| locked(left).turned).fold(moment, Instant::min)
    }

    /// Why a worker has ended, if one has.
    pub(super) fn take_failure(&self) -> Option<anyhow::Error> {
        self.left.iter().find_map(|left| locked(left).failed.take())
    }

    /// Leaves the numbers first, and the lines then: what sinks were offered is never more than what
    /// is said to have been made.
    fn hand_over<S: Source>(&self, number: usize, worker: &mut Worker<S>, headers: bool) {
        if let Some(left) = self.left.get(number) {
            let (events, engine) = worker.numbers();
            let mut left = locked(left);
            (left.turned, left.events, left.engine) = (monotonic(), events, engine);
            left.headers = headers;
        }
        if worker.is_due() {
            self.sinks().write(&mut worker.batch, now());
        }
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
        let result = worker.turn();
        shared.hand_over(number, &mut worker, headers);
        if let (Err(err), Some(left)) = (result, shared.left.get(number)) {
            locked(left).failed = Some(err.into());
            break;
        }
    }
    worker.finish();
    shared.hand_over(number, &mut worker, headers);
}

fn locked(left: &Mutex<Left>) -> MutexGuard<'_, Left> {
    left.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How often a reload looks whether every worker has followed.
const LOOK: Duration = Duration::from_millis(5);
