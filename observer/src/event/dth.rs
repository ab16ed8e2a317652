//! `tcp.dth`: an endpoint has announced its death (RFC 9401), and what became of it.

use serde::Serialize;

use super::SCHEMA;
use super::closed::{Closed, ClosedObject, sender};
use super::exchange::Capture;
use super::parts::{CaptureObject, EventName, ExchangeId, FlowId, Peer, Sampling, Transport};
use super::text::Time;
use crate::segment::{Direction, Endpoint, Timestamp};

/// What the event tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DthPhase {
    /// The first segment with the bit.
    Flagged,
    /// The flow has ended.
    End { after_ns: u64, bytes_after: u64, closed: Closed },
}

/// The event.
#[derive(Clone, Debug)]
pub struct TcpDth {
    pub time: Timestamp,
    pub flow_id: u64,
    /// How many flows it stands for.
    pub adjusted_count: u32,
    /// Who set the bit, and towards whom.
    pub source: Endpoint,
    pub destination: Endpoint,
    /// Where the roles are known: the direction of the bit.
    pub direction: Option<Direction>,
    /// The exchange whose message carried it, or came before it.
    pub index: Option<u64>,
    /// Set in a SYN, which RFC 9401 discourages.
    pub handshake: bool,
    /// Bytes of the half before the segment, where the half's beginning was seen.
    pub offset: Option<u64>,
    /// Segments with the bit so far.
    pub n_segments: u32,
    pub phase: DthPhase,
    pub capture: Capture,
}

impl TcpDth {
    pub(super) fn write_json(&self, out: &mut Vec<u8>) {
        super::write(&Line::new(self), out);
    }
}

#[derive(Serialize)]
struct Line<'a> {
    timestamp: Time,
    event: EventName,
    source: Peer,
    destination: Peer,
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<Peer>,
    #[serde(skip_serializing_if = "Option::is_none")]
    server: Option<Peer>,
    network: Transport,
    obs: Obs<'a>,
}

#[derive(Serialize)]
struct Obs<'a> {
    schema: u32,
    flow: FlowId,
    #[serde(skip_serializing_if = "Option::is_none")]
    exchange: Option<ExchangeId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sampling: Option<Sampling>,
    dth: Object,
    capture: CaptureObject<'a>,
}

#[derive(Serialize)]
struct Object {
    phase: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<&'static str>,
    handshake: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    offset: Option<u64>,
    segments: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    after_ns: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes_after: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    closed: Option<ClosedObject>,
}

impl<'a> Line<'a> {
    fn new(event: &'a TcpDth) -> Self {
        let (client, server) = match event.direction {
            None => (None, None),
            Some(Direction::ToServer) => (Some(event.source), Some(event.destination)),
            Some(Direction::ToClient) => (Some(event.destination), Some(event.source)),
        };
        let (phase, end) = match event.phase {
            DthPhase::Flagged => ("flagged", None),
            DthPhase::End { after_ns, bytes_after, closed } => {
                ("end", Some((after_ns, bytes_after, closed)))
            }
        };
        Self {
            timestamp: Time(event.time),
            event: EventName { name: "tcp.dth" },
            source: Peer::new(event.source),
            destination: Peer::new(event.destination),
            client: client.map(Peer::new),
            server: server.map(Peer::new),
            network: Transport::of(event.source),
            obs: Obs {
                schema: SCHEMA,
                flow: FlowId::new(event.flow_id),
                exchange: event.index.map(|index| ExchangeId::new(event.flow_id, &[], index)),
                sampling: Sampling::new(event.adjusted_count),
                dth: Object {
                    phase,
                    by: event.direction.map(sender),
                    handshake: event.handshake,
                    offset: event.offset,
                    segments: event.n_segments,
                    outcome: end.map(|(_, _, closed)| outcome(closed)),
                    after_ns: end.map(|(after_ns, ..)| after_ns),
                    bytes_after: end.map(|(_, bytes_after, _)| bytes_after),
                    closed: end.map(|(_, _, closed)| ClosedObject::new(closed)),
                },
                capture: CaptureObject::new(&event.capture),
            },
        }
    }
}

/// A flow whose end nobody saw was teasing, as far as can be told: it survived being watched.
fn outcome(closed: Closed) -> &'static str {
    match closed.how {
        "fin" | "reset" | "reused" => "died",
        _ => "survived",
    }
}
