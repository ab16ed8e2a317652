use super::*;
use crate::config::words;

fn end(last: u8, port: u16) -> ([u64; 2], u16) {
    (words([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, last]), port)
}

#[test]
fn both_halves_have_one_ring() {
    for port in 1000..2000 {
        let (to_server, _) = FlowKey::new(end(1, port), end(2, 80), 0);
        let (to_client, _) = FlowKey::new(end(2, 80), end(1, port), 0);
        assert_eq!(to_server.ring(8), to_client.ring(8));
    }
}

/// Flows that differ in one port, as a load generator's do, and in one address.
#[test]
fn flows_spread_evenly() {
    for n_rings in [2, 3, 4, 16, RINGS_MAX] {
        let by_port = (0..6400).map(|i| FlowKey::new(end(1, 32768 + i), end(1, 80), 0));
        let by_even_port = (0..6400).map(|i| FlowKey::new(end(1, 32768 + 2 * i), end(1, 80), 0));
        let by_host = (0..6400).map(|i| FlowKey::new(end(i as u8, i / 256), end(200, 80), 0));
        let loads: [&mut dyn Iterator<Item = _>; 3] =
            [&mut { by_port }, &mut { by_even_port }, &mut { by_host }];
        for flows in loads {
            let mut counts = [0; RINGS_MAX as usize];
            flows.for_each(|(key, _)| counts[key.ring(n_rings) as usize] += 1);
            let used = &counts[..n_rings as usize];
            let fair = 6400 / n_rings;
            assert!(used.iter().all(|n| *n > fair / 2 && *n < fair * 2), "{n_rings}: {used:?}");
        }
    }
}

/// Ends that meet, no record beyond its block's slack, and the reader's way from one to the next.
#[test]
fn places_follow_each_other_around_the_ring() {
    let size = 4 * u64::from(BLOCK);
    let mut position = 0;
    let mut n_blocks_entered = 0;
    let mut last = u32::MAX;
    for i in 0..1000u32 {
        let extent = Extent(u64::from(i * 7919 % (112 + PIECE_MAX + 1)));
        let (block, offset) = place(position, size);
        assert_eq!(u64::from(block) * u64::from(BLOCK) + u64::from(offset), position % size);
        assert!(block < n_blocks(size) && offset < BLOCK && u64::from(offset).is_multiple_of(LINE));
        assert!(u64::from(offset) + extent.room() <= u64::from(STRIDE));
        n_blocks_entered += u32::from(block != last);
        last = block;
        position += extent.room();
    }
    assert!(n_blocks_entered > 8, "{n_blocks_entered}");
}

#[test]
fn a_small_ring_is_a_part_of_one_block() {
    assert_eq!((n_blocks(4096), n_blocks(BLOCK.into()), n_blocks(1 << 30)), (1, 1, 512));
    assert_eq!(place(4096 * 5 + 64, 4096), (0, 64));
}

/// `produced` is 1000 whatever is guessed; the attempts that it takes.
#[track_caller]
fn check_reserve(guess: u64, n_bytes: u64, consumed: u64, expected: Option<u64>, attempts: u32) {
    let mut produced = 1000;
    let mut n = 0;
    let swap = |old, new| {
        n += 1;
        let found = produced;
        if found == old {
            produced = new;
        }
        found
    };
    assert_eq!(reserve(guess, n_bytes, consumed, 512, swap), expected);
    assert_eq!((n, produced), (attempts, 1000 + expected.map_or(0, |_| n_bytes)));
}

#[test]
fn room_is_taken_where_there_is_some_whatever_the_guess() {
    check_reserve(1000, 64, 900, Some(1000), 1);
    check_reserve(950, 64, 900, Some(1000), 2);
    // From before the reader.
    check_reserve(0, 64, 900, Some(1000), 2);
    // To the last byte, and one more.
    check_reserve(1000, 412, 900, Some(1000), 1);
    check_reserve(1000, 413, 900, None, 0);
    check_reserve(0, 413, 900, None, 1);
    check_reserve(1000, 513, 1000, None, 0);
}

#[test]
fn who_never_gets_through_is_refused() {
    let mut produced = 0;
    let others = |_, _| {
        produced += 64;
        produced
    };
    assert_eq!(reserve(0, 64, 0, 1 << 20, others), None);
    assert_eq!(produced, 64 * u64::from(ATTEMPTS));
}
