//! Bodies that the capture leaves out on request: sizes, framing and times stay exact.

use observer::pipeline::{Config, Pipeline};
use observer::segment::{Directive, Endpoint, Origin, Segment, SeqNumber, TcpFlags, Timestamp};
use observer::tcp::Limits;

const ISN: u32 = u32::MAX - 500;
const SERVER_ISN: u32 = 7;

/// A live capture that does what it is asked, and counts what it copied.
struct Tap {
    pipeline: Pipeline,
    time: u64,
    /// Payload of the server's half is left out up to here.
    skip_until: Option<u32>,
    copied: usize,
    directives: usize,
    is_forgotten: bool,
    /// The capture ignores what it is asked: its entry was evicted.
    deaf: bool,
    events: Vec<serde_json::Value>,
}

impl Tap {
    fn new() -> Self {
        let limits = Limits { skip: true, ..Limits::default() };
        let pipeline = Pipeline::new(Config { limits, ..Config::default() });
        Self {
            pipeline,
            time: 1_700_000_000_000_000_000,
            skip_until: None,
            copied: 0,
            directives: 0,
            is_forgotten: false,
            deaf: false,
            events: Vec::new(),
        }
    }

    /// A segment as the wire has it; the tap decides what of it becomes a record.
    fn pass(&mut self, from_server: bool, seq: u32, ack: u32, flags: TcpFlags, payload: &[u8]) {
        self.time += 1_000_000;
        let end = seq.wrapping_add(payload.len() as u32);
        let marked = flags.contains(TcpFlags::FIN) || flags.contains(TcpFlags::SYN);
        let mut record = (seq, payload.len(), payload);
        if from_server
            && !self.deaf
            && let Some(until) = self.skip_until
        {
            let left = until.wrapping_sub(seq).cast_signed();
            let beyond = until.wrapping_sub(end).cast_signed();
            if beyond > 0 && !marked {
                return;
            }
            if left > 0 {
                let tail = usize::try_from(-beyond).unwrap_or(0).min(payload.len());
                record = (seq, payload.len(), &[]);
                if tail > 0 {
                    record = (until, tail, &payload[payload.len() - tail..]);
                }
            }
        }
        let (seq, payload_len, payload) = record;
        self.copied += payload.len();
        let client = Endpoint::v4([10, 0, 0, 1], 40000);
        let server = Endpoint::v4([10, 0, 0, 2], 80);
        let (source, destination) = if from_server { (server, client) } else { (client, server) };
        self.pipeline.handle_segment(&Segment {
            time: Timestamp(self.time),
            source,
            destination,
            seq: SeqNumber(seq),
            ack: SeqNumber(ack),
            flags: flags.union(TcpFlags::ACK),
            window: 0,
            payload_len: payload_len as u32,
            payload,
            origin: Origin::default(),
        });
        while let Some(directive) = self.pipeline.poll_directive() {
            let Directive::Skip { from_high, until, .. } = directive else {
                self.is_forgotten = true;
                continue;
            };
            assert!(from_high, "the server's half is the higher one");
            self.skip_until = Some(until.0);
            self.directives += 1;
        }
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(event) = self.pipeline.poll_event() {
            let mut line = Vec::new();
            event.write_json(&mut line);
            self.events.push(serde_json::from_slice(&line).unwrap());
        }
    }

    /// Request, response head and the body in pieces of 60,000 bytes, then another exchange.
    fn converse(&mut self, head: &str, body: u64) {
        let request = b"GET /big HTTP/1.1\r\nHost: a\r\n\r\n";
        let (mut c, mut s) = (ISN.wrapping_add(1), SERVER_ISN.wrapping_add(1));
        self.pass(false, ISN, 0, TcpFlags::SYN, b"");
        self.pass(true, SERVER_ISN, c, TcpFlags::SYN, b"");
        self.pass(false, c, s, TcpFlags::PSH, request);
        c = c.wrapping_add(request.len() as u32);
        self.pass(true, s, c, TcpFlags::PSH, head.as_bytes());
        s = s.wrapping_add(head.len() as u32);
        let piece = vec![b'x'; 60_000];
        let mut left = body;
        while left > 0 {
            let n = left.min(60_000);
            self.pass(true, s, c, TcpFlags::ACK, &piece[..n as usize]);
            s = s.wrapping_add(n as u32);
            left -= n;
        }
        self.pass(false, c, s, TcpFlags::PSH, request);
        c = c.wrapping_add(request.len() as u32);
        self.pass(true, s, c, TcpFlags::PSH, b"HTTP/1.1 204 No Content\r\n\r\n");
        self.pipeline.finish(Timestamp(self.time));
        self.drain();
    }

    #[track_caller]
    fn check(&self, body: u64) {
        let [first, second] = &self.events[..] else { panic!("{:?}", self.events) };
        assert_eq!(first["http"]["response"]["body"]["size"], body);
        assert_eq!(first["obs"]["state"], "complete", "{first}");
        assert_eq!(first["obs"]["pairing"], "exact");
        assert!(first["obs"].get("integrity").is_none(), "{first}");
        assert_eq!(second["http"]["response"]["status_code"], 204);
        assert_eq!(second["obs"]["pairing"], "exact");
    }
}

