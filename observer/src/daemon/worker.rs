//! The capture thread's work: segments from the source, through the engine, to whole lines.
//!
//! It decides when lines are worth a write: when there are many, when the oldest has waited
//! [`MAX_DELAY`], or when nothing more is coming right now. It does not know where they go.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::{monotonic, now};
use crate::event::stats::{Ledger, SinkStats, Snapshot};
use crate::pipeline::{Config, Pipeline, Stats};
use crate::segment::{Directive, Segment, Timestamp};
use crate::sink::Batch;
use crate::tcp::TableStats;

/// Where segments come from: a live capture, or a script in a test.
pub trait Source {
    /// Hands over what is there, waits up to `timeout` when nothing is. Says how many segments.
    fn poll(
        &mut self,
        timeout: Duration,
        handle: impl FnMut(&Segment<'_>),
    ) -> anyhow::Result<usize>;

    /// Tells the names of interfaces that have come or changed since the last call.
    fn new_names(&mut self, tell: impl FnMut(u32, &str));

    /// What went wrong without stopping the capture, since the last call.
    fn take_warnings(&mut self) -> Vec<String>;

    /// Does what the engine asks. Where it cannot, more is copied than is needed, and that is all.
    fn apply(&mut self, directive: Directive);

    /// The kernel's account so far.
    fn ledger(&self) -> anyhow::Result<Ledger>;
}

/// A source, the engine behind it, and the lines they have made.
#[derive(Debug)]
pub struct Worker<S> {
    source: S,
    engine: Pipeline,
    pub batch: Batch,
    start: Instant,
    /// When the oldest line in the batch was made.
    oldest: Option<Instant>,
    idle: bool,
}

impl<S: Source> Worker<S> {
    pub fn new(source: S, engine: Config) -> Self {
        Self {
            source,
            engine: Pipeline::new(engine),
            batch: Batch::default(),
            start: monotonic(),
            oldest: None,
            idle: true,
        }
    }

    /// Polls the source once and runs the engine over what came. Takes [`TICK`] at most when
    /// nothing comes, so that the caller gets to look at its signals.
    pub fn turn(&mut self) -> anyhow::Result<()> {
        let timeout = self.patience();
        let Self { source, engine, batch, .. } = self;
        source.new_names(|index, name| engine.name_interface(index, name));
        let mut last = None;
        let n_segments = source.poll(timeout, |segment| {
            engine.handle_segment(segment);
            drain(engine, batch);
            last = Some(segment.time);
        })?;
        while let Some(directive) = engine.poll_directive() {
            source.apply(directive);
        }
        // While segments come, time is theirs: the rings may hold answers that are older than the
        // wall clock, and a deadline must not pass before they are read.
        self.engine.handle_timeout(last.unwrap_or_else(now));
        drain(&mut self.engine, &mut self.batch);
        self.idle = n_segments == 0;
        if self.oldest.is_none() && !self.batch.is_empty() {
            self.oldest = Some(monotonic());
        }
        Ok(())
    }

    /// What went wrong without stopping the capture, since the last call.
    pub fn take_warnings(&mut self) -> Vec<String> {
        self.source.take_warnings()
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

    /// Takes what the source still holds, then ends every flow as it stands.
    pub fn finish(&mut self) {
        for _ in 0..MAX_LAST_POLLS {
            let Self { source, engine, batch, .. } = self;
            let polled = source.poll(Duration::ZERO, |segment| {
                engine.handle_segment(segment);
                drain(engine, batch);
            });
            // The capture is over in any case; an error leaves what was taken so far.
            if polled.unwrap_or(0) == 0 {
                break;
            }
        }
        self.engine.finish(now());
        drain(&mut self.engine, &mut self.batch);
    }

    /// All numbers as they are now.
    pub fn snapshot(&self, sinks: Vec<SinkStats>) -> Snapshot {
        let uptime = (monotonic() - self.start).as_nanos();
        Snapshot {
            uptime_ns: u64::try_from(uptime).ok(),
            capture: self.source.ledger().ok(),
            engine: Some(counters(self.engine.stats())),
            sinks,
            tail: None,
        }
    }

    /// How long the next poll may wait.
    fn patience(&self) -> Duration {
        if let Some(oldest) = self.oldest {
            return MAX_DELAY.saturating_sub(monotonic() - oldest);
        }
        let due = self
            .engine
            .poll_timeout()
            .map_or(TICK, |due: Timestamp| Duration::from_nanos(due.since(now())));
        due.clamp(Duration::from_millis(1), TICK)
    }
}

/// The engine's counters by name. Each is taken out of its struct by name, so that the compiler
/// asks for those that are added.
fn counters(stats: Stats) -> BTreeMap<&'static str, u64> {
    let Stats { table, exchanges, resynced, orphan_requests, orphan_responses } = stats;
    let TableStats {
        segments,
        flows,
        flows_opened,
        flows_evicted,
        flows_timed_out,
        buffered_bytes,
        ignored,
        budget_exceeded,
    } = table;
    BTreeMap::from([
        ("segments", segments),
        ("segments_ignored", ignored),
        ("flows", flows),
        ("flows_opened", flows_opened),
        ("flows_evicted", flows_evicted),
        ("flows_timed_out", flows_timed_out),
        ("buffered_bytes", buffered_bytes),
        ("budget_exceeded", budget_exceeded),
        ("exchanges", exchanges),
        ("resynced", resynced),
        ("orphan_requests", orphan_requests),
        ("orphan_responses", orphan_responses),
    ])
}

fn drain(engine: &mut Pipeline, batch: &mut Batch) {
    while let Some(event) = engine.poll_event() {
        batch.push(&event);
    }
}

/// How long a line may wait for others to be written with it.
const MAX_DELAY: Duration = Duration::from_millis(20);
/// Bytes of lines that are written without waiting for more.
const MANY: usize = 64 * 1024;
/// The longest wait for segments.
const TICK: Duration = Duration::from_millis(100);
/// Rings are emptied at the end, but not for ever: traffic may go on.
const MAX_LAST_POLLS: usize = 64;
