//! The `obs` part of the line: what OpenTelemetry has no name for.

use serde::ser::SerializeSeq;
use serde::{Serialize, Serializer};

use super::super::digits;
use super::super::json::Json;
use super::super::parts::{is_zero, is_zero_u32};
use super::super::text::Text;
use super::line::{Fields, status};
use super::{Capture, FlowFacts, HttpExchange, Integrity, Timing};
use crate::message::{Anomalies, Exchange, Head, Message, Pairing, StartLine, State};

/// Writes from the flow's name up to where `capture` comes.
pub(super) fn write(event: &HttpExchange, json: &mut Json<'_>) {
    let exchange = &event.exchange;
    let flow = digits::hex(event.flow.id);
    json.hex(flow);
    json.raw(r#""},"exchange":{"id":""#);
    write_name(flow, event.inside.iter().chain([&exchange.index]), json);
    json.raw(r#"","index":"#);
    json.number(exchange.index);
    if let (State::Complete, Pairing::Exact) = (exchange.state, exchange.pairing) {
        json.raw(r#"},"state":"complete","pairing":"exact","timing":"#);
    } else {
        json.raw(r#"},"state":""#);
        json.raw(exchange.state.name());
        json.raw(r#"","pairing":""#);
        json.raw(exchange.pairing.name());
        json.raw(r#"","timing":"#);
    }
    write_timing(event.timing(), json);
    if let Some(takeover) = exchange.takeover {
        json.raw(r#","takeover":""#);
        json.raw(takeover.name());
        json.raw("\"");
    }
    if !event.inside.is_empty() {
        // The exchange took place inside a tunnel: the exchange that opened it.
        json.raw(r#","tunnel":{"inside":""#);
        write_name(flow, &event.inside, json);
        json.raw("\"}");
    }
    if event.flow.adjusted_count > 1 {
        json.raw(r#","sampling":{"adjusted_count":"#);
        json.number(event.flow.adjusted_count.into());
        json.raw("}");
    }
    write_rare(event, json);
    write_tcp(event, json);
    json.raw(r#","capture":"#);
}

/// The flow, and an index for each level of tunnels: `22a6b95cb209dd19-1.2`.
fn write_name<'a>(flow: [u8; 16], indices: impl IntoIterator<Item = &'a u64>, json: &mut Json<'_>) {
    json.hex(flow);
    let mut before = "-";
    for &index in indices {
        json.raw(before);
        json.number(index);
        before = ".";
    }
}

fn write_timing(timing: Timing, json: &mut Json<'_>) {
    let Timing { total_ns, request_ns, ttfb_ns, response_ns, handshake_ns } = timing;
    // Of nearly every exchange all of these are known.
    if let (Some(total), Some(request), Some(ttfb), Some(response)) =
        (total_ns, request_ns, ttfb_ns, response_ns)
    {
        json.raw(r#"{"total_ns":"#);
        json.number(total);
        json.raw(r#","request_ns":"#);
        json.number(request);
        json.raw(r#","ttfb_ns":"#);
        json.number(ttfb);
        json.raw(r#","response_ns":"#);
        json.number(response);
        if let Some(handshake) = handshake_ns {
            json.raw(r#","handshake_ns":"#);
            json.number(handshake);
        }
        return json.raw("}");
    }
    let parts = [
        (r#""total_ns":"#, total_ns),
        (r#""request_ns":"#, request_ns),
        (r#""ttfb_ns":"#, ttfb_ns),
        (r#""response_ns":"#, response_ns),
        (r#""handshake_ns":"#, handshake_ns),
    ];
    let mut before = "{";
    for (key, value) in parts {
        if let Some(value) = value {
            json.raw(before);
            json.raw(key);
            json.number(value);
            before = ",";
        }
    }
    json.raw(if before == "{" { "{}" } else { "}" });
}

/// What most exchanges have nothing of.
fn write_rare(event: &HttpExchange, json: &mut Json<'_>) {
    let exchange = &event.exchange;
    let response = exchange.response.as_ref();
    let http = ObsHttp {
        interim: interim(exchange),
        request: ObsMessage::new(exchange.request.as_ref(), event.headers),
        response: ObsMessage::new(response, event.headers),
        reason_phrase: response.and_then(|m| m.head.as_ref()).and_then(unusual_reason),
    };
    if !http.is_empty() {
        json.raw(r#","http":"#);
        json.value(&http);
    }
    if let Some(integrity) = IntegrityObject::new(event) {
        json.raw(r#","integrity":"#);
        json.value(&integrity);
    }
    let anomalies = AnomalyNames::new(exchange);
    if !anomalies.is_empty() {
        json.raw(r#","anomalies":"#);
        json.value(&anomalies);
    }
}

fn write_tcp(event: &HttpExchange, json: &mut Json<'_>) {
    let FlowFacts { srtt_us, retransmissions, dth, .. } = event.flow;
    let is_flagged = dth.0 || dth.1;
    if srtt_us == 0 && retransmissions == 0 && !is_flagged {
        return;
    }
    json.raw(r#","tcp":{"#);
    if srtt_us != 0 {
        json.raw(r#""srtt_us":"#);
        json.number(srtt_us.into());
    }
    if retransmissions != 0 {
        json.raw(if srtt_us != 0 { r#","retransmits":"# } else { r#""retransmits":"# });
        json.number(retransmissions.into());
    }
    if is_flagged {
        let is_first = srtt_us == 0 && retransmissions == 0;
        json.raw(if is_first { r#""dth":"# } else { r#","dth":"# });
        json.value(&Dth { request: dth.0, response: dth.1 });
    }
    json.raw("}");
}

pub(super) fn write_capture(capture: &Capture, json: &mut Json<'_>) {
    json.raw("{");
    if let Some(netns) = &capture.netns {
        json.raw(r#""netns":{"inode":"#);
        json.number(netns.inode.into());
        if let Some(name) = netns.name.as_deref() {
            json.raw(r#","name":"#);
            json.text(name.as_bytes());
        }
        json.raw("},");
    }
    if let Some(interface) = capture.interface.as_deref() {
        json.raw(r#""interface":"#);
        json.text(interface.as_bytes());
        json.raw(",");
    }
    json.raw(r#""hook":""#);
    json.raw(capture.hook);
    json.raw(r#"","backend":""#);
    json.raw(capture.backend);
    json.raw("\"");
    if let Some(vlan) = capture.vlan {
        json.raw(r#","vlan":"#);
        json.number(vlan.into());
    }
    if let Some(encapsulation) = capture.encapsulation {
        json.raw(r#","encapsulation":""#);
        json.raw(encapsulation);
        json.raw("\"");
    }
    json.raw("}");
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
        let trailer = message.filter(|_| headers).and_then(|m| m.trailers.as_deref()).map(Fields);
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
    let StartLine::Response { status, reason, .. } = head.start() else { return None };
    let reason = head.bytes(reason);
    (!reason.is_empty() && super::super::text::usual_reason(status) != reason)
        .then_some(Text(reason))
}
