//! The queue's account, whatever is pushed, taken and lost.

use super::*;

fn piece(n_events: u64, n_bytes: usize) -> Arc<Lines> {
    Arc::new(Lines::of(vec![b'\n'; n_bytes], n_events))
}

#[track_caller]
fn check(queue: &Queue, [offered, events, lost, waiting]: [u64; 4]) {
    let stats = queue.stats("x");
    assert_eq!(
        [stats.offered, stats.events, stats.lost, stats.waiting],
        [offered, events, lost, waiting]
    );
    assert!(stats.balances(), "{stats:?}");
}

fn take(queue: &Queue) -> Option<u64> {
    match queue.next(Duration::ZERO) {
        Next::Lines(lines) => Some(lines.n_events()),
        Next::Nothing | Next::End => None,
    }
}

#[test]
fn what_is_pushed_comes_out_in_order_and_is_accounted_for() {
    let queue = Queue::new(100, Overflow::DropNewest);
    assert!(!queue.push(&piece(2, 10)) && !queue.push(&piece(3, 10)));
    check(&queue, [5, 0, 0, 5]);
    assert_eq!(take(&queue), Some(2));
    check(&queue, [5, 0, 0, 5]);
    queue.written(1, 5);
    queue.lost(Loss::TooLarge, 1);
    check(&queue, [5, 1, 1, 3]);
    assert_eq!((take(&queue), take(&queue)), (Some(3), None));
    assert_eq!(queue.stats("x").lost_by, [("too_large", 1)].into());
}

#[test]
fn the_newest_or_the_oldest_go_and_that_is_said_once() {
    let newest = Queue::new(25, Overflow::DropNewest);
    let pushed: Vec<_> = (1..=4).map(|n| newest.push(&piece(n, 10))).collect();
    assert_eq!(pushed, [false, false, true, false]);
    check(&newest, [10, 0, 7, 3]);
    assert_eq!((take(&newest), take(&newest), take(&newest)), (Some(1), Some(2), None));
    let pushed: Vec<_> = (0..3).map(|_| newest.push(&piece(1, 10))).collect();
    assert_eq!(pushed, [false, false, true]);
    check(&newest, [13, 0, 8, 5]);

    let oldest = Queue::new(25, Overflow::DropOldest);
    let pushed: Vec<_> = (1..=4).map(|n| oldest.push(&piece(n, 10))).collect();
    assert_eq!(pushed, [false, false, true, false]);
    check(&oldest, [10, 0, 3, 7]);
    assert_eq!((take(&oldest), take(&oldest)), (Some(3), Some(4)));
}

#[test]
fn a_piece_larger_than_the_queue_is_taken_when_nothing_else_waits() {
    for overflow in [Overflow::DropNewest, Overflow::DropOldest] {
        let queue = Queue::new(5, overflow);
        assert!(!queue.push(&piece(1, 10)));
        assert!(queue.push(&piece(1, 10)));
        check(&queue, [2, 0, 1, 1]);
    }
}

#[test]
fn what_is_left_at_the_end_is_lost_and_so_is_what_comes_later() {
    let queue = Queue::new(100, Overflow::DropNewest);
    queue.push(&piece(2, 10));
    queue.push(&piece(3, 10));
    assert_eq!(take(&queue), Some(2));
    queue.end();
    queue.wait_ended(Duration::ZERO);
    check(&queue, [5, 0, 5, 0]);
    queue.push(&piece(1, 1));
    assert_eq!(queue.stats("x").lost_by, [("at_end", 5), ("closed", 1)].into());
}

#[test]
fn the_spool_is_a_place_to_wait_in() {
    let queue = Queue::new(100, Overflow::DropNewest);
    queue.recovered(4);
    queue.push(&piece(2, 10));
    assert!(queue.take_for_spool(false).is_empty());
    assert_eq!(queue.take_for_spool(true).len(), 1);
    queue.spooled(2);
    assert_eq!((queue.stats("x").waiting, queue.stats("x").spooled), (6, 6));
    queue.unspooled(6);
    queue.written(6, 10);
    check(&queue, [2, 6, 0, 0]);
}
