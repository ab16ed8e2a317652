//! IP datagrams put together from their fragments, within bounds.
//!
//! Where pieces overlap the first bytes win and the datagram is flagged when the copies differ:
//! hosts disagree about overlaps (RFC 5722 has IPv6 hosts drop such a datagram), so what the
//! receiver made of it cannot be known.

use std::collections::VecDeque;

use hashbrown::HashMap;

use super::frame::{Addresses, Fragment, Walk};
use crate::segment::Timestamp;

/// Datagrams waited for at a time, and bytes held for all of them.
const MAX_DATAGRAMS: usize = 1024;
const MAX_BYTES: usize = 16 * 1024 * 1024;
/// Runs of bytes with holes between them, of one datagram. Eight-byte pieces of the largest one
/// could make 4096 of them; nothing real comes near.
const MAX_PIECES: usize = 512;
/// Nanoseconds from a datagram's first piece until it is given up: Linux' own patience
/// (`net.ipv4.ipfrag_time`).
const PATIENCE: u64 = 30_000_000_000;

#[derive(Default)]
pub(super) struct Fragments {
    datagrams: HashMap<Key, Datagram, foldhash::fast::RandomState>,
    /// In order of their first pieces, by serial number; completed ones leave lazily.
    queue: VecDeque<(u64, Key)>,
    next_serial: u64,
    n_bytes: usize,
    /// Datagrams given up: too old, too many, too large or in too many pieces.
    dropped: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    addresses: Addresses,
    identification: u32,
    /// Part of the key in IPv4 alone (RFC 791 §3.2); 0 in IPv6.
    protocol: u8,
    vlan: Option<u16>,
}

struct Datagram {
    serial: u64,
    since: Timestamp,
    bytes: Vec<u8>,
    /// What is there: disjoint, not touching, in order.
    runs: Vec<(usize, usize)>,
    len: Option<usize>,
    /// Of the first piece, whose headers count.
    first: Option<(u8, Walk)>,
    is_damaged: bool,
}

/// A datagram's payload, whole, and what is needed to go on with it.
pub(super) struct Whole {
    pub(super) bytes: Vec<u8>,
    pub(super) addresses: Addresses,
    pub(super) protocol: u8,
    pub(super) walk: Walk,
}

impl Fragments {
    /// Takes a piece whose captured bytes are `bytes`; returns the datagram that it completes.
    pub(super) fn handle(
        &mut self,
        time: Timestamp,
        fragment: &Fragment,
        bytes: &[u8],
    ) -> Option<Whole> {
        let key = Key {
            addresses: fragment.addresses,
            identification: fragment.identification,
            protocol: if fragment.addresses.is_v4 { fragment.protocol } else { 0 },
            vlan: fragment.walk.vlan,
        };
        self.expire(time);
        let datagram = self.datagrams.entry(key).or_insert_with(|| {
            let serial = self.next_serial;
            self.next_serial += 1;
            self.queue.push_back((serial, key));
            Datagram::new(serial, time)
        });
        let before = datagram.bytes.len();
        datagram.insert(fragment, bytes);
        self.n_bytes += datagram.bytes.len() - before;
        let is_whole = datagram.is_whole();
        let has_too_many_pieces = datagram.runs.len() > MAX_PIECES;
        if is_whole {
            return self.take(&key);
        }
        if has_too_many_pieces {
            self.drop_datagram(&key);
        }
        None
    }

    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Datagrams that wait for more pieces.
    pub(super) fn waiting(&self) -> u64 {
        self.datagrams.len() as u64
    }

    fn take(&mut self, key: &Key) -> Option<Whole> {
        let mut datagram = self.datagrams.remove(key)?;
        self.n_bytes -= datagram.bytes.len();
        datagram.bytes.truncate(datagram.len?);
        let (protocol, mut walk) = datagram.first?;
        walk.damaged |= datagram.is_damaged;
        Some(Whole { bytes: datagram.bytes, addresses: key.addresses, protocol, walk })
    }

    /// Gives up the oldest datagrams: those that waited too long, and as many as there must go
    /// to be within the bounds again, which one piece may have passed.
    fn expire(&mut self, now: Timestamp) {
        while let Some(&(serial, key)) = self.queue.front() {
            let held = self.datagrams.get(&key).filter(|held| held.serial == serial);
            if let Some(held) = held {
                let is_old = now.since(held.since) > PATIENCE;
                let too_many = self.datagrams.len() > MAX_DATAGRAMS || self.n_bytes > MAX_BYTES;
                if !is_old && !too_many {
                    break;
                }
                self.drop_datagram(&key);
            }
            self.queue.pop_front();
        }
        if self.queue.len() > 2 * MAX_DATAGRAMS {
            let datagrams = &self.datagrams;
            self.queue.retain(|(serial, key)| {
                datagrams.get(key).is_some_and(|held| held.serial == *serial)
            });
        }
    }

    fn drop_datagram(&mut self, key: &Key) {
        if let Some(datagram) = self.datagrams.remove(key) {
            self.n_bytes -= datagram.bytes.len();
            self.dropped += 1;
        }
    }
}

impl Datagram {
    fn new(serial: u64, since: Timestamp) -> Self {
        Self {
            serial,
            since,
            bytes: Vec::new(),
            runs: Vec::new(),
            len: None,
            first: None,
            is_damaged: false,
        }
    }

    fn insert(&mut self, fragment: &Fragment, bytes: &[u8]) {
        let (start, end) = (fragment.offset, fragment.offset + bytes.len());
        if fragment.offset == 0 && self.first.is_none() {
            self.first = Some((fragment.protocol, fragment.walk));
        }
        if fragment.is_last {
            let len = fragment.offset + fragment.wire_len;
            // Two ends contradict each other: the first one wins.
            self.is_damaged |= self.len.is_some_and(|before| before != len);
            self.len.get_or_insert(len);
        }
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        // Copy into the holes only.
        let mut at = start;
        for &(run_start, run_end) in &self.runs {
            if run_end <= at || run_start >= end {
                continue;
            }
            copy(&mut self.bytes, bytes, start, at, run_start.min(end));
            let (from, to) = (run_start.max(at), run_end.min(end));
            let same = self.bytes.get(from..to) == bytes.get(from - start..to - start);
            self.is_damaged |= !same;
            at = at.max(run_end);
        }
        copy(&mut self.bytes, bytes, start, at, end);
        self.add_run(start, end);
    }

    fn add_run(&mut self, mut start: usize, mut end: usize) {
        if start == end {
            return;
        }
        self.runs.retain(|&(run_start, run_end)| {
            let touches = run_start <= end && start <= run_end;
            if touches {
                (start, end) = (start.min(run_start), end.max(run_end));
            }
            !touches
        });
        let at = self.runs.partition_point(|&(run_start, _)| run_start < start);
        self.runs.insert(at, (start, end));
    }

    fn is_whole(&self) -> bool {
        let (Some(len), Some(&(0, end))) = (self.len, self.runs.first()) else { return false };
        end >= len && self.first.is_some()
    }
}

/// Copies the part `[from, to)` of a datagram out of a piece that starts at `start`.
fn copy(into: &mut [u8], piece: &[u8], start: usize, from: usize, to: usize) {
    if from >= to {
        return;
    }
    let (target, source) = (into.get_mut(from..to), piece.get(from - start..to - start));
    if let (Some(target), Some(source)) = (target, source) {
        target.copy_from_slice(source);
    }
}
