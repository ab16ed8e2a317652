//! The line itself: `http.exchange` as JSON, keys in the order of `docs/events.md`.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::super::SCHEMA;
use super::super::json::Json;
use super::super::text::{Text, lower};
use super::memo::{Known, Parts};
use super::url::Url;
use super::{FlowFacts, HttpExchange, obs};
use crate::message::{Anomaly, Head, Message, Name, Version};

/// Fields as an object: lower-case names, each an array of values.
pub(super) struct Fields<'a>(pub(super) &'a Head);

impl Serialize for Fields<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let head = self.0;
        let mut map = serializer.serialize_map(None)?;
        for (i, field) in head.fields().iter().enumerate() {
            let name = head.bytes(field.name);
            let same = |f: &&crate::message::Field| head.bytes(f.name).eq_ignore_ascii_case(name);
            if head.fields().iter().take(i).any(|f| same(&f)) {
                continue;
            }
            let values: Vec<Text<'_>> =
                head.fields().iter().filter(same).map(|f| Text(head.bytes(f.value))).collect();
            map.serialize_entry(&lower(name), &values)?;
        }
        map.end()
    }
}

/// Writes the whole object, and says where its parts are. What is `known` of it is copied. Not
/// inlined: it is called in a loop that hardly ever turns, and compilers would work out beforehand
/// what most lines do not need.
#[inline(never)]
pub(super) fn write(event: &HttpExchange, known: Known<'_>, json: &mut Json<'_>) -> Parts {
    let start = json.n_left();
    let mut parts = Parts::default();
    json.raw(r#"{"timestamp":"#);
    json.time(event.timestamp());
    parts.ends = start - json.n_left();
    if !json.known(known.ends) {
        write_ends(&event.flow, json);
    }
    parts.asked = start - json.n_left();
    if !json.known(known.asked) {
        write_asked(event, json);
    }
    parts.answered = start - json.n_left();
    if !json.known(known.answered) {
        write_answered(event, json);
    }
    parts.name = start - json.n_left();
    obs::write(event, json);
    parts.capture = start - json.n_left();
    if !json.known(known.capture) {
        obs::write_capture(&event.flow.capture, json);
    }
    parts.behind_capture = start - json.n_left();
    if !event.redacted.is_empty() {
        json.raw(r#","redacted":"#);
        json.value(&event.redacted);
    }
    json.raw("}}");
    parts
}

/// What the line is about, and both ends of the connection.
fn write_ends(flow: &FlowFacts, json: &mut Json<'_>) {
    json.raw(r#","event":{"name":"http.exchange"},"client":{"#);
    json.endpoint(flow.client);
    json.raw(r#"},"server":{"#);
    json.endpoint(flow.server);
    json.raw("}");
}

/// Up to the end of `http.request`.
fn write_asked(event: &HttpExchange, json: &mut Json<'_>) {
    let request = event.exchange.request.as_ref();
    let head = request.and_then(|m| m.head.as_ref());
    if let Some(url) = head.and_then(Url::new) {
        json.raw(r#","url":"#);
        url.write(json);
    }
    json.raw(r#","http":{"#);
    if let Some(message) = request {
        json.raw(r#""request":{"#);
        if let Some(method) = head.and_then(Head::method) {
            write_method(method, json);
        }
        write_sizes(message, event.headers, json);
    }
}

/// From there up to where the flow's name comes.
fn write_answered(event: &HttpExchange, json: &mut Json<'_>) {
    let exchange = &event.exchange;
    let request = exchange.request.as_ref();
    let response = exchange.response.as_ref();
    let request_head = request.and_then(|m| m.head.as_ref());
    let response_head = response.and_then(|m| m.head.as_ref());
    if let Some(message) = response {
        json.raw(if request.is_some() { r#","response":{"# } else { r#""response":{"# });
        if let Some(status) = status(response) {
            json.raw(r#""status_code":"#);
            json.number(status.into());
            json.raw(",");
        }
        write_sizes(message, event.headers, json);
    }
    json.raw(r#"},"network":{"protocol":{"name":"http""#);
    match request_head.or(response_head).and_then(readable_version) {
        None => {}
        Some(Version::HTTP_11) => json.raw(r#","version":"1.1""#),
        Some(version) => {
            json.raw(r#","version":""#);
            json.display(&version);
            json.raw("\"");
        }
    }
    json.raw(r#"},"transport":"tcp","type":"#);
    json.raw(if event.flow.client.ipv4().is_some() { r#""ipv4"}"# } else { r#""ipv6"}"# });
    if let Some(agent) = request_head.and_then(|head| head.value(Name::UserAgent)) {
        json.raw(r#","user_agent":{"original":"#);
        json.text(agent);
        json.raw("}");
    }
    write_error(event, json);
    json.raw(r#","obs":{"schema":"#);
    json.number(SCHEMA.into());
    json.raw(r#","flow":{"id":""#);
}

/// The methods that OpenTelemetry lets stand as they are; others are `_OTHER`.
fn write_method(method: &[u8], json: &mut Json<'_>) {
    const KNOWN: [&[u8]; 10] = [
        b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"CONNECT", b"OPTIONS", b"TRACE", b"PATCH",
        b"QUERY",
    ];
    if KNOWN.contains(&method) {
        json.raw(r#""method":"#);
    } else {
        json.raw(r#""method":"_OTHER","method_original":"#);
    }
    json.text(method);
    json.raw(",");
}

/// What request and response have in common, up to the closing brace.
fn write_sizes(message: &Message, headers: bool, json: &mut Json<'_>) {
    json.raw(r#""size":"#);
    json.number(message.wire_bytes());
    json.raw(r#","body":{"size":"#);
    json.number(message.body_bytes);
    json.raw("}");
    if let Some(head) = message.head.as_ref().filter(|_| headers) {
        json.raw(r#","header":"#);
        json.value(&Fields(head));
    }
    json.raw("}");
}

/// Why it is not complete; else the status, where it is one of 500 to 599.
fn write_error(event: &HttpExchange, json: &mut Json<'_>) {
    let status = status(event.exchange.response.as_ref()).filter(|s| (500..600).contains(s));
    if let Some(failure) = event.exchange.failure {
        json.raw(r#","error":{"type":""#);
        json.raw(failure.name());
        json.raw("\"}");
    } else if let Some(status) = status {
        json.raw(r#","error":{"type":""#);
        json.number(status.into());
        json.raw("\"}");
    }
}

/// The version, unless the start line has none that can be read as one.
fn readable_version(head: &Head) -> Option<Version> {
    let misread = head.anomalies.contains(Anomaly::InvalidVersion);
    (!misread || head.version() != Version::HTTP_11).then(|| head.version())
}

pub(super) fn status(message: Option<&Message>) -> Option<u16> {
    message?.head.as_ref()?.status()
}
