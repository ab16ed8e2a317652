//! Whether an account adds up: from what the kernel saw to what each sink got.

use serde_json::Value;

/// Segments, as the kernel counted them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Segments {
    pub(super) seen: u64,
    pub(super) emitted: u64,
    pub(super) skipped: u64,
    pub(super) filtered: u64,
    pub(super) lost: u64,
}

impl Segments {
    /// Reads `obs.stats`.
    pub(super) fn of(stats: &Value) -> Self {
        let capture = &stats["capture"];
        Self {
            seen: number(&capture["seen"]),
            emitted: number(&capture["emitted"]),
            skipped: number(&capture["skipped"]),
            filtered: sum(&capture["filtered"]),
            lost: sum(&capture["lost"]),
        }
    }

    pub(super) fn balances(self) -> bool {
        self.seen == self.emitted + self.skipped + self.filtered + self.lost
    }
}

/// Sinks whose account does not add up: what was offered was written, is lost, or waits.
pub(super) fn sink_faults(stats: &Value) -> Vec<String> {
    let sinks = stats["sinks"].as_array().into_iter().flatten();
    let is_off = |sink: &&Value| {
        let get = |key: &str| number(&sink[key]);
        get("offered") + get("recovered") != get("events") + get("lost") + get("waiting")
    };
    sinks.filter(is_off).map(|sink| format!("a sink's account does not add up: {sink}")).collect()
}

/// What a sink has lost.
pub(super) fn lost_by(stats: &Value, name: &str) -> u64 {
    let sinks = stats["sinks"].as_array().into_iter().flatten();
    sinks.filter(|sink| sink["name"] == name).map(|sink| number(&sink["lost"])).sum()
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or(0)
}

fn sum(object: &Value) -> u64 {
    object.as_object().into_iter().flatten().map(|(_, value)| number(value)).sum()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn segments_balance_over_every_reason() {
        let stats = |lost: u64| {
            json!({"capture": {"seen": 10, "emitted": 4, "skipped": 1,
                   "filtered": {"port": 2, "host": 1}, "lost": {"ring_full": lost}}})
        };
        assert!(Segments::of(&stats(2)).balances());
        assert!(!Segments::of(&stats(1)).balances());
    }

    #[test]
    fn a_sink_that_lost_without_a_word_is_found() {
        let stats = |waiting: u64| json!({"sinks": [{"name": "a", "offered": 5, "events": 2, "lost": 1, "waiting": waiting}]});
        assert!(sink_faults(&stats(2)).is_empty());
        assert_eq!(sink_faults(&stats(1)).len(), 1);
        assert_eq!(lost_by(&stats(2), "a"), 1);
    }
}
