//! docs/events.schema.json holds for the events that observer writes, and refuses what is wrong.

#[path = "common/corpus.rs"]
mod corpus;

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

fn schema() -> jsonschema::Validator {
    let schema: Value = serde_json::from_str(observer::event::JSON_SCHEMA).unwrap();
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
fn the_lines_in_the_documentation_are_valid() {
    let page = include_str!("../../docs/events.md");
    let lines: Vec<_> = page.lines().filter(|line| line.starts_with("{\"timestamp\"")).collect();
    for line in &lines {
        let event: Value = serde_json::from_str(line).unwrap();
        schema().validate(&event).unwrap_or_else(|err| panic!("{err}: {line}"));
    }
    let names = ["http.exchange", "http.tunnel", "websocket.message", "tcp.dth", "tls.flow"];
    for name in names.iter().chain(&["observer.stats", "observer.governor"]) {
        let is_shown = lines.iter().any(|line| line.contains(&format!("{{\"name\":\"{name}\"}}")));
        assert!(is_shown, "no line of {name}");
    }
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
        events: Some(9),
        capture: Some(Ledger {
            seen: u64::MAX,
            filtered: [("not_http", 2)].into(),
            lost: [("ring_full", 1)].into(),
            ..Ledger::default()
        }),
        engine: Some([("exchanges", 2)].into()),
        governor: Some(governor()),
        sinks: vec![SinkStats {
            name: "stdout".into(),
            offered: 5,
            recovered: 1,
            waiting: 3,
            spooled: 2,
            lost: 3,
            lost_by: [("queue_full", 1), ("at_end", 2)].into(),
            ..SinkStats::default()
        }],
        tail: Some(TailStats::default()),
    };
    for snapshot in [full, Snapshot::default()] {
        let mut line = Vec::new();
        snapshot.write_json(observer::segment::Timestamp(1), &mut line);
        schema().validate(&serde_json::from_slice(&line).unwrap()).unwrap();
    }
}

fn governor() -> observer::event::governor::GovernorStats {
    use observer::governor::Step;
    let step = Step::Sample(3);
    observer::event::governor::GovernorStats {
        step: step.name(),
        adjusted_count: step.adjusted_count(),
        ..Default::default()
    }
}

#[test]
fn steps_of_the_governor_are_valid() {
    use observer::event::governor::GovernorStep;
    let step = GovernorStep { from: "full", cause: "memory", now: governor() };
    let mut line = Vec::new();
    step.write_json(observer::segment::Timestamp(1), &mut line);
    schema().validate(&serde_json::from_slice(&line).unwrap()).unwrap();
}

#[test]
fn a_weight_is_valid_where_it_says_something() {
    let mut event = exchange();
    event["obs"]["sampling"] = json!({"adjusted_count": 4});
    schema().validate(&event).unwrap();
    event["obs"]["sampling"] = json!({"adjusted_count": 1});
    assert!(!schema().is_valid(&event));
}

/// The inode of a network namespace that is not observer's own.
const NETNS: u32 = 4_026_532_277;

/// What the engine makes of bytes sent by turns, the client first.
fn engine_lines(turns: &[&str], finish: bool) -> Vec<Value> {
    use observer::pipeline::{Config, Pipeline};
    use observer::segment::{Endpoint, Origin, Segment, SeqNumber, TcpFlags, Timestamp};
    let ends = [Endpoint::v4([127, 0, 0, 1], 51234), Endpoint::v4([127, 0, 0, 1], 8080)];
    let mut engine = Pipeline::new(Config { headers: true, body_prefix: 5, ..Config::default() });
    engine.name_interface(NETNS, 1, "lo");
    engine.name_netns(NETNS, "blue");
    let mut next = [1000, 9000];
    for (i, turn) in turns.iter().enumerate() {
        let (from, to) = (i % 2, (i + 1) % 2);
        engine.handle_segment(&Segment {
            time: Timestamp(1_795_266_202_118_000_123 + i as u64 * 1_000_000),
            source: ends[from],
            destination: ends[to],
            seq: SeqNumber(next[from]),
            ack: SeqNumber(next[to]),
            flags: TcpFlags::ACK.union(TcpFlags::PSH).union(TcpFlags::DTH),
            window: 1000,
            payload_len: turn.len() as u32,
            payload: turn.as_bytes(),
            origin: Origin { ifindex: 1, netns: NETNS, ..Origin::default() },
        });
        next[from] += turn.len() as u32;
    }
    if finish {
        engine.finish(Timestamp(1_795_266_203_000_000_000));
    }
    let mut events = Vec::new();
    while let Some(event) = engine.poll_event() {
        let mut line = Vec::new();
        event.write_json(&mut line);
        assert!(!line.contains(&b'\n'));
        events.push(serde_json::from_slice(&line).unwrap());
    }
    events
}

