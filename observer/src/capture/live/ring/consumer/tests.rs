//! A ring that the test itself fills, by the rules that the programs keep.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use observer_common::ring::{BLOCK, Extent, n_blocks, reserve};

use super::*;

const KEY: u64 = 0x1234_5678_9abc_def0;
/// Two blocks.
const TWO: u64 = 2 * BLOCK as u64;
/// What a record without bytes takes.
const LINE: u64 = 64;

struct Fake {
    size: u64,
    produced: AtomicU64,
    consumed: AtomicU64,
    words: Vec<AtomicU64>,
}

impl Memory for Arc<Fake> {
    fn size(&self) -> u64 {
        self.size
    }

    fn consumed(&self) -> &AtomicU64 {
        &self.consumed
    }

    fn word(&self, at: usize) -> &AtomicU64 {
        &self.words[at / 8]
    }

    fn lend(&self, at: usize, n_bytes: usize, to: impl FnOnce(&[u8])) {
        let words = &self.words[at / 8..(at + n_bytes).div_ceil(8)];
        let bytes: Vec<u8> =
            words.iter().flat_map(|word| word.load(Ordering::Relaxed).to_ne_bytes()).collect();
        to(&bytes[..n_bytes]);
    }
}

/// A ring in which everything before `start` has been read, and its reader.
fn ring(size: u64, start: u64) -> (Arc<Fake>, Consumer<Arc<Fake>>) {
    let n_words = n_blocks(size) as usize * STRIDE as usize / 8;
    let fake = Arc::new(Fake {
        size,
        produced: AtomicU64::new(start),
        consumed: AtomicU64::new(start),
        words: (0..n_words).map(|_| AtomicU64::new(0)).collect(),
    });
    (Arc::clone(&fake), Consumer::new(fake, KEY))
}

impl Fake {
    /// Room for `n_bytes`: its position. `None` when the ring is full.
    fn take(&self, n_bytes: u32) -> Option<u64> {
        let swap = |old, new| {
            let order = Ordering::SeqCst;
            self.produced.compare_exchange(old, new, order, order).unwrap_or_else(|now| now)
        };
        let consumed = self.consumed.load(Ordering::Acquire);
        reserve(0, Extent(n_bytes.into()).room(), consumed, self.size, swap)
    }

    /// Writes all but the seal of a record of `n_bytes` bytes `filling`.
    fn fill(&self, position: u64, filling: u8, n_bytes: u32, state: u64) {
        let at = self.at(position);
        self.words[at + 1].store(u64::from(n_bytes) | state, Ordering::Relaxed);
        let filling = u64::from_ne_bytes([filling; 8]);
        for i in 0..n_bytes.div_ceil(8) as usize {
            self.words[at + 2 + i].store(filling, Ordering::Relaxed);
        }
    }

    fn seal(&self, position: u64) {
        self.words[self.at(position)].store(seal(position, KEY), Ordering::Release);
    }

    fn at(&self, position: u64) -> usize {
        let (block, offset) = place(position, self.size);
        (block as usize * STRIDE as usize + offset as usize) / 8
    }

    /// A whole record.
    #[track_caller]
    fn put(&self, filling: u8, n_bytes: u32) {
        let position = self.take(n_bytes).expect("room");
        self.fill(position, filling, n_bytes, 0);
        self.seal(position);
    }

    fn given_back(&self) -> u64 {
        self.consumed.load(Ordering::Relaxed)
    }
}

impl Consumer<Arc<Fake>> {
    /// The filling and length of each record.
    #[track_caller]
    fn read(&mut self, max: usize) -> Vec<(u8, usize)> {
        let mut records = Vec::new();
        let n = self.drain(max, |bytes| {
            assert!(bytes.iter().all(|byte| *byte == bytes[0]), "{} bytes", bytes.len());
            records.push((bytes[0], bytes.len()));
        });
        assert_eq!(n, records.len());
        records
    }
}

