//! A ring of 128 KiB that the test itself fills.

use std::sync::Arc;

use super::*;

const RING: usize = 128 << 10;

struct Fake {
    consumed: Arc<AtomicUsize>,
    produced: AtomicUsize,
    /// The data twice; headers apart, because they are atomic.
    bytes: Vec<u8>,
    headers: Vec<AtomicU32>,
}

impl Memory for Fake {
    fn n_bytes(&self) -> usize {
        RING
    }

    fn consumed(&self) -> &AtomicUsize {
        &self.consumed
    }

    fn produced(&self) -> &AtomicUsize {
        &self.produced
    }

    fn header(&self, at: usize) -> &AtomicU32 {
        &self.headers[at / 8]
    }

    fn bytes(&self, at: usize, n_bytes: usize) -> &[u8] {
        &self.bytes[at..at + n_bytes]
    }
}

/// A consumer of a ring in which everything before `start` has been read.
fn consumer(start: usize) -> Consumer<Fake> {
    Consumer::new(Fake {
        consumed: Arc::new(AtomicUsize::new(start)),
        produced: AtomicUsize::new(start),
        bytes: vec![0; 2 * RING],
        headers: (0..RING / 8).map(|_| AtomicU32::new(0)).collect(),
    })
}

impl Consumer<Fake> {
    /// A record of `n_bytes` bytes `filling`, as a producer makes it; where it begins.
    fn put(&mut self, filling: u8, n_bytes: usize, state: u32) -> usize {
        let from = self.memory.produced.load(Ordering::Relaxed);
        for i in 0..n_bytes {
            let at = (from + HEADER + i) % RING;
            self.memory.bytes[at] = filling;
            self.memory.bytes[at + RING] = filling;
        }
        let to = from + (HEADER + n_bytes).next_multiple_of(8);
        assert!(to - self.given_back() <= RING, "the ring is full");
        self.memory.header(from % RING).store(n_bytes as u32 | state, Ordering::Relaxed);
        self.memory.produced.store(to, Ordering::Relaxed);
        from
    }

    fn finish(&mut self, from: usize) {
        self.memory.header(from % RING).fetch_and(!BUSY, Ordering::Relaxed);
    }

    fn given_back(&self) -> usize {
        self.memory.consumed.load(Ordering::Relaxed)
    }

    /// The filling and length of each record.
    fn read(&mut self, max: usize) -> Vec<(u8, usize)> {
        let mut records = Vec::new();
        let n = self.drain(max, |bytes| {
            assert!(bytes.iter().all(|byte| *byte == bytes[0]));
            records.push((bytes[0], bytes.len()));
        });
        assert_eq!(n, records.len());
        records
    }
}

#[test]
fn records_come_in_order_and_their_room_goes_back() {
    let mut ring = consumer(0);
    assert_eq!(ring.read(9), []);
    ring.put(1, 5, 0);
    ring.put(2, 104, 0);
    assert_eq!(ring.read(9), [(1, 5), (2, 104)]);
    assert_eq!(ring.given_back(), 16 + 112);
    ring.put(3, 16, 0);
    assert_eq!(ring.read(9), [(3, 16)]);
    assert_eq!(ring.given_back(), 16 + 112 + 24);
}

#[test]
fn what_is_not_finished_holds_up_what_comes_behind_it() {
    let mut ring = consumer(0);
    ring.put(1, 8, 0);
    let busy = ring.put(2, 8, BUSY);
    ring.put(3, 8, 0);
    assert_eq!(ring.read(9), [(1, 8)]);
    assert_eq!(ring.given_back(), 16);
    ring.finish(busy);
    assert_eq!(ring.read(9), [(2, 8), (3, 8)]);
}

#[test]
fn what_was_given_up_is_passed_over_and_goes_back_too() {
    let mut ring = consumer(0);
    ring.put(1, 8, DISCARD);
    assert_eq!(ring.read(9), []);
    assert_eq!(ring.given_back(), 16);
    ring.put(2, 8, DISCARD);
    ring.put(3, 8, 0);
    assert_eq!(ring.read(9), [(3, 8)]);
}

#[test]
fn no_more_than_asked_for() {
    let mut ring = consumer(0);
    for i in 1..=3 {
        ring.put(i, 8, 0);
    }
    assert_eq!(ring.read(2), [(1, 8), (2, 8)]);
    assert_eq!(ring.read(2), [(3, 8)]);
}

#[test]
fn a_record_across_the_edge_is_whole() {
    let mut ring = consumer(RING - 16);
    ring.put(7, 100, 0);
    ring.put(8, 20, 0);
    assert_eq!(ring.read(9), [(7, 100), (8, 20)]);
    assert_eq!(ring.given_back(), RING - 16 + 112 + 32);
}

/// As the positions of a ring on a machine of 32 bits do one day.
#[test]
fn positions_wrap_around() {
    let mut ring = consumer(usize::MAX - 15);
    let header = ring.memory.header((usize::MAX - 15) % RING);
    header.store(24, Ordering::Relaxed);
    ring.memory.produced.store(16, Ordering::Relaxed);
    assert_eq!(ring.read(9), [(0, 24)]);
    assert_eq!(ring.given_back(), 16);
}

#[test]
fn room_goes_back_on_the_way_and_not_for_each_record() {
    let mut ring = consumer(0);
    let n = RING / 112;
    for _ in 0..n {
        ring.put(9, 104, 0);
    }
    let consumed = Arc::clone(&ring.memory.consumed);
    let mut values = Vec::new();
    ring.drain(n, |_| values.push(consumed.load(Ordering::Relaxed)));
    values.dedup();
    assert_eq!(values.len(), 2, "{values:?}");
    assert!(values[1] >= STRETCH && values[1] < STRETCH + 112);
    assert_eq!(ring.given_back(), n * 112);
}
