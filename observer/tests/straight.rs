//! The straight paths, of segments and of messages, give what the general ways give: the same segments
//! through two engines, of which one takes everything step by step, must give the same lines, after
//! each segment.

#[path = "common/captures.rs"]
mod captures;
#[path = "common/corpus.rs"]
mod corpus;
#[path = "common/kernel.rs"]
mod kernel;

use kernel::Kernel;
use observer::capture::file::Reader;
use observer::pipeline::{Config, Pipeline};
use observer::segment::{Directive, Endpoint, Origin, Segment, SeqNumber, TcpFlags, Timestamp};
use proptest::prelude::*;

/// Two engines that are given the same.
struct Both {
    straight: Pipeline,
    in_steps: Pipeline,
    n_lines: usize,
}

impl Both {
    fn new(config: &Config) -> Self {
        let straight = Pipeline::new(config.clone());
        let mut in_steps = Pipeline::new(config.clone());
        in_steps.read_in_steps();
        Self { straight, in_steps, n_lines: 0 }
    }

    /// What both tell when this was done to each.
    fn compare(&mut self, what: impl Fn(&mut Pipeline)) -> Vec<Directive> {
        let [ours, theirs] = [&mut self.straight, &mut self.in_steps].map(|engine| {
            what(engine);
            drain(engine)
        });
        assert_eq!(ours, theirs);
        self.n_lines += ours.0.len();
        ours.1
    }

    fn handle_segment(&mut self, segment: &Segment<'_>) -> Vec<Directive> {
        self.compare(|engine| engine.handle_segment(segment))
    }

    fn finish(mut self, now: Timestamp) -> usize {
        self.compare(|engine| engine.finish(now));
        self.n_lines
    }
}

/// The lines so far, what is asked of the capture, and when time is to be told.
fn drain(engine: &mut Pipeline) -> (Vec<String>, Vec<Directive>, Option<Timestamp>) {
    let mut lines = Vec::new();
    while let Some(event) = engine.poll_event() {
        let mut line = Vec::new();
        event.write_json(&mut line);
        lines.push(String::from_utf8(line).expect("a line is text"));
    }
    let directives = std::iter::from_fn(|| engine.poll_directive()).collect();
    (lines, directives, engine.poll_timeout())
}

#[test]
fn the_corpus_is_read_the_same_on_both_ways() {
    let captures = captures::captures("straight");
    let mut n_lines = 0;
    for path in &captures {
        let Ok(mut reader) = Reader::open(path) else { continue };
        let mut both = Both::new(&Config { headers: true, body_prefix: 100, ..Config::default() });
        let mut last = Timestamp(0);
        while let Ok(Some(segment)) = reader.next_segment() {
            last = last.max(segment.time);
            both.handle_segment(&segment);
        }
        n_lines += both.finish(last);
    }
    assert!(captures.is_empty() || n_lines > 1000, "{n_lines} lines");
}

const REQUESTS: &[&str] = &[
    "GET /a HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /b HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /b?token=secret&c=d HTTP/1.1\r\nHost: a\r\nAuthorization: Basic eA==\r\n\r\n",
    "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
    "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
    "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhello",
    "POST /a HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n",
    "POST /a HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 90\r\n\r\n",
    "POST /a HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: x\r\nContent-Length: 5\r\n\r\n",
    "hello",
    "PUT /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "PUT /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\nhello",
    "HEAD /a HTTP/1.1\r\nHost: a\r\n\r\n",
    "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n",
    "GET /a HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n",
    "GET /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    "GET /a HTTP/1.0\r\n\r\n",
    "GET /a\r\n",
    "GET http://b/a HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /a HTTP/1.1\nHost: a\n\n",
    "GET /a HTTP/1.1\r\n\r\n",
    "\r\nGET /a HTTP/1.1\r\nHost: a\r\n\r\n",
    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "OPTIONS sip:a SIP/2.0\r\n\r\n",
    "no HTTP at all\r\n",
];

const RESPONSES: &[&str] = &[
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nSet-Cookie: a=b\r\n\r\nhello",
    "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 70000\r\n\r\nhello",
    "hello",
    "HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n\r\n",
    "HTTP/1.1 204 No Content\r\n\r\n",
    "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n",
    "HTTP/1.1 100 Continue\r\n\r\n",
    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n",
    "HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nA: b\r\n\r\n",
    "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello",
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    "HTTP/1.1 200 OK\r\n\r\nuntil the close",
    "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\nhello",
    "HTTP/1.1 200\r\nContent-Length: 5\r\n\r\nhello",
    "no HTTP at all\r\n",
];