#[test]
fn records_come_in_order_and_their_room_goes_back() {
    let (ring, mut reader) = ring(4096, 0);
    assert_eq!(reader.read(9), []);
    ring.put(1, 5);
    ring.put(2, 104);
    assert!(reader.has_more());
    assert_eq!(reader.read(9), [(1, 5), (2, 104)]);
    assert_eq!(ring.given_back(), 64 + 128);
    assert!(!reader.has_more());
    ring.put(3, 48);
    assert_eq!(reader.read(9), [(3, 48)]);
    assert_eq!(ring.given_back(), 64 + 128 + 64);
}

#[test]
fn what_is_not_sealed_holds_up_what_comes_behind_it() {
    let (ring, mut reader) = ring(4096, 0);
    ring.put(1, 8);
    let late = ring.take(8).unwrap();
    ring.put(3, 8);
    assert_eq!(reader.read(9), [(1, 8)]);
    assert_eq!(ring.given_back(), LINE);
    ring.fill(late, 2, 8, 0);
    assert_eq!(reader.read(9), []);
    ring.seal(late);
    assert_eq!(reader.read(9), [(2, 8), (3, 8)]);
}

#[test]
fn what_was_given_up_is_passed_over_and_goes_back_too() {
    let (ring, mut reader) = ring(4096, 0);
    for _ in 0..2 {
        let position = ring.take(200).unwrap();
        ring.fill(position, 1, 200, Extent::GIVEN_UP);
        ring.seal(position);
        assert_eq!(reader.read(9), []);
    }
    assert_eq!(ring.given_back(), 2 * 256);
    ring.put(3, 8);
    assert_eq!(reader.read(9), [(3, 8)]);
}

#[test]
fn no_more_than_asked_for() {
    let (ring, mut reader) = ring(4096, 0);
    for i in 1..=3 {
        ring.put(i, 8);
    }
    assert_eq!(reader.read(2), [(1, 8), (2, 8)]);
    assert_eq!(reader.read(2), [(3, 8)]);
}

#[test]
fn a_record_runs_on_into_the_slack_and_the_next_begins_in_the_next_block() {
    let largest = 65536 + 112;
    for start in [BLOCK.into(), TWO, 5 * TWO] {
        let (ring, mut reader) = ring(TWO, start - LINE);
        ring.put(7, largest);
        ring.put(8, 20);
        let (block, offset) = place(ring.produced.load(Ordering::Relaxed), TWO);
        assert_eq!((u64::from(block), offset), (start / u64::from(BLOCK) % 2, 65536 + 128));
        assert_eq!(reader.read(9), [(7, largest as usize), (8, 20)]);
    }
}

#[test]
fn a_full_ring_takes_nothing_until_room_is_given_back() {
    let (ring, mut reader) = ring(4096, 3 * 4096 + LINE);
    for i in 0..4096 / LINE {
        ring.put(i as u8, 48);
    }
    assert_eq!(ring.take(0), None);
    assert_eq!(reader.read(1), [(0, 48)]);
    assert_eq!(ring.take(49), None);
    ring.put(99, 48);
    assert_eq!(ring.take(0), None);
    let rest = reader.read(usize::MAX);
    assert_eq!((rest.len(), rest.last()), (4096 / LINE as usize, Some(&(99, 48))));
    // What is larger than the ring never fits.
    assert_eq!(ring.take(4096), None);
}

/// Each place that a record may begin in holds the seal of the lap before, and what a peer sends
/// that knows how seals are made but not the key.
#[test]
fn what_an_earlier_lap_left_is_no_record() {
    let (ring, mut reader) = ring(4096, 0);
    for lap in 0..3 {
        for _ in 0..4096 / LINE {
            ring.put(1, 48);
        }
        assert_eq!(reader.read(usize::MAX).len(), 4096 / LINE as usize, "lap {lap}");
        assert!(!reader.has_more(), "lap {lap}");
    }
    for position in (0..4096).step_by(8) {
        ring.words[position as usize / 8].store(3 * 4096 + position, Ordering::Relaxed);
    }
    assert_eq!(reader.read(9), []);
}

