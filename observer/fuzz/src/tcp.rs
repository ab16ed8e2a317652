//! TCP operation lists: what the table delivers is what was sent.
//!
//! A model keeps, by sequence number, the byte that was captured first. When a flow ends there must
//! be one initial position with which every delivered byte is the model's, and with which no byte
//! that came in time was told as a gap: bytes in = bytes delivered + gaps, first bytes win.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use observer::segment::{FlowKey, Segment, TcpFlags, Timestamp};
use observer::tcp::{FlowTable, Limits, TableStats};

use super::feed::Feed;
use super::recorder::{Log, Part, Recorder, Stream, Told};
use super::wire::{Act, MAX_PAYLOAD, N_FLOWS, Sent, Wire, endpoints};

pub fn check(data: &[u8]) {
    let mut feed = Feed::new(data);
    let limits = limits(feed.u8());
    let mut table = Table::new(limits);
    let mut models: [Model; N_FLOWS] = std::array::from_fn(|_| Model::default());
    let mut wire = Wire::new(feed, &noise);
    while let Some(act) = wire.next() {
        match act {
            Act::Wait(now) => {
                for stream in table.handle_timeout(now) {
                    models[flow_of(&stream.key)].compare(&stream);
                }
            }
            Act::Send(sent) => {
                for stream in table.handle_timeout(sent.time) {
                    models[flow_of(&stream.key)].compare(&stream);
                }
                let (opened, streams) = table.handle_segment(&sent.segment());
                let model = &mut models[sent.flow];
                if !opened {
                    model.add(&sent, table.step());
                }
                for stream in streams {
                    models[flow_of(&stream.key)].compare(&stream);
                }
                if opened {
                    models[sent.flow] = Model::default();
                    models[sent.flow].add(&sent, table.step());
                }
            }
        }
    }
    for stream in table.finish(wire.time()) {
        models[flow_of(&stream.key)].compare(&stream);
    }
}

/// Bounds and times: those of a daemon, or so small that every one is reached.
pub fn limits(choice: u8) -> Limits {
    let usual = Limits::default();
    match choice & 3 {
        0 | 1 => usual,
        2 => Limits { half_bytes: 700, half_pieces: 3, total_bytes: 1500, flows: 2, ..usual },
        _ => Limits {
            flows: 1 + usize::from(choice >> 2 & 3),
            half_bytes: usize::from(choice >> 4) * 100,
            half_pieces: usize::from(choice >> 4),
            total_bytes: 1 << (choice >> 4),
            reset_window: 100,
            ..usual
        },
    }
}

/// Bytes that tell their position, so that one in the wrong place is found.
fn noise(flow: usize, side: usize, position: u32, salt: u8) -> u8 {
    let mixed = position.wrapping_add((flow * 2 + side) as u32 * 77_777).wrapping_mul(0x9e37_79b1);
    (mixed >> 24) as u8 ^ salt
}

fn flow_of(key: &FlowKey) -> usize {
    let is = |&flow: &usize| {
        let (a, b) = endpoints(flow);
        FlowKey::new(a, b) == *key
    };
    (0..N_FLOWS).find(is).expect("a flow of ours")
}

/// The table under test, with what must hold after every call.
pub struct Table {
    flows: FlowTable<Recorder>,
    limits: Limits,
    log: Log,
    n_closed: u64,
}

impl Table {
    pub fn new(limits: Limits) -> Self {
        Self { flows: FlowTable::new(limits), limits, log: Log::default(), n_closed: 0 }
    }

    /// The number of the last call.
    pub fn step(&self) -> usize {
        self.log.step
    }

    pub fn stats(&self) -> TableStats {
        self.flows.stats()
    }

    /// Returns whether the segment opened a flow, and the flows that ended.
    pub fn handle_segment(&mut self, segment: &Segment<'_>) -> (bool, Vec<Stream>) {
        self.log.step += 1;
        let before = self.stats();
        self.flows.handle_segment(segment, &mut self.log);
        let stats = self.stats();
        assert_eq!(stats.segments, before.segments + 1);
        (stats.flows_opened > before.flows_opened, self.ended())
    }

    pub fn handle_timeout(&mut self, now: Timestamp) -> Vec<Stream> {
        self.log.step += 1;
        self.flows.handle_timeout(now, &mut self.log);
        let due = self.flows.poll_timeout();
        assert!(due.is_none_or(|due| due > now), "what was due is done");
        self.ended()
    }

    pub fn finish(&mut self, now: Timestamp) -> Vec<Stream> {
        self.log.step += 1;
        self.flows.finish(now, &mut self.log);
        let stats = self.stats();
        assert_eq!((stats.flows, stats.buffered_bytes), (0, 0), "nothing is left at the end");
        self.ended()
    }

    fn ended(&mut self) -> Vec<Stream> {
        let streams = std::mem::take(&mut self.log.closed);
        self.n_closed += streams.len() as u64;
        let stats = self.stats();
        assert_eq!(stats.flows + self.n_closed, stats.flows_opened, "each flow ends once");
        assert!(stats.flows <= self.limits.flows.max(1) as u64, "flows are bounded: {stats:?}");
        // A bound is enforced after the segment that exceeds it was stored.
        let slack = MAX_PAYLOAD as u64;
        assert!(stats.buffered_bytes <= self.limits.total_bytes as u64 + slack, "{stats:?}");
        let halves = stats.flows * 2 * self.limits.half_bytes as u64;
        assert!(stats.buffered_bytes <= halves, "halves are bounded: {stats:?}");
        if stats.flows > 0 {
            assert!(self.flows.poll_timeout().is_some(), "an open flow has a deadline");
        }
        streams
    }
}

