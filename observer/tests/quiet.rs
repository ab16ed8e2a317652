//! Tunnels and TLS of which the kernel tells lengths alone, by the very code that runs there: what
//! is counted is what a capture of everything counts.

use observer::pipeline::{Config, Pipeline};
use observer::segment::{Directive, Endpoint, Origin, Segment, SeqNumber, TcpFlags, Timestamp};
use observer_common::flow::{Flow, STATE_HTTP, STATE_QUIET, millis};
use observer_common::headers::{PSH, Tcp};
use observer_common::record::VLAN_NONE;
use observer_common::skip::Cut;
use serde_json::Value;

const START: u64 = 1_700_000_000_000_000_000;
const MS: u64 = 1_000_000;
/// The client's number wraps early, the server's in the middle of what it sends.
const FIRST: [u32; 2] = [u32::MAX - 10, u32::MAX - (300 << 20)];

/// A flow between a kernel and the engine. Directions are 0 for what the client sends, which has
/// the lower address, and 1 for what the server does.
struct Wire {
    pipeline: Pipeline,
    /// None: everything is emitted, as of a file.
    kernel: Option<Flow>,
    time: u64,
    next: [u32; 2],
    n_records: u64,
    n_copied: u64,
    /// A directive takes effect only after so many more segments.
    lag: Option<u32>,
    events: Vec<Value>,
}

impl Wire {
    fn new(kernel: Option<Flow>) -> Self {
        let mut wire = Self {
            pipeline: Pipeline::new(Config::live()),
            kernel,
            time: START,
            next: FIRST,
            n_records: 0,
            n_copied: 0,
            lag: None,
            events: Vec::new(),
        };
        if wire.kernel.is_none_or(|flow| flow.state == STATE_HTTP) {
            wire.send(0, TcpFlags::SYN, b"", 0);
            wire.send(1, TcpFlags::SYN, b"", 0);
        } else {
            wire.next = FIRST.map(|seq| seq.wrapping_add(1));
        }
        wire
    }

    fn say(&mut self, side: usize, text: &[u8]) {
        self.send(side, TcpFlags::ACK, text, 1);
    }

    /// Sends so many milliseconds after the last segment.
    fn send(&mut self, side: usize, flags: TcpFlags, payload: &[u8], ms: u64) {
        self.time += ms * MS;
        let (seq, ack) = (self.next[side], self.next[1 - side]);
        let is_first = flags == TcpFlags::SYN && side == 0;
        let flags = if is_first { flags } else { flags.union(TcpFlags::ACK) };
        let takes = u32::from(flags.contains(TcpFlags::SYN) || flags.contains(TcpFlags::FIN));
        self.next[side] = seq.wrapping_add(payload.len() as u32 + takes);
        let (cut, skip_until) = self.cut(side, seq, flags, payload.len() as u32);
        let payload_len = payload.len() as u32;
        let payload = match cut {
            Cut::Whole => payload,
            Cut::Front(n) => &payload[..n as usize],
            Cut::Bare => &[],
            Cut::Tail(_) => panic!("nothing here ends a skip"),
            Cut::Nothing => return,
        };
        self.n_records += 1;
        self.n_copied += payload.len() as u64;
        let ends = [Endpoint::v4([10, 0, 0, 1], 40000), Endpoint::v4([10, 0, 0, 2], 443)];
        self.pipeline.handle_segment(&Segment {
            time: Timestamp(self.time),
            source: ends[side],
            destination: ends[1 - side],
            seq: SeqNumber(seq),
            ack: SeqNumber(if is_first { 0 } else { ack }),
            flags,
            window: 0,
            payload_len,
            payload,
            origin: Origin { skip_until, ..Origin::default() },
        });
        self.obey();
        while let Some(event) = self.pipeline.poll_event() {
            let mut line = Vec::new();
            event.write_json(&mut line);
            self.events.push(serde_json::from_slice(&line).unwrap());
        }
    }

