//! What each stage of the engine costs, for one exchange of the usual kind: a GET of 400 bytes and
//! an answer of 500, each in one segment, on a connection that stays open.
//!
//! `cargo bench -p observer` measures; `cargo test` runs each stage once. The stages add up to what
//! `engine` and `serialise` cost together, but for what one stage leaves in the cache for the next.

use std::mem::offset_of;

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use observer::capture::file::frame;
use observer::decode::{ClockOffset, decode};
use observer::event::Event;
use observer::http::{self, Input, Item, Parser, Part, Role};
use observer::message::Mark;
use observer::pipeline::{Config, Pipeline};
use observer::segment::{Endpoint, Hook, Offset, Origin, Segment, SeqNumber, TcpFlags, Timestamp};
use observer::tcp::{Application, Cause, Delivery, Facts, FlowTable, Limits, Wish};
use observer_common::record::{self, HEADER_LEN, RecordHeader};

/// Exchanges of one connection in each run.
const N_EXCHANGES: usize = 1000;

const REQUEST: &[u8] = b"GET /api/v2/orders/940123?page=7&sort=price HTTP/1.1\r\nHost: \
    shop.example:8080\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 \
    Firefox/128.0\r\nAccept: */*\r\nAccept-Language: en-GB,en;q=0.7\r\nAccept-Encoding: gzip, \
    deflate, br\r\nReferer: http://shop.example/\r\nConnection: keep-alive\r\n\r\n";

const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Sat, 21 Nov 2026 \
    06:00:00 GMT\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: 200\r\nConnection: \
    keep-alive\r\nETag: \"65f1c0a2-4d7\"\r\n\r\n\
    xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\
    xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";

fn main() {
    divan::main();
}

/// The handshake, then requests and responses in turn, 100 µs apart.
fn conversation() -> Vec<Segment<'static>> {
    let client = Endpoint::v4([10, 0, 0, 1], 40_000);
    let server = Endpoint::v4([192, 0, 2, 1], 8080);
    let mut next = [1000u32, 5000];
    let mut segments: Vec<Segment<'static>> = Vec::new();
    let mut send = |from: usize, flags: TcpFlags, payload: &'static [u8]| {
        let (source, destination) = if from == 0 { (client, server) } else { (server, client) };
        segments.push(Segment {
            time: Timestamp(1_700_000_000_000_000_000 + segments.len() as u64 * 100_000),
            source,
            destination,
            seq: SeqNumber(next[from]),
            ack: SeqNumber(next[1 - from]),
            flags,
            window: 501,
            payload_len: payload.len() as u32,
            payload,
            origin: Origin { hook: Hook::TcIngress, ..Origin::default() },
        });
        next[from] += payload.len() as u32 + u32::from(flags.contains(TcpFlags::SYN));
    };
    send(0, TcpFlags::SYN, b"");
    send(1, TcpFlags::SYN.union(TcpFlags::ACK), b"");
    for _ in 0..N_EXCHANGES {
        send(0, TcpFlags::PSH.union(TcpFlags::ACK), REQUEST);
        send(1, TcpFlags::PSH.union(TcpFlags::ACK), RESPONSE);
    }
    segments
}

/// Two records from the ring to segments.
#[divan::bench]
fn decode_records(bencher: Bencher<'_, '_>) {
    let record = |payload: &[u8]| {
        let mut bytes = vec![0; HEADER_LEN];
        let n_payload = (payload.len() as u32).to_ne_bytes();
        for at in [offset_of!(RecordHeader, payload_len), offset_of!(RecordHeader, captured_len)] {
            bytes[at..at + 4].copy_from_slice(&n_payload);
        }
        bytes[offset_of!(RecordHeader, hook)] = record::Hook::TcIngress as u8;
        bytes.extend_from_slice(payload);
        bytes
    };
    let records = [record(REQUEST), record(RESPONSE)];
    bencher.counter(ItemsCount::new(1usize)).bench_local(|| {
        for record in &records {
            let segment = decode(black_box(record), ClockOffset(1));
            black_box(segment.unwrap());
        }
    });
}

/// Two packets of a file to segments, with their checksums.
#[divan::bench]
fn decode_packets(bencher: Bencher<'_, '_>) {
    let packet = |payload: &[u8]| {
        let total = (40 + payload.len()) as u16;
        let mut bytes = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0];
        bytes.extend_from_slice(&total.to_be_bytes());
        bytes.extend_from_slice(&[0, 0, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 192, 0, 2, 1]);
        bytes.extend_from_slice(&[0x9c, 0x40, 31, 144, 0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x18]);
        bytes.extend_from_slice(&[1, 245, 0, 0, 0, 0]);
        bytes.extend_from_slice(payload);
        bytes
    };
    let packets = [packet(REQUEST), packet(RESPONSE)];
    bencher.counter(ItemsCount::new(1usize)).bench_local(|| {
        for packet in &packets {
            let decoded = frame::decode(1, black_box(packet), packet.len(), true);
            black_box(decoded.unwrap());
        }
    });
}

/// Takes what it is given, and wants all.
struct Nobody;

impl Application for Nobody {
    type Output = u64;

