//! What follows from segments that come one behind the other, on both sides of the wrap.

use super::*;
use crate::flow::Half;
use crate::headers::{ACK, PSH};
use crate::record::VLAN_NONE;

fn segment(seq: u32, ack: u32, payload_len: u32) -> Tcp {
    Tcp {
        source: [0; 2],
        destination: [0; 2],
        source_port: 1,
        destination_port: 2,
        seq,
        ack,
        flags: ACK | PSH,
        window: 0,
        payload_offset: 54,
        payload_len,
        vlan: VLAN_NONE,
        header_len: 20,
        reserved: [0; 2],
    }
}

/// As the program does behind each segment with payload.
fn shown(half: &mut Half, tcp: &Tcp) {
    half.data_ack = tcp.ack;
    half.has_data = 1;
}

/// A half that has shown a head of 100 bytes at `start`, alone, with 10,000 bytes behind it.
fn waiting(start: u32, prefix: u32) -> Half {
    let mut half = Half::EMPTY;
    let head = segment(start, 7, 100);
    assert!(half.may_begin(&head, LARGE), "the first message is looked at");
    half.leave_body_out(&head, 100, 10_000, prefix, LARGE);
    assert_eq!(half.skip, 0, "nothing is left out yet");
    shown(&mut half, &head);
    half
}

const STARTS: [u32; 4] = [0, 5000, u32::MAX - 50, u32::MAX - 5000];

#[test]
fn a_head_alone_is_waited_behind() {
    for (start, prefix) in STARTS.into_iter().flat_map(|start| [(start, 0), (start, 30)]) {
        let body = start.wrapping_add(100);
        let mut half = waiting(start, prefix);
        assert!(half.may_begin_body(&segment(body, 7, 500), prefix), "from {start}");
        half.begin_body();
        let stretch = (half.skip, half.skip_from, half.skip_until);
        assert_eq!(stretch, (1, body.wrapping_add(prefix), body.wrapping_add(10_000)));
        assert!(!half.may_begin_body(&segment(body, 7, 500), prefix), "said once");
        assert!(half.may_begin(&segment(body.wrapping_add(10_000), 8, 100), LARGE));
    }
}

#[test]
fn what_is_not_the_next_piece_of_the_message_is_not_its_body() {
    for start in STARTS {
        let body = start.wrapping_add(100);
        // Another has been acknowledged: that was the response to HEAD, and this is the next one.
        assert!(!waiting(start, 0).may_begin_body(&segment(body, 8, 500), 0));
        // Something was missed in between.
        assert!(!waiting(start, 0).may_begin_body(&segment(body.wrapping_add(1), 7, 500), 0));
        // A new connection has begun.
        let mut half = waiting(start, 0);
        half.has_data = 0;
        assert!(!half.may_begin_body(&segment(body, 7, 500), 0));
        // User space has decided already.
        let mut half = waiting(start, 0);
        half.next_seq = body;
        assert!(half.skip_all(body.wrapping_add(900)));
        assert_eq!((half.skip, half.awaits_body), (1, 0));
    }
}

#[test]
fn short_segments_are_looked_at_where_heads_come_apart() {
    let mut half = Half::EMPTY;
    let head = segment(0, 7, 100);
    assert!(half.may_begin(&head, LARGE));
    half.leave_body_out(&head, 100, 10, 0, LARGE);
    assert_eq!((half.skip, half.awaits_body), (0, 0), "a body that is not worth it");
    shown(&mut half, &head);
    let next = |ack| segment(200, ack, 100);
    assert!(!half.may_begin(&next(8), LARGE), "no large body has come so far");
    shown(&mut half, &next(8));
    assert!(!half.may_begin(&segment(300, 8, LARGE), LARGE), "a piece of a message");
    assert!(half.may_begin(&next(9), LARGE), "such pieces have come");
}

#[test]
fn what_does_not_fit_is_copied() {
    // No head, one that ends behind the segment, and a body that ends inside.
    let large = [(3000, 0, 10_000), (3000, 3001, 10_000), (3000, 100, 2899)];
    // And a short segment with a part of the body.
    for (payload_len, n_head, length) in large.into_iter().chain([(2000, 1999, 10_000)]) {
        let mut half = Half::EMPTY;
        half.leave_body_out(&segment(0, 7, payload_len), n_head, length, 0, LARGE);
        assert_eq!((half.skip, half.awaits_body), (0, 0), "{n_head} {length}");
    }
    // All of the body is wanted.
    let mut half = Half::EMPTY;
    half.leave_body_out(&segment(0, 7, 3000), 100, 5000, 5000, LARGE);
    assert_eq!(half.skip, 0);
    // What is longer than numbers go.
    half.leave_body_out(&segment(0, 7, 3000), 100, u64::MAX, 0, LARGE);
    assert_eq!((half.skip, half.skip_until), (1, 100 + SKIP_MAX / 2));
}