#[track_caller]
fn valid(turns: &[&str], n_events: usize) {
    let events = engine_lines(turns, true);
    // Every segment carries the DTH bit: each half is told of twice.
    let (dth, others): (Vec<_>, Vec<_>) =
        events.iter().partition(|event| event["event"]["name"] == "tcp.dth");
    assert_eq!(dth.len(), 2 * turns.len().min(2), "{dth:?}");
    assert_eq!(others.len(), n_events, "{others:?}");
    for event in events {
        if let Err(err) = schema().validate(&event) {
            panic!("{err} at {}: {event}", err.instance_path());
        }
    }
}

#[test]
fn what_the_engine_writes_is_valid() {
    let get =
        "GET /a?token=x HTTP/1.1\r\nHost: localhost:8080\r\nCookie: a=b\r\nX: 1\r\nX: 2\r\n\r\n";
    let ok = "HTTP/1.1 200 Fine\r\nContent-Length: 11\r\n\r\nhello world";
    valid(&[get, ok, get, "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"], 2);
    valid(&[get], 1);
    valid(&[get, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello"], 1);
    valid(&["GET / HTTP/1.1\nHost : x\n\n", ok], 1);
    valid(&["BREW / HTTP/1.1\r\nHost: x\r\n\r\n", ok], 1);
    valid(
        &[
            "POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 100 Continue\r\n\r\n",
            "5\r\nhello\r\n0\r\nDigest: x\r\n\r\n",
            ok,
        ],
        1,
    );
    valid(
        &[
            "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
            "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
        ],
        // The exchange, the tunnel's beginning and its end.
        3,
    );
    tunnels_are_valid();
}

fn tunnels_are_valid() {
    let connect = "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n";
    let established = "HTTP/1.1 200 OK\r\n\r\n";
    valid(&[connect, established, "SSH-2.0-a\r\n", "SSH-2.0-b\r\n"], 3);
    valid(&[connect, established, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", established], 4);
    let upgrade =
        "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
    let switching = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
        Sec-WebSocket-Protocol: chat\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n";
    let (ping, pong) = ("\u{9}\u{1}a", "\u{a}\u{1}a");
    let close = "\u{8}\u{3}\u{3}\u{7f}.";
    valid(&[upgrade, switching, ping, pong, "\u{1}\u{5}hello\0\u{1}!\u{3}\0", close], 3);
}

/// Captures that other projects made, beside the repository.
#[test]
fn every_event_of_the_corpus_is_valid() {
    use observer::capture::file::Reader;
    use observer::pipeline::{Config, Pipeline};
    let Some(corpus) = corpus::folder("schema") else { return };
    let schema = schema();
    let mut files = Vec::new();
    captures(&corpus, &mut files);
    assert!(files.len() > 100, "only {} captures in {}", files.len(), corpus.display());
    let (mut n_events, mut invalid) = (0, Vec::new());
    for file in files {
        let Ok(mut reader) = Reader::open(&file) else { continue };
        let config = Config { headers: true, body_prefix: 20, ..Config::default() };
        let mut engine = Pipeline::new(config);
        let mut last = observer::segment::Timestamp(0);
        while let Ok(Some(segment)) = reader.next_segment() {
            last = last.max(segment.time);
            engine.handle_segment(&segment);
        }
        engine.finish(last);
        while let Some(event) = engine.poll_event() {
            let mut line = Vec::new();
            event.write_json(&mut line);
            n_events += 1;
            let event: Value = serde_json::from_slice(&line).unwrap();
            if let Some(err) = schema.iter_errors(&event).next() {
                invalid.push(format!("{}: {err} at {}", file.display(), err.instance_path()));
            }
        }
    }
    assert!(n_events > 1000, "only {n_events} events");
    let (n, some) = (invalid.len(), invalid.iter().take(20).cloned().collect::<Vec<_>>());
    assert!(invalid.is_empty(), "{n} of {n_events} events, among them:\n{}", some.join("\n"));
}

fn captures(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            captures(&path, files);
        } else if path.to_string_lossy().contains(".pcap") {
            files.push(path);
        }
    }
}