/// What one side sends next.
#[derive(Clone, Debug)]
struct Sent {
    from_client: bool,
    bytes: Vec<u8>,
    /// Where it is cut into two segments; behind its end it is not.
    cut: usize,
    flags: TcpFlags,
    fate: Fate,
    origin: Origin,
    /// Nothing happens before it for so many milliseconds.
    pause_ms: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Captured,
    /// As the peer has it, and we do not.
    Lost,
    /// As the kernel has it, and no room for its record.
    RingFull,
    /// Captured behind what comes next.
    Late,
    /// Captured twice.
    Again,
}

fn sent() -> impl Strategy<Value = Sent> {
    let texts = any::<bool>().prop_flat_map(|from_client| {
        let texts = if from_client { REQUESTS } else { RESPONSES };
        // Mostly the first ones, and one at a time.
        let text = prop_oneof![Just(texts[0]), proptest::sample::select(texts)];
        (Just(from_client), proptest::collection::vec(text, 1..3))
    });
    let cut = prop_oneof![3 => Just(usize::MAX), 1 => 0..60_usize];
    (texts, cut, odd()).prop_map(|((from_client, texts), cut, odd)| Sent {
        from_client,
        bytes: texts.concat().into_bytes(),
        cut,
        ..odd
    })
}

/// Nothing, and how it comes: mostly as it should.
fn odd() -> impl Strategy<Value = Sent> {
    let flags = prop_oneof![
        20 => Just(TcpFlags::PSH),
        1 => Just(TcpFlags::DTH),
        1 => Just(TcpFlags::FIN),
        1 => Just(TcpFlags::RST),
    ];
    let fate = prop_oneof![
        12 => Just(Fate::Captured),
        1 => Just(Fate::Lost),
        1 => Just(Fate::RingFull),
        1 => Just(Fate::Late),
        1 => Just(Fate::Again),
    ];
    let plain = Origin::default();
    let origin = prop_oneof![
        20 => Just(plain),
        1 => Just(Origin { damaged: true, ..plain }),
        1 => Just(Origin { srtt_us: 7, retransmits: 1, ..plain }),
        1 => Just(Origin { records_lost: 1, ..plain }),
    ];
    let pause_ms = prop_oneof![20 => Just(0_u64), 1 => Just(1_200)];
    (flags, fate, origin, pause_ms).prop_map(|(flags, fate, origin, pause_ms)| Sent {
        flags,
        fate,
        origin,
        pause_ms,
        ..plain_sent(false, "")
    })
}

fn plain_sent(from_client: bool, text: &str) -> Sent {
    Sent {
        from_client,
        bytes: text.as_bytes().to_vec(),
        cut: usize::MAX,
        flags: TcpFlags::PSH,
        fate: Fate::Captured,
        origin: Origin::default(),
        pause_ms: 0,
    }
}

/// A message with a body of known length that comes in several segments, of which any can be odd,
/// with acknowledgements between them; what comes may be too much or too little.
fn large() -> impl Strategy<Value = Vec<Sent>> {
    let sizes = prop_oneof![Just(1_usize), Just(296), Just(5000), Just(65_483)];
    let lost = Sent { fate: Fate::Lost, ..plain_sent(false, "") };
    let usual = prop_oneof![6 => Just(None), 2 => odd().prop_map(Some), 1 => Just(Some(lost))];
    let pieces = proptest::collection::vec((sizes, usual, any::<Option<bool>>()), 1..5);
    let beyond = prop_oneof![6 => Just(0_i64), 1 => -3..4_i64];
    (any::<bool>(), pieces, beyond).prop_map(|(from_client, pieces, beyond)| {
        let n_body: usize = pieces.iter().map(|(size, ..)| size).sum();
        let n_said = (n_body as i64 + beyond).max(0);
        let mut sent = vec![];
        let mut head = if from_client {
            format!("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: {n_said}\r\n\r\n")
        } else {
            sent.push(plain_sent(true, REQUESTS[0]));
            format!("HTTP/1.1 200 OK\r\nContent-Length: {n_said}\r\n\r\n")
        }
        .into_bytes();
        for (size, odd, acked_by) in pieces {
            let plain = odd.unwrap_or_else(|| plain_sent(false, ""));
            let mut bytes = std::mem::take(&mut head);
            bytes.resize(bytes.len() + size, b'x');
            sent.push(Sent { from_client, bytes, ..plain });
            if let Some(by_client) = acked_by {
                sent.push(Sent { flags: TcpFlags::ACK, ..plain_sent(by_client, "") });
            }
        }
        if from_client {
            sent.push(plain_sent(false, RESPONSES[0]));
        }
        sent
    })
}

/// A question and its answer, as most are.
fn asked() -> impl Strategy<Value = Vec<Sent>> {
    let select = |texts: &'static [&'static str]| proptest::sample::select(texts);
    (select(REQUESTS), select(RESPONSES)).prop_map(|(request, response)| {
        vec![plain_sent(true, request), plain_sent(false, response)]
    })
}

