//! Sinks as a configuration file makes them, and numbered events to put into them.

use std::time::{Duration, Instant};

use observer::config::Config;
use observer::event::stats::{SinkStats, Snapshot};
use observer::segment::Timestamp;
use observer::sink::{Batch, Sinks};

pub(crate) struct Rig {
    sinks: Sinks,
    batch: Batch,
    n_pushed: u64,
    pub(crate) said: Vec<String>,
}

impl Rig {
    /// `text` is TOML; `DIR` stands for the folder.
    #[track_caller]
    pub(crate) fn start(folder: &tempfile::TempDir, text: &str) -> Self {
        let sinks = Sinks::open(&config(folder, text).all_sinks()).unwrap();
        Self { sinks, batch: Batch::default(), n_pushed: 0, said: Vec::new() }
    }

    /// `n` events of about `size` bytes, numbered on from the last.
    pub(crate) fn push(&mut self, n: u64, size: usize) {
        for _ in 0..n {
            let name = "x".repeat(size.saturating_sub(200));
            let filler = SinkStats { name, ..SinkStats::default() };
            let uptime_ns = Some(self.n_pushed);
            let snapshot = Snapshot { uptime_ns, sinks: vec![filler], ..Snapshot::default() };
            self.batch.push_stats(&snapshot, TIME);
            self.n_pushed += 1;
        }
        self.sinks.write(&mut self.batch, TIME);
    }

    /// Applies another configuration, or the same one again.
    pub(crate) fn apply(&mut self, folder: &tempfile::TempDir, text: &str) -> Vec<String> {
        self.begin(folder, text);
        until("the change", || self.changed())
    }

    /// Begins to apply it.
    pub(crate) fn begin(&mut self, folder: &tempfile::TempDir, text: &str) {
        self.sinks.change(&config(folder, text).all_sinks());
    }

    /// What was done of that, when it is done.
    pub(crate) fn changed(&mut self) -> Option<Vec<String>> {
        self.sinks.changed()
    }

    /// The numbers of the sink called `name`, which balance.
    #[track_caller]
    pub(crate) fn stats(&self, name: &str) -> SinkStats {
        let stats = self.sinks.stats();
        let stats = stats.into_iter().find(|stats| stats.name.ends_with(name)).unwrap();
        assert!(stats.balances(), "{stats:?}");
        stats
    }

    #[track_caller]
    pub(crate) fn until(&mut self, name: &str, what: &str, done: impl Fn(&SinkStats) -> bool) {
        until(what, || {
            self.said.extend(self.sinks.news().say);
            done(&self.stats(name)).then_some(())
        });
    }

    /// Ends the sinks within `patience`; their last numbers.
    pub(crate) fn end(self, patience: Duration) -> (Vec<SinkStats>, Vec<String>) {
        let deadline = now() + patience;
        let snapshot = |sinks| Snapshot { sinks, ..Snapshot::default() };
        let (last, news) = self.sinks.end(deadline, TIME, snapshot);
        assert!(last.sinks.iter().all(SinkStats::balances), "{:?}", last.sinks);
        (last.sinks, [self.said, news.say].concat())
    }
}

#[track_caller]
fn config(folder: &tempfile::TempDir, text: &str) -> Config {
    let path = folder.path().join("observer.toml");
    std::fs::write(&path, text.replace("DIR", &folder.path().display().to_string())).unwrap();
    Config::load(&path).unwrap_or_else(|err| panic!("{err}"))
}

/// The number of an event; the line has to be whole.
#[track_caller]
pub(crate) fn number(line: &str) -> u64 {
    let event: serde_json::Value =
        serde_json::from_str(line).unwrap_or_else(|err| panic!("half a line ({err}): {line}"));
    event.pointer("/obs/stats/uptime_ns").and_then(serde_json::Value::as_u64).unwrap()
}

pub(crate) fn numbers(text: &str) -> Vec<u64> {
    assert!(text.is_empty() || text.ends_with('\n'), "the last line is cut");
    text.lines().map(number).collect()
}

#[track_caller]
pub(crate) fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = now() + Duration::from_secs(30);
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(now() < end, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[expect(clippy::disallowed_methods, reason = "a deadline for other threads is wall time")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

pub(crate) const LONG: Duration = Duration::from_secs(20);
const TIME: Timestamp = Timestamp(1_795_266_202_118_000_123);
