//! HTTP on one flow: a parser for each half, and the pairer between them.
//!
//! Decides who is the client where the handshake was not seen, hands the response's framing what
//! the request asked for, and ends HTTP where the flow is taken over.

mod items;
mod no_http;
mod parsers;
mod rest;
mod roles;
mod straight;
mod takeover;

use std::mem;

pub(super) use self::parsers::Spare;
use self::straight::Read;
use self::takeover::direction;
use super::Output;
use super::dth;
use super::hold::Held;
use super::tls::OpenTls;
use super::tunnels::OpenTunnel;
use crate::exchange::{Close, FIRST_INDEX, Pairer, Told};
use crate::http::{self, Input, Parser, Part, Role};
use crate::message::Mark;
use crate::segment::{Offset, TcpFlags, Timestamp};
use crate::tcp::{Application, Cause, Delivery, Facts, Side, What, Wish};

/// The HTTP side of a flow.
#[derive(Debug)]
pub(super) struct Connection {
    /// Who sends requests, once known.
    client: Option<Side>,
    /// Inside messages; between them there is none.
    requests: Option<Box<Parser>>,
    responses: Option<Box<Parser>>,
    /// Something of the half was read, requests first.
    opened: [bool; 2],
    pairer: Pairer,
    /// The client's bytes behind a CONNECT or Upgrade, until the answer tells what they are.
    pub(super) held: Option<Box<Held>>,
    taken_over: bool,
    /// Too few bytes to tell whether they are a body or the next request.
    withheld: Option<Box<(Mark, Vec<u8>)>>,
    /// The request that is being read asks for a takeover.
    asks_takeover: bool,
    /// The half that is being read has come to its end.
    closing: bool,
    /// What is missing right now was left out on purpose.
    skipping: bool,
    /// Bytes that came before any message was found.
    fruitless: u64,
    /// Bytes of each side came that looked like no message, before it was known who is who.
    undecided: [bool; 2],
    /// How far the client's half has come.
    position: Offset,
    /// What the flow carries behind a takeover.
    tunnel: Option<Box<OpenTunnel>>,
    /// What the flow carries instead of HTTP, where it begins like TLS.
    tls: Option<Box<OpenTls>>,
    /// Something was delivered.
    begun: bool,
    /// A half whose DTH bit is told with what carries it.
    flagged: Option<Flagged>,
    /// Indices of the exchanges whose tunnels this is in, the outermost first.
    path: Box<[u64]>,
    done: Told,
    /// Lost records of the flow that an exchange has told of.
    lost_told: u32,
}

/// A half has set the DTH bit, and what carries it is to be read first.
#[derive(Clone, Copy, Debug)]
struct Flagged {
    side: Side,
    /// It is the client's, and no message of the flow was found before.
    is_first: bool,
}

impl Application for Connection {
    type Output = Output;

    fn open(facts: &Facts) -> Self {
        Self::new(facts.initiator)
    }

    fn deliver(&mut self, facts: &Facts, delivery: Delivery<'_>, out: &mut Output) -> Wish {
        if let Some(read) = self.deliver_straight(facts, &delivery, out) {
            return read;
        }
        if !mem::replace(&mut self.begun, true) {
            self.tls = OpenTls::begin(facts, &delivery);
        }
        if let Some(tls) = self.tls.as_mut() {
            tls.handle(&delivery);
        }
        let wish = match &self.tls {
            // Behind both hellos everything is encrypted.
            Some(tls) if tls.is_agreed() => Wish::Quiet,
            Some(_) | None => self.deliver_http(facts, &delivery, out),
        };
        match self.flagged.take() {
            None => {}
            Some(Flagged { side, is_first: false }) => self.tell_dth(side, true, facts, out),
            Some(Flagged { side, is_first: true }) => {
                let index = (!self.speaks_no_http()).then_some(FIRST_INDEX);
                let client = self.client.or(facts.initiator);
                dth::tell_flagged(side, client, index, facts, out);
            }
        }
        self.while_followed(wish, facts)
    }

    fn handle_dth(&mut self, facts: &Facts, side: Side, out: &mut Output) {
        let bare = facts.half(side).dth().is_some_and(|dth| dth.bare);
        let client = self.client.or(facts.initiator);
        // What comes next may tell who is the client, and whether it speaks HTTP at all.
        let is_first = client == Some(side) && !self.pairer.has_begun();
        if (client.is_none() || is_first) && !bare {
            self.flagged = Some(Flagged { side, is_first });
            return;
        }
        self.tell_dth(side, self.taken_over, facts, out);
    }

    fn is_at_rest(&self) -> bool {
        self.has_nothing_under_way()
    }

    fn close(mut self, facts: &Facts, now: Timestamp, cause: Cause, out: &mut Output) {
        self.close_http(facts, now, cause, out);
        if let Some(tls) = self.tls.take().filter(|_| !self.pairer.has_begun()) {
            tls.close(facts, now, cause, out);
        }
        if self.path.is_empty() {
            dth::tell_end(self.client.or(facts.initiator), facts, now, cause, out);
        }
    }
}

