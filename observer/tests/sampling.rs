//! Whole flows left out to cost less: which, from when on, how what is kept is weighed, and that
//! nothing is ever told by half.

use observer::event::Event;
use observer::message::{Pairing, State};
use observer::pipeline::{Config, Pipeline, Shed};
use observer::segment::{
    Directive, Endpoint, FlowKey, Origin, Segment, SeqNumber, TcpFlags, Timestamp,
};
use proptest::prelude::*;

const SERVER: Endpoint = Endpoint { addr: [1; 16], port: 80 };
const REQUEST: &[u8] = b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n";
const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// A client with one connection to the server.
struct Client {
    end: Endpoint,
    next: [u32; 2],
}

impl Client {
    fn new(port: u16) -> Self {
        Self { end: Endpoint { addr: [2; 16], port }, next: [1000, 5000] }
    }

    fn key(&self) -> FlowKey {
        FlowKey::new(self.end, SERVER)
    }

    fn send(&mut self, engine: &mut Pipeline, time: u64, from: usize, payload: &[u8]) {
        let ends = [self.end, SERVER];
        engine.handle_segment(&Segment {
            time: Timestamp(time),
            source: ends[from],
            destination: ends[1 - from],
            seq: SeqNumber(self.next[from]),
            ack: SeqNumber(self.next[1 - from]),
            flags: TcpFlags::ACK,
            window: 1000,
            payload_len: payload.len() as u32,
            payload,
            origin: Origin::default(),
        });
        self.next[from] = self.next[from].wrapping_add(payload.len() as u32);
    }

    fn exchange(&mut self, engine: &mut Pipeline, time: u64) {
        self.send(engine, time, 0, REQUEST);
        self.send(engine, time, 1, RESPONSE);
    }
}

fn sample(engine: &mut Pipeline, sample_shift: u32, from: u64) {
    engine.shed(Shed { sample_shift, ..Shed::default() }, Timestamp(from));
}

/// Client's port and weight of each exchange, all of which have to be whole.
#[track_caller]
fn told(engine: &mut Pipeline) -> Vec<(u16, u32)> {
    let mut told = Vec::new();
    while let Some(event) = engine.poll_event() {
        let Event::Exchange(event) = event else { panic!("{event:?}") };
        let exchange = &event.exchange;
        assert_eq!((exchange.state, exchange.pairing), (State::Complete, Pairing::Exact));
        told.push((event.flow.client.port, event.flow.adjusted_count));
    }
    told
}

fn left_out(engine: &mut Pipeline) -> Vec<FlowKey> {
    let directives = std::iter::from_fn(|| engine.poll_directive());
    directives
        .filter_map(|directive| match directive {
            Directive::LeaveOut(flow) => Some(flow),
            _ => None,
        })
        .collect()
}

/// A port whose flow is, or is not, among one in 2 to the power of `shift`.
fn port(shift: u32, is_kept: bool) -> u16 {
    (1024..).find(|port| Client::new(*port).key().is_kept(shift) == is_kept).unwrap()
}

#[test]
fn a_new_flow_is_followed_with_its_weight_or_not_at_all() {
    let mut engine = Pipeline::new(Config::live());
    sample(&mut engine, 3, 0);
    let (mut inside, mut outside) = (Client::new(port(3, true)), Client::new(port(3, false)));
    inside.exchange(&mut engine, 10);
    outside.exchange(&mut engine, 11);
    assert_eq!(told(&mut engine), [(inside.end.port, 8)]);
    assert_eq!(left_out(&mut engine)[0], outside.key());
    assert_eq!(engine.stats().table.segments_sampled, 2);
    assert_eq!(engine.stats().table.flows_opened, 1);
}

#[test]
fn a_flow_in_the_middle_of_an_exchange_is_let_go_behind_it() {
    let mut engine = Pipeline::new(Config::live());
    let mut client = Client::new(port(1, false));
    client.send(&mut engine, 10, 0, REQUEST);
    sample(&mut engine, 1, 15);
    client.send(&mut engine, 20, 1, &RESPONSE[..30]);
    assert!(left_out(&mut engine).is_empty());
    client.send(&mut engine, 21, 1, &RESPONSE[30..]);
    // It was chosen when all were, and stands for itself.
    assert_eq!(told(&mut engine), [(client.end.port, 1)]);
    assert_eq!(left_out(&mut engine), [client.key()]);
    assert_eq!((engine.stats().table.flows, engine.stats().table.flows_sampled), (0, 1));
    client.exchange(&mut engine, 30);
    assert_eq!(told(&mut engine), []);
    engine.finish(Timestamp(40));
    assert_eq!(told(&mut engine), []);
}

#[test]
fn pipelined_requests_are_answered_before_the_flow_goes() {
    let mut engine = Pipeline::new(Config::live());
    let mut client = Client::new(port(1, false));
    client.send(&mut engine, 10, 0, &[REQUEST, REQUEST].concat());
    sample(&mut engine, 1, 11);
    client.send(&mut engine, 20, 1, RESPONSE);
    assert_eq!(told(&mut engine).len(), 1);
    client.send(&mut engine, 21, 1, RESPONSE);
    assert_eq!(told(&mut engine).len(), 1);
    assert_eq!(left_out(&mut engine), [client.key()]);
}

