//! `http.exchange`: one request with its response.

use std::sync::Arc;

use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};

use super::SCHEMA;
use super::text::{Shown, Text, Time, lower};
use crate::message::{Anomalies, Exchange, Failure, Head, Message, StartLine, Takeover, Version};
use crate::segment::{Endpoint, Timestamp};

/// What the flow tells beside the messages.
#[derive(Clone, Debug)]
pub struct FlowFacts {
    /// The same in every event of the flow; two flows differ with all likelihood.
    pub id: u64,
    pub client: Endpoint,
    pub server: Endpoint,
    pub handshake_ns: Option<u64>,
    /// Microseconds; 0 when unknown.
    pub srtt_us: u32,
    /// Segments of both halves that brought nothing new, so far.
    pub retransmissions: u32,
    /// The DTH bit (RFC 9401) was seen from the client, from the server.
    pub dth: (bool, bool),
    pub capture: Capture,
}

/// Where the flow was captured.
#[derive(Clone, Debug)]
pub struct Capture {
    pub interface: Option<Arc<str>>,
    pub hook: &'static str,
    pub backend: &'static str,
    pub vlan: Option<u16>,
    pub encapsulation: Option<&'static str>,
}

/// What impairs the event. All zero and false: nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Integrity {
    pub midstream: bool,
    pub overlap_conflicts: u32,
    /// Records of this flow that were lost on the ring.
    pub ring_loss: u32,
    pub damaged_segments: u32,
}

/// The event.
#[derive(Clone, Debug)]
pub struct HttpExchange {
    pub exchange: Exchange,
    pub flow: FlowFacts,
    pub integrity: Integrity,
    /// Every header field is wanted, not only the promoted ones.
    pub headers: bool,
    /// Keys of what was masked.
    pub redacted: Vec<String>,
}

impl HttpExchange {
    /// First byte of the request; where there is none, of the response.
    pub fn timestamp(&self) -> Timestamp {
        let exchange = &self.exchange;
        let first = exchange.request.as_ref().or(exchange.response.as_ref());
        first.map_or(Timestamp(0), |m| m.first.time)
    }

    pub(super) fn write_json(&self, out: &mut Vec<u8>) {
        super::write(&Line::new(self), out);
    }

    fn error_type(&self) -> Option<ErrorType> {
        match self.exchange.failure {
            Some(failure) => Some(ErrorType::Failure(failure)),
            None => status(self.exchange.response.as_ref())
                .filter(|s| (500..600).contains(s))
                .map(ErrorType::Status),
        }
    }
}

fn status(message: Option<&Message>) -> Option<u16> {
    message?.head.as_ref()?.status()
}

/// The line as serde sees it. Everything borrows; fields in the order of the table in design.md.
#[derive(Serialize)]
struct Line<'a> {
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
struct EventName {
    name: &'static str,
}

#[derive(Serialize)]
struct Peer {
    address: Shown<std::net::IpAddr>,
    port: u16,
}

impl Peer {
    fn new(endpoint: Endpoint) -> Self {
        Self { address: Shown(endpoint.ip()), port: endpoint.port }
    }
}

#[derive(Serialize)]
struct Url<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    scheme: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    domain: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    query: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    original: Option<Text<'a>>,
}

impl<'a> Url<'a> {
    /// The parts of a request target, RFC 9112 §3.2.
    fn new(head: &'a Head) -> Option<Self> {
        let target = head.target()?;
        let host = head.value("host");
        let without_fragment = target.split(|&b| b == b'#').next().unwrap_or_default();
        let scheme_end = find(without_fragment, b"://").filter(|&at| {
            without_fragment.get(..at).is_some_and(|s| s.iter().all(u8::is_ascii_alphanumeric))
        });
        let mut scheme: &[u8] = b"http";
        let (authority, rest) = if head.method() == Some(b"CONNECT") {
            (Some(target), None)
        } else if let Some(at) = scheme_end.filter(|&at| at > 0) {
            scheme = without_fragment.get(..at).unwrap_or_default();
            let after = without_fragment.get(at.saturating_add(3)..).unwrap_or_default();
            let n = after.iter().position(|b| matches!(b, b'/' | b'?')).unwrap_or(after.len());
            let (authority, rest) = after.split_at_checked(n).unwrap_or_default();
            (Some(authority).filter(|a| !a.is_empty()).or(host), Some(rest))
        } else {
            (host, Some(without_fragment).filter(|t| t.starts_with(b"/")))
        };
        let (domain, port) = authority.map_or((None, None), split_authority);
        let (path, query) = match rest {
            Some(rest) => match memchr::memchr(b'?', rest) {
                Some(at) => (rest.get(..at), rest.get(at.saturating_add(1)..)),
                None => (Some(rest), None),
            },
            None => (None, None),
        };
        Some(Self {
            scheme: Some(Text(scheme)),
            domain: domain.filter(|d| !d.is_empty()).map(Text),
            port,
            path: path.map(Text),
            query: query.map(Text),
            original: Some(target).filter(|t| !t.is_empty()).map(Text),
        })
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    memchr::memmem::find(bytes, what)
}

/// Host and port of an authority or Host value; user information is left out.
fn split_authority(authority: &[u8]) -> (Option<&[u8]>, Option<u16>) {
    let at = memchr::memrchr(b'@', authority).map_or(0, |at| at.saturating_add(1));
    let authority = authority.get(at..).unwrap_or_default().trim_ascii();
    let colon = memchr::memrchr(b':', authority)
        .filter(|&at| authority.get(at..).is_some_and(|rest| !rest.contains(&b']')));
    match colon.and_then(|at| Some((authority.get(..at)?, authority.get(at.checked_add(1)?..)?))) {
        Some((host, port)) if port.iter().all(u8::is_ascii_digit) => {
            (Some(host), std::str::from_utf8(port).ok().and_then(|p| p.parse().ok()))
        }
        _ => (Some(authority), None),
    }
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
struct Fields<'a>(&'a Head);

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

#[derive(Serialize)]
struct Obs<'a> {
    schema: u32,
    flow: FlowId,
    exchange: ExchangeId,
    state: &'static str,
    pairing: &'static str,
    timing: Timing,
    #[serde(skip_serializing_if = "Option::is_none")]
    takeover: Option<&'static str>,
    #[serde(skip_serializing_if = "ObsHttp::is_empty")]
    http: ObsHttp<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    integrity: Option<IntegrityObject>,
    #[serde(skip_serializing_if = "AnomalyNames::is_empty")]
    anomalies: AnomalyNames,
    #[serde(skip_serializing_if = "Tcp::is_empty")]
    tcp: Tcp,
    capture: CaptureObject<'a>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    redacted: &'a [String],
}