/// What was captured of one flow since it was opened.
#[derive(Debug, Default)]
struct Model {
    halves: [Seen; 2],
}

type BySeq<T> = HashMap<u32, T, BuildHasherDefault<Spread>>;

/// Spreads sequence numbers over a table; a hash that withstands attacks would take most of a run.
#[derive(Default)]
struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u32(u32::from(byte));
        }
    }

    fn write_u32(&mut self, n: u32) {
        self.0 = (self.0 ^ u64::from(n)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

#[derive(Debug, Default)]
struct Seen {
    /// By sequence number: the byte captured first.
    bytes: BySeq<u8>,
    /// By sequence number: when it was first on the wire, and whether it was captured then.
    first: BySeq<(usize, bool)>,
    isns: Vec<u32>,
}

impl Model {
    fn add(&mut self, sent: &Sent, step: usize) {
        if sent.from_start.is_some() {
            self.halves[sent.side].isns.push(sent.seq.wrapping_sub(1));
            self.halves[1 - sent.side].isns.push(sent.ack.wrapping_sub(1));
        }
        let seen = &mut self.halves[sent.side];
        if sent.flags.contains(TcpFlags::SYN) {
            seen.isns.push(sent.seq);
        }
        // The payload of a reset is no stream data (RFC 9293 §3.10.7.2).
        if sent.flags.contains(TcpFlags::RST) {
            return;
        }
        for i in 0..sent.payload_len {
            let seq = sent.data_seq().wrapping_add(i);
            let byte = sent.payload.get(i as usize);
            seen.first.entry(seq).or_insert((step, byte.is_some()));
            if let Some(&byte) = byte {
                seen.bytes.entry(seq).or_insert(byte);
            }
        }
    }

    fn compare(&self, stream: &Stream) {
        let (client, server) = endpoints(flow_of(&stream.key));
        let low = usize::from(client > server);
        for (half, seen) in [(0, &self.halves[low]), (1, &self.halves[1 - low])] {
            seen.compare(&stream.halves[half], stream.midstream[half]);
        }
    }
}

impl Seen {
    fn compare(&self, told: &[Told], midstream: bool) {
        let bytes = |told: &Told| match &told.what {
            Part::Bytes(bytes) => Some((told.offset, bytes[0])),
            Part::Gap(_) | Part::End(_) => None,
        };
        let Some((offset, byte)) = told.iter().find_map(bytes) else { return };
        let starts: Vec<u32> = self
            .bytes
            .iter()
            .filter(|&(_, &b)| b == byte)
            .map(|(seq, _)| seq.wrapping_sub(offset as u32))
            .filter(|start| self.may_start(*start, told[0].offset, midstream))
            .collect();
        let sent = |start: u32| self.all_sent(told, start);
        let starts: Vec<u32> = starts.into_iter().filter(|&start| sent(start)).collect();
        assert!(!starts.is_empty(), "bytes that were not sent so, or not first: {told:?}");
        let complete = |&start: &u32| self.lost_nothing(told, start).is_ok();
        assert!(
            starts.iter().any(complete),
            "captured bytes were not delivered: {:?} {told:?}",
            self.lost_nothing(told, starts[0])
        );
    }

    /// Position 0 is the byte behind a SYN; a half picked up without it counts from far above.
    fn may_start(&self, start: u32, first: u64, midstream: bool) -> bool {
        midstream || first >= 1 << 31 || self.isns.iter().any(|isn| isn.wrapping_add(1) == start)
    }

    fn all_sent(&self, told: &[Told], start: u32) -> bool {
        told.iter().all(|told| {
            let Part::Bytes(bytes) = &told.what else { return true };
            (0u32..).zip(bytes).all(|(i, byte)| {
                let seq = start.wrapping_add(told.offset as u32).wrapping_add(i);
                self.bytes.get(&seq) == Some(byte)
            })
        })
    }

    /// Whether each byte that was captured before its place was passed was delivered.
    fn lost_nothing(&self, told: &[Told], start: u32) -> Result<(), String> {
        let first = told[0].offset;
        for (&seq, &(step, captured)) in &self.first {
            let distance = seq.wrapping_sub(start).wrapping_sub(first as u32).cast_signed();
            // Too far away to be believed, then or later, or before the stream's begin.
            if !captured || distance.unsigned_abs() > 1 << 29 || distance < 0 {
                continue;
            }
            let offset = first + u64::from(distance.unsigned_abs());
            let place = told.get(told.partition_point(|t| t.end() <= offset));
            let passed = match place {
                Some(Told { what: Part::Bytes(_), .. }) => continue,
                Some(gap) => gap.step,
                None => told.last().map_or(0, |end| end.step),
            };
            if step <= passed {
                return Err(format!("offset {offset} came at {step}, given up at {passed}"));
            }
        }
        Ok(())
    }
}
