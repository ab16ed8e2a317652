//! What there is to say of events that are no exchanges: tunnels, messages in them, announced deaths,
//! TLS. One sentence each, behind time and endpoints.

use serde_json::Value;

use super::line::target;
use super::text::{count, duration, harmless, size};
use super::{number_at, text_at};

/// The sentence about `event`, and whether it must not be overlooked; `None` for events of which
/// nothing is known here.
pub(super) fn about(event: &Value) -> Option<(String, bool)> {
    let said = match text_at(event, "/event/name")? {
        "http.tunnel" => (tunnel(event), false),
        "websocket.message" => (message(event), false),
        "tcp.dth" => (dth(event), true),
        "tls.flow" => (tls_flow(event), false),
        _ => return None,
    };
    Some((harmless(&said.0), said.1))
}

fn tunnel(event: &Value) -> String {
    let at = |key: &str| format!("/obs/tunnel/{key}");
    let kind = text_at(event, &at("kind")).unwrap_or("?");
    let phase = match text_at(event, &at("phase")) {
        Some("open") => "opens".to_owned(),
        Some("close") => closed(event, "/obs/tunnel/closed"),
        _ => "lasts".to_owned(),
    };
    let to = target(event);
    let to = if to == "-" { String::new() } else { format!(" to {to}") };
    let mut parts = vec![format!("tunnel ({kind}){to} {phase}")];
    if text_at(event, &at("phase")) != Some("open") {
        let ns = number_at(event, &at("duration_ns")).unwrap_or(0);
        let bytes = |key: &str| size(number_at(event, &at(key)).unwrap_or(0));
        let idle = duration(number_at(event, &at("longest_idle_ns")).unwrap_or(0));
        parts.push(format!(
            "{}, ↑ {} ↓ {}, longest idle {idle}",
            duration(ns),
            bytes("bytes_to_server"),
            bytes("bytes_to_client"),
        ));
        let gap = |way: &str| number_at(event, &at(&format!("gap_bytes_{way}"))).unwrap_or(0);
        let n_lost = gap("to_server").saturating_add(gap("to_client"));
        if n_lost > 0 {
            parts.push(format!("{} of it not captured", size(n_lost)));
        }
    }
    let inner = text_at(event, &at("inner"));
    // What is said of TLS further on begins with its name.
    let shown = inner.filter(|_| event.get("tls").is_none());
    let stack = [text_at(event, &at("protocol")), text_at(event, &at("subprotocol")), shown];
    let stack: Vec<&str> = stack.into_iter().flatten().collect();
    if !stack.is_empty() {
        parts.push(stack.join(" > "));
    }
    let banner = |side| text_at(event, &format!("/obs/tunnel/ssh/{side}"));
    if inner == Some("ssh") {
        let (client, server) = (banner("client").unwrap_or("-"), banner("server").unwrap_or("-"));
        parts.push(format!("{client} / {server}"));
    }
    parts.extend(tls(event));
    parts.extend(frames(event));
    parts.extend(close_frame(event));
    let anomalies = event.pointer("/obs/anomalies").and_then(Value::as_array);
    let anomalies = anomalies.into_iter().flatten().filter_map(Value::as_str);
    parts.extend(anomalies.map(|name| name.replace('_', " ")));
    parts.join("; ")
}

fn frames(event: &Value) -> Option<String> {
    let messages = |way: &str| number_at(event, &format!("/obs/tunnel/frames/{way}/messages"));
    let (up, down) = (messages("to_server")?, messages("to_client")?);
    let is_cut = |way: &str| {
        event.pointer(&format!("/obs/tunnel/frames/{way}/cut_by_gap")) == Some(&Value::Bool(true))
    };
    let cut = if is_cut("to_server") || is_cut("to_client") { ", counted up to a gap" } else { "" };
    Some(format!("messages: {} up, {} down{cut}", count(up), count(down)))
}

