//! Events as a reader of the NDJSON meets them.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::net::IpAddr;
use std::path::Path;

use serde_json::Value;

/// One line.
#[derive(Clone, Debug)]
pub(crate) struct Event(pub(crate) Value);

impl Event {
    #[track_caller]
    pub(crate) fn parse(line: &str) -> Self {
        Self(serde_json::from_str(line).unwrap_or_else(|err| panic!("{err}: {line}")))
    }

    pub(crate) fn name(&self) -> &str {
        self.text("/event/name")
    }

    pub(crate) fn text(&self, pointer: &str) -> &str {
        self.0.pointer(pointer).and_then(Value::as_str).unwrap_or("")
    }

    /// 0 when absent.
    pub(crate) fn number(&self, pointer: &str) -> u64 {
        self.0.pointer(pointer).and_then(Value::as_u64).unwrap_or(0)
    }

    /// The sum of an object of numbers.
    fn total(&self, pointer: &str) -> u64 {
        let object = self.0.pointer(pointer).and_then(Value::as_object);
        object.into_iter().flat_map(|object| object.values()).filter_map(Value::as_u64).sum()
    }
}

/// The kernel's account in an `observer.stats` event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) seen: u64,
    pub(crate) emitted: u64,
    pub(crate) skipped: u64,
    pub(crate) filtered: u64,
    pub(crate) lost: u64,
    pub(crate) records: u64,
    pub(crate) bytes: u64,
    pub(crate) flows: u64,
    /// Segments the engine was handed.
    pub(crate) segments: u64,
}

impl Account {
    #[track_caller]
    pub(crate) fn of(stats: &Event) -> Self {
        assert_eq!(stats.name(), "observer.stats");
        let part = |name: &str| format!("/obs/stats/capture/{name}");
        let number = |name: &str| stats.number(&part(name));
        Self {
            seen: number("seen"),
            emitted: number("emitted"),
            skipped: number("skipped"),
            filtered: stats.total(&part("filtered")),
            lost: stats.total(&part("lost")),
            records: number("records"),
            bytes: number("bytes"),
            flows: number("flows"),
            segments: stats.number("/obs/stats/engine/segments"),
        }
    }

    #[track_caller]
    pub(crate) fn assert_balanced(&self) {
        let outcomes = self.emitted + self.skipped + self.filtered + self.lost;
        assert_eq!(self.seen, outcomes, "{self:?}");
    }
}

/// What both sides of a comparison know of an exchange.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Exchange {
    pub(crate) client_port: u64,
    pub(crate) index: u64,
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) status: u64,
    pub(crate) interim: Vec<u64>,
    pub(crate) request_size: u64,
    pub(crate) request_body: u64,
    pub(crate) response_size: u64,
    pub(crate) response_body: u64,
    pub(crate) state: String,
    pub(crate) pairing: String,
    /// No gap, no loss, no conflict, no anomaly.
    pub(crate) is_clean: bool,
}

impl Exchange {
    #[track_caller]
    pub(crate) fn of(event: &Event) -> Self {
        assert_eq!(event.name(), "http.exchange", "{}", event.0);
        let interim = event.0.pointer("/obs/http/interim").and_then(Value::as_array);
        let status = |value: &Value| value.get("status_code").and_then(Value::as_u64).unwrap_or(0);
        let integrity = event.0.pointer("/obs/integrity").and_then(Value::as_object);
        // Live capture meets a connection at its first request and has not seen it open.
        let harm = integrity.into_iter().flatten().filter(|(key, _)| *key != "midstream").count();
        Self {
            client_port: event.number("/client/port"),
            index: event.number("/obs/exchange/index"),
            method: event.text("/http/request/method").to_owned(),
            target: event.text("/url/original").to_owned(),
            status: event.number("/http/response/status_code"),
            interim: interim.into_iter().flatten().map(status).collect(),
            request_size: event.number("/http/request/size"),
            request_body: event.number("/http/request/body/size"),
            response_size: event.number("/http/response/size"),
            response_body: event.number("/http/response/body/size"),
            state: event.text("/obs/state").to_owned(),
            pairing: event.text("/obs/pairing").to_owned(),
            is_clean: harm == 0 && event.0.pointer("/obs/anomalies").is_none(),
        }
    }
}

/// The two ends of a flow, in the order client, server.
#[track_caller]
pub(crate) fn addresses(event: &Event) -> [IpAddr; 2] {
    ["/client/address", "/server/address"].map(|key| event.text(key).parse().unwrap())
}

/// The last account in a file of events, if it has one by now.
pub(crate) fn last_account(file: &Path) -> Option<Account> {
    let mut file = File::open(file).ok()?;
    let n_bytes = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(n_bytes.saturating_sub(256 << 10))).ok()?;
    let mut tail = Vec::new();
    file.read_to_end(&mut tail).ok()?;
    // What stands behind the last line end is still being written.
    let tail = String::from_utf8_lossy(&tail);
    let (whole, _) = tail.rsplit_once('\n')?;
    let line = whole.lines().rev().find(|line| line.contains("\"observer.stats\""))?;
    Some(Account::of(&Event::parse(line)))
}
