//! A flow of TLS without any HTTP: counted beside the HTTP parsers, which find nothing in it, and
//! told at its end.

use super::Output;
use super::ending::{closed, towards};
use crate::event::{Event, TlsFlow};
use crate::segment::{Direction, Timestamp};
use crate::tcp::{Cause, Delivery, Facts, Side, What};
use crate::tunnel::inner::{Inner, Recogniser};
use crate::tunnel::{Both, Part, Volume};

/// The content type of a handshake record (RFC 8446 §5.1): no method and no status line begins so.
const HANDSHAKE: u8 = 22;

#[derive(Debug)]
pub(super) struct OpenTls {
    client: Side,
    opened: Timestamp,
    recogniser: Recogniser,
    volume: Both<Volume>,
    first_end: Option<Direction>,
}

impl OpenTls {
    /// Whether the flow may be TLS, judged by the first byte that is delivered of it.
    pub(super) fn begin(facts: &Facts, delivery: &Delivery<'_>) -> Option<Box<Self>> {
        let What::Bytes([HANDSHAKE, ..]) = delivery.what else { return None };
        Some(Box::new(Self {
            // Where the handshake was not seen: who speaks first, says hello first.
            client: facts.initiator.unwrap_or(delivery.side),
            opened: delivery.time,
            recogniser: Recogniser::default(),
            volume: Both::default(),
            first_end: None,
        }))
    }

    pub(super) fn handle(&mut self, delivery: &Delivery<'_>) {
        let direction = towards(delivery.side, self.client);
        let (part, n_bytes, n_lost) = match delivery.what {
            What::Bytes(bytes) => (Part::Bytes(bytes), bytes.len() as u64, 0),
            What::Gap(n) => (Part::Gap { n_bytes: n, on_purpose: false }, n, n),
            What::Skipped(n) => (Part::Gap { n_bytes: n, on_purpose: true }, n, 0),
            What::End(_) => {
                self.first_end.get_or_insert(direction);
                return;
            }
        };
        let volume = self.volume.of_mut(direction);
        volume.n_bytes = volume.n_bytes.saturating_add(n_bytes);
        volume.n_lost = volume.n_lost.saturating_add(n_lost);
        self.recogniser.handle(direction, part);
    }

    /// A hello was seen. The answer to it may be HTTP all the same: that it was no request.
    pub(super) fn is_likely(&self) -> bool {
        self.recogniser.inner().is_some()
    }

    /// Both ends have said hello.
    pub(super) fn is_agreed(&self) -> bool {
        let Some(Inner::Tls(hellos)) = self.recogniser.inner() else { return false };
        hellos.client.is_some() && hellos.server.is_some()
    }

    pub(super) fn close(self, facts: &Facts, now: Timestamp, cause: Cause, out: &mut Output) {
        let Some(Inner::Tls(hellos)) = self.recogniser.inner() else { return };
        // A hello by the other side than the one that seemed to be the client.
        let is_reversed = hellos.client.is_none() && facts.initiator.is_none();
        let client = if is_reversed { self.client.opposite() } else { self.client };
        let Both { to_server, to_client } = self.volume;
        let volume = match is_reversed {
            true => Both { to_server: to_client, to_client: to_server },
            false => self.volume,
        };
        let first = self.first_end.map(|d| if is_reversed { d.opposite() } else { d });
        out.push(Event::Tls(Box::new(TlsFlow {
            opened: self.opened,
            ended: now.max(self.opened),
            flow: out.flow_facts(client, facts),
            hellos: hellos.clone(),
            volume,
            closed: closed(cause, client, first),
        })));
    }
}
