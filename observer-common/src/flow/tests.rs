//! Keys, sequence numbers, and who owns a half.

use super::*;
use crate::config::words;

#[test]
fn both_directions_share_a_key_and_differ_in_the_half() {
    let client = (words([1; 16]), 40000);
    let server = (words([2; 16]), 80);
    let (there, half_there) = FlowKey::new(client, server, 0);
    let (back, half_back) = FlowKey::new(server, client, 0);
    assert_eq!(there, back);
    assert_ne!(half_there, half_back);
}

#[test]
fn the_order_is_that_of_the_bytes_not_of_the_words() {
    let mut a = [0; 16];
    let mut b = [0; 16];
    a[0] = 1;
    b[7] = 2;
    let (key, _) = FlowKey::new((words(a), 1), (words(b), 2), 0);
    assert_eq!(key.low, words(b));
    assert_eq!((key.low_port, key.high_port), (2, 1));
}

#[test]
fn equal_addresses_are_told_apart_by_port() {
    let (key, half) = FlowKey::new((words([7; 16]), 5000), (words([7; 16]), 80), 0);
    assert_eq!((key.low_port, key.high_port), (80, 5000));
    assert_eq!(half, HalfIndex(true));
}

const ETH: u32 = owner(0, 2, WAY_IN);
const BRIDGE: u32 = owner(0, 3, WAY_IN);
const SECOND: u64 = OWNER_SILENCE_NS;

fn data(next_seq: u32) -> Sight {
    Sight { seq: next_seq.wrapping_sub(10), next_seq, ack: Some(1), isn: None }
}

fn syn(isn: u32) -> Sight {
    Sight { seq: isn, next_seq: isn.wrapping_add(1), ack: None, isn: Some(isn) }
}

#[track_caller]
fn check(seen: &[(Sight, u32, u64, bool)]) {
    let mut half = Half::EMPTY;
    for (i, (sight, owner, now, admitted)) in seen.iter().enumerate() {
        assert_eq!(half.admit(sight, *owner, *now), *admitted, "segment {i}");
    }
}

#[test]
fn the_first_to_see_a_half_owns_it() {
    check(&[
        (data(100), ETH, 0, true),
        (data(100), BRIDGE, 1, false),
        (data(200), BRIDGE, 2, false),
        (data(200), ETH, 3, true),
        (data(200), ETH, 4, true),
    ]);
}

#[test]
fn a_silent_owner_loses_the_half_to_what_sees_something_new() {
    check(&[
        (data(100), ETH, 0, true),
        (data(200), BRIDGE, SECOND - 1, false),
        (data(200), BRIDGE, SECOND, true),
        (data(300), ETH, SECOND + 1, false),
    ]);
}

#[test]
fn a_late_copy_does_not_take_the_half() {
    check(&[
        (data(100), ETH, 0, true),
        (data(100), BRIDGE, 9 * SECOND, false),
        (data(50), BRIDGE, 9 * SECOND, false),
    ]);
}

#[test]
fn a_half_of_acknowledgements_moves_with_them() {
    let ack = |ack| Sight { seq: 100, next_seq: 100, ack: Some(ack), isn: None };
    check(&[
        (ack(10), ETH, 0, true),
        (ack(10), BRIDGE, SECOND, false),
        (ack(20), BRIDGE, SECOND, true),
    ]);
}

#[test]
fn a_new_connection_belongs_to_who_sees_its_syn_first() {
    check(&[
        (syn(7), ETH, 0, true),
        (syn(7), BRIDGE, 1, false),
        (syn(7), ETH, 2, true),
        (syn(0x8000_0000), BRIDGE, 3, true),
        (syn(0x8000_0000), ETH, 4, false),
        (data(0x8000_0100), BRIDGE, 5, true),
    ]);
}

#[test]
fn order_of_sequence_numbers_wraps() {
    assert!(is_after(5, u32::MAX - 5));
    assert!(!is_after(u32::MAX - 5, 5));
    assert!(!is_after(9, 9));
}

#[test]
fn an_acknowledgement_tells_something_where_bytes_were_not_shown() {
    let mut half = Half::EMPTY;
    assert!(!half.has_shown(0), "nobody has seen the half");
    assert!(half.admit(&data(100), 2, 0));
    assert!(half.has_shown(100) && half.has_shown(90) && !half.has_shown(101));
    assert!(half.admit(&data(110), 2, 1));
    assert!(half.has_shown(110));
    let lossy = Half { records_lost: 1, ..half };
    assert!(!lossy.has_shown(110));
    assert!(Half { skip: 1, ..lossy }.has_shown(5000), "left out on purpose");

    // From 110 to 120 something has passed unseen; when it comes late after all, that is not known.
    assert!(half.admit(&data(130), 2, 2));
    assert!(!half.has_shown(130));
    assert!(half.admit(&data(120), 2, 3));
    assert!(!half.has_shown(130));
    assert!(half.admit(&syn(5000), 2, 4));
    assert!(half.has_shown(5001), "another connection");
}

#[test]
fn time_passes_also_where_the_clocks_differ() {
    for since in [0, 7, 1 << 31, u32::MAX - 3, u32::MAX] {
        let after = |n: i32| has_passed(since.wrapping_add_signed(n), since, 1000);
        assert!(after(1000) && after(1001) && after(i32::MAX) && after(i32::MIN));
        assert!(!after(999) && !after(0));
        assert!(!after(-1) && !after(-32), "a little ahead is as good as now");
        assert!(after(-33), "and more is long ago");
    }
}
