//! A stream of bytes in one or both directions, put through the engine, and its messages.

use observer::event::Redactor;
use observer::pipeline::{Config, Pipeline};
use observer::segment::{Endpoint, Origin, Segment, SeqNumber, TcpFlags, Timestamp};
use serde_json::Value;

/// Which halves carry bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Request,
    Response,
    Dialogue,
}

/// What one side sends next, and how much behind it was not captured.
pub(crate) struct Step {
    pub(crate) from_client: bool,
    pub(crate) bytes: Vec<u8>,
    pub(crate) n_missing: u64,
}

/// A message where one half carries bytes, an exchange where both do.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) method: Option<String>,
    pub(crate) target: Option<String>,
    pub(crate) version: Option<String>,
    pub(crate) status: Option<u64>,
    /// Of the request in a stream of requests, else of the response.
    pub(crate) body: u64,
    pub(crate) request_body: u64,
    pub(crate) complete: bool,
    pub(crate) anomalies: Vec<String>,
}

impl Seen {
    /// Nothing is wrong with the framing. Whether Host is there is another matter.
    pub(crate) fn is_clean(&self) -> bool {
        self.anomalies.iter().all(|a| a == "host_count" || a == "early_response")
    }
}

/// The messages of the stream. Requests and dialogues end with a FIN from both sides; a stream of
/// responses just ends, since a close would complete what has no length.
pub(crate) fn run(kind: Kind, steps: &[Step]) -> Vec<Seen> {
    let mut wire = Wire::new();
    for step in steps {
        wire.send(step.from_client, TcpFlags::PSH, &step.bytes);
        wire.skip(step.from_client, step.n_missing);
    }
    if kind != Kind::Response {
        wire.send(false, TcpFlags::FIN, b"");
        wire.send(true, TcpFlags::FIN, b"");
    }
    // The verdicts end where HTTP does: tunnels, and HTTP inside them, are not their matter.
    let is_plain = |event: &&Value| {
        event["event"]["name"] == "http.exchange" && event.pointer("/obs/tunnel").is_none()
    };
    wire.finish().iter().filter(is_plain).map(|event| seen(kind, event)).collect()
}

fn seen(kind: Kind, event: &Value) -> Seen {
    let text = |path: &str| event.pointer(path).and_then(Value::as_str).map(str::to_owned);
    let number = |path: &str| event.pointer(path).and_then(Value::as_u64);
    let request_body = number("/http/request/body/size").unwrap_or(0);
    let response_body = number("/http/response/body/size").unwrap_or(0);
    let complete = match kind {
        // Nobody answers: what tells is whether the request itself was cut.
        Kind::Request => {
            event["obs"]["state"] == "complete" || event["error"]["type"] == "no_response"
        }
        Kind::Response | Kind::Dialogue => event["obs"]["state"] == "complete",
    };
    let anomalies = event["obs"]["anomalies"].as_array().into_iter().flatten();
    Seen {
        method: text("/http/request/method_original").or(text("/http/request/method")),
        target: text("/url/original"),
        version: text("/network/protocol/version"),
        status: number("/http/response/status_code"),
        body: if kind == Kind::Request { request_body } else { response_body },
        request_body,
        complete,
        anomalies: anomalies.filter_map(Value::as_str).map(str::to_owned).collect(),
    }
}

/// One TCP connection with its handshake, and what the engine told of it.
struct Wire {
    pipeline: Pipeline,
    /// The next sequence numbers of the client and of the server.
    next: [u32; 2],
    time: Timestamp,
    events: Vec<Value>,
}

impl Wire {
    fn new() -> Self {
        let mut wire = Self {
            pipeline: Pipeline::new(Config {
                // The verdicts name targets as they were sent.
                redactor: Redactor { enabled: false },
                ..Config::default()
            }),
            next: [1000, 5_000_000],
            time: Timestamp(1_700_000_000_000_000_000),
            events: Vec::new(),
        };
        wire.send(true, TcpFlags::SYN, b"");
        wire.send(false, TcpFlags::SYN, b"");
        wire.send(true, TcpFlags::ACK, b"");
        wire
    }

    fn send(&mut self, from_client: bool, flags: TcpFlags, payload: &[u8]) {
        let ends = [Endpoint::v4([10, 0, 0, 1], 40000), Endpoint::v4([10, 0, 0, 2], 80)];
        let (me, peer) = if from_client { (0, 1) } else { (1, 0) };
        let first = from_client && flags.contains(TcpFlags::SYN);
        let flags = if first { flags } else { flags.union(TcpFlags::ACK) };
        self.time = self.time.after(100_000);
        self.pipeline.handle_segment(&Segment {
            time: self.time,
            source: ends[me],
            destination: ends[peer],
            seq: SeqNumber(self.next[me]),
            ack: SeqNumber(if first { 0 } else { self.next[peer] }),
            flags,
            window: 65535,
            payload_len: payload.len() as u32,
            payload,
            origin: Origin::default(),
        });
        let counts = flags.contains(TcpFlags::SYN) || flags.contains(TcpFlags::FIN);
        self.skip(from_client, payload.len() as u64 + u64::from(counts));
        self.drain();
    }

    /// Bytes were sent and not captured.
    fn skip(&mut self, from_client: bool, n: u64) {
        let next = &mut self.next[usize::from(!from_client)];
        *next = next.wrapping_add(n as u32);
    }

    fn finish(mut self) -> Vec<Value> {
        self.pipeline.finish(self.time.after(1_000_000));
        self.drain();
        self.events
    }

    fn drain(&mut self) {
        while let Some(event) = self.pipeline.poll_event() {
            let mut line = Vec::new();
            event.write_json(&mut line);
            let event: Value = serde_json::from_slice(&line).expect("an event is JSON");
            // Tunnels are told beside the exchanges that the verdicts speak of.
            if event["event"]["name"] == "http.exchange" {
                self.events.push(event);
            }
        }
    }
}