#[derive(Serialize)]
struct FlowId {
    id: Shown<Hex>,
}

struct Hex(u64);

impl std::fmt::Display for Hex {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

#[derive(Serialize)]
struct ExchangeId {
    id: Shown<ExchangeName>,
    index: u64,
}

struct ExchangeName(u64, u64);

impl std::fmt::Display for ExchangeName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:016x}-{}", self.0, self.1)
    }
}

#[derive(Serialize)]
struct Timing {
    #[serde(skip_serializing_if = "Option::is_none")]
    total_ns: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_ns: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ttfb_ns: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_ns: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    handshake_ns: Option<u64>,
}

impl Timing {
    fn new(exchange: &Exchange, handshake_ns: Option<u64>) -> Self {
        let span = |m: &Message| m.last.time.since(m.first.time);
        let request = exchange.request.as_ref();
        let response = exchange.response.as_ref();
        let both = request.zip(response);
        Self {
            total_ns: both.map(|(q, r)| r.last.time.max(q.last.time).since(q.first.time)),
            request_ns: request.filter(|m| m.complete).map(span),
            ttfb_ns: both
                .filter(|(q, r)| q.complete && r.first.time >= q.last.time)
                .map(|(q, r)| r.first.time.since(q.last.time)),
            response_ns: response.filter(|m| m.complete).map(span),
            handshake_ns,
        }
    }
}

#[derive(Serialize)]
struct ObsHttp<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    interim: Vec<Interim>,
    #[serde(skip_serializing_if = "ObsMessage::is_empty")]
    request: ObsMessage<'a>,
    #[serde(skip_serializing_if = "ObsMessage::is_empty")]
    response: ObsMessage<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason_phrase: Option<Text<'a>>,
}

impl ObsHttp<'_> {
    fn is_empty(&self) -> bool {
        self.interim.is_empty()
            && self.request.is_empty()
            && self.response.is_empty()
            && self.reason_phrase.is_none()
    }
}

#[derive(Serialize)]
struct Interim {
    status_code: u16,
    /// From the last byte of the request; 0 when it came before.
    #[serde(skip_serializing_if = "Option::is_none")]
    after_ns: Option<u64>,
}

#[derive(Serialize)]
struct ObsMessage<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    trailer: Option<Fields<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<Prefix<'a>>,
}

impl<'a> ObsMessage<'a> {
    fn new(message: Option<&'a Message>, headers: bool) -> Self {
        let trailer = message.filter(|_| headers).and_then(|m| m.trailers.as_ref()).map(Fields);
        let body = message.filter(|m| !m.body_prefix.is_empty()).map(|m| Prefix {
            text: Text(&m.body_prefix),
            truncated: m.body_bytes > m.body_prefix.len() as u64,
        });
        Self { trailer, body }
    }

    fn is_empty(&self) -> bool {
        self.trailer.is_none() && self.body.is_none()
    }
}

#[derive(Serialize)]
struct Prefix<'a> {
    text: Text<'a>,
    truncated: bool,
}

