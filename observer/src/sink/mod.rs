//! Where events go. A sink gets whole lines, in batches, and every sink gets the same bytes.
//!
//! A sink counts what it could not deliver and never stops the capture for it. It knows neither
//! where the events came from nor the command line.

#[cfg(feature = "live")]
pub mod control;
pub mod ndjson;

use crate::event::Event;
use crate::event::stats::{SinkStats, Snapshot};
use crate::segment::Timestamp;

/// Events on their way to the sinks: NDJSON lines, whole ones only.
#[derive(Debug, Default)]
pub struct Batch {
    bytes: Vec<u8>,
    n_events: u64,
}

impl Batch {
    pub fn push(&mut self, event: &Event) {
        event.write_json(&mut self.bytes);
        self.end_line();
    }

    pub fn push_stats(&mut self, stats: &Snapshot, now: Timestamp) {
        stats.write_json(now, &mut self.bytes);
        self.end_line();
    }

    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub fn n_events(&self) -> u64 {
        self.n_events
    }

    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Forgets the lines and keeps the room they took.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.n_events = 0;
    }

    fn end_line(&mut self) {
        self.bytes.push(b'\n');
        self.n_events += 1;
    }
}

/// One place that events go to.
#[derive(Debug)]
pub enum Sink {
    Ndjson(ndjson::Writer),
    #[cfg(feature = "live")]
    Tails(control::Tails),
}

/// What came of a write, where there is something to say about it.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    Done,
    /// A message for the operator, said once a situation.
    Say(String),
    /// The other end of standard output has gone: nobody wants events any more.
    Closed,
}

impl Sink {
    #[cfg_attr(
        not(feature = "live"),
        expect(unused_variables, reason = "only tails want the time")
    )]
    pub fn write(&mut self, batch: &Batch, now: Timestamp) -> Outcome {
        match self {
            Self::Ndjson(writer) => writer.write(batch),
            #[cfg(feature = "live")]
            Self::Tails(tails) => {
                tails.write(batch, now);
                Outcome::Done
            }
        }
    }

    pub fn stats(&self) -> SinkStats {
        match self {
            Self::Ndjson(writer) => writer.stats(),
            #[cfg(feature = "live")]
            Self::Tails(tails) => tails.stats(),
        }
    }

    /// Leaves whole lines behind.
    pub fn finish(&mut self) -> Outcome {
        match self {
            Self::Ndjson(writer) => writer.finish(),
            #[cfg(feature = "live")]
            Self::Tails(_) => Outcome::Done,
        }
    }
}
