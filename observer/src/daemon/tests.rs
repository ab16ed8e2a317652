//! The daemon's loop over a scripted source.

use std::cell::Cell;

use super::worker::Source;
use super::*;
use crate::event::stats::Ledger;
use crate::segment::Segment;

/// Gives nothing `turns` times, then sets the flag that a signal would set, or fails.
struct Script<'a> {
    turns: Cell<u32>,
    stop: &'a AtomicBool,
    fails: bool,
}

impl Source for Script<'_> {
    fn poll(&mut self, _: Duration, _: impl FnMut(&Segment<'_>)) -> anyhow::Result<usize> {
        let left = self.turns.get().saturating_sub(1);
        self.turns.set(left);
        if left == 0 {
            self.stop.store(true, Ordering::Relaxed);
            anyhow::ensure!(!self.fails, "the ring has gone");
        }
        Ok(0)
    }

    fn ledger(&self) -> anyhow::Result<Ledger> {
        Ok(Ledger { seen: 7, emitted: 7, ..Ledger::default() })
    }
}

/// Runs the loop for `turns`, writing to a file; its lines and the result.
fn run_script(turns: u32, interval: Duration, fails: bool) -> (String, anyhow::Result<Snapshot>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events");
    let stop = AtomicBool::new(false);
    let source = Script { turns: Cell::new(turns), stop: &stop, fails };
    let orders = Orders { stop: &stop, duration: None, say: &|_| {} };
    let mut sinks = [Sink::Ndjson(ndjson::Writer::append(&path).unwrap())];
    let worker = Worker::new(source, pipeline::Config::default());
    let result = serve(worker, &mut sinks, interval, &orders);
    (std::fs::read_to_string(&path).unwrap(), result)
}

#[test]
fn the_last_line_is_the_account() {
    let (lines, result) = run_script(3, Duration::from_secs(60), false);
    assert_eq!(result.unwrap().capture.unwrap().seen, 7);
    let lines: Vec<_> = lines.lines().collect();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains(r#""capture":{"seen":7,"emitted":7,"#), "{}", lines[0]);
}

#[test]
fn statistics_come_at_their_interval() {
    let (lines, _) = run_script(4, Duration::from_nanos(1), false);
    // One each turn, and one at the end.
    assert_eq!(lines.lines().count(), 5, "{lines}");
}

#[test]
fn a_source_that_fails_still_leaves_its_account() {
    let (lines, result) = run_script(2, Duration::from_secs(60), true);
    assert_eq!(result.unwrap_err().to_string(), "the ring has gone");
    assert_eq!(lines.lines().count(), 1);
}
