//! Reads the records of a ring in order and gives their room back, a stretch at a time. The
//! producers look at the consumer's position for every record that they make: each time it is
//! written, the cache line with it has to come to them again. So it is written once a stretch,
//! and when there is nothing more to read, instead of once a record.
//!
//! It knows the ring's rules (`observer_common::ring`) and neither where its memory comes from nor
//! what the records hold.

use std::sync::atomic::{AtomicU64, Ordering};

use observer_common::ring::{Extent, PREFIX_LEN, STRIDE, place, seal};

/// A ring's memory, its blocks one behind the other.
pub(super) trait Memory {
    /// The length of the ring, a power of two.
    fn size(&self) -> u64;
    /// Up to where the reader has given the room back.
    fn consumed(&self) -> &AtomicU64;
    /// The word at `at`, a multiple of 8.
    fn word(&self, at: usize) -> &AtomicU64;
    /// Lends the bytes from `at` on.
    fn lend(&self, at: usize, n_bytes: usize, to: impl FnOnce(&[u8]));
}

pub(super) struct Consumer<M> {
    memory: M,
    key: u64,
    /// Where the next record begins.
    position: u64,
    /// Up to where the room was given back.
    given_back: u64,
    /// How much is read before room is given back.
    stretch: u64,
}

impl<M: Memory> Consumer<M> {
    pub(super) fn new(memory: M, key: u64) -> Self {
        let position = memory.consumed().load(Ordering::Acquire);
        let stretch = (memory.size() / STRETCHES_MIN).min(STRETCH_MAX);
        Self { memory, key, position, given_back: position, stretch }
    }

    pub(super) fn memory(&self) -> &M {
        &self.memory
    }

    /// Hands out records until there is none that is whole, `max` of them at most. Says how many.
    ///
    /// When it returns, the producers know of everything that was read, and the reader may sleep.
    pub(super) fn drain(&mut self, max: usize, mut sink: impl FnMut(&[u8])) -> usize {
        let mut n_records = 0;
        while n_records < max
            && let Some(at) = self.next()
        {
            let extent = Extent(self.memory.word(at + 8).load(Ordering::Relaxed));
            if !extent.is_given_up() {
                self.memory.lend(at + PREFIX_LEN, extent.n_bytes() as usize, &mut sink);
                n_records += 1;
            }
            self.position = self.position.wrapping_add(extent.room());
            if self.position.wrapping_sub(self.given_back) >= self.stretch {
                self.give_back();
            }
        }
        self.give_back();
        n_records
    }

    /// A look at the ring for somebody who does not read it.
    pub(super) fn look(&self) -> Look<M>
    where
        M: Clone,
    {
        Look { memory: self.memory.clone(), key: self.key }
    }

    /// Whether a record waits.
    pub(super) fn has_more(&self) -> bool {
        self.next().is_some()
    }

    /// Where the next record is, if it is whole: then its seal is there, and the bytes are, which
    /// were written before it.
    fn next(&self) -> Option<usize> {
        find(&self.memory, self.key, self.position)
    }

    fn give_back(&mut self) {
        if self.given_back != self.position {
            // The programs write to the room once they see this: the reads come before.
            self.memory.consumed().store(self.position, Ordering::Release);
            self.given_back = self.position;
        }
    }
}

/// Looks whether somebody else has something to read.
pub(super) struct Look<M> {
    memory: M,
    key: u64,
}

impl<M: Memory> Look<M> {
    pub(super) fn memory(&self) -> &M {
        &self.memory
    }

    /// Whether a record waits behind what was given back: right while nobody reads.
    pub(super) fn has_more(&self) -> bool {
        let position = self.memory.consumed().load(Ordering::Acquire);
        find(&self.memory, self.key, position).is_some()
    }
}

/// Where the record at `position` is, if it is whole.
fn find(memory: &impl Memory, key: u64, position: u64) -> Option<usize> {
    let (block, offset) = place(position, memory.size());
    let at = block as usize * STRIDE as usize + offset as usize;
    (memory.word(at).load(Ordering::Acquire) == seal(position, key)).then_some(at)
}

/// A hundred records and more,
const STRETCH_MAX: u64 = 64 << 10;
/// and a small part of any ring: while the rest is read, what is given back fills again.
const STRETCHES_MIN: u64 = 8;

#[cfg(test)]
mod tests;