    fn cut(
        &mut self,
        side: usize,
        seq: u32,
        flags: TcpFlags,
        payload_len: u32,
    ) -> (Cut, Option<SeqNumber>) {
        let now = millis(self.time);
        let Some(flow) = self.kernel.as_mut() else { return (Cut::Whole, None) };
        let tcp = Tcp {
            source: [0; 2],
            destination: [0; 2],
            source_port: 1,
            destination_port: 2,
            seq,
            ack: 0,
            flags: flags.0 | PSH,
            window: 0,
            payload_offset: 54,
            payload_len,
            vlan: VLAN_NONE,
            header_len: 20,
            reserved: [0; 2],
        };
        let (state, opposite_skips) =
            (flow.state, if side == 0 { flow.from_high.skip } else { flow.from_low.skip } != 0);
        let half = if side == 0 { &mut flow.from_low } else { &mut flow.from_high };
        let (skips, skip_until) = (half.skip != 0, half.skip_until);
        let cut = half.cut(&tcp, state, opposite_skips, now);
        let left_out = half.left_out(&tcp, state, skips, skip_until);
        if cut != Cut::Nothing {
            half.record_time = now;
        }
        (cut, left_out.map(SeqNumber))
    }

    fn obey(&mut self) {
        while let Some(directive) = self.pipeline.poll_directive() {
            match directive {
                Directive::Quiet(_) if self.kernel.is_some() => self.lag = Some(3),
                Directive::Quiet(_) | Directive::Skip { .. } => {}
                Directive::Forget(_) | Directive::LeaveOut(_) => panic!("the flow is wanted"),
            }
        }
        self.lag = self.lag.map(|lag| lag.saturating_sub(1));
        if let (Some(0), Some(flow)) = (self.lag, self.kernel.as_mut()) {
            flow.state = STATE_QUIET;
        }
    }

    fn end(&mut self) -> Value {
        self.send(1, TcpFlags::FIN, b"", 1);
        self.send(0, TcpFlags::FIN, b"", 1);
        self.events.pop().expect("the end is told")
    }
}

fn http() -> Option<Flow> {
    Some(Flow { state: STATE_HTTP, ..Flow::EMPTY })
}

/// 400 MiB to the client in segments of 64 kB, with some words of the client in between.
fn transfer(kernel: Option<Flow>, silence_ms: u64) -> (Value, Wire) {
    let mut wire = Wire::new(kernel);
    wire.say(0, b"CONNECT far:22 HTTP/1.1\r\nHost: far:22\r\n\r\n");
    wire.say(1, b"HTTP/1.1 200 OK\r\n\r\n");
    wire.say(1, b"SSH-2.0-far\r\n");
    wire.say(0, b"SSH-2.0-near\r\n");
    let piece = vec![7; 65_000];
    for i in 0..6500 {
        wire.send(1, TcpFlags::ACK, &piece, 1);
        if i % 50 == 0 {
            wire.send(0, TcpFlags::ACK, b"more", 1);
        }
        if i % 3 == 0 {
            wire.send(0, TcpFlags::ACK, b"", 0);
        }
        if i == 3000 {
            wire.send(1, TcpFlags::ACK, b"and then", silence_ms);
        }
    }
    let close = wire.end();
    (close, wire)
}

#[test]
fn a_tunnel_whose_bytes_stay_in_the_kernel_is_counted_to_the_byte() {
    for silence_ms in [7, 90, 500, 30_000] {
        let (whole, _) = transfer(None, silence_ms);
        let (quiet, wire) = transfer(http(), silence_ms);
        let tunnel = |event: &Value, key: &str| event["obs"]["tunnel"][key].as_u64();
        for key in ["bytes_to_server", "bytes_to_client", "gap_bytes_to_client", "duration_ns"] {
            assert_eq!(tunnel(&quiet, key), tunnel(&whole, key), "{key}: {quiet}");
        }
        assert_eq!(quiet["obs"]["tunnel"]["ssh"], whole["obs"]["tunnel"]["ssh"]);
        assert_eq!(quiet["obs"]["tunnel"]["closed"], whole["obs"]["tunnel"]["closed"]);
        assert!(tunnel(&whole, "bytes_to_client").unwrap() > 400 << 20);
        assert!(wire.n_copied < 400_000, "{} bytes copied", wire.n_copied);
        assert!(wire.n_records < 200, "{} records", wire.n_records);
        // A silence is told too short by up to a sign of life of each half, and never too long.
        let [was, told] = [&whole, &quiet].map(|e| tunnel(e, "longest_idle_ns").unwrap());
        assert!(told <= was.max(106 * MS), "{told} for {was}");
        assert!(told + 212 * MS >= was, "{told} for {was}");
    }
}