    fn open(_: &Facts) -> Self {
        Self
    }

    fn deliver(&mut self, _: &Facts, delivery: Delivery<'_>, out: &mut u64) -> Wish {
        *out += delivery.offset.0;
        Wish::All
    }

    fn close(self, _: &Facts, _: Timestamp, _: Cause, _: &mut u64) {}
}

/// Flow table and reassembly of two segments in order.
#[divan::bench]
fn reassemble(bencher: Bencher<'_, '_>) {
    let segments = conversation();
    bencher.counter(ItemsCount::new(N_EXCHANGES)).bench_local(|| {
        let mut table = FlowTable::<Nobody>::new(Limits::default());
        let mut n_bytes = 0;
        for segment in &segments {
            table.handle_segment(black_box(segment), &mut n_bytes);
        }
        n_bytes
    });
}

/// Both heads.
#[divan::bench]
fn parse_heads(bencher: Bencher<'_, '_>) {
    let mark = Mark { offset: Offset(0), time: Timestamp(0), acked: None };
    bencher.counter(ItemsCount::new(1usize)).bench_local(|| {
        for (role, bytes) in [(Role::Request, REQUEST), (Role::Response, RESPONSE)] {
            let mut parser = Parser::new(role, true, http::Limits::default());
            let mut input = Input { mark, what: Part::Bytes(black_box(bytes)) };
            let item = parser.next(&mut input);
            assert!(matches!(item, Some(Item::Head { .. })));
            black_box(item);
        }
    });
}

/// The whole engine: from segments to events.
#[divan::bench]
fn engine(bencher: Bencher<'_, '_>) {
    let segments = conversation();
    bencher.counter(ItemsCount::new(N_EXCHANGES)).bench_local(|| {
        let mut engine = Pipeline::new(Config::default());
        let mut n_events = 0;
        for segment in &segments {
            engine.handle_segment(black_box(segment));
            while let Some(event) = engine.poll_event() {
                black_box(event);
                n_events += 1;
            }
        }
        assert_eq!(n_events, N_EXCHANGES);
    });
}

/// The body of a large answer.
const LARGE: u32 = 65_536;

/// How much of it fits behind its head in the largest super-segment that loopback has.
const FIRST: u32 = 65_483;

/// The same conversation with large answers, as the kernel shows them: the head with the first part
/// of the body left out behind it, and a bare record of the rest.
fn large_conversation() -> Vec<Segment<'static>> {
    const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Sat, 21 Nov 2026 \
        06:00:00 GMT\r\nContent-Type: application/octet-stream\r\nContent-Length: 65536\r\n\
        Last-Modified: Sat, 21 Nov 2026 05:00:00 GMT\r\nConnection: keep-alive\r\nETag: \
        \"65f1c0a2-10000\"\r\nAccept-Ranges: bytes\r\n\r\n";
    let n_all = HEAD.len() as u32 + LARGE;
    let small = conversation();
    let mut segments: Vec<Segment<'static>> = small.iter().take(2).copied().collect();
    let (mut asked, mut answered) = (1001u32, 5001u32);
    for pair in small.get(2..).unwrap_or_default().chunks_exact(2) {
        let [request, response] = pair else { continue };
        segments.push(Segment { seq: SeqNumber(asked), ack: SeqNumber(answered), ..*request });
        asked += REQUEST.len() as u32;
        let until = SeqNumber(answered.wrapping_add(n_all));
        let origin = Origin { skip_until: Some(until), ..response.origin };
        let head = Segment { ack: SeqNumber(asked), origin, ..*response };
        let seq = SeqNumber(answered);
        segments.push(Segment { seq, payload: HEAD, payload_len: FIRST, ..head });
        let (time, seq) = (head.time.after(20_000), SeqNumber(answered.wrapping_add(FIRST)));
        segments.push(Segment { time, seq, payload: b"", payload_len: n_all - FIRST, ..head });
        answered = answered.wrapping_add(n_all);
    }
    segments
}

/// The whole engine where answers are large and their bodies left out: three segments an exchange.
#[divan::bench]
fn engine_large(bencher: Bencher<'_, '_>) {
    let segments = large_conversation();
    bencher.counter(ItemsCount::new(N_EXCHANGES)).bench_local(|| {
        let mut engine = Pipeline::new(Config::live());
        let mut n_events = 0;
        for segment in &segments {
            engine.handle_segment(black_box(segment));
            while let Some(event) = engine.poll_event() {
                black_box(event);
                n_events += 1;
            }
        }
        assert_eq!(n_events, N_EXCHANGES);
    });
}

/// One exchange to its line.
#[divan::bench]
fn serialise(bencher: Bencher<'_, '_>) {
    let mut engine = Pipeline::new(Config::default());
    conversation().iter().for_each(|segment| engine.handle_segment(segment));
    let event = engine.poll_event().filter(|event| matches!(event, Event::Exchange(_)));
    let event = event.unwrap();
    let mut line = Vec::new();
    bencher.counter(ItemsCount::new(1usize)).bench_local(|| {
        line.clear();
        black_box(&event).write_json(&mut line);
        line.len()
    });
}
