//! docs/events.schema.json holds for the events that observer writes, and refuses what is wrong.

use serde_json::{Value, json};

fn schema() -> jsonschema::Validator {
    let schema: Value = serde_json::from_str(observer::event::SCHEMA).unwrap();
    jsonschema::draft202012::meta::validate(&schema).unwrap();
    jsonschema::validator_for(&schema).unwrap()
}

fn exchange() -> Value {
    json!({
        "timestamp": "2026-11-21T13:03:22.118000123Z",
        "event": {"name": "http.exchange"},
        "client": {"address": "127.0.0.1", "port": 51234},
        "server": {"address": "::1", "port": 8080},
        "url": {"scheme": "http", "domain": "localhost", "path": "/", "query": "a=1", "original": "/?a=1"},
        "http": {
            "request": {"method": "GET", "size": 80, "body": {"size": 0}, "header": {"host": ["localhost"]}},
            "response": {"status_code": 200, "size": 850, "body": {"size": 612}},
        },
        "network": {"protocol": {"name": "http", "version": "1.1"}, "transport": "tcp", "type": "ipv6"},
        "obs": {
            "schema": 1, "flow": {"id": "f1"}, "exchange": {"id": "e1", "index": 1},
            "state": "complete", "pairing": "exact",
            "timing": {"total_ns": 1_214_000, "ttfb_ns": 930_000},
            "anomalies": ["lf_only"],
            "capture": {"interface": "lo", "hook": "tc_ingress", "backend": "tc"},
        },
    })
}

/// The exchange with one value replaced, or taken away by `null`.
#[track_caller]
fn refused(pointer: &str, value: &Value) {
    let mut event = exchange();
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    let parent = event.pointer_mut(parent).unwrap().as_object_mut().unwrap();
    match value {
        Value::Null => drop(parent.remove(key).unwrap()),
        value => drop(parent.insert(key.to_owned(), value.clone())),
    }
    assert!(!schema().is_valid(&event), "accepted {pointer} = {value}");
}

#[test]
fn an_exchange_is_valid() {
    schema().validate(&exchange()).unwrap();
}

#[test]
fn what_design_rules_out_is_refused() {
    refused("/timestamp", &json!("2026-11-21T13:03:22Z"));
    refused("/timestamp", &Value::Null);
    refused("/event/name", &json!("http.exchanges"));
    refused("/obs/schema", &json!(2));
    refused("/obs/state", &json!("done"));
    refused("/obs/pairing", &json!("guessed"));
    refused("/obs/anomalies", &json!([]));
    refused("/obs/timing/total_ns", &json!(-1));
    refused("/obs/exchange/index", &json!(0));
    refused("/client/port", &json!(65536));
    refused("/server", &Value::Null);
    refused("/http/request/method", &json!("_OTHER"));
    refused("/http/request/header", &json!({"Host": ["x"]}));
    refused("/http/request/header", &json!({"host": "x"}));
    refused("/http/response/status_code", &json!("200"));
    refused("/error", &json!({"type": "broken"}));
}

#[test]
fn statistics_are_valid() {
    use observer::event::stats::{Ledger, SinkStats, Snapshot, TailStats};
    let full = Snapshot {
        uptime_ns: Some(1),
        capture: Some(Ledger {
            seen: u64::MAX,
            filtered: [("not_http", 2)].into(),
            lost: [("ring_full", 1)].into(),
            ..Ledger::default()
        }),
        engine: Some([("exchanges", 2)].into()),
        sinks: vec![SinkStats { name: "stdout".into(), ..SinkStats::default() }],
        tail: Some(TailStats::default()),
    };
    for snapshot in [full, Snapshot::default()] {
        let mut line = Vec::new();
        snapshot.write_json(observer::segment::Timestamp(1), &mut line);
        schema().validate(&serde_json::from_slice(&line).unwrap()).unwrap();
    }
}
