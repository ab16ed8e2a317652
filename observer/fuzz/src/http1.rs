//! HTTP/1 halves with gaps: what the reader says about a half adds up, and does not depend on where
//! the half was cut as long as the reader is sure of its place.
//!
//! Input: one byte of choices, one for the answers that the caller gives, then operations: an even
//! byte `2n` is followed by `n + 1` bytes of the half, an odd one by the size of a gap. The half is
//! closed at the end.

use observer::http::{Asked, BodyKind, Input, Item, Limits, Parser, Part, Role, body_kind};
use observer::message::{Anomaly, Mark};
use observer::segment::{Offset, Timestamp};

use super::feed::Feed;

/// The smallest bound of a head, so that it is reached.
const SMALL_HEAD: usize = 64;

/// What may be kept beyond the bound of a head: fields that decide the framing, a line that is not
/// complete, or what is searched for a start line.
const KEPT_BEYOND: usize = 64 << 10;

pub fn check(data: &[u8]) {
    let mut feed = Feed::new(data);
    let setup = Setup::new(feed.u8(), feed.u8());
    let parts = parts(feed);
    let told = read(&setup, &parts);
    let has_gap = parts.iter().any(|part| matches!(part, Chunk::Gap(_)));
    if setup.in_sync && !has_gap {
        let whole: Vec<u8> = parts.iter().flat_map(Chunk::bytes).copied().collect();
        let single: Vec<Chunk> = whole.iter().map(|&byte| Chunk::Bytes(vec![byte])).collect();
        let whole = read(&setup, &[Chunk::Bytes(whole)]);
        same_while_sure(&whole, &told, "as cut by the input");
        same_while_sure(&whole, &read(&setup, &single), "byte by byte");
    }
}

struct Setup {
    role: Role,
    in_sync: bool,
    clean: bool,
    limits: Limits,
    asked: Asked,
    /// What the caller answers to bytes that are no message.
    not_http: u8,
}

impl Setup {
    fn new(choices: u8, answers: u8) -> Self {
        let has = |bit: u8| choices >> bit & 1 == 1;
        let usual = Limits::default();
        Self {
            role: if has(0) { Role::Response } else { Role::Request },
            in_sync: !has(1),
            clean: !has(2),
            limits: if has(3) { Limits { head_bytes: SMALL_HEAD } } else { usual },
            asked: Asked { head: answers & 1 == 1, connect: answers & 2 == 2 },
            not_http: answers >> 2 & 3,
        }
    }
}

#[derive(Debug)]
enum Chunk {
    Bytes(Vec<u8>),
    Gap(u64),
}

impl Chunk {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Gap(_) => &[],
        }
    }
}

fn parts(mut feed: Feed<'_>) -> Vec<Chunk> {
    let mut parts = Vec::new();
    while !feed.is_empty() {
        let op = feed.u8();
        parts.push(match op & 1 {
            0 => Chunk::Bytes(feed.take(usize::from(op >> 1) + 1).to_vec()),
            // Small ones, and one beyond what fits in 32 bits.
            _ if op == 0xff => Chunk::Gap(u64::from(feed.u32()) << 8 | 1),
            _ => Chunk::Gap(u64::from(op >> 1) + 1),
        });
    }
    parts
}

/// What was said, in a form that does not depend on how content was cut.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Said {
    Head { raw: Vec<u8>, first: u64, last: u64, incomplete: bool },
    Body(Vec<u8>),
    BodyGap(u64),
    End { last: u64, complete: bool, trailers: Option<Vec<u8>>, anomalies: String },
    NotHttp { first: u64 },
    Opaque(Vec<u8>),
    OpaqueGap(u64),
    Lost,
}

/// Runs a parser as the pipeline does, and holds every item against what went in.
fn read(setup: &Setup, parts: &[Chunk]) -> Vec<Said> {
    let mut reader = Reader {
        parser: Parser::new(setup.role, setup.in_sync, setup.limits),
        setup,
        offset: 0,
        told: Vec::new(),
        message: None,
        last_end: 0,
    };
    for part in parts {
        match part {
            Chunk::Bytes(bytes) if bytes.is_empty() => {}
            Chunk::Bytes(bytes) => reader.feed(Part::Bytes(bytes), bytes.len() as u64),
            Chunk::Gap(n) => reader.feed(Part::Gap(*n), *n),
        }
    }
    reader.feed(Part::End { clean: setup.clean }, 0);
    assert!(reader.message.is_none(), "the end of the half ends the message");
    reader.told
}

struct Reader<'a> {
    parser: Parser,
    setup: &'a Setup,
    /// Where the part that is being read ends.
    offset: u64,
    told: Vec<Said>,
    message: Option<Current>,
    last_end: u64,
}

/// The message that is being read.
struct Current {
    kind: Option<BodyKind>,
    first: u64,
    n_body: u64,
}

