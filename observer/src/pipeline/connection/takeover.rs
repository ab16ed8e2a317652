//! The end of HTTP on a flow: what belongs to the tunnel behind it, and what is told of both.

use super::super::Output;
use super::super::tunnels::OpenTunnel;
use super::Connection;
use crate::http::{Item, Role};
use crate::message::{Anomaly, Exchange, Mark, Takeover};
use crate::segment::{Direction, Offset};
use crate::tcp::{Delivery, Facts, Side, What};
use crate::tunnel::Agreement;

/// Where a half's messages go.
pub(super) fn direction(role: Role) -> Direction {
    match role {
        Role::Request => Direction::ToServer,
        Role::Response => Direction::ToClient,
    }
}

impl Connection {
    /// The HTTP inside a tunnel of a flow with this client.
    pub(in super::super) fn inside(client: Side) -> Self {
        // What begins like TLS in there is the tunnel's to tell.
        Self { begun: true, ..Self::new(Some(client)) }
    }

    /// Says which exchange opened the tunnel that this is in.
    pub(in super::super) fn set_path(&mut self, inside: &[u64], index: u64) {
        self.path = inside.iter().copied().chain([index]).collect();
    }

    pub(super) fn note_position(&mut self, role: Role, delivery: &Delivery<'_>) {
        let n = match delivery.what {
            What::Bytes(bytes) => bytes.len() as u64,
            What::Gap(n) | What::Skipped(n) => n,
            What::End(_) => 0,
        };
        if role == Role::Request {
            self.position = delivery.offset.plus(n);
        }
    }

    /// Hands what lies behind a takeover to the tunnel. Returns whether the item is done with.
    pub(super) fn pass_on(&mut self, role: Role, mark: Mark, item: &Item<'_>) -> bool {
        let Some(tunnel) = self.tunnel.as_mut() else { return false };
        match item {
            Item::Opaque(bytes) => tunnel.handle_bytes(direction(role), mark, bytes),
            Item::OpaqueGap(n) => tunnel.handle_gap(direction(role), mark, *n, self.skipping),
            Item::Head { .. }
            | Item::Body(_)
            | Item::BodyGap(_)
            | Item::End(_)
            | Item::NotHttp { .. }
            | Item::Lost => return false,
        }
        true
    }

    /// HTTP ends here, in both halves.
    pub(super) fn take_over(&mut self, takeover: Takeover, last: Mark, out: &mut Output) {
        self.taken_over = true;
        self.pairer.set_takeover(takeover);
        if let Some(message) = self.pairer.response_mut() {
            message.complete = true;
            message.last = last;
        }
        self.open_tunnel(takeover, last, out);
        self.pairer.handle_response_end(&mut self.done);
    }

    /// The tunnel begins with what the client sent behind its request before it was answered.
    fn open_tunnel(&mut self, takeover: Takeover, last: Mark, out: &mut Output) {
        let ahead = self.requests.as_mut().map(|parser| parser.take_over()).unwrap_or_default();
        let held = self.held.take().map(|held| held.into_parts()).unwrap_or_default();
        let Some(client) = self.client else { return };
        let request = self.pairer.answered_request();
        let agreement = Agreement::new(
            takeover,
            request.and_then(|m| m.head.as_ref()),
            self.pairer.response().and_then(|m| m.head.as_ref()),
        );
        let position = self.position;
        let n_known = held.iter().fold(ahead.len(), |n, (_, bytes)| n.saturating_add(bytes.len()));
        // What came too early, or as too much, to be held was read as HTTP and is gone; it counts.
        // Where other requests wait as well, some of it was theirs.
        let alone = self.pairer.n_pending() == 1;
        let end = request.filter(|m| m.complete && alone).map_or(position, |m| m.last.offset);
        let n_gone = position.since(end).saturating_sub(n_known as u64);
        let mut tunnel =
            Box::new(OpenTunnel::new(agreement, last.time, client, self.path.len(), out));
        let early = Mark { offset: end, time: last.time, acked: None };
        tunnel.handle_gap(Direction::ToServer, early, n_gone, true);
        for (mark, bytes) in held {
            // They came before the tunnel was there, and were in it when it was.
            let mark = Mark { time: mark.time.max(last.time), ..mark };
            tunnel.handle_bytes(Direction::ToServer, mark, &bytes);
        }
        let offset = Offset(position.0.saturating_sub(ahead.len() as u64));
        let mark = Mark { offset, time: last.time, acked: None };
        tunnel.handle_bytes(Direction::ToServer, mark, &ahead);
        self.tunnel = Some(tunnel);
    }

    /// What came instead of a request may have been the start of TLS.
    fn note_tls(&self, exchange: &mut Exchange) {
        let is_tls = self.tls.as_ref().is_some_and(|tls| tls.is_likely());
        for message in exchange.request.iter_mut().chain(&mut exchange.response) {
            if is_tls && message.anomalies.contains(Anomaly::MalformedRequest) {
                message.anomalies.insert(Anomaly::TlsRequest);
            }
        }
    }

    pub(super) fn tell(&mut self, facts: &Facts, out: &mut Output) {
        if self.done.is_empty() && self.tunnel.is_none() {
            return;
        }
        let Some(client) = self.client else { return };
        while let Some(mut exchange) = self.done.pop() {
            self.note_tls(&mut exchange);
            let opens = exchange.takeover.is_some();
            if let Some(tunnel) = self.tunnel.as_mut().filter(|t| opens && !t.is_linked()) {
                tunnel.link(&exchange, &self.path, out);
            }
            out.push_exchange(exchange, &self.path, client, facts, self.lost_told);
            let lost = |side| facts.half(side).records_lost();
            self.lost_told = lost(Side::Low).saturating_add(lost(Side::High));
            if let Some(tunnel) = self.tunnel.as_ref().filter(|_| opens) {
                tunnel.tell_open(client, facts, out);
            }
        }
        if let Some(tunnel) = self.tunnel.as_mut() {
            tunnel.tell(client, facts, out);
        }
    }
}
