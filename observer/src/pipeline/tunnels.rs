//! A tunnel on a flow: fed by the connection that was taken over, linked to the exchange that did
//! it, told at its beginning, while it lasts and at its end. HTTP/1 inside it is a connection of
//! its own.

use std::mem;
use std::sync::Arc;

use super::Output;
use super::connection::Connection;
use super::ending::closed;
use crate::event::{Closed, Event, HttpTunnel, Phase, TunnelLink, WebSocketMessage};
use crate::message::{Exchange, Mark};
use crate::segment::{Direction, Offset, Timestamp};
use crate::tcp::{Application as _, Cause, Delivery, Facts, Side, What, Wish};
use crate::tunnel::{Agreement, Both, Content, Found, Part, Report, Tunnel, Wanted};

/// Tunnels in tunnels that are looked into: a proxy behind a proxy, and one more.
const MAX_DEPTH: usize = 3;

/// What a tunnel may carry in both directions before its client's first line is complete. A peer
/// that is told so much before it was asked speaks no HTTP/1.
const MAX_UNDECIDED: usize = 64 << 10;

/// The same in pieces, of whatever size.
const MAX_UNDECIDED_PIECES: usize = 512;

/// A part of what is inside, kept until it is known to be HTTP and the flow's facts are at hand.
#[derive(Debug)]
enum Piece {
    Bytes(Vec<u8>),
    Gap { n_bytes: u64, on_purpose: bool },
    End(Cause),
}

/// A tunnel on a flow.
#[derive(Debug)]
pub(super) struct OpenTunnel {
    tunnel: Tunnel,
    /// The exchange that opened it, once that was told.
    link: Option<TunnelLink>,
    /// When the next report on a long tunnel is due; never, where none is wanted.
    due: Option<Timestamp>,
    latest: Timestamp,
    /// Where and when each half was closed, in the order in which that was seen.
    ends: Vec<(Direction, Mark)>,
    found: Found,
    /// HTTP/1 inside, as long as it may be that.
    http: Option<Box<Connection>>,
    pieces: Vec<(Direction, Mark, Piece)>,
    /// Content bytes of a framed tunnel so far.
    positions: Both<Offset>,
    /// What the connection inside wants of each half.
    wishes: Both<Option<Wish>>,
}

impl OpenTunnel {
    /// `depth` counts the tunnels around this one.
    pub(super) fn new(
        agreement: Agreement,
        opened: Timestamp,
        client: Side,
        depth: usize,
        out: &Output,
    ) -> Self {
        let wanted = Wanted { messages: out.message_prefix() };
        let http = (depth < MAX_DEPTH).then(|| Box::new(Connection::inside(client)));
        Self {
            tunnel: Tunnel::new(agreement, opened, wanted),
            link: None,
            due: out.config.tunnel_interval_ns.map(|ns| opened.after(ns)),
            latest: opened,
            ends: Vec::new(),
            found: Found::default(),
            http,
            pieces: Vec::new(),
            positions: Both::default(),
            wishes: Both::default(),
        }
    }

    /// The exchange that opened the tunnel is told: events about it can be.
    pub(super) fn link(&mut self, exchange: &Exchange, inside: &[u64], out: &Output) {
        let mut request = exchange.request.as_ref().and_then(|m| m.head.clone());
        let mut redacted = request.as_mut().map(|head| out.config.redactor.redact_head(head));
        // Of the fields only Host is told.
        redacted.iter_mut().for_each(|keys| keys.retain(|key| key.starts_with("url.")));
        if let Some(connection) = self.http.as_mut() {
            connection.set_path(inside, exchange.index);
        }
        self.link = Some(TunnelLink {
            index: exchange.index,
            inside: inside.to_vec(),
            request: request.map(Arc::new),
            redacted: redacted.unwrap_or_default().into(),
        });
    }

    pub(super) fn is_linked(&self) -> bool {
        self.link.is_some()
    }

    /// Takes bytes of the flow that belong to the tunnel.
    pub(super) fn handle_bytes(&mut self, direction: Direction, mark: Mark, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        self.handle(direction, mark, Part::Bytes(bytes));
        if !self.tunnel.is_framed() && self.looks_inside() {
            self.pieces.push((direction, mark, Piece::Bytes(bytes.to_vec())));
        }
    }

    /// Takes note of bytes that were not captured, or were taken for something else.
    pub(super) fn handle_gap(
        &mut self,
        direction: Direction,
        mark: Mark,
        n_bytes: u64,
        on_purpose: bool,
    ) {
        if n_bytes == 0 {
            return;
        }
        self.handle(direction, mark, Part::Gap { n_bytes, on_purpose });
        if !self.tunnel.is_framed() && self.looks_inside() {
            self.pieces.push((direction, mark, Piece::Gap { n_bytes, on_purpose }));
        }
    }

    /// A half has ended.
    pub(super) fn handle_end(&mut self, direction: Direction, mark: Mark, cause: Cause) {
        if cause == Cause::Fin {
            self.ends.push((direction, mark));
        }
        if self.looks_inside() {
            self.pieces.push((direction, mark, Piece::End(cause)));
        }
    }

