//! Our exchanges: the events of `observer read -f ndjson`.

use std::{path::Path, process::Stdio};

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::{Connection, Exchange, Exchanges};
use crate::runner;

pub(super) fn read(observer: &Path, capture: &Path) -> Result<Exchanges> {
    let mut command = runner::command(observer);
    command.arg("read").arg(capture).args(["-f", "ndjson"]).stderr(Stdio::inherit());
    eprintln!("  $ {}", runner::describe(&command));
    let output =
        command.output().with_context(|| format!("cannot start {}", observer.display()))?;
    // A capture that breaks off gives what it holds, and observer has said so by itself.
    parse(&String::from_utf8_lossy(&output.stdout))
}

fn parse(ndjson: &str) -> Result<Exchanges> {
    let mut exchanges = Exchanges::new();
    for line in ndjson.lines() {
        let event: Value = serde_json::from_str(line).context("observer wrote no JSON")?;
        let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str);
        if text("/event/name") != Some("http.exchange") || is_http2(&event) {
            continue;
        }
        let endpoint = |side: &str| {
            let port = event.pointer(&format!("/{side}/port")).and_then(Value::as_u64);
            format!(
                "{}:{}",
                text(&format!("/{side}/address")).unwrap_or_default(),
                port.unwrap_or_default()
            )
        };
        let method = text("/http/request/method_original").or(text("/http/request/method"));
        let request = method.zip(text("/url/original")).map(|(m, t)| (m.to_owned(), t.to_owned()));
        let status = event.pointer("/http/response/status_code").and_then(Value::as_u64);
        let connection = Connection { client: endpoint("client"), server: endpoint("server") };
        let status = status.and_then(|status| u16::try_from(status).ok());
        exchanges.entry(connection).or_default().push(Exchange { request, status });
    }
    Ok(exchanges)
}

fn is_http2(event: &Value) -> bool {
    let version = event.pointer("/network/protocol/version").and_then(Value::as_str);
    version.is_some_and(|version| version.starts_with('2'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_becomes_an_exchange() {
        let line = r#"{"event":{"name":"http.exchange"},"client":{"address":"10.0.0.1","port":4},
            "server":{"address":"::1","port":80},"http":{"request":{"method":"_OTHER",
            "method_original":"PURGE"},"response":{"status_code":204}},"url":{"original":"/x"}}"#
            .replace('\n', "");
        let exchanges = parse(&line).unwrap();
        let connection =
            Connection { client: "10.0.0.1:4".to_owned(), server: "::1:80".to_owned() };
        let request = Some(("PURGE".to_owned(), "/x".to_owned()));
        assert_eq!(exchanges[&connection], [Exchange { request, status: Some(204) }]);
        assert!(parse(r#"{"event":{"name":"observer.stats"}}"#).unwrap().is_empty());
        assert!(parse("no JSON").is_err());
    }
}
