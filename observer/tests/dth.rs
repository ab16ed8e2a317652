//! The DTH bit (RFC 9401) where a golden conversation cannot put it: on a SYN, on segments without
//! payload, on flows that nobody can tell the roles of.

use observer::pipeline::{Config, Pipeline};
use observer::segment::{Endpoint, Origin, Segment, SeqNumber, TcpFlags, Timestamp};
use serde_json::Value;

const DTH: TcpFlags = TcpFlags::DTH;

struct Flow {
    pipeline: Pipeline,
    now: Timestamp,
    /// Next sequence numbers of client and server.
    next: [u32; 2],
    /// Whether the capture says that the next segment's sender opened the connection.
    from_start: Option<bool>,
}

impl Flow {
    fn new() -> Self {
        Self {
            pipeline: Pipeline::new(Config::default()),
            now: Timestamp(1_700_000_000_000_000_000),
            next: [1000, 5000],
            from_start: None,
        }
    }

    /// One segment, a millisecond after the one before. Returns the events that it brings.
    fn send(&mut self, from: usize, flags: TcpFlags, payload: &str) -> Vec<Value> {
        let ends = [Endpoint::v4([10, 0, 0, 1], 40000), Endpoint::v4([10, 0, 0, 2], 80)];
        self.now = self.now.after(1_000_000);
        let first = flags.contains(TcpFlags::SYN) && from == 0;
        self.pipeline.handle_segment(&Segment {
            time: self.now,
            source: ends[from],
            destination: ends[1 - from],
            seq: SeqNumber(self.next[from]),
            ack: SeqNumber(if first { 0 } else { self.next[1 - from] }),
            flags: if first { flags } else { flags.union(TcpFlags::ACK) },
            window: 1000,
            payload_len: payload.len() as u32,
            payload: payload.as_bytes(),
            origin: Origin { from_start: self.from_start.take(), ..Origin::default() },
        });
        let control = flags.contains(TcpFlags::SYN) || flags.contains(TcpFlags::FIN);
        self.next[from] += payload.len() as u32 + u32::from(control);
        self.events()
    }

    fn finish(&mut self) -> Vec<Value> {
        self.pipeline.finish(self.now);
        self.events()
    }

    fn events(&mut self) -> Vec<Value> {
        let schema: Value = serde_json::from_str(observer::event::JSON_SCHEMA).unwrap();
        let schema = jsonschema::validator_for(&schema).unwrap();
        let mut events = Vec::new();
        while let Some(event) = self.pipeline.poll_event() {
            let mut line = Vec::new();
            event.write_json(&mut line);
            let event: Value = serde_json::from_slice(&line).unwrap();
            schema.validate(&event).unwrap_or_else(|err| panic!("{err}: {event}"));
            events.push(event);
        }
        events
    }
}

#[track_caller]
fn has(event: &Value, pointer: &str, value: impl Into<Value>) {
    assert_eq!(event.pointer(pointer).unwrap_or(&Value::Null), &value.into(), "{pointer}: {event}");
}

#[test]
fn a_syn_with_the_bit_is_told_as_such() {
    let mut flow = Flow::new();
    let events = flow.send(0, TcpFlags::SYN.union(DTH), "");
    assert_eq!(events.len(), 1, "{events:?}");
    has(&events[0], "/obs/dth/handshake", true);
    has(&events[0], "/obs/dth/by", "client");
    has(&events[0], "/obs/dth/offset", 0);
    has(&events[0], "/obs/exchange", Value::Null);
    flow.send(1, TcpFlags::SYN, "");
    assert!(flow.send(0, DTH, "").is_empty(), "once is enough");
    let end = flow.finish();
    has(&end[0], "/obs/dth/segments", 2);
    has(&end[0], "/obs/dth/outcome", "survived");
}