/// One connection, and the sequence numbers that come next.
struct Wire {
    both: Both,
    next: [u32; 2],
    time: Timestamp,
    late: Option<(bool, u32, u32, TcpFlags, Vec<u8>)>,
    origin: Origin,
    /// None: everything is captured, as in a file.
    kernel: Option<Kernel>,
}

impl Wire {
    fn new(has_handshake: bool, kernel: Option<Kernel>, config: &Config) -> Self {
        let next = [u32::MAX - 100, 5_000_000];
        let mut wire = Self {
            both: Both::new(config),
            next,
            time: Timestamp(1 << 60),
            late: None,
            origin: Origin::default(),
            kernel,
        };
        if has_handshake {
            wire.send(true, TcpFlags::SYN, b"", Fate::Captured);
            wire.send(false, TcpFlags::SYN, b"", Fate::Captured);
        }
        wire
    }

    fn send(&mut self, from_client: bool, flags: TcpFlags, payload: &[u8], fate: Fate) {
        let (me, peer) = if from_client { (0, 1) } else { (1, 0) };
        let is_first = from_client && flags.contains(TcpFlags::SYN);
        let flags = if is_first { flags } else { flags.union(TcpFlags::ACK) };
        let (seq, ack) = (self.next[me], if is_first { 0 } else { self.next[peer] });
        let counts = flags.contains(TcpFlags::SYN) || flags.contains(TcpFlags::FIN);
        self.next[me] = seq.wrapping_add(payload.len() as u32 + u32::from(counts));
        let late = self.late.take();
        match fate {
            Fate::Lost => {}
            Fate::Late => self.late = Some((from_client, seq, ack, flags, payload.to_vec())),
            Fate::Captured | Fate::RingFull => {
                self.capture(from_client, seq, ack, flags, payload, fate);
            }
            Fate::Again => {
                self.capture(from_client, seq, ack, flags, payload, fate);
                self.capture(from_client, seq, ack, flags, payload, fate);
            }
        }
        if let Some((from_client, seq, ack, flags, payload)) = late {
            self.capture(from_client, seq, ack, flags, &payload, fate);
        }
    }

    fn capture(
        &mut self,
        from_client: bool,
        seq: u32,
        ack: u32,
        flags: TcpFlags,
        payload: &[u8],
        fate: Fate,
    ) {
        let ends = [Endpoint::v4([10, 0, 0, 1], 40000), Endpoint::v4([10, 0, 0, 2], 80)];
        self.time = self.time.after(100_000);
        let mut segment = Segment {
            time: self.time,
            source: ends[usize::from(!from_client)],
            destination: ends[usize::from(from_client)],
            seq: SeqNumber(seq),
            ack: SeqNumber(ack),
            flags,
            window: 65535,
            payload_len: payload.len() as u32,
            payload,
            origin: self.origin,
        };
        if let Some(kernel) = &mut self.kernel {
            let time = self.time;
            let sent = kernel::Sent { from_client, seq, ack, flags, payload, time };
            let Some(shown) = kernel.pass(&sent) else { return };
            if fate == Fate::RingFull {
                kernel.lose(from_client);
                return;
            }
            segment.seq = SeqNumber(shown.seq);
            segment.payload_len = shown.payload_len as u32;
            segment.payload = shown.captured;
            segment.origin.skip_until = shown.skip_until;
            segment.origin.records_lost += shown.records_lost;
        }
        let directives = self.both.handle_segment(&segment);
        if let Some(kernel) = &mut self.kernel {
            directives.into_iter().for_each(|directive| kernel.obey(directive));
        }
    }

    fn say(&mut self, sent: Sent) {
        let Sent { from_client, bytes, cut, flags, fate, origin, pause_ms } = sent;
        self.time = self.time.after(pause_ms * 1_000_000);
        self.origin = origin;
        let (first, rest) = bytes.split_at(cut.min(bytes.len()));
        self.send(from_client, if rest.is_empty() { flags } else { TcpFlags::PSH }, first, fate);
        if !rest.is_empty() {
            self.send(from_client, flags, rest, fate);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]
    #[test]
    fn both_ways_tell_the_same_of_any_conversation(
        parts in proptest::collection::vec(
            prop_oneof![asked(), large(), sent().prop_map(|sent| vec![sent])],
            1..12,
        ),
        has_handshake in any::<bool>(),
        is_live in any::<bool>(),
        leaves_out in any::<bool>(),
        body_prefix in prop_oneof![Just(0_usize), Just(3), Just(100)],
    ) {
        let config = if is_live { Config::live() } else { Config::default() };
        let kernel = leaves_out.then(|| Kernel::new(body_prefix));
        let config = Config { headers: true, body_prefix, ..config };
        let mut wire = Wire::new(has_handshake, kernel, &config);
        parts.concat().into_iter().for_each(|sent| wire.say(sent));
        let later = wire.time.after(3_000_000_000);
        wire.both.compare(|engine| engine.handle_timeout(later));
        wire.both.finish(later);
    }
}
