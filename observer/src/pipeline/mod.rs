//! The whole engine behind six calls. It does no I/O and asks no clock: segments and the time go
//! in, events come out, and the same segments always give the same events.

mod collect;
mod connection;
mod dth;
mod ending;
mod hold;
mod names;
mod tls;
mod tunnels;

use std::collections::VecDeque;

use self::connection::{Connection, Spare};
use self::names::Names;
use crate::event::{Capture, Event, FlowFacts, HttpExchange, Integrity, Redactor};
use crate::message::{Exchange, Pairing, State};
use crate::segment::{Directive, Encapsulation, Hook, Segment, TcpFlags, Timestamp};
use crate::tcp::{Facts, FlowTable, HalfFacts, Limits, Place, Side, TableStats};

/// Requests that may wait for their responses on one flow (Zeek bounds them at 100, Suricata at
/// 512 transactions).
const MAX_PENDING: u32 = 512;

/// What the engine keeps, and how much of it. Every bound has a counter in [`Stats`].
#[derive(Clone, Debug)]
pub struct Config {
    /// Report every header field, not only the promoted ones.
    pub headers: bool,
    /// Bytes of each body to report.
    pub body_prefix: usize,
    /// Masks secrets; on unless told otherwise.
    pub redactor: Redactor,
    /// Report each WebSocket message, with so many bytes of its content.
    pub messages: Option<usize>,
    /// Report on a tunnel each time it has lasted so much longer; `None` for at its ends alone.
    pub tunnel_interval_ns: Option<u64>,
    pub limits: Limits,
}

/// What is left out, because observer has to cost less.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shed {
    pub bodies: bool,
    pub headers: bool,
    /// One flow in 2 to the power of this is followed.
    pub sample_shift: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            headers: false,
            body_prefix: 0,
            redactor: Redactor::default(),
            messages: None,
            tunnel_interval_ns: Some(60_000_000_000),
            limits: Limits::default(),
        }
    }
}

impl Config {
    /// For a capture that follows directives.
    pub fn live() -> Self {
        Self { limits: Limits { skip: true, ..Limits::default() }, ..Self::default() }
    }
}

/// Running totals of the engine; all count from the start, except those of current state in
/// `table`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stats {
    pub table: TableStats,
    pub exchanges: u64,
    pub resynced: u64,
    pub orphan_requests: u64,
    pub orphan_responses: u64,
}

/// Segments in, events out.
#[derive(Debug)]
pub struct Pipeline {
    flows: FlowTable<Connection>,
    output: Output,
}

impl Pipeline {
    pub fn new(config: Config) -> Self {
        let flows = FlowTable::new(config.limits);
        let output = Output {
            config,
            events: VecDeque::new(),
            names: Names::default(),
            shed: Shed::default(),
            stats: Stats::default(),
            spare: Spare::default(),
            in_steps: false,
        };
        Self { flows, output }
    }

    /// Takes every segment and reads every message step by step, also those that could be taken at
    /// once: for tests, which hold that nothing but the cost depends on it.
    #[doc(hidden)]
    pub fn read_in_steps(&mut self) {
        self.flows.take_in_steps();
        self.output.in_steps = true;
    }

    /// Tells the name of an interface for the events to come. `netns` is the inode of its network
    /// namespace, 0 for observer's own.
    pub fn name_interface(&mut self, netns: u32, ifindex: u32, name: &str) {
        self.output.names.tell(netns, ifindex, name);
    }

    /// The interface is gone. What happened there may still be told for a while.
    pub fn forget_interface(&mut self, netns: u32, ifindex: u32) {
        self.output.names.forget(netns, ifindex);
    }

    /// Whether it was told the name of an interface.
    pub fn knows_interface(&self, netns: u32, ifindex: u32) -> bool {
        self.output.names.has(netns, ifindex)
    }

    /// Tells the name of a network namespace; an empty one where it has none.
    pub fn name_netns(&mut self, netns: u32, name: &str) {
        self.output.names.tell(netns, 0, name);
    }

    /// The namespace is gone.
    pub fn forget_netns(&mut self, netns: u32) {
        self.output.names.forget(netns, 0);
    }

    /// Whether later events tell of every header field.
    pub fn report_headers(&mut self, headers: bool) {
        self.output.config.headers = headers;
    }

    /// Leaves out what is named there, and nothing else: whole flows from the moment `from` on,
    /// bodies and header fields at once.
    pub fn shed(&mut self, shed: Shed, from: Timestamp) {
        self.output.shed = shed;
        self.flows.sample(shed.sample_shift, from);
    }

    /// Takes one segment. Segments of one flow come in the order in which they were captured.
    pub fn handle_segment(&mut self, segment: &Segment<'_>) {
        self.handle_timeout(segment.time);
        self.flows.handle_segment(segment, &mut self.output);
    }

    /// Acts on every deadline that lies at or before `now`.
    #[inline]
    pub fn handle_timeout(&mut self, now: Timestamp) {
        if self.flows.poll_timeout().is_some_and(|due| due <= now) {
            self.act(now);
        }
    }

    /// Seldom: kept out of what every segment passes.
    #[cold]
    fn act(&mut self, now: Timestamp) {
        self.flows.handle_timeout(now, &mut self.output);
    }

