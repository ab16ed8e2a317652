//! The capture thread's work: events to whole lines, and when the lines are worth a write.
//!
//! That is when there are many, when the oldest has waited `MAX_DELAY`, or when nothing more is
//! coming right now. It does not know where they go.

use std::time::{Duration, Instant};

use crate::drive::{Drive, Source, monotonic};
use crate::event::Event;
use crate::event::stats::{SinkStats, Snapshot};
use crate::pipeline::Config;
use crate::sink::Batch;
use crate::sink::metrics::Metrics;

/// A source, the engine behind it, and the lines they have made.
#[derive(Debug)]
pub struct Worker<S> {
    drive: Drive<S>,
    pub batch: Batch,
    /// Where they are counted, if anywhere.
    pub metrics: Option<Metrics>,
    /// When the oldest line in the batch was made.
    oldest: Option<Instant>,
    idle: bool,
}

impl<S: Source> Worker<S> {
    pub fn new(source: S, engine: Config) -> Self {
        let drive = Drive::new(source, engine);
        Self { drive, batch: Batch::default(), metrics: None, oldest: None, idle: true }
    }

    /// Polls the source once and runs the engine over what came. Takes a tenth of a second at most
    /// when nothing comes, so that the caller gets to look at its signals.
    pub fn turn(&mut self) -> Result<(), S::Error> {
        let patience = match self.oldest {
            Some(oldest) => MAX_DELAY.saturating_sub(monotonic() - oldest),
            None => self.drive.patience(),
        };
        let Self { drive, batch, metrics, .. } = self;
        batch.set_clock_shift(drive.clock_shift());
        let n_segments = drive.turn(patience, |event| take(&event, batch, metrics))?;
        self.idle = n_segments == 0;
        if self.oldest.is_none() && !self.batch.is_empty() {
            self.oldest = Some(monotonic());
        }
        Ok(())
    }

    /// Whether later events tell of every header field.
    pub fn report_headers(&mut self, headers: bool) {
        self.drive.report_headers(headers);
    }

    /// Leaves the account where scrapes find it, if there are any.
    pub fn leave_metrics(&mut self, moment: Instant, sinks: impl FnOnce() -> Vec<SinkStats>) {
        if let Some(mut metrics) = self.metrics.take() {
            metrics.leave(moment, || self.snapshot(sinks()));
            self.metrics = Some(metrics);
        }
    }

    /// What went wrong without stopping the capture, since the last call.
    pub fn take_warnings(&mut self) -> Vec<String> {
        self.drive.take_warnings()
    }

    /// Whether the lines should go out now.
    pub fn is_due(&self) -> bool {
        let waited = self.oldest.is_some_and(|oldest| monotonic() - oldest >= MAX_DELAY);
        !self.batch.is_empty() && (self.idle || waited || self.batch.n_bytes() >= MANY)
    }

    /// The lines have gone out.
    pub fn written(&mut self) {
        self.oldest = None;
    }

    /// Lets go of the traffic, takes what the source still holds, then ends every flow as it stands.
    pub fn finish(&mut self) {
        let Self { drive, batch, metrics, .. } = self;
        drive.finish(|event| take(&event, batch, metrics));
    }

    /// All numbers as they are now.
    pub fn snapshot(&self, sinks: Vec<SinkStats>) -> Snapshot {
        Snapshot { events: Some(self.batch.n_made()), ..self.drive.snapshot(sinks) }
    }
}

fn take(event: &Event, batch: &mut Batch, metrics: &mut Option<Metrics>) {
    if let Some(metrics) = metrics {
        metrics.count(event);
    }
    batch.push(event);
}

/// How long a line may wait for others to be written with it.
const MAX_DELAY: Duration = Duration::from_millis(20);
/// Bytes of lines that are written without waiting for more.
const MANY: usize = 64 * 1024;
