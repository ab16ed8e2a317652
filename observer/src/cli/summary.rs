//! What is said at the end, on standard error: how much was seen, and exactly what was lost.

use serde_json::Value;

use super::plural;
use super::pretty::text::{count, duration};
use crate::event::stats::Snapshot;

/// The end of a `tail` that has shown so many of `what`: `first` and `last` are the statistics around the time it was there.
pub(super) fn tail(n_shown: u64, what: &str, first: &Value, last: &Value) -> Vec<String> {
    let time = difference(first, last, "/uptime_ns")
        .map_or_else(String::new, |ns| format!(" in {}", duration(ns)));
    let mut lines = vec![format!("{} shown{time}", plural(n_shown, what))];
    if let Some(dropped) = last.pointer("/tail/dropped").and_then(Value::as_u64).filter(|n| *n > 0)
    {
        lines
            .push(format!("{} dropped because this end read too slowly", plural(dropped, "event")));
    }
    lines.extend(ledger(first, last));
    lines
}

/// The end of a daemon.
pub(super) fn daemon(last: &Snapshot) -> Vec<String> {
    let last = serde_json::to_value(last).unwrap_or_default();
    let first = Value::Null;
    let n_exchanges = difference(&first, &last, "/engine/exchanges").unwrap_or(0);
    let time = duration(difference(&first, &last, "/uptime_ns").unwrap_or(0));
    let mut lines = vec![format!("{} in {time}", plural(n_exchanges, "exchange"))];
    for sink in last.pointer("/sinks").and_then(Value::as_array).into_iter().flatten() {
        let name = sink.pointer("/name").and_then(Value::as_str).unwrap_or("?");
        let number = |key| sink.pointer(key).and_then(Value::as_u64).unwrap_or(0);
        // A socket that nobody attached to is not worth a line.
        if number("/events") > 0 || number("/lost") > 0 || name != "tail" {
            let (events, lost) = (plural(number("/events"), "event"), count(number("/lost")));
            lines.push(format!("{name}: {events} written, {lost} lost"));
        }
    }
    lines.extend(ledger(&first, &last));
    lines
}

/// One line: what became of every segment that reached a hook.
fn ledger(first: &Value, last: &Value) -> Option<String> {
    last.pointer("/capture")?;
    let part = |name: &str| difference(first, last, &format!("/capture/{name}")).unwrap_or(0);
    let reasons = |name: &str| {
        let pointer = format!("/capture/{name}");
        let map = last.pointer(&pointer).and_then(Value::as_object);
        let each: Vec<_> = map
            .into_iter()
            .flatten()
            .map(|(reason, _)| {
                let n = difference(first, last, &format!("{pointer}/{reason}")).unwrap_or(0);
                (reason.replace('_', " "), n)
            })
            .filter(|(_, n)| *n > 0)
            .collect();
        let total: u64 = each.iter().map(|(_, n)| n).sum();
        let each: Vec<_> =
            each.iter().map(|(reason, n)| format!("{} {reason}", count(*n))).collect();
        let detail =
            if each.is_empty() { String::new() } else { format!(" ({})", each.join(", ")) };
        format!("{}{detail}", count(total))
    };
    Some(format!(
        "segments: {} seen = {} emitted + {} skipped + {} filtered + {} lost",
        count(part("seen")),
        count(part("emitted")),
        count(part("skipped")),
        reasons("filtered"),
        reasons("lost"),
    ))
}

/// How much a total has grown. Ledgers only grow; what is absent before counts from 0.
fn difference(first: &Value, last: &Value, pointer: &str) -> Option<u64> {
    let before = first.pointer(pointer).and_then(Value::as_u64).unwrap_or(0);
    Some(last.pointer(pointer)?.as_u64()?.saturating_sub(before))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_tail_tells_what_happened_while_it_was_there() {
        let first = json!({"uptime_ns": 1_000_000_000_u64, "capture": {"seen": 100, "emitted": 60,
            "skipped": 0, "filtered": {"not_http": 40}, "lost": {}}});
        let last = json!({"uptime_ns": 13_400_000_000_u64, "capture": {"seen": 1404, "emitted": 80,
            "skipped": 20, "filtered": {"not_http": 1240, "duplicate": 0},
            "lost": {"ring_full": 64}}, "tail": {"sent": 5, "dropped": 2}});
        assert_eq!(
            tail(3, "exchange", &first, &last),
            [
                "3 exchanges shown in 12.4s",
                "2 events dropped because this end read too slowly",
                "segments: 1 304 seen = 20 emitted + 20 skipped + 1 200 (1 200 not http) filtered \
                 + 64 (64 ring full) lost",
            ]
        );
    }

    #[test]
    fn a_daemon_tells_where_its_events_went() {
        use crate::event::stats::{Ledger, SinkStats};
        let sink = |name: &str, events, lost| SinkStats {
            name: name.into(),
            events,
            lost,
            ..SinkStats::default()
        };
        let last = Snapshot {
            uptime_ns: Some(61_000_000_000),
            events: Some(3),
            capture: Some(Ledger { seen: 5, emitted: 5, ..Ledger::default() }),
            engine: Some([("exchanges", 1)].into()),
            governor: None,
            sinks: vec![sink("/var/log/o", 2, 1), sink("tail", 0, 0)],
            tail: None,
        };
        assert_eq!(
            daemon(&last),
            [
                "1 exchange in 1m01s",
                "/var/log/o: 2 events written, 1 lost",
                "segments: 5 seen = 5 emitted + 0 skipped + 0 filtered + 0 lost",
            ]
        );
    }
}
