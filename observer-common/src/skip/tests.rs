//! Each place where a segment can lie on a stretch, on both sides of the wrap.

use super::*;
use crate::flow::{STATE_HTTP, STATE_OFF};
use crate::headers::{ACK, PSH};

const ECE: u16 = 0x040;
use crate::record::VLAN_NONE;

fn segment(seq: u32, payload_len: u32, flags: u16) -> Tcp {
    Tcp {
        source: [0; 2],
        destination: [0; 2],
        source_port: 1,
        destination_port: 2,
        seq,
        ack: 0,
        flags,
        window: 0,
        payload_offset: 54,
        payload_len,
        vlan: VLAN_NONE,
        header_len: 20,
        reserved: [0; 2],
    }
}

/// A stretch of 1000 bytes from 0 on; segments are told relative to it. Returns whether the skip
/// goes on.
#[track_caller]
fn check_flags(at: i32, payload_len: u32, flags: u16, cut: Cut, goes_on: bool) {
    for start in [0u32, 5000, u32::MAX - 1, u32::MAX - 999, u32::MAX - 500, 0x8000_0000] {
        // Away from the boundaries that call for a sign of life.
        let start = if start == 0 { 0x0800_0000 } else { start };
        let mut half = Half::EMPTY;
        half.skip(start, start.wrapping_add(1000));
        let seq = start.wrapping_add_signed(at);
        let crosses = seq >> STEP_SHIFT != seq.wrapping_add(payload_len) >> STEP_SHIFT;
        let cut = if crosses && cut == Cut::Nothing { Cut::Bare } else { cut };
        let seen = half.cut(&segment(seq, payload_len, flags), STATE_HTTP, false, 0);
        assert_eq!((seen, half.skip == 1), (cut, goes_on), "from {start}");
    }
}

#[track_caller]
fn check(at: i32, payload_len: u32, cut: Cut, goes_on: bool) {
    check_flags(at, payload_len, ACK | PSH, cut, goes_on);
}

#[test]
fn inside_there_is_nothing() {
    check(0, 999, Cut::Nothing, true);
    check(0, 1, Cut::Nothing, true);
    check(500, 499, Cut::Nothing, true);
    check(500, 0, Cut::Nothing, true);
}

#[test]
fn what_reaches_the_end_is_bare_and_ends_the_skip() {
    check(0, 1000, Cut::Bare, false);
    check(999, 1, Cut::Bare, false);
}

#[test]
fn what_crosses_the_end_keeps_its_tail() {
    check(0, 1001, Cut::Tail(1000), false);
    check(999, 60_000, Cut::Tail(1), false);
}

#[test]
fn what_lies_behind_ends_the_skip() {
    check(1000, 0, Cut::Whole, false);
    check(1000, 10, Cut::Whole, false);
    check(1_000_000, 10, Cut::Whole, false);
}

#[test]
fn what_lies_in_front_is_emitted() {
    check(-100, 100, Cut::Whole, true);
    check(-100, 0, Cut::Whole, true);
    check(-100_000, 1448, Cut::Whole, true);
}

#[test]
fn what_begins_in_front_keeps_its_front() {
    check(-100, 500, Cut::Front(100), true);
    check(-100, 1100, Cut::Front(100), false);
    check(-100, 1101, Cut::Whole, false);
}

#[test]
fn the_end_and_the_death_of_a_flow_are_never_left_out() {
    for flag in [FIN, RST, DTH, FIN | PSH] {
        check_flags(10, 20, ACK | flag, Cut::Bare, true);
        check_flags(10, 0, ACK | flag, Cut::Bare, true);
    }
}

#[test]
fn the_longest_stretch_is_one_short_of_half_the_circle() {
    for start in [0u32, 77, 0x8000_0000, u32::MAX] {
        let mut half = Half::EMPTY;
        half.skip(start, start.wrapping_add(SKIP_MAX));
        let first = segment(start, 1000, ACK);
        assert_eq!(half.clone().cut(&segment(start, 0, ACK), STATE_HTTP, false, 0), Cut::Nothing);
        assert_ne!(half.cut(&first, STATE_HTTP, false, 0), Cut::Whole);
        let last = segment(start.wrapping_add(SKIP_MAX - 10), 10, ACK);
        assert_eq!(half.cut(&last, STATE_HTTP, false, 0), Cut::Bare);
    }
}

#[test]
fn a_skip_that_comes_too_late_is_ignored() {
    for next_seq in [1000u32, u32::MAX, 0] {
        let mut half = Half { next_seq, ..Half::EMPTY };
        assert!(!half.skip_all(next_seq));
        assert!(!half.skip_all(next_seq.wrapping_sub(1)));
        assert_eq!(half.skip, 0);
        assert!(half.skip_all(next_seq.wrapping_add(1)));
        assert_eq!(half.skip, 1);
    }
}

#[test]
fn a_skip_from_user_space_takes_retransmissions_along() {
    let mut half = Half { next_seq: 10, ..Half::EMPTY };
    assert!(half.skip_all(5000));
    let old = segment(10u32.wrapping_sub(3000), 1448, ACK);
    assert_eq!(half.cut(&segment(4, 1448, ACK), STATE_HTTP, false, 0), Cut::Nothing);
    // This one lies across 0, where a sign of life is due.
    assert_eq!(half.cut(&old, STATE_HTTP, false, 0), Cut::Nothing);
}

#[test]
fn bare_acknowledgements_of_what_is_known_say_nothing() {
    let mut half = Half::EMPTY;
    let mut cut = |flags, n, is_known| half.cut(&segment(7, n, flags), STATE_HTTP, is_known, 0);
    assert_eq!(cut(ACK, 0, true), Cut::Nothing);
    assert_eq!(cut(ACK, 0, false), Cut::Whole);
    assert_eq!(cut(ACK, 1, true), Cut::Whole);
    assert_eq!(cut(ACK | FIN, 0, true), Cut::Whole);
    assert_eq!(cut(ACK | DTH, 0, true), Cut::Whole);
    assert_eq!(cut(ACK | ECE, 0, true), Cut::Whole);
    let mut half = Half { record_time: 50, ..Half::EMPTY };
    let mut at = |now| half.cut(&segment(7, 0, ACK), STATE_HTTP, true, now);
    assert_eq!((at(49 + SIGN_OF_LIFE), at(50 + SIGN_OF_LIFE)), (Cut::Nothing, Cut::Whole));
}

#[test]
fn a_quiet_flow_shows_its_end_and_its_progress() {
    for state in [STATE_QUIET, STATE_WATCHED] {
        let mut half = Half { record_time: 50, ..Half::EMPTY };
        let mut cut = |seq, n, flags, now| half.cut(&segment(seq, n, flags), state, false, now);
        assert_eq!(cut(9, 100, ACK, 60), Cut::Nothing);
        assert_eq!(cut(9, 0, ACK, 5000), Cut::Nothing);
        assert_eq!(cut(9, 100, ACK | FIN, 60), Cut::Bare);
        assert_eq!(cut(9, 100, ACK, 50 + SIGN_OF_LIFE), Cut::Bare);
        assert_eq!(cut((1 << STEP_SHIFT) - 1, 1, ACK, 60), Cut::Bare);
        assert_eq!(cut(1 << STEP_SHIFT, 1000, ACK, 60), Cut::Nothing);
    }
    let mut half = Half::EMPTY;
    assert_eq!(half.cut(&segment(9, 100, ACK), STATE_OFF, false, 0), Cut::Whole);
}
