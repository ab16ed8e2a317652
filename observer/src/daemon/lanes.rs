//! The workers of several rings: each is a thread with a ring, an engine and lines of its own. What
//! they share is touched once a turn, and once a piece of lines: the way to the sinks, and the place
//! where each leaves its numbers for the first worker, who tells the account.
//!
//! Where little comes on a ring, it is on loan: the first worker, which has no ring of its own then,
//! turns for it, with caches that are warm from the others, and the lines of all go out together; the
//! ring's worker rests. It comes back when it is called because much comes, when the ring is filled
//! past its mark, and when the first has not turned for [`OVERDUE`]. So whatever holds up the first,
//! nothing is lost: it has no lock on any ring while it writes.

mod own;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use super::pace::{Load, Pace};
use super::worker::Worker;
use crate::capture::live::{Loan, Loans};
use crate::drive::{Source, counters, monotonic, now};
use crate::event::stats::Snapshot;
use crate::pipeline::Stats;
use crate::sink::{Batch, Lines, MostAtOnce, Outlets, Sinks};

/// Workers to start beside the first one, which reads the only ring if there are none.
pub(super) struct Lanes<L> {
    pub(super) workers: Vec<(Worker<L>, Loan)>,
    pub(super) loans: Arc<Loans>,
}

/// What all workers share.
pub(super) struct Shared<L> {
    sinks: Mutex<Sinks>,
    outlets: Arc<Outlets>,
    places: Vec<Place<L>>,
    loans: Arc<Loans>,
    /// A bit for each place: the first worker has lines of it that it has not given to the sinks.
    carried: AtomicU64,
    headers: AtomicBool,
    stop: AtomicBool,
}

/// A worker beside the first, and where it leaves its numbers.
struct Place<L> {
    loan: Loan,
    /// Whoever turns for the ring has this: the ring's worker for as long as it does not lend it, the
    /// first for a turn, in which nothing is waited for.
    seat: Mutex<Seat<L>>,
    /// Lines made; also as of each piece that it gives to the sinks in the middle of a turn.
    events: AtomicU64,
    left: Mutex<Left>,
}

struct Seat<L> {
    worker: Worker<L>,
    pace: Pace,
}

/// What is left after each turn.
struct Left {
    /// When its own worker turned last, or was to come back.
    turned: Instant,
    engine: Stats,
    /// Whether the events of that turn told of every header field.
    headers: bool,
    failed: Option<anyhow::Error>,
}

/// What the first worker knows of the rings that are on loan to it.
#[derive(Default)]
pub(super) struct Guests {
    /// How long until one of their engines has something to do.
    patience: Option<Duration>,
    postponed: Option<Instant>,
}

impl Guests {
    pub(super) fn patience(&self) -> Duration {
        self.patience.unwrap_or(Duration::MAX)
    }
}

impl<L> Shared<L> {
    pub(super) fn new(sinks: Sinks, lanes: Lanes<L>, headers: bool) -> Self {
        let Lanes { workers, loans } = lanes;
        let moment = monotonic();
        let left = || Left { turned: moment, engine: Stats::default(), headers, failed: None };
        let place = |(worker, loan): (Worker<L>, Loan)| {
            loan.lend();
            let seat = Mutex::new(Seat { worker, pace: Pace::new(moment) });
            Place { loan, seat, events: AtomicU64::new(0), left: Mutex::new(left()) }
        };
        Self {
            outlets: sinks.outlets(),
            sinks: Mutex::new(sinks),
            places: workers.into_iter().map(place).collect(),
            loans,
            carried: AtomicU64::new(0),
            headers: AtomicBool::new(headers),
            stop: AtomicBool::new(false),
        }
    }

    /// Held for as long as it takes to look, but for a reload. Nobody holds numbers who asks for this.
    pub(super) fn sinks(&self) -> MutexGuard<'_, Sinks> {
        self.sinks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Workers beside the first.
    pub(super) fn n_lanes(&self) -> usize {
        self.places.len()
    }

    /// Whether there is no worker beside the first.
    pub(super) fn is_alone(&self) -> bool {
        self.places.is_empty()
    }