fn close_frame(event: &Value) -> Option<String> {
    let side = ["client", "server"].into_iter().find(|side| {
        event.pointer(&format!("/obs/tunnel/websocket/close/{side}/code")).is_some()
    })?;
    let code = number_at(event, &format!("/obs/tunnel/websocket/close/{side}/code"))?;
    let reason = text_at(event, &format!("/obs/tunnel/websocket/close/{side}/reason"));
    Some(format!("close {code} {}", reason.unwrap_or_default()).trim_end().to_owned())
}

/// `closed by client (fin)`, `ends with the capture`.
fn closed(event: &Value, pointer: &str) -> String {
    let by = text_at(event, &format!("{pointer}/by"));
    match (text_at(event, &format!("{pointer}/how")), by) {
        (Some("capture_end"), _) => "still open at the end of the capture".to_owned(),
        (Some(how), Some(by)) => format!("closed by {by} ({how})"),
        (how, _) => format!("closed ({})", how.unwrap_or("?").replace('_', " ")),
    }
}

fn tls(event: &Value) -> Option<String> {
    let tls = event.get("tls")?;
    let text = |pointer| text_at(tls, pointer);
    let name = text("/client/server_name").map_or_else(String::new, |name| format!(" to {name}"));
    let version = text("/protocol/version").map_or_else(String::new, |v| format!(" {v}"));
    let alpn = text("/next_protocol").map_or_else(String::new, |p| format!(", {p}"));
    Some(format!("TLS{version}{name}{alpn}"))
}

fn tls_flow(event: &Value) -> String {
    let number = |key: &str| number_at(event, &format!("/obs/tls/{key}")).unwrap_or(0);
    format!(
        "{}; {}; {}, ↑ {} ↓ {}",
        tls(event).unwrap_or_default(),
        closed(event, "/obs/tls/closed"),
        duration(number("duration_ns")),
        size(number("bytes_to_server")),
        size(number("bytes_to_client")),
    )
}

fn message(event: &Value) -> String {
    let text = |key: &str| text_at(event, &format!("/obs/message/{key}"));
    let arrow = if text("direction") == Some("to_server") { '↑' } else { '↓' };
    let bytes = size(number_at(event, "/obs/message/size").unwrap_or(0));
    let content = text("content/text").map_or_else(String::new, |text| format!(": {text}"));
    let cut = event.pointer("/obs/message/content/truncated") == Some(&Value::Bool(true));
    let more = if cut { "…" } else { "" };
    format!("message {arrow} {} {bytes}{content}{more}", text("opcode").unwrap_or("?"))
}

/// RFC 9401 wants the end user to learn of it.
fn dth(event: &Value) -> String {
    let at = |key: &str| format!("/obs/dth/{key}");
    let address = text_at(event, "/source/address").unwrap_or("?");
    let who = match text_at(event, &at("by")) {
        Some(by) => format!("the {by} ({address})"),
        None => address.to_owned(),
    };
    let number = |key: &str| number_at(event, &at(key)).unwrap_or(0);
    let after =
        format!("{} and {} after", duration(number("after_ns")), size(number("bytes_after")));
    match (text_at(event, &at("phase")), text_at(event, &at("outcome"))) {
        (Some("end"), Some("died")) => {
            let how = text_at(event, "/obs/dth/closed/how").unwrap_or("?");
            format!("☠ {who} announced its death and died ({how}) {after} it said so")
        }
        (Some("end"), _) => {
            let end = closed(event, "/obs/dth/closed");
            format!("☠ {who} announced its death and has survived, {after} it said so: {end}")
        }
        _ => {
            let index = number_at(event, "/obs/exchange/index");
            let with = index.map_or_else(String::new, |n| format!(" with exchange {n}"));
            let syn = event.pointer("/obs/dth/handshake") == Some(&Value::Bool(true));
            let early = if syn { ", in the handshake already" } else { "" };
            format!("☠ {who} has announced its death{with}{early}: expect the connection to end")
        }
    }
}
