//! A conversation between a client and a server, and the segments it can be carried in.

use observer::pipeline::{Config, Pipeline};
use observer::segment::{Endpoint, Origin, Segment, SeqNumber, TcpFlags, Timestamp};

/// Who sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    Client,
    Server,
}

#[derive(Clone, Debug)]
enum Step {
    Bytes(Who, Vec<u8>),
    Gap(Who, u32),
    Close(Who),
    Reset(Who),
    /// A bare acknowledgement.
    Ack(Who),
    /// Sets the DTH bit on what this side sends from here on, or leaves it out again.
    Dth(Who, bool),
}

/// What a case file describes.
#[derive(Debug)]
pub(crate) struct Conversation {
    steps: Vec<Step>,
    midstream: bool,
    /// Bytes of each WebSocket message to report, where messages are.
    messages: Option<usize>,
}

/// How the conversation is cut into segments.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Way {
    Whole,
    ByteByByte,
    SplitEverywhere,
    Shuffled,
    SequenceWrap,
}

impl Way {
    pub(crate) const ALL: &[Self] =
        &[Self::Whole, Self::ByteByByte, Self::SplitEverywhere, Self::Shuffled, Self::SequenceWrap];
}

/// A segment that owns its bytes.
#[derive(Clone, Debug)]
struct Sent {
    who: Who,
    seq: u32,
    ack: u32,
    flags: TcpFlags,
    payload: Vec<u8>,
}

impl Conversation {
    /// Reads a case: the conversation and its `-- expect` lines.
    pub(crate) fn parse(text: &str) -> (Self, Vec<String>) {
        let mut steps = Vec::new();
        let mut expected = Vec::new();
        let mut midstream = false;
        let mut messages = None;
        let mut blocks = text.split("\n-- ");
        let title = blocks.next().unwrap_or_default();
        assert!(title.trim().ends_with('.'), "a case begins with a sentence: {title:?}");
        for block in blocks {
            let (marker, body) = block.split_once('\n').unwrap_or((block, ""));
            let words: Vec<&str> = marker.split_whitespace().collect();
            match *words.as_slice() {
                ["expect"] => {
                    expected = body.lines().filter(|l| !l.is_empty()).map(str::to_owned).collect();
                }
                ["midstream"] => midstream = true,
                ["messages", n] => messages = Some(n.parse().expect("a number")),
                [who] => steps.push(Step::Bytes(side(who), unescape(body))),
                [who, "gap", n] => steps.push(Step::Gap(side(who), n.parse().expect("a number"))),
                [who, "close"] => steps.push(Step::Close(side(who))),
                [who, "ack"] => steps.push(Step::Ack(side(who))),
                [who, "dth"] => steps.push(Step::Dth(side(who), true)),
                [who, "plain"] => steps.push(Step::Dth(side(who), false)),
                [who, "reset"] => steps.push(Step::Reset(side(who))),
                _ => panic!("unknown marker {marker:?}"),
            }
        }
        (Self { steps, midstream, messages }, expected)
    }

    /// Runs the conversation; several runs where the way has several variants, each with a name.
    pub(crate) fn run(&self, way: Way) -> Vec<(String, Vec<serde_json::Value>)> {
        const ISN: u32 = 1000;
        // Where a flow is picked up midway, a segment is where a message may begin: the cut is part
        // of what is seen, and other cuts are other conversations.
        let one_cut = matches!(way, Way::ByteByByte | Way::SplitEverywhere | Way::Shuffled);
        if self.midstream && one_cut {
            return Vec::new();
        }
        match way {
            Way::Whole => vec![("whole".into(), self.events(&self.segments(ISN, &|_| Vec::new())))],
            Way::ByteByByte => {
                vec![(
                    "byte by byte".into(),
                    self.events(&self.segments(ISN, &|n| (1..n).collect())),
                )]
            }
            Way::SplitEverywhere => {
                let longest = self.steps.iter().map(Step::len).max().unwrap_or(0);
                (1..longest)
                    .map(|at| {
                        let cut = |n: usize| if at < n { vec![at] } else { Vec::new() };
                        (format!("split at {at}"), self.events(&self.segments(ISN, &cut)))
                    })
                    .collect()
            }
            Way::Shuffled => (1..=20)
                .map(|seed| {
                    let mut random = Random(seed);
                    let thirds = |n: usize| if n > 6 { vec![n / 3, n / 2] } else { Vec::new() };
                    let sent = shuffle(self.segments(ISN, &thirds), &mut random);
                    (format!("shuffled with seed {seed}"), self.events(&sent))
                })
                .collect(),
            Way::SequenceWrap => {
                let isn = u32::MAX - 20;
                vec![(
                    "sequence wrap".into(),
                    self.events(&self.segments(isn, &|n| {
                        if self.midstream { Vec::new() } else { (7..n).step_by(7).collect() }
                    })),
                )]
            }
        }
    }