#[test]
fn a_flow_that_stays_stands_for_those_that_go() {
    let mut engine = Pipeline::new(Config::live());
    let mut client = Client::new(port(4, true));
    let mut weights = Vec::new();
    for (time, shift) in [(10, 0), (20, 2), (30, 4), (40, 1), (50, 0)] {
        sample(&mut engine, shift, time);
        // The first exchange began, or could have, under what held before.
        client.exchange(&mut engine, time);
        client.exchange(&mut engine, time + 1);
        weights.extend(told(&mut engine).into_iter().map(|(_, weight)| weight));
    }
    assert_eq!(weights, [1, 1, 1, 4, 4, 16, 16, 2, 2, 1]);
}

#[test]
fn a_step_holds_for_what_was_captured_after_it() {
    let mut engine = Pipeline::new(Config::live());
    sample(&mut engine, 5, 100);
    let mut clients = [port(5, false), port(5, true)].map(Client::new);
    clients.iter_mut().for_each(|client| client.exchange(&mut engine, 99));
    assert_eq!(told(&mut engine).len(), 2, "it was on the ring before");
}

#[test]
fn without_a_capture_that_listens_it_is_told_nothing() {
    let mut engine = Pipeline::new(Config::default());
    sample(&mut engine, 1, 0);
    Client::new(port(1, false)).exchange(&mut engine, 1);
    assert_eq!(engine.poll_directive(), None);
}

#[test]
fn bodies_and_header_fields_come_back() {
    let config = Config { headers: true, body_prefix: 10, ..Config::live() };
    let mut engine = Pipeline::new(config);
    let mut client = Client::new(4000);
    let mut lines = Vec::new();
    let all = Shed { bodies: true, headers: true, sample_shift: 0 };
    for shed in [Shed::default(), all, Shed { headers: false, ..all }, Shed::default()] {
        engine.shed(shed, Timestamp(0));
        client.exchange(&mut engine, 10);
        let mut line = Vec::new();
        engine.poll_event().unwrap().write_json(&mut line);
        lines.push(String::from_utf8(line).unwrap());
    }
    let has = |needle: &str| lines.iter().map(|line| line.contains(needle)).collect::<Vec<_>>();
    assert_eq!(has("\"header\":"), [true, false, true, true]);
    assert_eq!(has("\"ok\""), [true, false, false, true]);
    assert_eq!(has("\"size\":2"), [true; 4]);
}

/// As many exchanges as there were, within five standard deviations, however many were left out.
#[test]
fn the_weights_add_up_to_what_there_was() {
    for shift in 1..=6 {
        let mut engine = Pipeline::new(Config::live());
        sample(&mut engine, shift, 0);
        const N_FLOWS: u32 = 40_000;
        for port in 1024..1024 + N_FLOWS as u16 {
            Client::new(port).exchange(&mut engine, 10);
        }
        let sum: u32 = told(&mut engine).iter().map(|(_, weight)| *weight).sum();
        // Of a sum of n weights of w, each there with a chance of one in w: n * (w - 1).
        let deviation = (f64::from(N_FLOWS) * f64::from((1 << shift) - 1)).sqrt();
        let off = (f64::from(sum) - f64::from(N_FLOWS)).abs();
        assert!(off < 5.0 * deviation, "{sum} at one in {}", 1 << shift);
    }
}

#[derive(Clone, Copy, Debug)]
enum Act {
    Send(usize),
    Step(u32),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![20 => (0..24_usize).prop_map(Act::Send), 1 => (0..5_u32).prop_map(Act::Step)]
}

proptest! {
    /// Requests and responses in pieces, on many flows at once, with steps at any moment, over a
    /// capture that does as it is told: what is told is whole, in order, and of flows that are
    /// kept at their weight; every exchange is told, or its flow is one that was sampled out.
    #[test]
    fn nothing_is_told_by_half(acts in proptest::collection::vec(act(), 1..600)) {
        let mut engine = Pipeline::new(Config::live());
        let mut clients: Vec<_> = (0..24).map(|i| Client::new(2000 + i)).collect();
        let cut = RESPONSE.len() / 2;
        let pieces = [(0, &REQUEST[..9]), (0, &REQUEST[9..]), (1, &RESPONSE[..cut]), (1, &RESPONSE[cut..])];
        let (mut at, mut is_out) = ([0; 24], [false; 24]);
        let (mut shift, mut n_whole) = (0, 0);
        for (time, act) in acts.into_iter().enumerate() {
            let time = time as u64;
            match act {
                Act::Step(new) => {
                    shift = new;
                    sample(&mut engine, shift, time);
                }
                Act::Send(i) => {
                    let client = &mut clients[i];
                    let (from, piece) = pieces[at[i] % 4];
                    // As the kernel does: back when it is kept and a request begins.
                    if at[i] % 4 == 0 && client.key().is_kept(shift) {
                        is_out[i] = false;
                    }
                    if is_out[i] {
                        client.next[from] += piece.len() as u32;
                    } else {
                        client.send(&mut engine, time, from, piece);
                        n_whole += usize::from(at[i] % 4 == 3);
                    }
                    at[i] += 1;
                }
            }
            for flow in left_out(&mut engine) {
                let i = clients.iter().position(|client| client.key() == flow).unwrap();
                prop_assert!(!flow.is_kept(shift));
                is_out[i] = true;
            }
        }
        let told = told(&mut engine);
        for (port, weight) in &told {
            prop_assert!(weight.is_power_of_two());
            prop_assert!(Client::new(*port).key().is_kept(weight.ilog2()));
        }
        prop_assert_eq!(told.len(), n_whole);
    }
}
