//! `tls.flow`, a flow of TLS without any HTTP; and what hellos tell, under OpenTelemetry's `tls.*`.

use serde::Serialize;

use super::closed::{Closed, ClosedObject};
use super::parts::{CaptureObject, EventName, FlowId, Peer, Sampling, Transport, is_zero};
use super::text::{Text, Time};
use super::{FlowFacts, SCHEMA};
use crate::segment::Timestamp;
use crate::tunnel::inner::tls::Hello;
use crate::tunnel::inner::{Hellos, Inner};
use crate::tunnel::{Both, Volume};

/// The event: told when the flow has ended.
#[derive(Clone, Debug)]
pub struct TlsFlow {
    /// First byte.
    pub opened: Timestamp,
    pub ended: Timestamp,
    pub flow: FlowFacts,
    pub hellos: Hellos,
    pub volume: Both<Volume>,
    pub closed: Closed,
}

impl TlsFlow {
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
    network: Transport,
    tls: Tls<'a>,
    obs: Obs<'a>,
}

#[derive(Serialize)]
struct Obs<'a> {
    schema: u32,
    flow: FlowId,
    #[serde(skip_serializing_if = "Option::is_none")]
    sampling: Option<Sampling>,
    tls: Object,
    capture: CaptureObject<'a>,
}

#[derive(Serialize)]
struct Object {
    bytes_to_server: u64,
    bytes_to_client: u64,
    #[serde(skip_serializing_if = "is_zero")]
    gap_bytes_to_server: u64,
    #[serde(skip_serializing_if = "is_zero")]
    gap_bytes_to_client: u64,
    duration_ns: u64,
    closed: ClosedObject,
}

impl<'a> Line<'a> {
    fn new(event: &'a TlsFlow) -> Self {
        let TlsFlow { flow, volume: Both { to_server, to_client }, .. } = event;
        Self {
            timestamp: Time(event.opened),
            event: EventName { name: "tls.flow" },
            client: Peer::new(flow.client),
            server: Peer::new(flow.server),
            network: Transport::of(flow.client),
            tls: Tls::of(&event.hellos),
            obs: Obs {
                schema: SCHEMA,
                flow: FlowId::new(flow.id),
                sampling: Sampling::new(flow.adjusted_count),
                tls: Object {
                    bytes_to_server: to_server.n_bytes,
                    bytes_to_client: to_client.n_bytes,
                    gap_bytes_to_server: to_server.n_lost,
                    gap_bytes_to_client: to_client.n_lost,
                    duration_ns: event.ended.since(event.opened),
                    closed: ClosedObject::new(event.closed),
                },
                capture: CaptureObject::new(&flow.capture),
            },
        }
    }
}

#[derive(Serialize)]
pub(super) struct Tls<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    protocol: Option<Protocol>,
    /// The protocol that the server chose; encrypted since TLS 1.3.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_protocol: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<Client<'a>>,
}

#[derive(Serialize)]
struct Protocol {
    name: &'static str,
    version: &'static str,
}

#[derive(Serialize)]
struct Client<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    server_name: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    offered_protocols: Vec<Text<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    offered_versions: Vec<&'static str>,
}

impl<'a> Tls<'a> {
    pub(super) fn new(inner: &'a Inner) -> Option<Self> {
        let Inner::Tls(hellos) = inner else { return None };
        Some(Self::of(hellos))
    }

    pub(super) fn of(hellos: &'a Hellos) -> Self {
        let server = hellos.server.as_ref();
        Self {
            protocol: server
                .and_then(|hello| version(*hello.versions.first()?))
                .map(|(name, version)| Protocol { name, version }),
            next_protocol: server.and_then(|hello| hello.alpn.first()).map(|name| Text(name)),
            client: hellos.client.as_ref().map(Client::new),
        }
    }
}

impl<'a> Client<'a> {
    fn new(hello: &'a Hello) -> Self {
        let versions = hello.versions.iter().filter_map(|v| version(*v));
        Self {
            server_name: hello.server_name.as_deref().map(Text),
            offered_protocols: hello.alpn.iter().map(|name| Text(name)).collect(),
            offered_versions: versions.map(|(_, version)| version).collect(),
        }
    }
}

/// `tls.protocol.name` and `.version` as OpenTelemetry writes them.
fn version(wire: u16) -> Option<(&'static str, &'static str)> {
    match wire {
        0x0300 => Some(("ssl", "3")),
        0x0301 => Some(("tls", "1.0")),
        0x0302 => Some(("tls", "1.1")),
        0x0303 => Some(("tls", "1.2")),
        0x0304 => Some(("tls", "1.3")),
        _ => None,
    }
}