    /// The segments, each block cut at the positions that `cuts` returns for its length.
    fn segments(&self, isn: u32, cuts: &dyn Fn(usize) -> Vec<usize>) -> Vec<Sent> {
        let mut next = [isn, isn.wrapping_add(5_000_000)];
        let mut sent = Vec::new();
        let dying = std::cell::Cell::new([false; 2]);
        let mut send = |who: Who, flags: TcpFlags, payload: &[u8], next: &mut [u32; 2]| {
            let (me, peer) = if who == Who::Client { (0, 1) } else { (1, 0) };
            let flags = if dying.get()[me] { flags.union(TcpFlags::DTH) } else { flags };
            let with_ack = !flags.contains(TcpFlags::SYN) || who == Who::Server;
            let flags = if with_ack { flags.union(TcpFlags::ACK) } else { flags };
            let ack = if with_ack { next[peer] } else { 0 };
            sent.push(Sent { who, seq: next[me], ack, flags, payload: payload.to_vec() });
            let syn_fin = flags.contains(TcpFlags::SYN) || flags.contains(TcpFlags::FIN);
            next[me] = next[me].wrapping_add(payload.len() as u32).wrapping_add(u32::from(syn_fin));
        };
        if !self.midstream {
            send(Who::Client, TcpFlags::SYN, b"", &mut next);
            send(Who::Server, TcpFlags::SYN, b"", &mut next);
            send(Who::Client, TcpFlags::ACK, b"", &mut next);
        }
        for step in &self.steps {
            match step {
                Step::Bytes(who, bytes) => {
                    let mut from = 0;
                    for at in cuts(bytes.len()).into_iter().chain([bytes.len()]) {
                        send(*who, TcpFlags::PSH, &bytes[from..at], &mut next);
                        from = at;
                    }
                }
                Step::Gap(who, n) => {
                    let me = usize::from(*who == Who::Server);
                    next[me] = next[me].wrapping_add(*n);
                }
                Step::Ack(who) => send(*who, TcpFlags::ACK, b"", &mut next),
                Step::Dth(who, on) => {
                    let mut flags = dying.get();
                    flags[usize::from(*who == Who::Server)] = *on;
                    dying.set(flags);
                }
                Step::Close(who) => send(*who, TcpFlags::FIN, b"", &mut next),
                Step::Reset(who) => send(*who, TcpFlags::RST, b"", &mut next),
            }
        }
        sent
    }

    /// The events that the segments give. 100 µs lie between two segments.
    fn events(&self, sent: &[Sent]) -> Vec<serde_json::Value> {
        let client = Endpoint::v4([10, 0, 0, 1], 40000);
        let server = Endpoint::v4([10, 0, 0, 2], 80);
        let config = Config { headers: true, messages: self.messages, ..Config::default() };
        let mut pipeline = Pipeline::new(config);
        let mut time = Timestamp(1_700_000_000_000_000_000);
        let mut events = Vec::new();
        for segment in sent {
            time = time.after(100_000);
            let (source, destination) =
                if segment.who == Who::Client { (client, server) } else { (server, client) };
            pipeline.handle_segment(&Segment {
                time,
                source,
                destination,
                seq: SeqNumber(segment.seq),
                ack: SeqNumber(segment.ack),
                flags: segment.flags,
                window: 65535,
                payload_len: segment.payload.len() as u32,
                payload: &segment.payload,
                origin: Origin::default(),
            });
            drain(&mut pipeline, &mut events);
        }
        // Long enough for every wait but the idle time.
        pipeline.handle_timeout(time.after(60_000_000_000));
        pipeline.finish(time.after(60_000_000_000));
        drain(&mut pipeline, &mut events);
        events
    }
}

impl Step {
    fn len(&self) -> usize {
        match self {
            Self::Bytes(_, bytes) => bytes.len(),
            Self::Gap(..) | Self::Close(_) | Self::Reset(_) | Self::Ack(_) | Self::Dth(..) => 0,
        }
    }
}

fn side(word: &str) -> Who {
    match word {
        "client" => Who::Client,
        "server" => Who::Server,
        _ => panic!("client or server, not {word:?}"),
    }
}

/// The bytes of a block: see the module's first lines in `golden.rs`.
fn unescape(body: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for line in body.split('\n') {
        let mut rest = line.bytes().peekable();
        let mut line_end: &[u8] = b"\r\n";
        while let Some(b) = rest.next() {
            if b != b'\\' {
                bytes.push(b);
                continue;
            }
            match rest.next() {
                None => line_end = b"",
                Some(b'n') => {
                    bytes.push(b'\n');
                    if rest.peek().is_none() {
                        line_end = b"";
                    }
                }
                Some(b'r') => bytes.push(b'\r'),
                Some(b'\\') => bytes.push(b'\\'),
                Some(b'x') => {
                    let digits: Vec<u8> = rest.by_ref().take(2).collect();
                    let digits = std::str::from_utf8(&digits).expect("two digits");
                    bytes.push(u8::from_str_radix(digits, 16).expect("hexadecimal"));
                }
                Some(other) => panic!("unknown escape \\{}", other as char),
            }
        }
        bytes.extend_from_slice(line_end);
    }
    bytes
}

/// Reorders everything behind the handshake within the time that the engine waits, and sends some
/// segments twice. A reset stays last: what comes behind it is not part of the conversation.
fn shuffle(sent: Vec<Sent>, random: &mut Random) -> Vec<Sent> {
    let is_fixed = |s: &Sent| s.flags.contains(TcpFlags::SYN);
    let is_last = |s: &Sent| s.flags.contains(TcpFlags::RST);
    let (first, rest): (Vec<Sent>, Vec<Sent>) = sent.into_iter().partition(is_fixed);
    let (last, mut rest): (Vec<Sent>, Vec<Sent>) = rest.into_iter().partition(is_last);
    for _ in 0..rest.len() / 3 {
        let again = rest[random.below(rest.len())].clone();
        rest.push(again);
    }
    for i in (1..rest.len()).rev() {
        rest.swap(i, random.below(i + 1));
    }
    first.into_iter().chain(rest).chain(last).collect()
}

/// xorshift64*: enough to shuffle, and the same everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % n
    }
}

fn drain(pipeline: &mut Pipeline, events: &mut Vec<serde_json::Value>) {
    while let Some(event) = pipeline.poll_event() {
        let mut line = Vec::new();
        event.write_json(&mut line);
        events.push(serde_json::from_slice(&line).expect("an event is JSON"));
    }
}
