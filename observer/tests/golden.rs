//! Golden conversations: one `.http` file in `tests/golden/` a case, run five ways.
//!
//! The file is a sentence, then blocks: `-- client` and `-- server` hold the bytes that side sends,
//! each line ended by CRLF; a `\` at the end of a line takes its line end away, `\n` ends it with LF
//! alone, `\r`, `\\` and `\xNN` stand for bytes. `-- client gap 10` is ten bytes that were sent and
//! not captured, `-- server close` a FIN, `-- server reset` a RST. `-- midstream` as the first block
//! leaves the handshake out, `-- messages 10` asks for WebSocket messages with ten bytes of each.
//! `-- client dth` sets the DTH bit on what follows from there, `-- client plain` no more,
//! `-- client ack` is a bare acknowledgement.
//! `-- expect` holds a line an event: `key=value` with the keys of [`EXCHANGE`], or, behind
//! `event=NAME`, those of that event in [`EVENTS`]; what a line does not name must be as in a clean,
//! complete exchange, or as the table says.
//!
//! Five ways: as written, byte by byte, split at every offset, shuffled with duplicates, and from an
//! initial sequence number just below 2³². All must give the expected events.

mod common;

use std::fs;
use std::path::Path;

use common::conversation::{Conversation, Way};

/// Short names in `-- expect`, the key in the event, and the value where a line does not name it.
type Keys = &'static [(&'static str, &'static str, Option<&'static str>)];

/// What a line without `event=` describes.
const EXCHANGE: Keys = &[
    ("method", "http.request.method", None),
    ("target", "url.original", None),
    ("host", "url.domain", None),
    ("version", "network.protocol.version", None),
    ("status", "http.response.status_code", None),
    ("req", "http.request.body.size", None),
    ("resp", "http.response.body.size", None),
    ("reqsize", "http.request.size", None),
    ("respsize", "http.response.size", None),
    ("state", "obs.state", Some("complete")),
    ("pairing", "obs.pairing", Some("exact")),
    ("error", "error.type", Some("-")),
    ("anomalies", "obs.anomalies", Some("-")),
    ("takeover", "obs.takeover", Some("-")),
    ("interim", "obs.http.interim", Some("-")),
    ("reqgap", "obs.integrity.request_gap_bytes", Some("-")),
    ("respgap", "obs.integrity.response_gap_bytes", Some("-")),
    ("conflicts", "obs.integrity.overlap_conflicts", Some("-")),
    ("trailer", "obs.http.response.trailer", None),
    ("index", "obs.exchange.index", None),
    ("inside", "obs.tunnel", Some("-")),
    ("id", "obs.exchange.id", None),
    ("dth", "obs.tcp.dth", Some("-")),
];

const TUNNEL: Keys = &[
    ("exchange", "obs.exchange.index", Some("1")),
    ("phase", "obs.tunnel.phase", Some("close")),
    ("kind", "obs.tunnel.kind", None),
    ("protocol", "obs.tunnel.protocol", Some("-")),
    ("subprotocol", "obs.tunnel.subprotocol", Some("-")),
    ("inner", "obs.tunnel.inner", Some("-")),
    ("up", "obs.tunnel.bytes_to_server", Some("0")),
    ("down", "obs.tunnel.bytes_to_client", Some("0")),
    ("upgap", "obs.tunnel.gap_bytes_to_server", Some("-")),
    ("downgap", "obs.tunnel.gap_bytes_to_client", Some("-")),
    ("closed", "obs.tunnel.closed", Some("-")),
    ("upframes", "obs.tunnel.frames.to_server", Some("-")),
    ("downframes", "obs.tunnel.frames.to_client", Some("-")),
    ("deflate", "obs.tunnel.websocket.deflate", Some("-")),
    ("pings", "obs.tunnel.websocket.ping.client.answered", Some("-")),
    ("pongs", "obs.tunnel.websocket.ping.server.answered", Some("-")),
    ("close", "obs.tunnel.websocket.close", Some("-")),
    ("ssh", "obs.tunnel.ssh", Some("-")),
    ("tls", "tls", Some("-")),
    ("target", "url.original", None),
    ("anomalies", "obs.anomalies", Some("-")),
];

const MESSAGE: Keys = &[
    ("exchange", "obs.exchange.index", Some("1")),
    ("to", "obs.message.direction", None),
    ("opcode", "obs.message.opcode", None),
    ("size", "obs.message.size", None),
    ("frames", "obs.message.frames", Some("1")),
    ("gap", "obs.message.gap_bytes", Some("-")),
    ("compressed", "obs.message.compressed", Some("-")),
    ("text", "obs.message.content.text", Some("-")),
    ("truncated", "obs.message.content.truncated", None),
];

