//! The workers of the rings behind the first: each is a thread with a ring, an engine and lines of its
//! own. What they share is touched once a turn, and once a piece of lines: the way to the sinks, and
//! the place where each leaves its numbers for the first worker, who tells the account.
//!
//! Where little comes on a ring, it is on loan: the first worker turns for it, in its own wake-up,
//! with caches that are warm from its own ring, and its lines go out with its own; the ring's worker
//! rests. It comes back when it is called because much comes, when the ring is filled past its mark,
//! and when the first has not turned for [`OVERDUE`]. So whatever holds up the first, the others lose
//! nothing: it has no lock on any ring while it writes.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use super::pace::{Load, Pace};
use super::worker::Worker;
use crate::capture::live::{Loan, Loans};
use crate::drive::{Source, counters, monotonic, now};
use crate::event::stats::Snapshot;
use crate::pipeline::Stats;
use crate::privileges;
use crate::sink::{Batch, Lines, Outlets, Sinks};

/// Workers to start beside the first one.
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
    /// Whoever turns for the ring has this, the ring's worker for as long as it does not lend it.
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
}

impl<L: Source<Error: Into<anyhow::Error>>> Shared<L> {
    /// The first worker's part: turns for every ring that is on loan, and gives back those on which
    /// much comes. Rings that somebody has just taken back are passed over.
    pub(super) fn turn_for_others<S: Source>(
        &self,
        first: &mut Worker<S>,
        guests: &mut Guests,
        moment: Instant,
    ) -> anyhow::Result<()> {
        if self.is_alone() {
            return Ok(());
        }
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
            let n_segments =
                first.turn_for(worker, |batch| self.pass_on(batch)).map_err(Into::into)?;
            if first.batch.n_made() > made {
                self.carried.fetch_or(1 << number, Ordering::Relaxed);
            }
            let patience = worker.patience();
            guests.patience = Some(guests.patience.map_or(patience, |least| least.min(patience)));
            let (_, engine) = worker.numbers();
            let mut left = locked(&place.left);
            (left.engine, left.headers) = (engine, headers);
            if pace.count(moment, n_segments, self.n_lanes() + 1) == Some(Load::Much) {
                left.turned = moment;
                place.loan.take_back();
                place.loan.call();
            }
        }
        Ok(())
    }

    /// The first worker has given all lines to the sinks.
    pub(super) fn carries_nothing(&self) {
        if self.carried.load(Ordering::Relaxed) != 0 {
            self.carried.store(0, Ordering::Release);
        }
    }

    fn has_to_stop(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    /// The life of another worker: it rests while its ring is on loan, and turns while it is not; when
    /// it is told to stop, it reads what the ring still holds.
    pub(super) fn work(&self, number: usize) {
        // It reads its ring and changes entries of maps that are open, for which nothing is needed.
        privileges::keep_files_alone();
        let Some(place) = self.places.get(number) else { return };
        let mut result = Ok(());
        while result.is_ok() && !self.has_to_stop() {
            result = place.loan.rest().map_err(Into::into);
            if result.is_ok() && !self.has_to_stop() {
                let mut seat = self.take_back(number, place);
                result = self.turn_for_itself(place, &mut seat);
                drop(seat);
                place.loan.lend();
            }
        }
        if let Err(err) = result {
            locked(&place.left).failed = Some(err);
        }
        let mut seat = self.take_back(number, place);
        seat.worker.finish(|batch| self.pass_on_of(place, batch));
        self.hand_over(place, &mut seat.worker);
    }

    /// Until little comes, or it has to stop.
    fn turn_for_itself(&self, place: &Place<L>, seat: &mut Seat<L>) -> anyhow::Result<()> {
        let Seat { worker, pace } = seat;
        *pace = Pace::new(monotonic());
        while !self.has_to_stop() {
            let headers = self.headers.load(Ordering::Relaxed);
            worker.report_headers(headers);
            let result = worker.turn(Duration::MAX, |batch| self.pass_on_of(place, batch));
            locked(&place.left).headers = headers;
            let turned = self.hand_over(place, worker);
            let n_segments = result.map_err(Into::into)?;
            if pace.count(turned, n_segments, self.n_lanes() + 1) == Some(Load::Little) {
                break;
            }
        }
        Ok(())
    }

    /// A ring's own worker has it again. What the first has made of it has to come before what is
    /// made from here on; but it may be held up on its way to the sinks, and the ring has no room to
    /// wait for that: then later lines of a flow may come before earlier ones.
    fn take_back<'a>(&self, number: usize, place: &'a Place<L>) -> MutexGuard<'a, Seat<L>> {
        locked(&place.left).turned = monotonic();
        place.loan.take_back();
        let mut seat = place.seat.lock().unwrap_or_else(PoisonError::into_inner);
        for _ in 0..CARRIED_MILLIS_MAX {
            if self.carried.load(Ordering::Acquire) >> number & 1 == 0 {
                break;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        seat.worker.come_back();
        seat
    }

    /// Gives pieces that are full to the sinks in the middle of a turn, and says first what it has
    /// made: what sinks were offered is never more than that.
    fn pass_on_of(&self, place: &Place<L>, batch: &mut Batch) {
        place.events.store(batch.n_made(), Ordering::Release);
        self.pass_on(batch);
    }

    /// Leaves the numbers first, and the lines then, for the same reason. Says when that was.
    fn hand_over(&self, place: &Place<L>, worker: &mut Worker<L>) -> Instant {
        let (turned, (events, engine)) = (monotonic(), worker.numbers());
        place.events.store(events, Ordering::Release);
        {
            let mut left = locked(&place.left);
            (left.turned, left.engine) = (turned, engine);
        }
        self.pass_on_all(&mut worker.batch);
        turned
    }
}

fn locked(left: &Mutex<Left>) -> MutexGuard<'_, Left> {
    left.lock().unwrap_or_else(PoisonError::into_inner)
}

/// When the others come back although nobody called them. The first turns once a second at least.
const OVERDUE: Duration = Duration::from_secs(2);
/// How often the first says that it turns: seldom, because it is a system call.
const POSTPONE_EVERY: Duration = Duration::from_millis(500);
/// How long lines are waited for: a tenth of what a ring of 8 MiB holds at 250,000 exchanges of 800
/// bytes a second is gone by then beyond the fill mark.
const CARRIED_MILLIS_MAX: u32 = 10;