    /// The next event, in the order in which exchanges ended.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.output.events.pop_front()
    }

    /// What to ask of a live capture; see [`Config::limits`]`.skip`.
    pub fn poll_directive(&mut self) -> Option<Directive> {
        self.flows.poll_directive()
    }

    /// Whether the memory of many flows was given back since the last call: then the allocator may
    /// hold much that nobody uses.
    pub fn take_shrank(&mut self) -> bool {
        self.flows.take_shrank()
    }

    /// When `handle_timeout` next has something to do; `None` while nothing waits.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        self.flows.poll_timeout()
    }

    /// Ends every flow as the capture ends: what is half done is reported as it stands.
    pub fn finish(&mut self, now: Timestamp) {
        self.flows.finish(now, &mut self.output);
    }

    pub fn stats(&self) -> Stats {
        Stats { table: self.flows.stats(), ..self.output.stats }
    }
}

/// Where the flows put their results.
#[derive(Debug)]
struct Output {
    config: Config,
    events: VecDeque<Event>,
    names: Names,
    shed: Shed,
    stats: Stats,
    /// Parsers that no half needs now.
    spare: Spare,
    /// Nothing is read on the straight path.
    in_steps: bool,
}

impl Output {
    fn body_prefix(&self) -> usize {
        if self.shed.bodies { 0 } else { self.config.body_prefix }
    }

    /// Bytes to report of each WebSocket message, if any is to be reported.
    fn message_prefix(&self) -> Option<usize> {
        self.config.messages.map(|n_bytes| if self.shed.bodies { 0 } else { n_bytes })
    }

    fn push(&mut self, event: Event) {
        self.events.push_back(event);
    }

    /// `inside`: indices of the exchanges whose tunnels it took place in. `lost_before` counts the
    /// flow's lost records when its exchange before this was told.
    fn push_exchange(
        &mut self,
        exchange: Box<Exchange>,
        inside: &[u64],
        client: Side,
        facts: &Facts,
        lost_before: u32,
    ) {
        let stats = &mut self.stats;
        stats.exchanges = stats.exchanges.saturating_add(1);
        let counter = match exchange.pairing {
            Pairing::Exact => None,
            Pairing::Resynced => Some(&mut stats.resynced),
            Pairing::OrphanRequest => Some(&mut stats.orphan_requests),
            Pairing::OrphanResponse => Some(&mut stats.orphan_responses),
        };
        if let Some(counter) = counter {
            *counter = counter.saturating_add(1);
        }
        // What impairs an exchange that is not whole may have been told with an earlier one too.
        let whole = exchange.pairing == Pairing::Exact && exchange.state == State::Complete;
        let lost_before = if whole { lost_before } else { 0 };
        let (ours, theirs) = (facts.half(client), facts.half(client.opposite()));
        let both = |f: fn(&HalfFacts) -> u32| f(ours).saturating_add(f(theirs));
        let mut flow = self.flow_facts(client, facts);
        if inside.is_empty() {
            let request = dth::is_flagged(exchange.request.as_ref(), ours.dth());
            let mut answers = exchange.interim.iter().chain(&exchange.response);
            flow.dth = (request, answers.any(|m| dth::is_flagged(Some(m), theirs.dth())));
        }
        let integrity = Integrity {
            midstream: ours.midstream || theirs.midstream,
            overlap_conflicts: both(HalfFacts::overlap_conflicts),
            ring_loss: both(HalfFacts::records_lost).saturating_sub(lost_before),
            damaged_segments: both(HalfFacts::damaged),
        };
        let headers = self.config.headers && !self.shed.headers;
        let mut event = HttpExchange::boxed(exchange, inside, flow, integrity, headers);
        let HttpExchange { exchange, redacted, .. } = &mut *event;
        self.config.redactor.redact(exchange, redacted);
        self.push(Event::Exchange(event));
    }

    fn flow_facts(&self, client: Side, facts: &Facts) -> FlowFacts {
        let (ours, theirs) = (facts.half(client), facts.half(client.opposite()));
        FlowFacts {
            id: facts.id,
            adjusted_count: facts.adjusted_count,
            client: facts.endpoint(client),
            server: facts.endpoint(client.opposite()),
            handshake_ns: facts.handshake_ns(),
            srtt_us: facts.srtt_us,
            retransmissions: ours.retransmissions.saturating_add(theirs.retransmissions),
            dth: (ours.flags.contains(TcpFlags::DTH), theirs.flags.contains(TcpFlags::DTH)),
            capture: self.capture(&facts.origin),
        }
    }

    fn capture(&self, origin: &Place) -> Capture {
        let (hook, backend) = match origin.hook {
            Hook::TcIngress => ("tc_ingress", "tc"),
            Hook::TcEgress => ("tc_egress", "tc"),
            Hook::Socket => ("socket", "socket"),
            Hook::File => ("file", "file"),
        };
        Capture {
            netns: self.names.netns(origin),
            interface: self.names.interface(origin),
            hook,
            backend,
            vlan: origin.vlan,
            encapsulation: origin.encapsulation.map(encapsulation_name),
        }
    }
}

fn encapsulation_name(encapsulation: Encapsulation) -> &'static str {
    match encapsulation {
        Encapsulation::Gre => "gre",
        Encapsulation::Erspan => "erspan",
        Encapsulation::Vxlan => "vxlan",
        Encapsulation::Geneve => "geneve",
        Encapsulation::IpInIp => "ip_in_ip",
        Encapsulation::GtpU => "gtp_u",
        Encapsulation::Teredo => "teredo",
        Encapsulation::Ayiya => "ayiya",
        Encapsulation::Pppoe => "pppoe",
        Encapsulation::Mpls => "mpls",
    }
}
