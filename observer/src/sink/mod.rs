//! Where events go. A sink gets whole lines, in batches, and every sink gets the same bytes.
//!
//! Each sink has a thread of its own and a bounded [`queue`] before it, so that one that is slow,
//! full or dead delays neither the capture nor another sink. Where there is little to write, a regular
//! file that takes what it is given at once is written to by the workers themselves ([`outlet`]).
//! Each sink counts what it could not deliver: `offered + recovered = events + lost + waiting` holds
//! at any moment. It knows neither where the events came from nor the command line.

mod clock;
pub mod control;
#[cfg(test)]
mod fake;
mod hand;
pub mod metrics;
mod outlet;
mod queue;
mod runner;
mod set;
mod spool;
mod stall;
mod target;

pub use self::outlet::{MostAtOnce, Outlets};
pub use self::set::{News, OpenError, Sinks};

use std::collections::VecDeque;
use std::sync::Arc;

use crate::event::governor::GovernorStep;
use crate::event::stats::Snapshot;
use crate::event::{Event, Room, Writer, stamp};
use crate::segment::Timestamp;

/// Whole lines, made once and shared by every sink.
#[derive(Debug, Default)]
pub struct Lines {
    room: Room,
    n_events: u64,
}

impl Lines {
    /// Whole lines that were made elsewhere.
    fn of(bytes: Vec<u8>, n_events: u64) -> Self {
        Self { room: bytes.into(), n_events }
    }

    pub fn bytes(&self) -> &[u8] {
        self.room.written()
    }

    pub fn n_events(&self) -> u64 {
        self.n_events
    }
}

/// Events on their way to the sinks, as NDJSON in pieces of about [`PIECE`] bytes.
#[derive(Debug, Default)]
pub struct Batch {
    open: Lines,
    full: Vec<Arc<Lines>>,
    n_full_bytes: usize,
    /// Pieces that sinks may still hold; when they do no more, their memory is used again.
    lent: VecDeque<Arc<Lines>>,
    n_made: u64,
    clock_shift_ns: i64,
    writer: Writer,
}

impl Batch {
    /// True when that has filled a piece.
    pub fn push(&mut self, event: &Event) -> bool {
        self.begin();
        let start = self.open.room.len();
        self.writer.write(event, &mut self.open.room);
        if self.clock_shift_ns != 0 {
            stamp::shift(self.open.room.since(start), self.clock_shift_ns);
        }
        let n_full = self.full.len();
        self.end_line();
        self.full.len() > n_full
    }

    /// From here on events are told by a clock that was set by so much; see [`stamp`].
    pub fn set_clock_shift(&mut self, nanoseconds: i64) {
        self.clock_shift_ns = nanoseconds;
    }

    /// Lines made since the start.
    pub fn n_made(&self) -> u64 {
        self.n_made
    }

    pub fn push_stats(&mut self, stats: &Snapshot, now: Timestamp) {
        let mut line = Vec::new();
        stats.write_json(now, &mut line);
        self.push_line(line);
    }

    pub fn push_governor(&mut self, step: &GovernorStep, now: Timestamp) {
        let mut line = Vec::new();
        step.write_json(now, &mut line);
        self.push_line(line);
    }

    pub fn n_bytes(&self) -> usize {
        self.n_full_bytes + self.open.room.len()
    }

    pub fn is_empty(&self) -> bool {
        self.full.is_empty() && self.open.room.is_empty()
    }

    /// Hands out the pieces that will not change any more, in order.
    pub fn pass_on(&mut self, mut handle: impl FnMut(&Arc<Lines>)) {
        for lines in self.full.drain(..) {
            handle(&lines);
            self.lent.push_back(lines);
        }
        self.n_full_bytes = 0;
        let n_over = self.lent.len().saturating_sub(MAX_LENT);
        self.lent.drain(..n_over);
    }

    /// Hands out everything, in order, and is empty afterwards.
    pub fn pass_on_all(&mut self, handle: impl FnMut(&Arc<Lines>)) {
        self.fill_up();
        self.pass_on(handle);
    }

