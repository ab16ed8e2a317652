//! Reads the records of a ring in order and gives their room back, a stretch at a time. The
//! producers look at the consumer's position for every record that they make: each time it is
//! written, the cache line with it has to come to them again. So it is written once a [`STRETCH`],
//! and when there is nothing more to read, instead of once a record.
//!
//! It knows the ring's rules (Documentation/bpf/ringbuf.rst, kernel/bpf/ringbuf.c) and neither where
//! its memory comes from nor what the records hold.

use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

/// A ring's memory. Positions count bytes since the ring was made, and the ring is a power of two
/// long.
pub(super) trait Memory {
    /// The length of the ring.
    fn n_bytes(&self) -> usize;
    /// Up to where the reader has given the room back.
    fn consumed(&self) -> &AtomicUsize;
    /// Up to where room was given out.
    fn produced(&self) -> &AtomicUsize;
    /// The first word of the record at `at` of the ring.
    fn header(&self, at: usize) -> &AtomicU32;
    /// Bytes from `at` on, past the end of the ring from its start again.
    fn bytes(&self, at: usize, n_bytes: usize) -> &[u8];
}

pub(super) struct Consumer<M> {
    memory: M,
    /// Where the next record begins.
    at: usize,
    /// Up to where the room was given back.
    given_back: usize,
    /// The producers' position as it was last looked at.
    end: usize,
}

impl<M: Memory> Consumer<M> {
    pub(super) fn new(memory: M) -> Self {
        let at = memory.consumed().load(Ordering::Acquire);
        Self { memory, at, given_back: at, end: at }
    }

    /// Hands out records until there is none that is finished, `max` of them at most. Says how many.
    ///
    /// When it returns, the producers know of everything that was read, and the reader may sleep.
    pub(super) fn drain(&mut self, max: usize, mut sink: impl FnMut(&[u8])) -> usize {
        let mut n_records = 0;
        while n_records < max && self.has_more() {
            // The kernel's commit is an xchg of this word, behind the bytes.
            let offset = self.at & (self.memory.n_bytes() - 1);
            let header = self.memory.header(offset).load(Ordering::Acquire);
            if header & BUSY != 0 {
                break;
            }
            let n_bytes = (header & LENGTH) as usize;
            if header & DISCARD == 0 {
                sink(self.memory.bytes(offset + HEADER, n_bytes));
                n_records += 1;
            }
            self.at = self.at.wrapping_add((HEADER + n_bytes).next_multiple_of(8));
            if self.at.wrapping_sub(self.given_back) >= STRETCH {
                self.give_back();
            }
        }
        self.give_back();
        n_records
    }

    /// Looks at the producers' position, another line that moves between CPUs, only when everything
    /// up to the last look has been read.
    fn has_more(&mut self) -> bool {
        if self.at == self.end {
            self.end = self.memory.produced().load(Ordering::Acquire);
        }
        self.at != self.end
    }

    fn give_back(&mut self) {
        if self.given_back != self.at {
            // The kernel writes to the room once it sees this: the reads come before.
            self.memory.consumed().store(self.at, Ordering::Release);
            self.given_back = self.at;
        }
    }
}

/// What stands in front of each record: a word with its length and state, and one that is the
/// kernel's (BPF_RINGBUF_HDR_SZ).
const HEADER: usize = 8;
/// Not finished yet (BPF_RINGBUF_BUSY_BIT).
const BUSY: u32 = 1 << 31;
/// Given up by its producer (BPF_RINGBUF_DISCARD_BIT).
const DISCARD: u32 = 1 << 30;
const LENGTH: u32 = DISCARD - 1;
/// A small part of any ring that is not tiny, and a hundred records and more.
const STRETCH: usize = 64 << 10;

#[cfg(test)]
mod tests;
