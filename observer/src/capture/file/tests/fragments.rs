//! Datagrams in fragments: every order, overlaps, what is missing, and the bounds.

use super::{PcapFile, ipv4, packet, read, tcp};
use crate::capture::file::fragments::Fragments;
use crate::capture::file::frame::{self, Decoded};
use crate::segment::Timestamp;

/// Pieces of `whole`, each of `size` bytes, as packets; the offsets are multiples of eight.
fn pieces(whole: &[u8], id: u16, size: usize) -> Vec<Vec<u8>> {
    let n_pieces = whole.len().div_ceil(size);
    let piece = |n: usize, bytes: &[u8]| {
        let more = if n + 1 < n_pieces { 0x2000 } else { 0 };
        ipv4(id, more | (n * size / 8) as u16, 6, bytes)
    };
    whole.chunks(size).enumerate().map(|(n, bytes)| piece(n, bytes)).collect()
}

#[test]
fn fragments_are_put_together_in_any_order() {
    let whole = tcp(1, &[b'f'; 100]);
    let pieces = pieces(&whole, 77, 24);
    assert_eq!(pieces.len(), 5);
    for order in [[0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [2, 0, 4, 1, 3]] {
        let mut file = PcapFile::raw();
        for n in order {
            // A copy of a piece changes nothing.
            file = file.whole(&pieces[n]);
            if n == 2 {
                file = file.whole(&pieces[n]);
            }
        }
        let ((segments, error), counters) = read(file.bytes);
        assert_eq!((segments.len(), error), (1, None), "{order:?}");
        assert_eq!(segments[0].2, [b'f'; 100]);
        assert_eq!((counters.reassembled, counters.damaged), (1, 0));
        assert_eq!((counters.fragments, counters.incomplete_datagrams), (5, 0));
    }
}

#[test]
fn datagrams_are_told_apart_by_their_identification() {
    let (one, two) = (tcp(1, &[b'1'; 20]), tcp(21, &[b'2'; 20]));
    let (one, two) = (pieces(&one, 1, 24), pieces(&two, 2, 24));
    let file = PcapFile::raw().whole(&one[0]).whole(&two[1]).whole(&two[0]).whole(&one[1]);
    let ((segments, _), _) = read(file.bytes);
    let payloads: Vec<_> = segments.iter().map(|segment| segment.2.clone()).collect();
    assert_eq!(payloads, [[b'2'; 20], [b'1'; 20]]);
}

#[test]
fn where_fragments_overlap_the_first_bytes_win_and_the_conflict_is_flagged() {
    let whole = tcp(1, b"first bytes win.");
    let other = tcp(1, b"others ARE LOST!");
    let first = ipv4(5, 0x2000, 6, &whole[..32]);
    let overlapping = ipv4(5, 3, 6, &other[24..]);
    let file = PcapFile::raw().whole(&first).whole(&overlapping);
    let ((segments, _), counters) = read(file.bytes);
    assert_eq!(
        segments[0].2,
        b"first bytes LOST!"[..12].iter().chain(b"OST!").copied().collect::<Vec<_>>()
    );
    assert_eq!(counters.damaged, 1);
}

#[test]
fn a_missing_fragment_costs_its_datagram_alone() {
    let lost = pieces(&tcp(1, &[0; 100]), 1, 24);
    let mut file = PcapFile::raw();
    for piece in &lost[1..] {
        file = file.whole(piece);
    }
    let ((segments, error), counters) = read(file.whole(&packet(200, b"next")).bytes);
    assert_eq!((segments.len(), error), (1, None));
    assert_eq!((counters.fragments, counters.incomplete_datagrams), (4, 1));
}

#[test]
fn an_identification_used_again_after_half_a_minute_is_another_datagram() {
    let old = pieces(&tcp(1, &[b'o'; 40]), 9, 24);
    let new = pieces(&tcp(1, &[b'n'; 40]), 9, 24);
    let mut file = PcapFile::raw().push((1, 0), &old[0], old[0].len());
    for piece in &new {
        file = file.push((40, 0), piece, piece.len());
    }
    let ((segments, _), counters) = read(file.bytes);
    assert_eq!(segments[0].2, [b'n'; 40]);
    assert_eq!((counters.damaged, counters.incomplete_datagrams), (0, 1));
}

#[test]
fn datagrams_waited_for_are_bounded() {
    let mut file = PcapFile::raw();
    for id in 0..3000 {
        file = file.whole(&ipv4(id, 0x2000, 6, &[0; 24]));
    }
    // The last ones are still waited for; the oldest went.
    file = file.whole(&ipv4(2999, 3, 6, &[0; 8])).whole(&ipv4(0, 3, 6, &[0; 8]));
    let (_, counters) = read(file.bytes);
    assert_eq!(counters.reassembled, 1);
    assert_eq!(counters.incomplete_datagrams, 3000);
}

#[test]
fn bytes_held_for_datagrams_are_bounded() {
    let mut fragments = Fragments::default();
    for id in 0..600 {
        // Eight bytes that lie at the far end of a datagram cost all that may come before.
        let raw = ipv4(id, 0x2000 | 8000, 6, &[0; 8]);
        let Ok(Decoded::Fragment(piece)) = frame::decode(101, &raw, raw.len(), true) else {
            panic!("no fragment")
        };
        assert!(fragments.handle(Timestamp(0), &piece, &raw[20..]).is_none());
    }
    assert_eq!(fragments.waiting() + fragments.dropped(), 600);
    let most = 16 * 1024 * 1024 / 64_008 + 1;
    assert_eq!(fragments.waiting(), most, "16 MiB, and what the last piece brought");
}

#[test]
fn a_datagram_of_too_many_pieces_is_given_up() {
    let mut file = PcapFile::raw();
    for n in 0..600 {
        file = file.whole(&ipv4(1, 0x2000 | (n * 2), 6, &[0; 8]));
    }
    let (_, counters) = read(file.bytes);
    assert_eq!((counters.fragments, counters.reassembled), (600, 0));
    assert_eq!(counters.incomplete_datagrams, 2, "the one given up, and its rest");
}

#[test]
fn a_tunnel_in_fragments_within_a_tunnel_in_fragments() {
    let inner = tcp(1, &[b'i'; 200]);
    let mut file = PcapFile::raw();
    for (id, piece) in pieces(&inner, 500, 120).iter().enumerate() {
        for (n, outer) in piece.chunks(64).enumerate() {
            let more = if (n + 1) * 64 < piece.len() { 0x2000 } else { 0 };
            file = file.whole(&ipv4(id as u16, more | (n * 8) as u16, 4, outer));
        }
    }
    let ((segments, _), counters) = read(file.bytes);
    assert_eq!(segments[0].2, [b'i'; 200]);
    assert_eq!(counters.reassembled, 3);
}