    pub(super) fn into_sinks(self) -> Sinks {
        self.sinks.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether later events tell of every header field. Each ring follows with its next turn.
    pub(super) fn report_headers(&self, headers: bool) {
        self.headers.store(headers, Ordering::Relaxed);
    }

    /// Whether every ring has followed. Nobody waits for that: the rings go on filling.
    pub(super) fn all_follow(&self) -> bool {
        let headers = self.headers.load(Ordering::Relaxed);
        self.places.iter().all(|place| locked(&place.left).headers == headers)
    }

    /// Has every worker read what its ring still holds, and end. The capture has let go by now.
    pub(super) fn stop(&self) {
        self.stop.store(true, Ordering::Release);
        self.places.iter().for_each(|place| place.loan.call());
    }

    /// The first worker's numbers with those of all others added.
    pub(super) fn add_to(&self, mut snapshot: Snapshot) -> Snapshot {
        for place in &self.places {
            let n_events = place.events.load(Ordering::Acquire);
            snapshot.events = snapshot.events.map(|events| events + n_events);
            if let Some(engine) = &mut snapshot.engine {
                let left = counters(locked(&place.left).engine);
                left.iter().for_each(|(name, n)| *engine.entry(*name).or_default() += n);
            }
        }
        snapshot
    }

    /// When the one that has been silent longest did its last turn; `moment` where no other than the
    /// first has to. A worker that hangs holds this back, and so does one that does not come back.
    pub(super) fn last_turn(&self, moment: Instant) -> Instant {
        let theirs = self.places.iter().filter(|place| !place.loan.is_lent());
        theirs.map(|place| locked(&place.left).turned).fold(moment, Instant::min)
    }

    /// Why a worker has ended, if one has.
    pub(super) fn take_failure(&self) -> Option<anyhow::Error> {
        self.places.iter().find_map(|place| locked(&place.left).failed.take())
    }

    /// Gives the first worker's pieces that are full to the sinks, in the middle of a turn.
    pub(super) fn pass_on(&self, batch: &mut Batch) {
        batch.pass_on(|lines| self.give(lines, self.most_of_first()));
    }

    /// Gives all that the first worker has to the sinks, at the end of a turn.
    pub(super) fn pass_on_all(&self, batch: &mut Batch) {
        batch.pass_on_all(|lines| self.give(lines, self.most_of_first()));
        if self.carried.load(Ordering::Relaxed) != 0 {
            self.carried.store(0, Ordering::Release);
        }
    }

    fn most_of_first(&self) -> MostAtOnce {
        match self.is_alone() {
            true => MostAtOnce::FOR_WHO_READS,
            false => MostAtOnce::FOR_WHO_CAN_WAIT,
        }
    }

    fn give(&self, lines: &Arc<Lines>, most: MostAtOnce) {
        self.outlets.give(lines, most);
        if self.outlets.has_tails() {
            self.sinks().tell_tails(lines, now());
        }
    }
}

impl<L: Source<Error: Into<anyhow::Error>>> Shared<L> {
    /// The first worker's part: turns for every ring that is on loan, and gives back those on which
    /// much comes. Rings that somebody has just taken back are passed over.
    pub(super) fn turn_for_others<S: Source>(
        &self,
        first: &mut Worker<S>,
        guests: &mut Guests,
    ) -> anyhow::Result<()> {
        if self.is_alone() {
            return Ok(());
        }
        // Behind the wait: one of a second and the pause between two postponements are less than
        // the time after which the first is overdue.
        let moment = monotonic();
        if guests.postponed.is_none_or(|before| moment - before >= POSTPONE_EVERY) {
            self.loans.postpone(OVERDUE);
            guests.postponed = Some(moment);
        }
        guests.patience = None;
        for (number, place) in self.places.iter().enumerate() {
            if !place.loan.is_lent() {
                continue;
            }
            let mut seat = match place.seat.try_lock() {
                Ok(seat) => seat,
                Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => continue,
            };
            let Seat { worker, pace } = &mut *seat;
            let headers = self.headers.load(Ordering::Relaxed);
            worker.report_headers(headers);
            let made = first.batch.n_made();
            let n_segments = first.turn_for(worker).map_err(Into::into)?;
            if first.batch.n_made() > made {
                self.carried.fetch_or(1 << number, Ordering::Relaxed);
            }
            let patience = worker.patience();
            guests.patience = Some(guests.patience.map_or(patience, |least| least.min(patience)));
            let (_, engine) = worker.numbers();
            let load = pace.count(moment, n_segments, self.n_lanes());
            {
                let mut left = locked(&place.left);
                (left.engine, left.headers) = (engine, headers);
                if load == Some(Load::Much) {
                    left.turned = moment;
                    place.loan.take_back();
                    place.loan.call();
                }
            }
            drop(seat);
            // Where a file is written to, this may take its time: no ring's lock is held.
            self.pass_on(&mut first.batch);
        }
        Ok(())
    }
}

fn locked(left: &Mutex<Left>) -> MutexGuard<'_, Left> {
    left.lock().unwrap_or_else(PoisonError::into_inner)
}

/// When the others come back although nobody called them. The first turns once a second at least.
const OVERDUE: Duration = Duration::from_secs(2);
/// How often the first says that it turns: seldom, because it is a system call.
const POSTPONE_EVERY: Duration = Duration::from_millis(500);
