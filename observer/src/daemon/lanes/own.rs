//! What a ring's own worker does: it rests while the ring is on loan, and turns while it is not.

use std::sync::atomic::Ordering;
use std::sync::{MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::{Place, Seat, Shared, locked};
use crate::daemon::pace::{Load, Pace};
use crate::daemon::worker::Worker;
use crate::drive::{Source, monotonic};
use crate::privileges;
use crate::sink::{Batch, MostAtOnce};

impl<L: Source<Error: Into<anyhow::Error>>> Shared<L> {
    fn has_to_stop(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    /// The life of another worker: it rests while its ring is on loan, and turns while it is not; when
    /// it is told to stop, it reads what the ring still holds.
    pub(in crate::daemon) fn work(&self, number: usize) {
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
            if pace.count(turned, n_segments, self.n_lanes()) == Some(Load::Little) {
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
        batch.pass_on(|lines| self.give(lines, MostAtOnce::FOR_WHO_READS));
    }

    /// Leaves the numbers first, and the lines then, for the same reason. Says when that was.
    fn hand_over(&self, place: &Place<L>, worker: &mut Worker<L>) -> Instant {
        let (turned, (events, engine)) = (monotonic(), worker.numbers());
        place.events.store(events, Ordering::Release);
        {
            let mut left = locked(&place.left);
            (left.turned, left.engine) = (turned, engine);
        }
        worker.batch.pass_on_all(|lines| self.give(lines, MostAtOnce::FOR_WHO_READS));
        turned
    }
}

/// How long lines are waited for: at 250,000 exchanges of 800 bytes a second a quarter of a ring of
/// 8 MiB fills meanwhile, beyond the eighth up to the fill mark.
const CARRIED_MILLIS_MAX: u32 = 10;
