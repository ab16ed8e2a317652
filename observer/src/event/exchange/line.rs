//! The line as serde sees it: views that borrow from the event, in the order of `docs/events.md`.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::super::parts::{EventName, Peer};
use super::super::text::{Shown, Text, Time, lower};
use super::HttpExchange;
use super::obs::Obs;
use super::url::Url;
use crate::message::{Anomaly, Failure, Head, Message, Version};

/// The line as serde sees it. Everything borrows; fields in the order of the table in design.md.
#[derive(Serialize)]
pub(super) struct Line<'a> {
    timestamp: Time,
    event: EventName,
    client: Peer,
    server: Peer,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<Url<'a>>,
    http: Http<'a>,
    network: Network,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_agent: Option<UserAgent<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorObject>,
    obs: Obs<'a>,
}

#[derive(Serialize)]
struct Http<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<Request<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response: Option<Response<'a>>,
}

#[derive(Serialize)]
struct Request<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    method_original: Option<Text<'a>>,
    size: u64,
    body: Body,
    #[serde(skip_serializing_if = "Option::is_none")]
    header: Option<Fields<'a>>,
}

#[derive(Serialize)]
struct Response<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    status_code: Option<u16>,
    size: u64,
    body: Body,
    #[serde(skip_serializing_if = "Option::is_none")]
    header: Option<Fields<'a>>,
}

#[derive(Serialize)]
struct Body {
    size: u64,
}

/// Fields as an object: lower-case names, each an array of values.
pub(super) struct Fields<'a>(pub(super) &'a Head);

impl Serialize for Fields<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let head = self.0;
        let mut map = serializer.serialize_map(None)?;
        for (i, field) in head.fields.iter().enumerate() {
            let name = head.bytes(field.name);
            let same = |f: &&crate::message::Field| head.bytes(f.name).eq_ignore_ascii_case(name);
            if head.fields.iter().take(i).any(|f| same(&f)) {
                continue;
            }
            let values: Vec<Text<'_>> =
                head.fields.iter().filter(same).map(|f| Text(head.bytes(f.value))).collect();
            map.serialize_entry(&lower(name), &values)?;
        }
        map.end()
    }
}

#[derive(Serialize)]
struct Network {
    protocol: Protocol,
    transport: &'static str,
    r#type: &'static str,
}

#[derive(Serialize)]
struct Protocol {
    name: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<Shown<Version>>,
}

#[derive(Serialize)]
struct UserAgent<'a> {
    original: Text<'a>,
}

#[derive(Serialize)]
struct ErrorObject {
    r#type: ErrorType,
}

enum ErrorType {
    Failure(Failure),
    Status(u16),
}

impl Serialize for ErrorType {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Failure(failure) => serializer.serialize_str(failure.name()),
            Self::Status(status) => serializer.collect_str(status),
        }
    }
}

impl<'a> Line<'a> {
    pub(super) fn new(event: &'a HttpExchange) -> Self {
        let exchange = &event.exchange;
        let request = exchange.request.as_ref();
        let response = exchange.response.as_ref();
        let request_head = request.and_then(|m| m.head.as_ref());
        let response_head = response.and_then(|m| m.head.as_ref());
        let headers = |head: Option<&'a Head>| head.filter(|_| event.headers).map(Fields);
        let (method, method_original) =
            request_head.and_then(Head::method).map_or((None, None), |method| {
                match is_known(method) {
                    true => (Some(method), None),
                    false => (Some(b"_OTHER".as_slice()), Some(method)),
                }
            });
        let flow = &event.flow;
        let v4 = matches!(flow.client.ip(), std::net::IpAddr::V4(_));
        let version = request_head.or(response_head).and_then(readable_version);
        Self {
            timestamp: Time(event.timestamp()),
            event: EventName { name: "http.exchange" },
            client: Peer::new(flow.client),
            server: Peer::new(flow.server),
            url: request_head.and_then(Url::new),
            http: Http {
                request: request.map(|m| Request {
                    method: method.map(Text),
                    method_original: method_original.map(Text),
                    size: m.wire_bytes(),
                    body: Body { size: m.body_bytes },
                    header: headers(request_head),
                }),
                response: response.map(|m| Response {
                    status_code: status(response),
                    size: m.wire_bytes(),
                    body: Body { size: m.body_bytes },
                    header: headers(response_head),
                }),
            },
            network: Network {
                protocol: Protocol { name: "http", version: version.map(Shown) },
                transport: "tcp",
                r#type: if v4 { "ipv4" } else { "ipv6" },
            },
            user_agent: request_head
                .and_then(|h| h.value("user-agent"))
                .map(|v| UserAgent { original: Text(v) }),
            error: error_type(event).map(|r#type| ErrorObject { r#type }),
            obs: Obs::new(event),
        }
    }
}

/// The methods that OpenTelemetry lets stand as they are; others are `_OTHER`.
fn is_known(method: &[u8]) -> bool {
    const KNOWN: [&[u8]; 10] = [
        b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"CONNECT", b"OPTIONS", b"TRACE", b"PATCH",
        b"QUERY",
    ];
    KNOWN.contains(&method)
}

/// The version, unless the start line has none that can be read as one.
fn readable_version(head: &Head) -> Option<Version> {
    let misread = head.anomalies.contains(Anomaly::InvalidVersion);
    (!misread || head.version() != Version::HTTP_11).then(|| head.version())
}

pub(super) fn status(message: Option<&Message>) -> Option<u16> {
    message?.head.as_ref()?.status()
}

fn error_type(event: &HttpExchange) -> Option<ErrorType> {
    match event.exchange.failure {
        Some(failure) => Some(ErrorType::Failure(failure)),
        None => status(event.exchange.response.as_ref())
            .filter(|s| (500..600).contains(s))
            .map(ErrorType::Status),
    }
}