/// A hello with a server name; `n_more` bytes of other extensions follow.
fn client_hello(n_more: u16) -> Vec<u8> {
    let name = b"secret.example";
    let mut body = vec![3, 3];
    body.extend([7; 32]);
    body.extend([0, 0, 2, 0x13, 1, 1, 0]);
    body.extend((4 + 5 + name.len() as u16 + 4 + n_more).to_be_bytes());
    body.extend([0, 0, 0, 5 + name.len() as u8, 0, 3 + name.len() as u8, 0, 0, name.len() as u8]);
    body.extend(name);
    body.extend([0xab, 0xcd]);
    body.extend(n_more.to_be_bytes());
    body.extend(vec![9; n_more.into()]);
    record(1, &body)
}

fn server_hello() -> Vec<u8> {
    let mut body = vec![3, 3];
    body.extend([8; 32]);
    body.extend([0, 0x13, 1, 0, 0, 6, 0, 43, 0, 2, 3, 4]);
    record(2, &body)
}

/// A handshake message in a record of its own.
fn record(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = body.len() as u16;
    let mut bytes = vec![22, 3, 1];
    bytes.extend((length + 4).to_be_bytes());
    bytes.extend([kind, 0]);
    bytes.extend(length.to_be_bytes());
    bytes.extend(body);
    bytes
}

/// A connection over TLS, from the segment that shows it on.
fn speak_tls(kernel: bool, n_more: u16, n_pieces: u32) -> (Value, Wire) {
    let mut flow = Flow::EMPTY;
    flow.begin_tls(false, FIRST[0].wrapping_add(1), FIRST[1].wrapping_add(1));
    let mut wire = Wire::new(kernel.then_some(flow));
    for part in client_hello(n_more).chunks(1400) {
        wire.say(0, part);
    }
    wire.say(1, &[server_hello(), vec![23; 3000]].concat());
    for _ in 0..n_pieces {
        wire.send(1, TcpFlags::ACK, &[23; 60_000], 1);
        wire.send(0, TcpFlags::ACK, b"\x17\x03\x03\x00\x01x", 1);
    }
    (wire.end(), wire)
}

#[test]
fn a_flow_of_tls_is_told_from_its_first_bytes_and_its_lengths() {
    for n_more in [0, 1000, 3000, 5000] {
        for n_pieces in [0, 1, 3, 7000] {
            let (whole, _) = speak_tls(false, n_more, n_pieces);
            let (quiet, wire) = speak_tls(true, n_more, n_pieces);
            assert_eq!(quiet["event"]["name"], "tls.flow", "{quiet}");
            assert_eq!(quiet["tls"], whole["tls"], "{n_more} {n_pieces}");
            assert_eq!(quiet["tls"]["client"]["server_name"], "secret.example");
            assert_eq!(quiet["tls"]["protocol"]["version"], "1.3");
            for key in ["bytes_to_server", "bytes_to_client", "closed", "gap_bytes_to_client"] {
                let (told, was) = (&quiet["obs"]["tls"][key], &whole["obs"]["tls"][key]);
                assert_eq!(told, was, "{key}, {n_more} {n_pieces}: {quiet}");
            }
            assert!(quiet["obs"]["tls"]["bytes_to_client"].as_u64() > Some(3000), "{quiet}");
            assert!(wire.n_copied <= 2 * 4096, "{} bytes copied", wire.n_copied);
            let bound = 12 + 2 * u64::from(n_pieces) * 2 / 100;
            assert!(wire.n_records <= bound.max(20), "{} records", wire.n_records);
        }
    }
}
