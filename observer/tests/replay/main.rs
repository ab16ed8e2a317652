//! The corpus through the kernel: each capture is written, frame by frame, into a TAP or TUN device
//! that a running observer watches, and what it reports is held against `observer read` of the file.
//!
//! The two share the engine and nothing before it: `read` has its own containers, link layers and
//! tunnels, live capture has the kernel's receive path, the header walk in eBPF, flows found by
//! their first bytes, and the ring. So where they agree, both fronts are right about the capture,
//! or wrong in the same way. Where they cannot agree, `differences.txt` says by how much and why,
//! and an entry that is no longer true is a failure.
//!
//! By itself this replays a fixed sample; with `OBSERVER_REPLAY=all` (`cargo xtask replay`) all of
//! it.

#![cfg(feature = "live")]

#[path = "../live/harness/mod.rs"]
#[expect(dead_code, reason = "shared with the live tests, which use all of it")]
mod harness;

#[path = "../common/corpus.rs"]
mod corpus;

mod chosen;
mod compare;
mod device;
mod differences;
mod frames;
mod rig;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use compare::Difference;
use differences::Differences;
use harness::can_run;
use rig::Outcome;

#[test]
fn a_replayed_capture_gives_the_exchanges_that_read_finds() {
    if !can_run("replay", &[]) {
        return;
    }
    let Some(corpus) = corpus::folder("replay") else { return };
    let (captures, is_all) = chosen::chosen(&corpus);
    let listed = Differences::parse(include_str!("differences.txt"));
    let outcomes = replay(&corpus, &captures);
    let mut report = Report::default();
    for (name, outcome) in &outcomes {
        report.add(name, outcome, &listed);
    }
    report.listed_but_absent(&listed, is_all.then_some(captures.as_slice()));
    println!("{}", report.summary());
    assert!(report.n_exchanges > 0, "the captures hold no exchange");
    assert!(report.failures.is_empty(), "{}", report.failures);
}

/// Replays the captures, several at a time, each with an observer and a namespace of its own.
fn replay(corpus: &Path, captures: &[String]) -> BTreeMap<String, Outcome> {
    let next = AtomicUsize::new(0);
    let outcomes = Mutex::new(BTreeMap::new());
    std::thread::scope(|scope| {
        for _ in 0..N_WORKERS {
            scope.spawn(|| {
                while let Some(name) = captures.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let outcome = rig::replay(&corpus.join(name));
                    outcomes.lock().unwrap().insert(name.clone(), outcome);
                }
            });
        }
    });
    outcomes.into_inner().unwrap()
}

/// What came of all captures.
#[derive(Default)]
struct Report {
    n_captures: usize,
    n_frames: usize,
    /// Frames that the device did not take, by capture.
    refused: BTreeMap<String, usize>,
    /// Segments that were passed on, and those inside bodies that nobody asked for.
    n_emitted: u64,
    n_skipped: u64,
    /// As `read` finds them.
    n_exchanges: usize,
    n_equal_exchanges: usize,
    n_equal_captures: usize,
    /// Captures that differ, and exchanges that are missing or extra, by listed kind.
    by_kind: BTreeMap<String, (usize, Difference)>,
    failures: String,
}

impl Report {
    fn add(&mut self, name: &str, outcome: &Outcome, listed: &Differences) {
        let difference = outcome.difference();
        self.n_captures += 1;
        self.n_frames += outcome.n_frames;
        if outcome.n_refused > 0 {
            self.refused.insert(name.to_owned(), outcome.n_refused);
        }
        self.n_emitted += outcome.account.emitted;
        self.n_skipped += outcome.account.skipped;
        self.n_exchanges += outcome.read.len();
        self.n_equal_exchanges += outcome.read.len() - difference.n_missing;
        self.n_equal_captures += usize::from(difference == Difference::NONE);
        if let Some(harm) = outcome.harm() {
            self.failures += &format!("{name}: {harm}\n");
        }
        match listed.get(name) {
            None if difference == Difference::NONE => {}
            None => self.failures += &format!("{name}: {difference}\n{}", outcome.details()),
            Some(_) if difference == Difference::NONE => {
                self.failures += &format!("{name}: differs no more: take it off the list\n");
            }
            Some(entry) if entry.difference == difference => {
                let (n_captures, sum) = self.by_kind.entry(entry.kind.clone()).or_default();
                *n_captures += 1;
                *sum += difference;
            }
            Some(entry) => {
                let expected = entry.difference;
                self.failures += &format!("{name}: {difference}, listed as {expected}\n");
                self.failures += &outcome.details();
            }
        }
    }

    /// Entries for captures that the corpus does not have.
    fn listed_but_absent(&mut self, listed: &Differences, captures: Option<&[String]>) {
        for name in listed.names() {
            if captures.is_some_and(|captures| !captures.iter().any(|capture| capture == name)) {
                self.failures += &format!("{name}: is listed, and no such capture is there\n");
            }
        }
    }

    fn summary(&self) -> String {
        let Self { n_captures, n_frames, n_exchanges, .. } = self;
        let n_refused: usize = self.refused.values().sum();
        let (n_emitted, n_skipped) = (self.n_emitted, self.n_skipped);
        let (n_equal, n_same) = (self.n_equal_captures, self.n_equal_exchanges);
        let mut text = format!(
            "replay: {n_captures} captures, {n_frames} frames of which the device refused \
             {n_refused}\nreplay: {n_emitted} segments passed on, {n_skipped} left out inside bodies\n\
             replay: {n_equal} captures equal; {n_same} of {n_exchanges} exchanges \
             equal\n"
        );
        for (name, n_frames) in &self.refused {
            text += &format!("replay: {name}: the device refused {n_frames} frames\n");
        }
        for (kind, (n_captures, difference)) in &self.by_kind {
            text += &format!("replay: {kind}: {n_captures} captures, {difference}\n");
        }
        text
    }
}

/// Most of a replay is the start of the observer, which is not all computing.
const N_WORKERS: usize = 3;
