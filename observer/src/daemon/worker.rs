//! The capture thread's work: events to whole lines, a batch a turn. It does not know where they go.

use std::time::{Duration, Instant};

use crate::drive::{Drive, Source};
use crate::event::Event;
use crate::event::governor::GovernorStats;
use crate::event::stats::{SinkStats, Snapshot};
use crate::pipeline::{Config, Shed, Stats};
use crate::sink::Batch;
use crate::sink::metrics::Metrics;

/// A source, the engine behind it, and the lines they have made.
#[derive(Debug)]
pub struct Worker<S> {
    drive: Drive<S>,
    pub batch: Batch,
    /// Where they are counted, if anywhere.
    pub metrics: Option<Metrics>,
    /// What the account says of the governor, if there is one.
    pub governor: Option<GovernorStats>,
}

impl<S: Source> Worker<S> {
    pub fn new(source: S, engine: Config) -> Self {
        let drive = Drive::new(source, engine);
        Self { drive, batch: Batch::default(), metrics: None, governor: None }
    }

    /// Polls the source once and runs the engine over what came. Takes `most` when nothing comes, and
    /// never more than [`IDLE`], so that the caller gets to look at what others ask of it; a signal
    /// ends it at once. `pass_on` is called whenever the batch has a full piece, while its bytes are in
    /// the caches. Says how many segments came.
    pub fn turn(
        &mut self,
        most: Duration,
        mut pass_on: impl FnMut(&mut Batch),
    ) -> Result<usize, S::Error> {
        let Self { drive, batch, metrics, .. } = self;
        batch.set_clock_shift(drive.clock_shift());
        let patience = drive.patience(most.min(IDLE));
        drive.turn(patience, |event| take(event, batch, metrics, &mut pass_on))
    }

    /// Turns for another worker, without waiting: its source and its engine, this one's lines, by this
    /// one's clock. The lines stay here, whole pieces too.
    pub fn turn_for<L: Source>(&mut self, other: &mut Worker<L>) -> Result<usize, L::Error> {
        let Self { drive, batch, metrics, .. } = self;
        let n_segments = other.drive.visit(|event| take(event, batch, metrics, &mut |_| {}))?;
        if n_segments > 0 {
            drive.source_mut().keep_ticking();
        }
        Ok(n_segments)
    }

    /// How long until its engine has something to do.
    pub fn patience(&self) -> Duration {
        self.drive.patience(IDLE)
    }

    /// From here on it turns for itself again.
    pub fn come_back(&mut self) {
        self.drive.source_mut().come_back();
    }

    /// Whether later events tell of every header field.
    pub fn report_headers(&mut self, headers: bool) {
        self.drive.report_headers(headers);
    }

    /// Leaves out what is named there from here on, and nothing else.
    pub fn shed(&mut self, shed: Shed) {
        self.drive.shed(shed);
    }

    /// Leaves the account where scrapes find it, if there are any.
    pub fn leave_metrics(&mut self, moment: Instant, numbers: impl FnOnce(&Self) -> Snapshot) {
        if let Some(mut metrics) = self.metrics.take() {
            metrics.leave(moment, || numbers(self));
            self.metrics = Some(metrics);
        }
    }

    /// What went wrong without stopping the capture, since the last call.
    pub fn take_warnings(&mut self) -> Vec<String> {
        self.drive.take_warnings()
    }

    /// Lets go of the traffic; what the source holds can still be taken.
    pub fn detach(&mut self) {
        self.drive.detach();
    }

    /// Lets go of the traffic, takes what the source still holds, then ends every flow as it stands.
    pub fn finish(&mut self, mut pass_on: impl FnMut(&mut Batch)) {
        let Self { drive, batch, metrics, .. } = self;
        drive.finish(|event| take(event, batch, metrics, &mut pass_on));
    }

    /// Lines made, and the engine's counters.
    pub fn numbers(&self) -> (u64, Stats) {
        (self.batch.n_made(), self.drive.stats())
    }

    /// All numbers as they are now.
    pub fn snapshot(&self, sinks: Vec<SinkStats>) -> Snapshot {
        let events = Some(self.batch.n_made());
        Snapshot { events, governor: self.governor, sinks, ..self.drive.snapshot() }
    }
}

fn take(
    event: Event,
    batch: &mut Batch,
    metrics: &mut Option<Metrics>,
    pass_on: &mut impl FnMut(&mut Batch),
) {
    if let Some(metrics) = metrics {
        metrics.count(&event);
    }
    if batch.push(&event) {
        pass_on(batch);
    }
    event.give_back();
}

/// The longest wait for segments: a look a second at clients, sinks and the service manager, by the
/// first worker for all.
const IDLE: Duration = Duration::from_secs(1);
