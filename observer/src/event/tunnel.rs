//! `http.tunnel`: what a flow carries after a takeover, when it begins, while it lasts, as it ends.

mod frames;

use std::borrow::Cow;
use std::sync::Arc;

use serde::Serialize;

use self::frames::{Frames, WebSocket};
use super::closed::{Closed, ClosedObject};
use super::exchange::url::Url;
use super::parts::{
    CaptureObject, EventName, ExchangeId, FlowId, Peer, Sampling, Transport, is_zero,
};
use super::text::{Text, Time};
use super::tls::Tls;
use super::{FlowFacts, SCHEMA};
use crate::message::Head;
use crate::segment::Timestamp;
use crate::tunnel::inner::Inner;
use crate::tunnel::websocket::Anomaly;
use crate::tunnel::{Both, Report};

/// Why the event is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    Open,
    /// It has lasted an interval longer.
    Progress,
    Close,
}

/// The exchange that opened the tunnel.
#[derive(Clone, Debug)]
pub struct TunnelLink {
    pub index: u64,
    /// Indices of the exchanges whose tunnels that one is in, the outermost first.
    pub inside: Vec<u64>,
    /// Its request, secrets masked.
    pub request: Option<Arc<Head>>,
    /// Keys of what was masked.
    pub redacted: Arc<[Cow<'static, str>]>,
}

/// The event.
#[derive(Clone, Debug)]
pub struct HttpTunnel {
    pub time: Timestamp,
    pub phase: Phase,
    pub flow: FlowFacts,
    pub link: TunnelLink,
    pub report: Report,
    pub closed: Option<Closed>,
}

impl HttpTunnel {
    pub(super) fn write_json(&self, out: &mut Vec<u8>) {
        super::write(&Line::new(self), out);
    }
}

#[derive(Serialize)]
struct Line<'a> {
    timestamp: Time,
    event: EventName,
    client: Peer,
    server: Peer,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<Url<'a>>,
    network: Transport,
    #[serde(skip_serializing_if = "Option::is_none")]
    tls: Option<Tls<'a>>,
    obs: Obs<'a>,
}

#[derive(Serialize)]
struct Obs<'a> {
    schema: u32,
    flow: FlowId,
    exchange: ExchangeId,
    #[serde(skip_serializing_if = "Option::is_none")]
    sampling: Option<Sampling>,
    tunnel: Tunnel<'a>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    anomalies: Vec<&'static str>,
    capture: CaptureObject<'a>,
    #[serde(skip_serializing_if = "<[Cow<'static, str>]>::is_empty")]
    redacted: &'a [Cow<'static, str>],
}

#[derive(Serialize)]
struct Tunnel<'a> {
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    protocol: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subprotocol: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    inner: Option<&'static str>,
    phase: &'static str,
    bytes_to_server: u64,
    bytes_to_client: u64,
    #[serde(skip_serializing_if = "is_zero")]
    gap_bytes_to_server: u64,
    #[serde(skip_serializing_if = "is_zero")]
    gap_bytes_to_client: u64,
    duration_ns: u64,
    longest_idle_ns: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    closed: Option<ClosedObject>,
    #[serde(skip_serializing_if = "Option::is_none")]
    frames: Option<Frames>,
    #[serde(skip_serializing_if = "Option::is_none")]
    websocket: Option<WebSocket<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ssh: Option<Ssh<'a>>,
}

/// The identification strings of both ends.
#[derive(Serialize)]
struct Ssh<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    server: Option<Text<'a>>,
}

impl<'a> Ssh<'a> {
    fn new(inner: &'a Inner) -> Option<Self> {
        let Inner::Ssh(Both { to_server, to_client }) = inner else { return None };
        let text = |banner: &'a Option<Vec<u8>>| banner.as_deref().map(Text);
        Some(Self { client: text(to_server), server: text(to_client) })
    }
}

impl<'a> Line<'a> {
    fn new(event: &'a HttpTunnel) -> Self {
        let HttpTunnel { flow, link, report, .. } = event;
        let inner = report.inner.as_ref();
        let agreement = &report.agreement;
        let websocket = report.websocket.as_ref();
        Self {
            timestamp: Time(event.time),
            event: EventName { name: "http.tunnel" },
            client: Peer::new(flow.client),
            server: Peer::new(flow.server),
            url: link.request.as_deref().and_then(Url::new),
            network: Transport::of(flow.client),
            tls: inner.and_then(Tls::new),
            obs: Obs {
                schema: SCHEMA,
                flow: FlowId::new(flow.id),
                exchange: ExchangeId::new(flow.id, &link.inside, link.index),
                sampling: Sampling::new(flow.adjusted_count),
                tunnel: Tunnel {
                    kind: agreement.kind.name(),
                    protocol: agreement.protocol.as_deref().map(Text),
                    subprotocol: agreement.subprotocol.as_deref().map(Text),
                    inner: inner.map(Inner::name),
                    phase: event.phase.name(),
                    bytes_to_server: report.volume.to_server.n_bytes,
                    bytes_to_client: report.volume.to_client.n_bytes,
                    gap_bytes_to_server: report.volume.to_server.n_lost,
                    gap_bytes_to_client: report.volume.to_client.n_lost,
                    duration_ns: event.time.since(report.opened),
                    longest_idle_ns: report.longest_idle_ns,
                    closed: event.closed.map(ClosedObject::new),
                    frames: websocket.filter(|_| event.phase != Phase::Open).map(Frames::new),
                    websocket: websocket.and_then(WebSocket::new),
                    ssh: inner.and_then(Ssh::new),
                },
                anomalies: websocket
                    .map(|w| w.anomalies.iter().map(Anomaly::name).collect())
                    .unwrap_or_default(),
                capture: CaptureObject::new(&flow.capture),
                redacted: &link.redacted,
            },
        }
    }
}

impl Phase {
    fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Progress => "progress",
            Self::Close => "close",
        }
    }
}
