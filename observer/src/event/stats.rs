//! `observer.stats`: what observer saw, reported and lost, as an event like any other.
//!
//! All numbers are totals since the start, so that a reader who missed some of these events loses
//! nothing. `seen = emitted + skipped + filtered + lost` holds for the kernel's ledger in each of
//! them. It is made once a minute and at the end, so it may be built and written at leisure.

use std::collections::BTreeMap;

use serde::Serialize;

use super::SCHEMA;
use super::governor::GovernorStats;
use super::text::Time;
use crate::segment::Timestamp;

/// The kernel's account of the segments at its hooks, by what became of each.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Ledger {
    /// TCP segments that reached a hook.
    pub seen: u64,
    /// Records put on a ring.
    pub emitted: u64,
    /// Segments that held only body bytes nobody asked for.
    pub skipped: u64,
    /// Segments left out on purpose, by reason.
    pub filtered: BTreeMap<&'static str, u64>,
    /// Segments that should have been emitted and were not, by reason.
    pub lost: BTreeMap<&'static str, u64>,
    /// Records on the ring; a very large segment takes several.
    pub records: u64,
    /// Payload bytes on the ring.
    pub bytes: u64,
    /// Flows that were found to be HTTP.
    pub flows: u64,
    /// Times that a flow was sampled out .
    pub flows_sampled: u64,
    /// Halves that another interface or hook took over.
    pub owner_moves: u64,
    /// Wake-ups that the kernel sent.
    pub wakeups: u64,
    /// Records that could not be decoded; not part of the sum.
    pub undecodable: u64,
}

impl Ledger {
    pub fn n_filtered(&self) -> u64 {
        self.filtered.values().sum()
    }

    pub fn n_lost(&self) -> u64 {
        self.lost.values().sum()
    }

    /// The accounts agree: every segment that was seen has exactly one fate.
    pub fn balances(&self) -> bool {
        self.seen == self.emitted + self.skipped + self.n_filtered() + self.n_lost()
    }
}

/// One place that events go to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SinkStats {
    /// `stdout`, the path of a file, or `tail` for the control socket.
    pub name: String,
    /// Events written: handed to the kernel, or to the client's queue.
    pub events: u64,
    pub bytes: u64,
    /// Events that could not be written, for whatever reason.
    pub lost: u64,
    /// Attempts to open, connect or write that failed.
    pub errors: u64,
    /// Events that this sink was given.
    pub offered: u64,
    /// Events that an earlier process had left in this sink's spool.
    #[serde(skip_serializing_if = "is_zero")]
    pub recovered: u64,
    /// Events in its queue, in its hands or in its spool.
    pub waiting: u64,
    /// Bytes in its queue.
    pub waiting_bytes: u64,
    /// Those of `waiting` that are in the spool.
    #[serde(skip_serializing_if = "is_zero")]
    pub spooled: u64,
    /// `lost` by reason; reasons that did not occur are left out.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub lost_by: BTreeMap<&'static str, u64>,
}

impl SinkStats {
    /// The accounts agree: every event that was offered has exactly one fate.
    pub fn balances(&self) -> bool {
        self.offered + self.recovered == self.events + self.lost + self.waiting
            && (self.lost_by.is_empty() || self.lost == self.lost_by.values().sum::<u64>())
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
fn is_zero(n: &u64) -> bool {
    *n == 0
}

/// What one `observer tail` was given, since it attached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TailStats {
    pub sent: u64,
    /// Events this client was too slow for.
    pub dropped: u64,
}

/// Everything an `observer.stats` event tells. Absent means unknown or not applicable.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Snapshot {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uptime_ns: Option<u64>,
    /// Lines made so far, statistics among them: what sinks that were there from the start were
    /// offered, and what waits to be given to them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub events: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capture: Option<Ledger>,
    /// The engine's own counters, under the names of `pipeline::Stats`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub engine: Option<BTreeMap<&'static str, u64>>,
    /// Where a budget is set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub governor: Option<GovernorStats>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sinks: Vec<SinkStats>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tail: Option<TailStats>,
}

impl Snapshot {
    /// Appends the event as one JSON object, without a line end.
    pub fn write_json(&self, time: Timestamp, out: &mut Vec<u8>) {
        let event = Envelope {
            timestamp: Time(time),
            event: Name { name: "observer.stats" },
            obs: Obs { schema: SCHEMA, stats: self },
        };
        super::write(&event, out);
    }
}

#[derive(Serialize)]
struct Envelope<'a> {
    timestamp: Time,
    event: Name,
    obs: Obs<'a>,
}

#[derive(Serialize)]
struct Name {
    name: &'static str,
}

#[derive(Serialize)]
struct Obs<'a> {
    schema: u32,
    stats: &'a Snapshot,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(snapshot: &Snapshot, want: &str) {
        let mut out = Vec::new();
        snapshot.write_json(Timestamp(1_795_266_202_118_000_123), &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), want);
    }

    #[test]
    fn what_is_unknown_is_absent() {
        check(
            &Snapshot::default(),
            r#"{"timestamp":"2026-11-21T13:03:22.118000123Z","event":{"name":"observer.stats"},"obs":{"schema":1,"stats":{}}}"#,
        );
    }

    #[test]
    fn the_ledger_is_by_reason() {
        let capture = Ledger {
            seen: 10,
            emitted: 4,
            skipped: 3,
            filtered: [("not_http", 2)].into(),
            lost: [("ring_full", 1)].into(),
            records: 5,
            ..Ledger::default()
        };
        assert!(capture.balances());
        assert!(!Ledger { seen: 11, ..capture.clone() }.balances());
        let sink = SinkStats {
            name: "stdout".into(),
            events: 2,
            bytes: 800,
            offered: 6,
            waiting: 3,
            waiting_bytes: 1200,
            lost: 1,
            lost_by: [("queue_full", 1)].into(),
            ..SinkStats::default()
        };
        assert!(sink.balances());
        assert!(!SinkStats { offered: 7, ..sink.clone() }.balances());
        check(
            &Snapshot {
                uptime_ns: Some(5),
                events: Some(6),
                capture: Some(capture),
                engine: Some([("exchanges", 2), ("segments", 4)].into()),
                governor: None,
                sinks: vec![sink],
                tail: Some(TailStats { sent: 2, dropped: 0 }),
            },
            r#"{"timestamp":"2026-11-21T13:03:22.118000123Z","event":{"name":"observer.stats"},"obs":{"schema":1,"stats":{"uptime_ns":5,"events":6,"capture":{"seen":10,"emitted":4,"skipped":3,"filtered":{"not_http":2},"lost":{"ring_full":1},"records":5,"bytes":0,"flows":0,"flows_sampled":0,"owner_moves":0,"wakeups":0,"undecodable":0},"engine":{"exchanges":2,"segments":4},"sinks":[{"name":"stdout","events":2,"bytes":800,"lost":1,"errors":0,"offered":6,"waiting":3,"waiting_bytes":1200,"lost_by":{"queue_full":1}}],"tail":{"sent":2,"dropped":0}}}}"#,
        );
    }
}