    fn handle(&mut self, direction: Direction, mark: Mark, part: Part<'_>) {
        if !matches!(part, Part::Gap { on_purpose: false, .. }) {
            self.latest = self.latest.max(mark.time);
        }
        self.tunnel.handle(direction, mark.time, part, &mut self.found);
        let position = self.positions.of_mut(direction);
        for content in mem::take(&mut self.found.content) {
            // Acknowledgements are about the flow, not about what is framed in it.
            let mark = Mark { offset: *position, time: mark.time, acked: None };
            let piece = match content {
                Content::Bytes(bytes) => {
                    *position = position.plus(bytes.len() as u64);
                    Piece::Bytes(bytes)
                }
                Content::Gap(n_bytes) => {
                    *position = position.plus(n_bytes);
                    Piece::Gap { n_bytes, on_purpose: false }
                }
            };
            self.pieces.push((direction, mark, piece));
        }
    }

    fn looks_inside(&self) -> bool {
        self.http.is_some() && self.tunnel.may_be_http1()
    }

    /// Tells what has come up, once the exchange that opened the tunnel was told.
    pub(super) fn tell(&mut self, client: Side, facts: &Facts, out: &mut Output) {
        self.read_inside(client, facts, out);
        let Some(link) = self.link.as_ref() else { return };
        for message in mem::take(&mut self.found.messages) {
            let (index, inside) = (link.index, link.inside.clone());
            let flow = out.flow_facts(client, facts);
            let event = WebSocketMessage { flow, index, inside, message };
            out.push(Event::Message(Box::new(event)));
        }
        if self.due.is_some_and(|due| self.latest >= due) {
            self.due = out.config.tunnel_interval_ns.map(|ns| self.latest.after(ns));
            let report = self.tunnel.report();
            self.push(Phase::Progress, self.latest, report, None, client, facts, out);
        }
    }

    /// The tunnel's beginning, right behind its exchange.
    pub(super) fn tell_open(&self, client: Side, facts: &Facts, out: &mut Output) {
        let Report { agreement, opened, .. } = self.tunnel.report();
        let report = Tunnel::new(agreement, opened, Wanted::default()).report();
        self.push(Phase::Open, opened, report, None, client, facts, out);
    }

    /// The end of the flow is the tunnel's.
    pub(super) fn close(
        mut self,
        facts: &Facts,
        now: Timestamp,
        cause: Cause,
        client: Side,
        out: &mut Output,
    ) {
        self.tell(client, facts, out);
        if let Some(http) = self.http.take().filter(|_| self.tunnel.may_be_http1()) {
            http.close(facts, now, cause, out);
        }
        let closed = closed(cause, client, self.closed_first());
        let now = now.max(self.latest);
        let report = self.tunnel.close(now);
        self.push(Phase::Close, now, report, Some(closed), client, facts, out);
    }

    /// Who closed first: not the one whose FIN acknowledges the other's.
    fn closed_first(&self) -> Option<Direction> {
        let (first, one) = self.ends.first()?;
        let Some((second, other)) = self.ends.get(1) else { return Some(*first) };
        let first_answers = one.acked.is_some_and(|acked| acked > other.offset);
        let second_answers = other.acked.is_some_and(|acked| acked > one.offset);
        Some(if first_answers && !second_answers { *second } else { *first })
    }

    #[expect(clippy::too_many_arguments, reason = "one call passes on what an event consists of")]
    fn push(
        &self,
        phase: Phase,
        time: Timestamp,
        report: Report,
        closed: Option<Closed>,
        client: Side,
        facts: &Facts,
        out: &mut Output,
    ) {
        let Some(link) = self.link.clone() else { return };
        let flow = out.flow_facts(client, facts);
        out.push(Event::Tunnel(Box::new(HttpTunnel { time, phase, flow, link, report, closed })));
    }

    /// Feeds what has come to the connection inside once it is known to be HTTP, or lets go of it.
    fn read_inside(&mut self, client: Side, facts: &Facts, out: &mut Output) {
        if !self.tunnel.is_http1() {
            let n_kept = |n: usize, (_, _, piece): &(_, _, Piece)| match piece {
                Piece::Bytes(bytes) => n.saturating_add(bytes.len()),
                Piece::Gap { .. } | Piece::End(_) => n,
            };
            let n_kept = self.pieces.iter().fold(0, n_kept);
            let few = self.pieces.len() <= MAX_UNDECIDED_PIECES && n_kept <= MAX_UNDECIDED;
            if self.tunnel.may_be_http1() && few {
                return;
            }
            self.http = None;
        }
        let pieces = mem::take(&mut self.pieces);
        let Some(http) = self.http.as_mut() else { return };
        for (direction, mark, piece) in &pieces {
            let what = match piece {
                Piece::Bytes(bytes) => What::Bytes(bytes),
                Piece::Gap { n_bytes: 0, .. } => continue,
                Piece::Gap { n_bytes, on_purpose: true } => What::Skipped(*n_bytes),
                Piece::Gap { n_bytes, on_purpose: false } => What::Gap(*n_bytes),
                Piece::End(cause) => What::End(*cause),
            };
            let side = match direction {
                Direction::ToServer => client,
                Direction::ToClient => client.opposite(),
            };
            let Mark { offset, time, acked } = *mark;
            let wish = http.deliver(facts, Delivery { side, offset, time, acked, what }, out);
            *self.wishes.of_mut(*direction) = Some(wish);
        }
    }

    /// What the tunnel needs of a half next.
    pub(super) fn wish(&self, direction: Direction) -> Wish {
        if !self.tunnel.is_framed()
            && self.looks_inside()
            && let Some(wish) = self.wishes.of(direction)
        {
            // The connection inside speaks for itself, not for the flow.
            return if *wish == Wish::Nothing { Wish::All } else { *wish };
        }
        if self.tunnel.is_told() {
            return Wish::Quiet;
        }
        match self.tunnel.dispensable(direction) {
            0 => Wish::All,
            n => Wish::Without(n),
        }
    }
}
