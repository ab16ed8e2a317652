//! `observer.governor`: that observer begins or ceases to leave something out, and why. It comes as
//! rarely as that happens.

use serde::Serialize;

use super::SCHEMA;
use super::text::Time;
use crate::segment::Timestamp;

/// What is left out now, and what observer uses; part of `observer.stats`, and of the event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct GovernorStats {
    /// `full`, `no_bodies`, `no_headers` or `sample`; each leaves out what those before it do.
    pub step: &'static str,
    /// How many flows one that is followed stands for.
    pub adjusted_count: u32,
    /// Used in the last interval, of one CPU; held now.
    pub cpu_percent: u64,
    pub memory_bytes: u64,
    /// Of which it may use so much; 0: as much as it likes.
    pub cpu_budget_percent: u32,
    pub memory_budget_bytes: u64,
    /// Steps taken since the start: to leave more out, and back.
    pub shed: u64,
    pub returned: u64,
}

/// One step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GovernorStep {
    pub from: &'static str,
    pub cause: &'static str,
    pub now: GovernorStats,
}

impl GovernorStep {
    /// Appends the event as one JSON object, without a line end.
    pub fn write_json(&self, time: Timestamp, out: &mut Vec<u8>) {
        let event = Envelope {
            timestamp: Time(time),
            event: Name { name: "observer.governor" },
            obs: Obs {
                schema: SCHEMA,
                governor: Governor { from: self.from, cause: self.cause, now: self.now },
            },
        };
        super::write(&event, out);
    }
}

#[derive(Serialize)]
struct Envelope {
    timestamp: Time,
    event: Name,
    obs: Obs,
}

#[derive(Serialize)]
struct Name {
    name: &'static str,
}

#[derive(Serialize)]
struct Obs {
    schema: u32,
    governor: Governor,
}

#[derive(Serialize)]
struct Governor {
    from: &'static str,
    cause: &'static str,
    #[serde(flatten)]
    now: GovernorStats,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_tells_where_from_why_and_what_holds_now() {
        let now = GovernorStats {
            step: "sample",
            adjusted_count: 2,
            cpu_percent: 97,
            memory_bytes: 5,
            cpu_budget_percent: 50,
            memory_budget_bytes: 0,
            shed: 3,
            returned: 0,
        };
        let mut out = Vec::new();
        let step = GovernorStep { from: "no_headers", cause: "cpu", now };
        step.write_json(Timestamp(1_795_266_202_118_000_123), &mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            r#"{"timestamp":"2026-11-21T13:03:22.118000123Z","event":{"name":"observer.governor"},"obs":{"schema":1,"governor":{"from":"no_headers","cause":"cpu","step":"sample","adjusted_count":2,"cpu_percent":97,"memory_bytes":5,"cpu_budget_percent":50,"memory_budget_bytes":0,"shed":3,"returned":0}}}"#
        );
    }
}
