//! The `obs` part of the line: what OpenTelemetry has no name for.

use serde::ser::SerializeSeq;
use serde::{Serialize, Serializer};

use super::super::SCHEMA;
use super::super::parts::{CaptureObject, ExchangeId, ExchangeName, FlowId, is_zero, is_zero_u32};
use super::super::text::{Shown, Text};
use super::line::{Fields, status};
use super::{HttpExchange, Integrity};
use crate::message::{Anomalies, Exchange, Head, Message, StartLine, Takeover};

#[derive(Serialize)]
pub(super) struct Obs<'a> {
    schema: u32,
    flow: FlowId,
    exchange: ExchangeId,
    state: &'static str,
    pairing: &'static str,
    timing: Timing,
    #[serde(skip_serializing_if = "Option::is_none")]
    takeover: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tunnel: Option<Inside>,
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

impl<'a> Obs<'a> {
    pub(super) fn new(event: &'a HttpExchange) -> Self {
        let exchange = &event.exchange;
        let flow = &event.flow;
        let request = exchange.request.as_ref();
        let response = exchange.response.as_ref();
        let response_head = response.and_then(|m| m.head.as_ref());
        let (dth_request, dth_response) = flow.dth;
        Self {
            schema: SCHEMA,
            flow: FlowId::new(flow.id),
            exchange: ExchangeId::new(flow.id, &event.inside, exchange.index),
            state: exchange.state.name(),
            pairing: exchange.pairing.name(),
            timing: Timing::new(exchange, flow.handshake_ns),
            takeover: exchange.takeover.map(Takeover::name),
            tunnel: ExchangeName::around(flow.id, &event.inside)
                .map(|name| Inside { inside: Shown(name) }),
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
            capture: CaptureObject::new(&flow.capture),
            redacted: &event.redacted,
        }
    }
}

/// The exchange took place inside a tunnel: the exchange that opened it.
#[derive(Serialize)]
struct Inside {
    inside: Shown<ExchangeName>,
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
    (!reason.is_empty() && super::super::text::usual_reason(status) != reason)
        .then_some(Text(reason))
}
