//! Raw HTTP/1 streams with verdicts, from llhttp, libhtp and http-garden: each goes through the
//! engine, and what comes out is held against the verdict.
//!
//! `accept`: the messages are there, complete and without an anomaly. `incomplete`: none beyond the
//! complete ones is reported complete. `upgrade`: the same as `accept`, and nothing behind the
//! upgrade is read as a message. `reject`: nothing beyond the valid prefix is clean and complete.
//! Where we differ on purpose, `streams_differences.txt` says how and why, and an entry that is no
//! longer true is a failure.

#[path = "common/corpus.rs"]
mod corpus;
#[path = "common/stream.rs"]
mod stream;

use std::collections::BTreeMap;

use serde_json::Value;
use stream::{Kind, Seen, Step, run};

/// One line of `streams.ndjson`.
struct Stream {
    name: String,
    kind: Kind,
    steps: Vec<Step>,
    expect: Value,
}

#[test]
fn streams_are_read_as_their_verdicts_say() {
    let Some(path) = corpus::folder("streams") else { return };
    let text = std::fs::read_to_string(path.join("streams.ndjson")).unwrap();
    let streams: Vec<Stream> = text.lines().map(parse).collect();
    assert!(streams.len() >= 250, "the corpus shrank to {} streams", streams.len());
    let listed = differences(include_str!("streams_differences.txt"));
    let mut failures = String::new();
    for stream in &streams {
        let seen = run(stream.kind, &stream.steps);
        let ours = difference(stream, &seen);
        match (ours, listed.get(stream.name.as_str())) {
            (None, None) => {}
            (Some(ours), Some((_, theirs))) if ours == *theirs => {}
            (Some(ours), Some((_, theirs))) => {
                failures += &format!("{}: {ours}\n    listed as: {theirs}\n", stream.name);
            }
            (Some(ours), None) => {
                failures += &format!("{}: {ours}\n    {}\n", stream.name, stream.expect);
                failures += &seen.iter().map(|s| format!("    {s:?}\n")).collect::<String>();
            }
            (None, Some(_)) => failures += &format!("{}: differs no more\n", stream.name),
        }
        if let Some((verdict, _)) = listed.get(stream.name.as_str())
            && stream.expect["verdict"] != *verdict
        {
            failures += &format!("{}: the verdict is {}\n", stream.name, stream.expect["verdict"]);
        }
    }
    for name in listed.keys() {
        assert!(streams.iter().any(|s| s.name == *name), "no stream is called {name}");
    }
    assert!(failures.is_empty(), "{failures}");
}

fn parse(line: &str) -> Stream {
    let value: Value = serde_json::from_str(line).unwrap();
    let kind = match value["kind"].as_str().unwrap() {
        "request" => Kind::Request,
        "response" => Kind::Response,
        "dialogue" => Kind::Dialogue,
        other => panic!("a stream of kind {other}"),
    };
    let steps = match (kind, value["segments"].as_array()) {
        (Kind::Dialogue, Some(segments)) => segments
            .iter()
            .map(|segment| Step {
                from_client: segment["dir"] == "client",
                bytes: unhex(segment["hex"].as_str().unwrap_or_default()),
                n_missing: segment["gap"].as_u64().unwrap_or(0),
            })
            .collect(),
        _ => vec![Step {
            from_client: kind == Kind::Request,
            bytes: unhex(value["hex"].as_str().unwrap()),
            n_missing: 0,
        }],
    };
    let name = value["name"].as_str().unwrap().to_owned();
    Stream { name, kind, steps, expect: value["expect"].clone() }
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap()).collect()
}

/// Reads `name | verdict | ours | why`.
fn differences(text: &str) -> BTreeMap<&str, (&str, &str)> {
    let mut all = BTreeMap::new();
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let parts: Vec<&str> = line.split(" | ").map(str::trim).collect();
        let &[name, verdict, ours, why] = parts.as_slice() else { panic!("not four: {line}") };
        assert!(why.ends_with('.') && why.len() > 20, "{name}: the reason is no sentence");
        assert!(all.insert(name, (verdict, ours)).is_none(), "{name} is listed twice");
    }
    all
}

/// How what we saw differs from the verdict.
fn difference(stream: &Stream, seen: &[Seen]) -> Option<String> {
    let expect = &stream.expect;
    if stream.kind == Kind::Dialogue {
        return dialogue_difference(expect, seen);
    }
    let messages: Vec<Expected> = expected_messages(expect);
    match expect["verdict"].as_str().unwrap() {
        verdict @ ("accept" | "upgrade" | "accept-then-junk" | "accept-then-reject") => {
            let clean = expect["lenient"] != true && verdict != "upgrade";
            compare(&messages, seen, clean, true)
        }
        // Line ends without CR are accepted, and flagged.
        "lf-lenient-accept" => compare(&messages, seen, false, true),
        "incomplete" => {
            let complete: Vec<_> = messages.into_iter().filter(|m| m.complete).collect();
            compare(&complete, seen, false, false)
        }
        "reject" | "reject-or-chunked" | "chunked-or-reject" | "ambiguous" => {
            let n_valid = messages.iter().filter(|m| m.complete).count();
            let n_ours = seen.iter().filter(|s| s.complete && s.is_clean()).count();
            let verdict = &expect["verdict"];
            // Where both readings stand, the first message has to say so.
            let allowed = if verdict == "ambiguous" { 1 } else { n_valid };
            if n_ours > allowed {
                return Some(format!("{n_ours} clean and complete"));
            }
            match expect["body_len"].as_u64() {
                Some(n) if seen.first().is_some_and(|s| s.complete && s.body != n) => {
                    Some(format!("a body of {}", seen[0].body))
                }
                _ => None,
            }
        }
        other => panic!("verdict {other}"),
    }
}

