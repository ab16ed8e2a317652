//! What the kernel leaves out by its own decision changes nothing that is told: sound conversations,
//! cut into any segments, through an engine that is shown every byte and through one behind the
//! kernel's own code must give the same lines.

#[path = "common/kernel.rs"]
#[expect(dead_code, reason = "straight.rs loses records as well")]
mod kernel;

use kernel::{Kernel, Sent};
use observer::pipeline::{Config, Pipeline};
use observer::segment::{Endpoint, Origin, Segment, SeqNumber, TcpFlags, Timestamp};
use proptest::prelude::*;

/// A request, and what is answered to it.
#[derive(Clone, Debug)]
struct Asked {
    request: Vec<u8>,
    response: Vec<u8>,
    /// The next request does not wait for the answer.
    is_pipelined: bool,
}

/// A message with so long a body, of bytes that may read like a message themselves.
fn message(start: &str, n_body: usize, filler: &str) -> Vec<u8> {
    let mut bytes = format!("{start}\r\nContent-Length: {n_body}\r\n\r\n").into_bytes();
    bytes.extend(filler.bytes().cycle().take(n_body));
    bytes
}

fn asked() -> impl Strategy<Value = Asked> {
    let size = prop_oneof![Just(0_usize), 1..40_usize, 2000..2100_usize, Just(9000), Just(70_000)];
    let filler = prop_oneof![
        4 => Just("x"),
        1 => Just("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabcde"),
        1 => Just("GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
    ];
    let kind = prop_oneof![6 => Just(0), 3 => Just(1), 2 => Just(2), 1 => Just(3), 1 => Just(4)];
    (kind, size, filler, prop::bool::weighted(0.2)).prop_map(|(kind, size, filler, pipelined)| {
        let get = b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n".to_vec();
        let ok = "HTTP/1.1 200 OK\r\nServer: a";
        let (request, response) = match kind {
            0 => (get, message(ok, size, filler)),
            // As if a body followed.
            1 => {
                let head = format!("{ok}\r\nContent-Length: {size}\r\n\r\n");
                (b"HEAD /a HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(), head.into_bytes())
            }
            2 => (message("POST /a HTTP/1.1\r\nHost: a", size, filler), message(ok, 7, "x")),
            3 => {
                let head = format!("HTTP/1.1 304 Not Modified\r\nContent-Length: {size}\r\n\r\n");
                (get, head.into_bytes())
            }
            _ => {
                let body = filler.repeat(size / filler.len() + 1);
                let head = format!("{ok}\r\nTransfer-Encoding: chunked\r\n\r\n");
                let all = format!("{head}{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
                (get, all.into_bytes())
            }
        };
        Asked { request, response, is_pipelined: pipelined }
    })
}

/// One connection past both of them.
struct Wire {
    whole: Pipeline,
    behind: Pipeline,
    kernel: Kernel,
    next: [u32; 2],
    time: Timestamp,
}

impl Wire {
    fn new(start: u32) -> Self {
        let config = Config { headers: true, ..Config::live() };
        Self {
            whole: Pipeline::new(config.clone()),
            behind: Pipeline::new(config),
            kernel: Kernel::new(0),
            next: [start, 5_000_000],
            time: Timestamp(1 << 60),
        }
    }

    fn send(&mut self, from_client: bool, flags: TcpFlags, payload: &[u8]) {
        let (me, peer) = if from_client { (0, 1) } else { (1, 0) };
        let (seq, ack) = (self.next[me], self.next[peer]);
        self.next[me] = seq.wrapping_add(payload.len() as u32);
        self.time = self.time.after(100_000);
        let ends = [Endpoint::v4([10, 0, 0, 1], 40000), Endpoint::v4([10, 0, 0, 2], 80)];
        let segment = Segment {
            time: self.time,
            source: ends[me],
            destination: ends[peer],
            seq: SeqNumber(seq),
            ack: SeqNumber(ack),
            flags,
            window: 65535,
            payload_len: payload.len() as u32,
            payload,
            origin: Origin::default(),
        };
        self.whole.handle_segment(&segment);
        let time = self.time;
        let Some(shown) = self.kernel.pass(&Sent { from_client, seq, ack, flags, payload, time })
        else {
            return;
        };
        self.behind.handle_segment(&Segment {
            seq: SeqNumber(shown.seq),
            payload_len: shown.payload_len as u32,
            payload: shown.captured,
            origin: Origin { skip_until: shown.skip_until, ..Origin::default() },
            ..segment
        });
        while let Some(directive) = self.behind.poll_directive() {
            self.kernel.obey(directive);
        }
    }

    /// In pieces of these lengths, the rest in one; the head may be a piece of its own. The other end
    /// acknowledges each, or none.
    fn say(&mut self, from_client: bool, bytes: &[u8], cuts: &Cuts) {
        let mut rest = bytes;
        if cuts.head_alone {
            let end = memchr::memmem::find(bytes, b"\r\n\r\n").expect("a head") + 4;
            let (head, body) = rest.split_at(end);
            self.send(from_client, TcpFlags::PSH.union(TcpFlags::ACK), head);
            rest = body;
        }
        for length in cuts.lengths.iter().copied().chain([usize::MAX]) {
            let (piece, behind) = rest.split_at(length.min(rest.len()));
            if !piece.is_empty() {
                self.send(from_client, TcpFlags::PSH.union(TcpFlags::ACK), piece);
                if cuts.is_acknowledged {
                    self.send(!from_client, TcpFlags::ACK, b"");
                }
            }
            rest = behind;
        }
    }
}

/// Where a message is cut into segments.
#[derive(Clone, Debug)]
struct Cuts {
    head_alone: bool,
    lengths: Vec<usize>,
    is_acknowledged: bool,
}

fn cuts() -> impl Strategy<Value = Cuts> {
    let length = prop_oneof![16..200_usize, Just(1448), Just(4096), Just(65_483)];
    let lengths = prop::collection::vec(length, 0..4);
    (any::<bool>(), lengths, any::<bool>()).prop_map(|(head_alone, lengths, is_acknowledged)| {
        Cuts { head_alone, lengths, is_acknowledged }
    })
}

fn lines(mut engine: Pipeline, now: Timestamp) -> Vec<String> {
    engine.handle_timeout(now);
    engine.finish(now);
    let mut lines = Vec::new();
    while let Some(event) = engine.poll_event() {
        let mut line = Vec::new();
        event.write_json(&mut line);
        lines.push(String::from_utf8(line).expect("a line is text"));
    }
    lines
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]
    #[test]
    fn nothing_that_is_told_depends_on_what_the_kernel_leaves_out(
        asked in prop::collection::vec((asked(), cuts(), cuts()), 1..8),
        start in prop_oneof![Just(1000), Just(u32::MAX - 2000)],
    ) {
        let mut wire = Wire::new(start);
        let mut waiting = Vec::new();
        for (Asked { request, response, is_pipelined }, cuts, answer_cuts) in asked {
            wire.say(true, &request, &cuts);
            waiting.push((response, answer_cuts));
            if !is_pipelined {
                for (response, cuts) in waiting.drain(..) {
                    wire.say(false, &response, &cuts);
                }
            }
        }
        for (response, cuts) in waiting {
            wire.say(false, &response, &cuts);
        }
        let later = wire.time.after(3_000_000_000);
        prop_assert_eq!(lines(wire.whole, later), lines(wire.behind, later));
    }
}

/// Holds both against each other where these are the segments, the client's and the server's.
#[track_caller]
fn check(steps: &[(bool, &[u8])]) {
    let mut wire = Wire::new(1000);
    for (from_client, bytes) in steps {
        wire.send(*from_client, TcpFlags::PSH.union(TcpFlags::ACK), bytes);
    }
    let later = wire.time.after(3_000_000_000);
    assert_eq!(lines(wire.whole, later), lines(wire.behind, later));
}

#[test]
fn a_request_in_place_of_a_refused_body_is_told() {
    let refused = message("HTTP/1.1 417 Expectation Failed", 0, "");
    let answer = message("HTTP/1.1 200 OK", 0, "");
    let head =
        b"POST /a HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 100000\r\n\r\n";
    check(&[
        (true, head),
        (false, &refused),
        (true, b"GET /b HTTP/1.1\r\nHost: a\r\n\r\n"),
        (false, &answer),
        (true, &message("POST /c HTTP/1.1\r\nHost: a", 100_000, "x")),
        (false, &answer),
    ]);
}

#[test]
fn an_answer_behind_a_long_one_to_head_is_told() {
    for n in 1000..1030 {
        let mut answers = b"HTTP/1.1 200 OK\r\nContent-Length: 9000\r\nX: ".to_vec();
        answers.resize(n, b'y');
        answers.extend(b"\r\n\r\n");
        answers.extend(message("HTTP/1.1 200 OK", 3000, "x"));
        check(&[
            (true, b"HEAD /a HTTP/1.1\r\nHost: a\r\n\r\nGET /b HTTP/1.1\r\nHost: a\r\n\r\n"),
            (false, &answers),
            (true, b"GET /c HTTP/1.1\r\nHost: a\r\n\r\n"),
            (false, &message("HTTP/1.1 200 OK", 0, "")),
        ]);
    }
}
