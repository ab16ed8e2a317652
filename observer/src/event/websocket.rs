//! `websocket.message`: one message of a WebSocket, told only on request.

use serde::Serialize;

use super::parts::{
    CaptureObject, EventName, ExchangeId, FlowId, Peer, Sampling, Transport, is_zero,
};
use super::text::{Text, Time};
use super::{FlowFacts, SCHEMA};
use crate::segment::Direction;
use crate::tunnel::websocket::{Message, Opcode};

/// The event.
#[derive(Clone, Debug)]
pub struct WebSocketMessage {
    pub flow: FlowFacts,
    /// Index of the exchange that opened the WebSocket, and of those whose tunnels that is in.
    pub index: u64,
    pub inside: Vec<u64>,
    pub message: Message,
}

impl WebSocketMessage {
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
    obs: Obs<'a>,
}

#[derive(Serialize)]
struct Obs<'a> {
    schema: u32,
    flow: FlowId,
    exchange: ExchangeId,
    #[serde(skip_serializing_if = "Option::is_none")]
    sampling: Option<Sampling>,
    message: Object<'a>,
    capture: CaptureObject<'a>,
}

#[derive(Serialize)]
struct Object<'a> {
    direction: &'static str,
    opcode: &'static str,
    size: u64,
    frames: u64,
    duration_ns: u64,
    #[serde(skip_serializing_if = "is_zero")]
    gap_bytes: u64,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    compressed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<Prefix<'a>>,
}

#[derive(Serialize)]
struct Prefix<'a> {
    text: Text<'a>,
    truncated: bool,
}

impl<'a> Line<'a> {
    fn new(event: &'a WebSocketMessage) -> Self {
        let WebSocketMessage { flow, message, .. } = event;
        // Compressed bytes are no text, and a prefix of them cannot be undone.
        let shown = Some(&message.prefix).filter(|p| !p.is_empty() && !message.is_compressed);
        Self {
            timestamp: Time(message.first),
            event: EventName { name: "websocket.message" },
            client: Peer::new(flow.client),
            server: Peer::new(flow.server),
            network: Transport::of(flow.client),
            obs: Obs {
                schema: SCHEMA,
                flow: FlowId::new(flow.id),
                exchange: ExchangeId::new(flow.id, &event.inside, event.index),
                sampling: Sampling::new(flow.adjusted_count),
                message: Object {
                    direction: match message.direction {
                        Direction::ToServer => "to_server",
                        Direction::ToClient => "to_client",
                    },
                    opcode: if message.opcode == Opcode::Text { "text" } else { "binary" },
                    size: message.n_bytes,
                    frames: message.n_frames,
                    duration_ns: message.last.since(message.first),
                    gap_bytes: message.n_lost,
                    compressed: message.is_compressed,
                    content: shown.map(|prefix| Prefix {
                        text: Text(prefix),
                        truncated: message.n_bytes > prefix.len() as u64,
                    }),
                },
                capture: CaptureObject::new(&flow.capture),
            },
        }
    }
}