#[derive(Debug, Default)]
struct Expected {
    method: Option<String>,
    target: Option<String>,
    status: Option<u64>,
    version: Option<String>,
    body: Option<u64>,
    complete: bool,
}

/// The messages of llhttp as they are, http-garden's from its counts and lengths.
fn expected_messages(expect: &Value) -> Vec<Expected> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    match &expect["messages"] {
        Value::Array(messages) => messages
            .iter()
            .map(|m| Expected {
                method: text(&m["method"]),
                target: text(&m["target"]),
                status: m["status"].as_u64(),
                version: text(&m["version"]),
                body: m["body_len"].as_u64(),
                complete: m["complete"] == true,
            })
            // An interim response without its request is no message of ours.
            .filter(|m| !m.status.is_some_and(|s| (100..200).contains(&s) && s != 101))
            .collect(),
        counted => {
            let complete = expect["complete"] != false;
            let n = counted.as_u64().unwrap_or(0).max(u64::from(!complete));
            (0..n as usize)
                .map(|i| Expected {
                    body: expect["body_lens"][i].as_u64().or(expect["body_len"].as_u64()),
                    complete,
                    ..Expected::default()
                })
                .collect()
        }
    }
}

/// Compares message by message; `exactly` when there may be no other complete one.
fn compare(expected: &[Expected], seen: &[Seen], clean: bool, exactly: bool) -> Option<String> {
    for (i, want) in expected.iter().enumerate() {
        let Some(got) = seen.get(i) else { return Some(format!("message {} is absent", i + 1)) };
        let differs = |what: &str, got: String| Some(format!("message {}: {what} {got}", i + 1));
        if want.method.is_some() && want.method != got.method {
            return differs("method", format!("{:?}", got.method));
        }
        if want.target.is_some() && want.target != got.target {
            return differs("target", format!("{:?}", got.target));
        }
        if want.status.is_some() && want.status != got.status {
            return differs("status", format!("{:?}", got.status));
        }
        if want.version.is_some() && want.version != got.version {
            return differs("version", format!("{:?}", got.version));
        }
        if want.complete != got.complete {
            return differs("complete", got.complete.to_string());
        }
        if let Some(body) = want.body.filter(|&body| want.complete && body != got.body) {
            return differs("body", format!("{} instead of {body}", got.body));
        }
        if clean && !got.is_clean() {
            return differs("anomalies", got.anomalies.join(","));
        }
    }
    let n_complete = seen.iter().filter(|s| s.complete).count();
    let n_expected = expected.iter().filter(|m| m.complete).count();
    if exactly && seen.len() > expected.len() || n_complete > n_expected {
        return Some(format!("{} messages, {n_complete} complete", seen.len()));
    }
    None
}

/// Compares a dialogue with libhtp's transactions and what it asserted of them.
fn dialogue_difference(expect: &Value, seen: &[Seen]) -> Option<String> {
    if expect["verdict"] == "reject" {
        let clean = seen.iter().filter(|s| s.complete && s.is_clean()).count();
        return (clean > 0).then(|| format!("{clean} clean and complete"));
    }
    if let Some(n) = expect["transactions"].as_u64()
        && seen.len() as u64 != n
    {
        return Some(format!("{} exchanges", seen.len()));
    }
    for (i, tx) in expect["tx"].as_array().unwrap().iter().enumerate() {
        let Some(got) = seen.get(i) else { return Some(format!("exchange {} is absent", i + 1)) };
        let differs = |what: &str, got: &str| Some(format!("exchange {}: {what} {got}", i + 1));
        let same = |key: &str, got: &Option<String>| {
            tx[key].as_str().is_none_or(|want| got.as_deref() == Some(want))
        };
        if !same("method", &got.method) {
            return differs("method", got.method.as_deref().unwrap_or("-"));
        }
        if !same("target", &got.target) {
            return differs("target", got.target.as_deref().unwrap_or("-"));
        }
        if tx["status"].as_u64().is_some_and(|want| got.status != Some(want)) {
            return differs("status", &got.status.unwrap_or(0).to_string());
        }
        let whole = tx["complete"] == true || tx["response_complete"] == true;
        if whole && !got.complete {
            return differs("complete", "false");
        }
        // The length on the wire or the content's: libhtp counts chunk framing in the first.
        for (key, body) in [("request", got.request_body), ("response", got.body)] {
            let length = |what: &str| tx[format!("{key}_{what}_len")].as_u64();
            if let (Some(message), Some(entity)) = (length("message"), length("entity"))
                && body != message
                && body != entity
            {
                return differs(&format!("{key} body"), &body.to_string());
            }
        }
        let flags = tx["flags"].as_array().into_iter().flatten();
        for flag in flags.filter_map(Value::as_str) {
            let ours = match flag {
                "HTP_HOST_MISSING" => got.anomalies.iter().any(|a| a == "host_count"),
                "HTP_REQUEST_SMUGGLING" | "HTP_FIELD_INVALID" | "HTP_FIELD_UNPARSEABLE" => {
                    !got.is_clean()
                }
                // What is in a field or a path, not where a message ends.
                _ => true,
            };
            if !ours {
                return differs(flag, "is not flagged");
            }
        }
    }
    None
}