#[test]
fn positions_wrap_around() {
    let (ring, mut reader) = ring(4096, 0u64.wrapping_sub(2 * LINE));
    // The guess of a program is one that was true once.
    let swap = |old, new| {
        let order = Ordering::SeqCst;
        ring.produced.compare_exchange(old, new, order, order).unwrap_or_else(|now| now)
    };
    for filling in 1..=4 {
        let (guess, consumed) = (ring.produced.load(Ordering::Relaxed), ring.given_back());
        let position = reserve(guess, LINE, consumed, 4096, swap).unwrap();
        ring.fill(position, filling, 8, 0);
        ring.seal(position);
    }
    assert_eq!(reader.read(9), [(1, 8), (2, 8), (3, 8), (4, 8)]);
    assert_eq!(ring.given_back(), 2 * LINE);
}

#[test]
fn room_goes_back_on_the_way_and_not_for_each_record() {
    for (size, stretch) in [(1 << 20, 64 << 10), (16 << 10, 2 << 10)] {
        let (ring, mut reader) = ring(size, 0);
        let n = size as usize / 128;
        for _ in 0..n {
            ring.put(9, 104);
        }
        let mut values = Vec::new();
        reader.drain(n, |_| values.push(ring.given_back()));
        values.dedup();
        assert_eq!(values, (0..size / stretch).map(|i| i * stretch).collect::<Vec<_>>());
        assert_eq!(ring.given_back(), size);
    }
}

/// Three producers that never wait and a ring that holds some dozen records: none comes torn, twice,
/// or out of the order of its producer, and what did not come was refused.
#[test]
fn producers_on_several_threads_neither_tear_nor_lose() {
    const EACH: u32 = 20_000;
    let (ring, mut reader) = ring(4096, 0);
    let is_over = AtomicBool::new(false);
    let produce = |producer: u8| {
        let mut n_refused = 0;
        for i in 0..EACH {
            let n_bytes = 8 + (i * 37 + u32::from(producer)) % 300;
            match ring.take(n_bytes) {
                Some(position) => {
                    ring.fill(position, producer, n_bytes, 0);
                    // Which of them it is; the filling says whose.
                    let word = u64::from(i) << 8 | u64::from(producer);
                    ring.words[ring.at(position) + 2].store(word, Ordering::Relaxed);
                    ring.seal(position);
                }
                None => n_refused += 1,
            }
            if i % 16 == 0 {
                std::thread::yield_now();
            }
        }
        n_refused
    };
    let mut seen = [(0u32, 0u32); 3];
    let mut look = |bytes: &[u8]| {
        let word = u64::from_ne_bytes(bytes[..8].try_into().unwrap());
        let (producer, i) = (word as u8, (word >> 8) as u32);
        let (n_seen, next) = &mut seen[usize::from(producer)];
        assert!(i >= *next, "{i} of {producer} behind {next}");
        assert_eq!(bytes.len() as u32, 8 + (i * 37 + u32::from(producer)) % 300);
        assert!(bytes[8..].iter().all(|byte| *byte == producer));
        (*n_seen, *next) = (*n_seen + 1, i + 1);
    };
    let refused = std::thread::scope(|scope| {
        let reading = scope.spawn(|| {
            while !is_over.load(Ordering::Acquire) {
                if reader.drain(64, &mut look) == 0 {
                    std::thread::yield_now();
                }
            }
            reader.drain(usize::MAX, &mut look);
        });
        let producers = [0, 1, 2].map(|producer| scope.spawn(move || produce(producer)));
        let refused = producers.map(|thread| thread.join().unwrap());
        is_over.store(true, Ordering::Release);
        reading.join().unwrap();
        refused
    });
    for ((n_seen, _), n_refused) in seen.into_iter().zip(refused) {
        assert_eq!(n_seen + n_refused, EACH);
        assert!(n_seen > 0);
    }
}
