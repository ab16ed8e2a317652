//! The whole engine behind six calls. It does no I/O and asks no clock: segments and the time go
//! in, events come out, and the same segments always give the same events.

use crate::event::Event;
use crate::segment::{Segment, Timestamp};

/// What the engine keeps, and how much of it. Every bound has a counter in [`Stats`].
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// Report every header field, not only the promoted ones.
    pub headers: bool,
    /// Bytes of each body to report.
    pub body_prefix: usize,
}

/// Running totals of the engine; all count from the start.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stats {
    pub segments: u64,
    pub exchanges: u64,
}

/// Segments in, events out.
#[derive(Debug, Default)]
pub struct Pipeline {
    _config: Config,
}

impl Pipeline {
    pub fn new(config: Config) -> Self {
        Self { _config: config }
    }

    /// Takes one segment. Segments of one flow come in the order in which they were captured.
    pub fn handle_segment(&mut self, _segment: &Segment<'_>) {}

    /// Acts on every deadline that lies at or before `now`.
    pub fn handle_timeout(&mut self, _now: Timestamp) {}

    /// The next event, in the order in which exchanges ended.
    pub fn poll_event(&mut self) -> Option<Event> {
        None
    }

    /// When `handle_timeout` next has something to do; `None` while nothing waits.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        None
    }

    /// Ends every flow as the capture ends: what is half done is reported as it stands.
    pub fn finish(&mut self, _now: Timestamp) {}

    pub fn stats(&self) -> Stats {
        Stats::default()
    }
}