impl Connection {
    /// An announced death and TLS are followed to their ends, whatever the flow carries.
    fn is_followed(&self, facts: &Facts) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.is_likely())
            || [Side::Low, Side::High].iter().any(|side| facts.half(*side).dth().is_some())
    }

    fn while_followed(&self, wish: Wish, facts: &Facts) -> Wish {
        if wish == Wish::Nothing && self.is_followed(facts) { Wish::Quiet } else { wish }
    }

    fn deliver_http(&mut self, facts: &Facts, delivery: &Delivery<'_>, out: &mut Output) -> Wish {
        if self.is_fruitless(delivery) {
            return Wish::Nothing;
        }
        let Some(role) = self.role_of(facts, delivery) else { return Wish::All };
        self.open_parser(role, facts, delivery, out);
        if self.read_straight(role, delivery, out) == Read::Not {
            self.feed(role, delivery, out);
        }
        self.tell(facts, out);
        self.wish_of(role, out)
    }

    fn wish_of(&self, role: Role, out: &Output) -> Wish {
        match &self.tunnel {
            Some(tunnel) => tunnel.wish(direction(role)),
            None => self.wish(role, out.body_prefix()),
        }
    }

    /// `is_read` when what carries the bit was read already, or belongs to no exchange.
    fn tell_dth(&self, side: Side, is_read: bool, facts: &Facts, out: &mut Output) {
        let client = self.client.or(facts.initiator);
        let role = client.map(|c| if c == side { Role::Request } else { Role::Response });
        let index = role.and_then(|role| self.pairer.index_at(role, is_read));
        dth::tell_flagged(side, client, index, facts, out);
    }

    fn close_http(&mut self, facts: &Facts, now: Timestamp, cause: Cause, out: &mut Output) {
        let Some(client) = self.client else { return };
        let close = match cause {
            Cause::Fin | Cause::Reused => Close::Closed,
            Cause::Reset { by } if by == client => Close::ResetByClient,
            Cause::Reset { .. } => Close::ResetByServer,
            Cause::Timeout => Close::Timeout,
            Cause::Evicted | Cause::CaptureEnd => Close::CaptureEnd,
        };
        let blind = facts.half(client.opposite()).flags == TcpFlags::default();
        self.pairer.close(close, blind, &mut self.done);
        self.tell(facts, out);
        if let Some(tunnel) = self.tunnel.take() {
            tunnel.close(facts, now, cause, client, out);
        }
    }

    fn new(client: Option<Side>) -> Self {
        Self {
            client,
            requests: None,
            responses: None,
            opened: [false; 2],
            pairer: Pairer::new(super::MAX_PENDING),
            held: None,
            taken_over: false,
            withheld: None,
            asks_takeover: false,
            closing: false,
            skipping: false,
            fruitless: 0,
            undecided: [false; 2],
            position: Offset(0),
            tunnel: None,
            tls: None,
            begun: false,
            flagged: None,
            path: Box::default(),
            done: Told::default(),
            lost_told: 0,
        }
    }

    fn feed(&mut self, role: Role, delivery: &Delivery<'_>, out: &mut Output) {
        self.note_position(role, delivery);
        let mark = Mark { offset: delivery.offset, time: delivery.time, acked: delivery.acked };
        if role == Role::Request && self.hold(mark, delivery.what) {
            return;
        }
        self.skipping = matches!(delivery.what, What::Skipped(_));
        self.closing = matches!(delivery.what, What::End(_));
        if role == Role::Request && self.pairer.may_withhold_body() {
            self.read_withheld(mark, delivery.what, out);
            return;
        }
        let what = match delivery.what {
            What::Bytes(bytes) => Part::Bytes(bytes),
            What::Gap(n) | What::Skipped(n) => Part::Gap(n),
            What::End(cause) => Part::End { clean: cause == Cause::Fin },
        };
        if let (What::End(cause), Some(tunnel)) = (delivery.what, self.tunnel.as_mut()) {
            tunnel.handle_end(direction(role), mark, cause);
        }
        self.read(role, Input { mark, what }, out);
        // A server that has closed answers nothing more; a client that has closed may still read.
        if role == Role::Response && delivery.what == What::End(Cause::Fin) {
            self.pairer.close(Close::Closed, false, &mut self.done);
        }
    }

    /// Where a body is due that may not come: the first bytes tell whether it is the next request.
    fn read_withheld(&mut self, mark: Mark, what: What<'_>, out: &mut Output) {
        let (first, mut bytes) = self.withheld.take().map_or((mark, Vec::new()), |known| *known);
        if let What::Bytes(more) = what {
            bytes.extend_from_slice(more);
            if http::may_become_request(&bytes) {
                self.withheld = Some(Box::new((first, bytes)));
                return;
            }
        }
        if http::first_bytes(&bytes, true) == Some(Role::Request)
            && let Some(requests) = self.requests.as_mut()
        {
            requests.abandon_body();
        }
        self.read(Role::Request, Input { mark: first, what: Part::Bytes(&bytes) }, out);
        let rest = match what {
            What::Bytes(_) => return,
            What::Gap(n) | What::Skipped(n) => Part::Gap(n),
            What::End(cause) => Part::End { clean: cause == Cause::Fin },
        };
        self.read(Role::Request, Input { mark, what: rest }, out);
    }
}