#[derive(Serialize)]
struct IntegrityObject {
    #[serde(skip_serializing_if = "is_zero")]
    request_gap_bytes: u64,
    #[serde(skip_serializing_if = "is_zero")]
    response_gap_bytes: u64,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    midstream: bool,
    #[serde(skip_serializing_if = "is_zero_u32")]
    overlap_conflicts: u32,
    #[serde(skip_serializing_if = "is_zero_u32")]
    ring_loss: u32,
    #[serde(skip_serializing_if = "is_zero_u32")]
    damaged_segments: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_zero(n: &u64) -> bool {
    *n == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_zero_u32(n: &u32) -> bool {
    *n == 0
}

impl IntegrityObject {
    fn new(event: &HttpExchange) -> Option<Self> {
        let gap = |m: &Option<Message>| m.as_ref().map_or(0, |m| m.gap_bytes);
        let object = Self {
            request_gap_bytes: gap(&event.exchange.request),
            response_gap_bytes: gap(&event.exchange.response),
            midstream: event.integrity.midstream,
            overlap_conflicts: event.integrity.overlap_conflicts,
            ring_loss: event.integrity.ring_loss,
            damaged_segments: event.integrity.damaged_segments,
        };
        let clean = event.integrity == Integrity::default()
            && object.request_gap_bytes == 0
            && object.response_gap_bytes == 0;
        (!clean).then_some(object)
    }
}

struct AnomalyNames(Anomalies);

impl AnomalyNames {
    fn new(exchange: &Exchange) -> Self {
        let messages = exchange.request.iter().chain(&exchange.interim).chain(&exchange.response);
        Self(messages.fold(Anomalies::default(), |all, m| all.union(m.anomalies)))
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for AnomalyNames {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut seq = serializer.serialize_seq(None)?;
        for anomaly in self.0.iter() {
            seq.serialize_element(anomaly.name())?;
        }
        seq.end()
    }
}

#[derive(Serialize)]
struct Tcp {
    #[serde(skip_serializing_if = "is_zero_u32")]
    srtt_us: u32,
    #[serde(skip_serializing_if = "is_zero_u32")]
    retransmits: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    dth: Option<Dth>,
}

impl Tcp {
    fn is_empty(&self) -> bool {
        self.srtt_us == 0 && self.retransmits == 0 && self.dth.is_none()
    }
}

#[derive(Serialize)]
struct Dth {
    request: bool,
    response: bool,
}

#[derive(Serialize)]
struct CaptureObject<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    interface: Option<&'a str>,
    hook: &'static str,
    backend: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    vlan: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    encapsulation: Option<&'static str>,
}

impl<'a> Line<'a> {
    fn new(event: &'a HttpExchange) -> Self {
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
        let version = request_head.or(response_head).map(Head::version);
        let (dth_request, dth_response) = flow.dth;
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
            error: event.error_type().map(|r#type| ErrorObject { r#type }),
            obs: Obs {
                schema: SCHEMA,
                flow: FlowId { id: Shown(Hex(flow.id)) },
                exchange: ExchangeId {
                    id: Shown(ExchangeName(flow.id, exchange.index)),
                    index: exchange.index,
                },
                state: exchange.state.name(),
                pairing: exchange.pairing.name(),
                timing: Timing::new(exchange, flow.handshake_ns),
                takeover: exchange.takeover.map(Takeover::name),
                http: ObsHttp {
                    interim: interim(exchange),
                    request: ObsMessage::new(request, event.headers),
                    response: ObsMessage::new(response, event.headers),
                    reason_phrase: response_head.and_then(unusual_reason),
                },
                integrity: IntegrityObject::new(event),
                anomalies: AnomalyNames::new(exchange),
                tcp: Tcp {
                    srtt_us: flow.srtt_us,
                    retransmits: flow.retransmissions,
                    dth: (dth_request || dth_response)
                        .then_some(Dth { request: dth_request, response: dth_response }),
                },
                capture: CaptureObject {
                    interface: flow.capture.interface.as_deref(),
                    hook: flow.capture.hook,
                    backend: flow.capture.backend,
                    vlan: flow.capture.vlan,
                    encapsulation: flow.capture.encapsulation,
                },
                redacted: &event.redacted,
            },
        }
    }
}

fn interim(exchange: &Exchange) -> Vec<Interim> {
    let asked = exchange.request.as_ref().map(|m| m.last.time);
    exchange
        .interim
        .iter()
        .filter_map(|m| {
            let status_code = status(Some(m))?;
            let after_ns = asked.map(|asked| m.first.time.since(asked));
            Some(Interim { status_code, after_ns })
        })
        .collect()
}

/// The reason phrase where it says more than the status code: RFC 9110 §15.1 gives it no meaning,
/// people put meaning into it all the same.
fn unusual_reason(head: &Head) -> Option<Text<'_>> {
    let StartLine::Response { status, reason, .. } = head.start else { return None };
    let reason = head.bytes(reason);
    (!reason.is_empty() && super::text::usual_reason(status) != reason).then_some(Text(reason))
}

/// The methods that OpenTelemetry lets stand as they are; others are `_OTHER`.
fn is_known(method: &[u8]) -> bool {
    const KNOWN: [&[u8]; 10] = [
        b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"CONNECT", b"OPTIONS", b"TRACE", b"PATCH",
        b"QUERY",
    ];
    KNOWN.contains(&method)
}