#[test]
fn a_bare_segment_is_told_at_once() {
    let mut flow = Flow::new();
    flow.send(0, TcpFlags::SYN, "");
    flow.send(1, TcpFlags::SYN, "");
    flow.send(0, TcpFlags::ACK, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let told = flow.send(1, DTH, "");
    has(&told[0], "/obs/dth/by", "server");
    has(&told[0], "/source/port", 80);
    let answered = flow.send(1, TcpFlags::ACK, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    has(&answered[0], "/obs/tcp/dth", Value::Null);
    flow.send(1, TcpFlags::FIN, "");
    let end = flow.send(0, TcpFlags::FIN, "");
    has(&end[0], "/obs/dth/outcome", "died");
    has(&end[0], "/obs/dth/closed/how", "fin");
    has(&end[0], "/obs/dth/after_ns", 3_000_000);
    has(&end[0], "/obs/dth/bytes_after", 38);
}

#[test]
fn a_flow_without_roles_tells_source_and_destination_alone() {
    let mut flow = Flow::new();
    let told = flow.send(1, DTH, "\u{1}\u{2}\u{3}");
    has(&told[0], "/source/address", "10.0.0.2");
    has(&told[0], "/destination/port", 40000);
    has(&told[0], "/client", Value::Null);
    has(&told[0], "/obs/dth/by", Value::Null);
    has(&told[0], "/obs/dth/offset", Value::Null);
}

#[test]
fn a_bare_segment_begins_a_flow_when_it_announces_a_death() {
    let mut flow = Flow::new();
    assert!(flow.send(0, TcpFlags::ACK, "").is_empty());
    let told = flow.send(0, DTH, "");
    has(&told[0], "/source/address", "10.0.0.1");
    flow.send(0, TcpFlags::FIN, "");
    let end = flow.send(1, TcpFlags::FIN, "");
    has(&end[0], "/obs/dth/outcome", "died");
}

/// The first that live capture has of a flow is the handshake's last segment, if that is marked; who
/// opened the connection it says then or with the first bytes.
#[test]
fn what_came_after_the_bit_is_counted_from_the_handshakes_end() {
    for at_once in [true, false] {
        let mut flow = Flow::new();
        flow.from_start = at_once.then_some(true);
        let told = flow.send(0, DTH, "");
        has(&told[0], "/obs/dth/by", if at_once { "client".into() } else { Value::Null });
        has(&told[0], "/obs/dth/offset", if at_once { 0.into() } else { Value::Null });
        flow.from_start = Some(true);
        let request = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        flow.send(0, DTH, request);
        flow.send(1, TcpFlags::ACK, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        flow.send(0, TcpFlags::FIN, "");
        let end = flow.send(1, TcpFlags::FIN, "");
        let end = end.last().unwrap();
        has(end, "/obs/dth/by", "client");
        has(end, "/obs/dth/offset", 0);
        has(end, "/obs/dth/bytes_after", request.len());
    }
}

/// A retransmission, and the probe that keeps an idle connection alive: nothing of the stream comes
/// with them, so no exchange does either.
#[test]
fn what_is_sent_again_with_the_bit_is_told_at_once_and_came_with_no_exchange() {
    const RESPONSE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    for again in [RESPONSE, "k"] {
        let mut flow = Flow::new();
        flow.send(0, TcpFlags::SYN, "");
        flow.send(1, TcpFlags::SYN, "");
        flow.send(0, TcpFlags::ACK, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        flow.send(1, TcpFlags::ACK, RESPONSE);
        flow.next[1] -= again.len() as u32;
        let told = flow.send(1, DTH, again);
        assert_eq!(told.len(), 1, "{told:?}");
        has(&told[0], "/obs/exchange", Value::Null);
        has(&told[0], "/obs/dth/offset", RESPONSE.len());
        flow.send(1, TcpFlags::FIN, "");
        let end = flow.send(0, TcpFlags::FIN, "");
        has(&end[0], "/obs/dth/bytes_after", 0);
    }
}