    fn push_line(&mut self, mut line: Vec<u8>) {
        line.push(b'\n');
        self.begin();
        self.open.room.push(&line);
        self.end_line();
    }

    /// A line was written, its end included.
    fn end_line(&mut self) {
        self.open.n_events += 1;
        self.n_made += 1;
        if self.open.room.len() >= PIECE {
            self.fill_up();
        }
    }

    fn fill_up(&mut self) {
        if self.open.room.is_empty() {
            return;
        }
        self.n_full_bytes += self.open.room.len();
        self.full.push(Arc::new(std::mem::take(&mut self.open)));
    }

    /// An empty piece that begins now is in memory that the sinks have given back, if there is any:
    /// in what was used last, because it is still in this CPU's caches.
    fn begin(&mut self) {
        if self.open.room.size() > 0 {
            return;
        }
        let free = self.lent.iter().rposition(|lines| Arc::strong_count(lines) == 1);
        let lines = free.and_then(|at| self.lent.remove(at)).and_then(Arc::into_inner);
        self.open.room = match lines {
            Some(Lines { mut room, .. }) if room.size() <= MAX_KEPT => {
                room.clear();
                room
            }
            _ => Room::of(PIECE + PIECE / 4),
        };
    }
}

/// Bytes of a piece: enough that handing it on costs nothing beside making it, few enough that they
/// are still in the second-level cache when they are written. A file takes a byte for less the longer
/// the writes are, because the kernel files the pages of one in larger folios (since Linux 6.16 on
/// ext4, mm/filemap.c `__filemap_get_folio`); beyond this size it was no cheaper in a daemon.
const PIECE: usize = 128 * 1024;
/// Pieces whose memory is waited for.
const MAX_LENT: usize = 8;
/// Memory of a piece that is worth keeping; one very long line must not hold more for ever.
const MAX_KEPT: usize = 4 * PIECE;

#[cfg(test)]
mod tests {
    use super::*;

    fn push(batch: &mut Batch, line: &[u8]) {
        batch.push_line(line.to_vec());
    }

    fn take(batch: &mut Batch) -> Vec<Arc<Lines>> {
        let mut taken = Vec::new();
        batch.pass_on_all(|lines| taken.push(Arc::clone(lines)));
        taken
    }

    #[test]
    fn lines_come_out_whole_in_order_and_in_pieces() {
        let mut batch = Batch::default();
        let line = |i: usize| vec![b'a' + (i % 26) as u8; 1000 + i];
        (0..500).for_each(|i| push(&mut batch, &line(i)));
        let n_bytes = batch.n_bytes();
        let pieces = take(&mut batch);
        assert!(batch.is_empty() && batch.n_bytes() == 0);
        assert!(pieces.len() > 3);
        assert_eq!(pieces.iter().map(|piece| piece.n_events()).sum::<u64>(), 500);
        let all: Vec<u8> = pieces.iter().flat_map(|piece| piece.bytes().to_vec()).collect();
        assert_eq!(all.len(), n_bytes);
        for (i, got) in all.split_inclusive(|byte| *byte == b'\n').enumerate() {
            assert_eq!(got, [line(i).as_slice(), b"\n"].concat());
        }
        assert!(pieces.iter().all(|piece| piece.bytes().ends_with(b"\n")));
    }

    #[test]
    fn memory_comes_back_when_no_sink_holds_it() {
        let mut batch = Batch::default();
        push(&mut batch, b"one");
        let held = take(&mut batch);
        let address = held[0].bytes().as_ptr();
        push(&mut batch, b"two");
        let also_held = take(&mut batch);
        assert_ne!(also_held[0].bytes().as_ptr(), address, "still held");
        drop(held);
        push(&mut batch, b"three");
        assert_eq!(batch.open.room.written().as_ptr(), address);
        // What was given back at once is used again at once.
        for _ in 0..3 {
            assert_eq!(take(&mut batch)[0].bytes().as_ptr(), address);
            push(&mut batch, b"five");
        }
    }
}