impl Reader<'_> {
    fn feed(&mut self, what: Part<'_>, n: u64) {
        let mark = Mark { offset: Offset(self.offset), time: Timestamp(1), acked: None };
        self.offset += n;
        let most = 4 + 4 * if let Part::Bytes(bytes) = &what { bytes.len() } else { 1 };
        let mut input = Input { mark, what };
        let mut n_items = 0;
        while let Some(item) = self.parser.next(&mut input) {
            n_items += 1;
            assert!(n_items <= most, "more items than bytes: {item:?}");
            assert!(input.mark.offset.0 <= self.offset, "read beyond the input");
            self.handle(item);
        }
        let bound = self.setup.limits.head_bytes + KEPT_BEYOND;
        assert!(self.parser.n_buffered() <= bound, "{} bytes kept", self.parser.n_buffered());
    }

    fn handle(&mut self, item: Item<'_>) {
        match item {
            Item::Head { head, first, last, .. } => {
                assert!(self.message.is_none(), "a message begins inside another");
                assert!(self.last_end <= first.offset.0, "a message begins before the last's end");
                assert!(first.offset <= last.offset && last.offset.0 <= self.offset);
                let incomplete = head.anomalies.contains(Anomaly::HeadIncomplete);
                let (kind, anomalies) = body_kind(&head, self.setup.role, self.setup.asked);
                if !incomplete {
                    self.parser.set_body(kind, anomalies);
                }
                for span in head.fields().iter().flat_map(|field| [field.name, field.value]) {
                    let inside = head.raw().get(span.start as usize..span.end as usize).is_some();
                    assert!(inside, "a field lies outside its head");
                }
                let first = first.offset.0;
                let kind = Some(kind).filter(|_| !incomplete);
                if kind != Some(BodyKind::Takeover) {
                    self.message = Some(Current { kind, first, n_body: 0 });
                }
                self.told.push(Said::Head {
                    raw: head.raw().to_vec(),
                    first,
                    last: last.offset.0,
                    incomplete,
                });
            }
            Item::Body(bytes) => {
                assert!(!bytes.is_empty(), "empty content");
                self.add_body(bytes.len() as u64);
                if let Some(Said::Body(body)) = self.told.last_mut() {
                    body.extend_from_slice(bytes);
                } else {
                    self.told.push(Said::Body(bytes.to_vec()));
                }
            }
            Item::BodyGap(n) => {
                self.add_body(n);
                if let Some(Said::BodyGap(gap)) = self.told.last_mut() {
                    *gap += n;
                } else {
                    self.told.push(Said::BodyGap(n));
                }
            }
            Item::End(ending) => {
                let message = self.message.take().expect("what ends has begun");
                if let (Some(BodyKind::Length(n)), true) = (message.kind, ending.complete) {
                    assert_eq!(message.n_body, n, "a complete body is as long as it said");
                }
                let last = ending.last.offset.0;
                assert!(message.first <= last && last <= self.offset, "ends where it cannot");
                self.last_end = last;
                self.told.push(Said::End {
                    last,
                    complete: ending.complete,
                    trailers: ending.trailers.map(|head| head.raw().to_vec()),
                    anomalies: format!("{:?}", ending.anomalies),
                });
            }
            Item::NotHttp { first } => {
                assert!(self.message.is_none(), "no message inside a message");
                assert!(first.offset.0 <= self.offset);
                self.told.push(Said::NotHttp { first: first.offset.0 });
                match self.setup.not_http {
                    2 => drop(self.parser.take_over()),
                    3 => {
                        let ahead = self.parser.read_until_close().len() as u64;
                        let kind = Some(BodyKind::UntilClose);
                        self.message = Some(Current { kind, first: first.offset.0, n_body: ahead });
                    }
                    _ => self.parser.resync(),
                }
            }
            Item::Opaque(bytes) => {
                if let Some(Said::Opaque(seen)) = self.told.last_mut() {
                    seen.extend_from_slice(bytes);
                } else {
                    self.told.push(Said::Opaque(bytes.to_vec()));
                }
            }
            Item::OpaqueGap(n) => self.told.push(Said::OpaqueGap(n)),
            Item::Lost => {
                assert!(self.message.is_none(), "a message that is lost ends first");
                self.told.push(Said::Lost);
            }
        }
    }

    fn add_body(&mut self, n: u64) {
        let message = self.message.as_mut().expect("content belongs to a message");
        message.n_body += n;
        if let Some(BodyKind::Length(length)) = message.kind {
            assert!(message.n_body <= length, "more content than the head said");
        }
        assert!(message.n_body <= self.offset - message.first, "content out of nothing");
    }
}

/// The same up to the point where the reader lost its place: from there on a segment's begin is
/// where a message may begin, and cuts are part of what is seen.
fn same_while_sure(whole: &[Said], cut: &[Said], what: &str) {
    let sure = |told: &[Said]| {
        let unsure = |said: &Said| match said {
            Said::NotHttp { .. } | Said::Lost => true,
            Said::End { complete, .. } => !complete,
            _ => false,
        };
        let n = told.iter().position(unsure).map_or(told.len(), |n| n + 1);
        told[..n].to_vec()
    };
    assert_eq!(sure(whole), sure(cut), "parse(whole) = parse(any split), {what}");
}
