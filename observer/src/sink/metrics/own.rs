//! observer's own numbers as metrics: what `observer.stats` tells, and what the process uses.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use crate::event::governor::GovernorStats;
use crate::event::stats::{Ledger, SinkStats, Snapshot};
use crate::usage::{self, Usage};

/// Renders the latest account at each scrape.
#[derive(Debug)]
pub(super) struct Own {
    latest: Arc<Mutex<Snapshot>>,
}

type Label<'a> = Option<(&'a str, &'a str)>;

impl Own {
    pub(super) fn new(latest: Arc<Mutex<Snapshot>>) -> Self {
        Self { latest }
    }
}

impl Collector for Own {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let snapshot = self.latest.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut out = Out { encoder };
        out.info()?;
        if let Some(ledger) = &snapshot.capture {
            out.ledger(ledger)?;
        }
        out.engine(&snapshot)?;
        if let Some(governor) = &snapshot.governor {
            out.governor(governor)?;
        }
        out.sinks(&snapshot.sinks)?;
        out.process()
    }
}

struct Out<'a> {
    encoder: DescriptorEncoder<'a>,
}

impl Out<'_> {
    /// One counter, by label or by itself.
    fn counter<'l>(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = (Label<'l>, u64)>,
    ) -> fmt::Result {
        let values = values.into_iter().map(|(label, n)| (label, ConstCounter::new(n)));
        self.write(name, help, values)
    }

    fn gauge<'l>(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = (Label<'l>, u64)>,
    ) -> fmt::Result {
        let values = values.into_iter().map(|(label, n)| (label, ConstGauge::new(n)));
        self.write(name, help, values)
    }

    fn write<'l, M: EncodeMetric>(
        &mut self,
        name: &str,
        help: &str,
        values: impl Iterator<Item = (Label<'l>, M)>,
    ) -> fmt::Result {
        let mut values = values.peekable();
        let Some((_, first)) = values.peek() else { return Ok(()) };
        let kind = first.metric_type();
        let mut encoder = self.encoder.encode_descriptor(name, help, None, kind)?;
        for (label, metric) in values {
            match label {
                Some(label) => metric.encode(encoder.encode_family(&[label])?)?,
                // One that has no label stands alone.
                None => return metric.encode(encoder),
            }
        }
        Ok(())
    }

    fn info(&mut self) -> fmt::Result {
        let version = Some(("version", env!("CARGO_PKG_VERSION")));
        self.gauge("observer_build_info", "The version that runs", [(version, 1)])
    }

    fn ledger(&mut self, ledger: &Ledger) -> fmt::Result {
        let one = |n| [(None, n)];
        let by_reason = |(reason, n): (&&'static str, &u64)| (Some(("reason", *reason)), *n);
        self.counter("observer_segments_seen", "Segments that reached a hook", one(ledger.seen))?;
        self.counter("observer_segments_emitted", "Put on the ring", one(ledger.emitted))?;
        self.counter(
            "observer_segments_skipped",
            "Body bytes or acknowledgements alone",
            one(ledger.skipped),
        )?;
        let filtered = ledger.filtered.iter().map(by_reason);
        self.counter("observer_segments_filtered", "Left out on purpose", filtered)?;
        let lost = ledger.lost.iter().map(by_reason);
        self.counter("observer_segments_lost", "Wanted and lost", lost)?;
        self.counter("observer_records", "Entries on the ring", one(ledger.records))?;
        self.counter("observer_records_undecodable", "Not understood", one(ledger.undecodable))?;
        self.counter("observer_record_payload_bytes", "Payload on the ring", one(ledger.bytes))?;
        self.counter(
            "observer_ring_wakeups",
            "Times the kernel woke the reader",
            one(ledger.wakeups),
        )?;
        self.counter("observer_flows_found", "Flows found to be HTTP", one(ledger.flows))?;
        let sampled = one(ledger.flows_sampled);
        self.counter("observer_flows_sampled_out", "Times a flow was sampled out", sampled)
    }

    /// The step as a gauge for each, of which one is 1: what a step is called does not change.
    fn governor(&mut self, governor: &GovernorStats) -> fmt::Result {
        let steps = ["full", "no_bodies", "no_headers", "sample"];
        let is_on = steps.map(|step| (Some(("step", step)), u64::from(step == governor.step)));
        self.gauge("observer_governor_step", "1 for the step that holds", is_on)?;
        let adjusted_count = [(None, governor.adjusted_count.into())];
        let help = "Flows that one that is followed stands for";
        self.gauge("observer_governor_adjusted_count", help, adjusted_count)?;
        let steps = [("shed", governor.shed), ("return", governor.returned)];
        let steps = steps.map(|(direction, n)| (Some(("direction", direction)), n));
        self.counter("observer_governor_transitions", "Steps taken", steps)
    }

    fn engine(&mut self, snapshot: &Snapshot) -> fmt::Result {
        for (name, n) in snapshot.engine.iter().flatten() {
            let full = format!("observer_engine_{name}");
            let help = "See obs.stats.engine in the documentation of events";
            // These two are what is held now; the others only grow.
            match *name {
                "flows" | "buffered_bytes" => self.gauge(&full, help, [(None, *n)])?,
                _ => self.counter(&full, help, [(None, *n)])?,
            }
        }
        let events = snapshot.events.map(|n| (None, n));
        self.counter("observer_events", "Lines made", events)
    }

    fn sinks(&mut self, sinks: &[SinkStats]) -> fmt::Result {
        let each = |value: fn(&SinkStats) -> u64| {
            sinks.iter().map(move |sink| (Some(("sink", sink.name.as_str())), value(sink)))
        };
        self.counter("observer_sink_offered", "Events given to the sink", each(|s| s.offered))?;
        self.counter("observer_sink_written", "Events written", each(|s| s.events))?;
        self.counter("observer_sink_written_bytes", "Bytes written", each(|s| s.bytes))?;
        self.counter("observer_sink_lost", "Events not written", each(|s| s.lost))?;
        self.counter("observer_sink_errors", "Attempts that failed", each(|s| s.errors))?;
        self.gauge("observer_sink_waiting", "Events that wait", each(|s| s.waiting))?;
        self.gauge("observer_sink_queue_bytes", "Bytes in its queue", each(|s| s.waiting_bytes))?;
        self.gauge("observer_sink_spooled", "Events in its spool", each(|s| s.spooled))
    }

    /// What the process uses, under the names that every Prometheus client has for it.
    fn process(&mut self) -> fmt::Result {
        let Some(usage) = Usage::read() else { return Ok(()) };
        let seconds = ConstCounter::new(usage.cpu_ns as f64 / 1e9);
        let seconds = [(None, seconds)].into_iter();
        self.write("process_cpu_seconds", "CPU time used", seconds)?;
        let resident = [(None, usage.resident_bytes)];
        self.gauge("process_resident_memory_bytes", "Memory in use", resident)?;
        self.gauge(
            "process_open_fds",
            "Open descriptors",
            usage::n_descriptors().map(|n| (None, n)),
        )
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::registry::Registry;

    use super::*;

    #[test]
    fn the_account_is_rendered_by_reason_and_sink() {
        let latest = Snapshot {
            events: Some(7),
            capture: Some(Ledger {
                seen: 9,
                lost: [("ring_full", 2), ("flow_table", 0)].into(),
                ..Ledger::default()
            }),
            engine: Some([("flows", 3), ("exchanges", 5)].into()),
            sinks: vec![SinkStats {
                name: "/x\"y".into(),
                events: 6,
                lost: 1,
                ..Default::default()
            }],
            ..Snapshot::default()
        };
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Own::new(Arc::new(Mutex::new(latest)))));
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        for line in [
            "observer_segments_seen_total 9",
            "observer_segments_lost_total{reason=\"ring_full\"} 2",
            "observer_segments_lost_total{reason=\"flow_table\"} 0",
            "observer_engine_flows 3",
            "observer_engine_exchanges_total 5",
            "observer_events_total 7",
            "observer_sink_written_total{sink=\"/x\\\"y\"} 6",
            "observer_sink_lost_total{sink=\"/x\\\"y\"} 1",
            "# TYPE process_resident_memory_bytes gauge",
        ] {
            assert!(text.lines().any(|got| got == line), "{line}\n{text}");
        }
    }
}
