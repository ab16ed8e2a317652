//! What a sink gets: the only types that are serialised, and the version of their schema.
//!
//! Names are those of the OpenTelemetry semantic conventions as nested objects; our own stand under
//! `obs`. `docs/events.md` lists every key. Absent means unknown; nothing is made up.

mod closed;
mod digits;
mod dth;
mod exchange;
pub mod governor;
mod json;
mod parts;
mod redact;
mod room;
#[cfg(feature = "live")]
pub(crate) mod stamp;
pub mod stats;
mod text;
mod tls;
mod tunnel;
mod websocket;
mod writer;

pub use self::closed::Closed;
pub use self::dth::{DthPhase, TcpDth};
pub use self::exchange::{Capture, FlowFacts, HttpExchange, Integrity, Netns, Timing};
pub use self::redact::Redactor;
pub use self::room::Room;
pub(crate) use self::text::escape;
pub use self::tls::TlsFlow;
pub use self::tunnel::{HttpTunnel, Phase, TunnelLink};
pub use self::websocket::WebSocketMessage;
pub use self::writer::Writer;

/// The version in `obs.schema`: within a version keys are only added.
pub const SCHEMA: u32 = 1;

/// JSON Schema of all events, as `observer schema` prints it.
pub const JSON_SCHEMA: &str = include_str!("../../../docs/events.schema.json");

/// One thing to tell; one line of NDJSON.
#[derive(Clone, Debug)]
pub enum Event {
    Exchange(Box<HttpExchange>),
    Tunnel(Box<HttpTunnel>),
    Message(Box<WebSocketMessage>),
    Dth(Box<TcpDth>),
    Tls(Box<TlsFlow>),
}

impl Event {
    /// It was told: where its memory is worth keeping it is for events to come, of this thread. Who
    /// drops an event instead does no harm.
    pub fn give_back(self) {
        if let Self::Exchange(exchange) = self {
            exchange.give_back();
        }
    }

    /// Appends the event as one JSON object, without a line end. [`Writer`] is quicker for many.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        match self {
            Self::Exchange(exchange) => {
                let mut room = Room::from(std::mem::take(out));
                exchange.write_json(&mut room);
                *out = room.into();
            }
            Self::Tunnel(tunnel) => tunnel.write_json(out),
            Self::Message(message) => message.write_json(out),
            Self::Dth(dth) => dth.write_json(out),
            Self::Tls(flow) => flow.write_json(out),
        }
    }
}

/// Appends `value` as JSON.
fn write(value: &impl serde::Serialize, out: &mut Vec<u8>) {
    let before = out.len();
    if serde_json::to_writer(&mut *out, value).is_err() {
        // Writing to memory does not fail, and no map here has a key that is not text.
        out.truncate(before);
    }
}