const DTH: Keys = &[
    ("exchange", "obs.exchange.index", Some("-")),
    ("phase", "obs.dth.phase", Some("flagged")),
    ("by", "obs.dth.by", None),
    ("handshake", "obs.dth.handshake", Some("false")),
    ("offset", "obs.dth.offset", None),
    ("outcome", "obs.dth.outcome", Some("-")),
    ("after", "obs.dth.bytes_after", Some("-")),
    ("closed", "obs.dth.closed.how", Some("-")),
];

const TLS: Keys = &[
    ("tls", "tls", None),
    ("up", "obs.tls.bytes_to_server", None),
    ("down", "obs.tls.bytes_to_client", None),
    ("downgap", "obs.tls.gap_bytes_to_client", Some("-")),
    ("closed", "obs.tls.closed", None),
];

/// What a line may describe, by the name of the event.
const EVENTS: &[(&str, Keys)] = &[
    ("http.exchange", EXCHANGE),
    ("http.tunnel", TUNNEL),
    ("websocket.message", MESSAGE),
    ("tcp.dth", DTH),
    ("tls.flow", TLS),
];

fn main() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let filter = std::env::args().skip(1).find(|a| !a.starts_with('-'));
    let mut files: Vec<_> = fs::read_dir(&folder)
        .expect("tests/golden is there")
        .map(|entry| entry.expect("readable").path())
        .filter(|path| path.extension().is_some_and(|e| e == "http"))
        .filter(|path| filter.as_ref().is_none_or(|f| path.to_string_lossy().contains(f.as_str())))
        .collect();
    files.sort();
    let mut failures = 0;
    for path in &files {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let text = fs::read_to_string(path).expect("a case is UTF-8");
        let (conversation, expected) = Conversation::parse(&text);
        let runs = Way::ALL.iter().flat_map(|way| conversation.run(*way));
        for (what, events) in runs {
            if let Err(difference) = compare(&events, &expected) {
                failures += 1;
                println!("FAILED {name} ({what})\n{difference}");
                break;
            }
        }
    }
    let passed = files.len().saturating_sub(failures);
    println!(
        "\ntest result: {}. {passed} passed; {failures} failed; 0 ignored",
        if failures == 0 { "ok" } else { "FAILED" }
    );
    assert!(filter.is_some() || files.len() >= 20, "the golden folder lost its cases");
    std::process::exit(i32::from(failures > 0));
}

/// Compares events with the `-- expect` lines.
fn compare(events: &[serde_json::Value], expected: &[String]) -> Result<(), String> {
    let shown = || events.iter().map(|e| format!("  {e}\n")).collect::<String>();
    if events.len() != expected.len() {
        return Err(format!("{} events, expected {}:\n{}", events.len(), expected.len(), shown()));
    }
    for (event, line) in events.iter().zip(expected) {
        let mut named: Vec<(&str, &str)> =
            line.split_whitespace().map(|word| word.split_once('=').expect("key=value")).collect();
        let name = match named.first() {
            Some(("event", name)) => *name,
            _ => "http.exchange",
        };
        named.retain(|(key, _)| *key != "event");
        let known = EVENTS.iter().find(|(event, _)| *event == name);
        let (_, keys) = known.unwrap_or_else(|| panic!("unknown event in {line}"));
        for (key, _) in &named {
            assert!(keys.iter().any(|(alias, ..)| alias == key), "unknown key {key} in {line}");
        }
        let got = event["event"]["name"].as_str().unwrap_or_default();
        if got != name {
            return Err(format!("{got}, expected {name}\n  line: {line}\n{}", shown()));
        }
        for (alias, path, default) in *keys {
            let want = named.iter().find(|(key, _)| key == alias).map(|(_, v)| *v).or(*default);
            let Some(want) = want else { continue };
            let got = show(path.split('.').try_fold(event, |value, key| value.get(key)));
            if got != want {
                return Err(format!(
                    "{alias}: {got}, expected {want}\n  line: {line}\n{}",
                    shown()
                ));
            }
        }
    }
    Ok(())
}

/// A value as the `-- expect` lines write it: lists joined by commas, absent as `-`.
fn show(value: Option<&serde_json::Value>) -> String {
    use serde_json::Value;
    match value {
        None => "-".to_owned(),
        Some(Value::String(text)) => text.replace(' ', "_"),
        Some(Value::Array(items)) => items
            .iter()
            .map(|item| show(Some(item.get("status_code").unwrap_or(item))))
            .collect::<Vec<_>>()
            .join(","),
        Some(Value::Object(map)) => map
            .iter()
            .map(|(key, value)| match value {
                Value::Object(_) => format!("{key}:{{{}}}", show(Some(value))),
                value => format!("{key}:{}", show(Some(value)).replace(' ', "_")),
            })
            .collect::<Vec<_>>()
            .join(","),
        Some(other) => other.to_string(),
    }
}