#[test]
fn a_body_that_nobody_wants_is_not_copied_and_its_size_is_exact() {
    for body in [32 << 10, 60_000, 60_001, 10_000_000] {
        let mut tap = Tap::new();
        tap.converse(&format!("HTTP/1.1 200 OK\r\nContent-Length: {body}\r\n\r\n"), body);
        tap.check(body);
        assert_eq!(tap.directives, 1);
        assert!(tap.copied < 1000, "{} bytes were copied", tap.copied);
    }
}

#[test]
fn the_end_of_the_body_has_the_time_of_its_last_segment() {
    let mut tap = Tap::new();
    tap.converse("HTTP/1.1 200 OK\r\nContent-Length: 600000\r\n\r\n", 600_000);
    // Head, then ten segments a millisecond apart.
    assert_eq!(tap.events[0]["obs"]["timing"]["response_ns"], 10_000_000);
}

#[test]
fn a_body_of_five_gigabytes_is_skipped_in_steps() {
    let body = 5_000_000_000;
    let mut tap = Tap::new();
    tap.converse(&format!("HTTP/1.1 200 OK\r\nContent-Length: {body}\r\n\r\n"), body);
    tap.check(body);
    assert_eq!(tap.directives, 5);
    assert!(tap.copied < 400_000, "{} bytes were copied", tap.copied);
}

#[test]
fn a_capture_that_does_not_skip_gives_the_same_event() {
    let mut tap = Tap::new();
    tap.deaf = true;
    tap.converse("HTTP/1.1 200 OK\r\nContent-Length: 10000000\r\n\r\n", 10_000_000);
    tap.check(10_000_000);
    assert!(tap.copied > 10_000_000);
}

#[test]
fn the_rest_of_a_chunk_is_skipped() {
    let mut tap = Tap::new();
    let request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let (c, mut s) = (ISN.wrapping_add(1), SERVER_ISN.wrapping_add(1));
    tap.pass(false, ISN, 0, TcpFlags::SYN, b"");
    tap.pass(true, SERVER_ISN, c, TcpFlags::SYN, b"");
    tap.pass(false, c, s, TcpFlags::PSH, request);
    let c = c.wrapping_add(request.len() as u32);
    let chunk = [b'x'; 50_000];
    for payload in [
        &b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n186A0\r\n"[..],
        &chunk,
        &chunk,
        b"\r\n0\r\n\r\n",
    ] {
        tap.pass(true, s, c, TcpFlags::ACK, payload);
        s = s.wrapping_add(payload.len() as u32);
    }
    assert_eq!(tap.events[0]["http"]["response"]["body"]["size"], 100_000);
    assert!(tap.events[0]["obs"].get("integrity").is_none());
    assert!(tap.copied < 1000, "{} bytes were copied", tap.copied);
}

#[test]
fn a_body_that_ends_with_the_connection_is_counted_by_the_fin() {
    let mut tap = Tap::new();
    let request = b"GET / HTTP/1.0\r\n\r\n";
    let (c, mut s) = (ISN.wrapping_add(1), SERVER_ISN.wrapping_add(1));
    tap.pass(false, ISN, 0, TcpFlags::SYN, b"");
    tap.pass(true, SERVER_ISN, c, TcpFlags::SYN, b"");
    tap.pass(false, c, s, TcpFlags::PSH, request);
    let c = c.wrapping_add(request.len() as u32);
    tap.pass(true, s, c, TcpFlags::ACK, b"HTTP/1.0 200 OK\r\n\r\n");
    s = s.wrapping_add(19);
    for _ in 0..100 {
        tap.pass(true, s, c, TcpFlags::ACK, &[b'x'; 60_000]);
        s = s.wrapping_add(60_000);
    }
    tap.pass(true, s, c, TcpFlags::FIN, b"last");
    let event = &tap.events[0];
    assert_eq!(event["http"]["response"]["body"]["size"], 6_000_004);
    assert_eq!(event["obs"]["state"], "complete");
    assert!(event["obs"].get("integrity").is_none(), "{event}");
    assert!(tap.copied < 1000);
}

#[test]
fn a_protocol_that_only_looked_like_http_is_forgotten() {
    let mut tap = Tap::new();
    let (mut c, s) = (ISN.wrapping_add(1), SERVER_ISN.wrapping_add(1));
    tap.pass(false, ISN, 0, TcpFlags::SYN, b"");
    tap.pass(true, SERVER_ISN, c, TcpFlags::SYN, b"");
    for _ in 0..10_000 {
        let line = b"PRIVMSG /someone :hello there\r\n";
        tap.pass(false, c, s, TcpFlags::PSH, line);
        c = c.wrapping_add(line.len() as u32);
    }
    assert!(tap.is_forgotten);
    assert!(tap.events.is_empty());
}
