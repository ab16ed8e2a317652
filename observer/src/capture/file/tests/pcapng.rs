//! pcapng: sections, interfaces and their clocks, each kind of packet block, contradictions.

use std::io::Cursor;

use super::{Order, packet, read};
use crate::capture::file::Reader;

/// A pcapng block; `order` makes its numbers.
fn block(order: Order, kind: u32, body: &[u8]) -> Vec<u8> {
    let padding = vec![0; body.len().next_multiple_of(4) - body.len()];
    let len = order((12 + body.len() + padding.len()) as u32);
    [&order(kind)[..], &len, body, &padding, &len].concat()
}

fn section(order: Order) -> Vec<u8> {
    let version = if order(1) == 1u32.to_be_bytes() { [0, 1, 0, 0] } else { [1, 0, 0, 0] };
    let body = [&order(0x1a2b_3c4d)[..], &version, &[0xff; 8]].concat();
    block(order, 0x0a0d_0d0a, &body)
}

/// An interface of raw IP with options given as code and value.
fn interface(order: Order, snaplen: u32, options: &[(u16, &[u8])]) -> Vec<u8> {
    let is_big = order(1) == 1u32.to_be_bytes();
    let short = |n: u16| if is_big { n.to_be_bytes() } else { n.to_le_bytes() };
    let mut body = [&short(101)[..], &[0, 0], &order(snaplen)].concat();
    for (code, value) in options {
        body.extend(short(*code));
        body.extend(short(value.len() as u16));
        body.extend(*value);
        body.resize(body.len().next_multiple_of(4), 0);
    }
    block(order, 1, &body)
}

fn enhanced(order: Order, interface: u32, ticks: u64, packet: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    for field in
        [interface, (ticks >> 32) as u32, ticks as u32, packet.len() as u32, packet.len() as u32]
    {
        body.extend(order(field));
    }
    body.extend(packet);
    block(order, 6, &body)
}

#[test]
fn pcapng_interfaces_have_clocks_of_their_own() {
    const SECOND: u64 = 1_000_000_000;
    for order in [u32::to_le_bytes as Order, u32::to_be_bytes] {
        let offset =
            if order(1) == [0, 0, 0, 1] { 100i64.to_be_bytes() } else { 100i64.to_le_bytes() };
        let mut file = section(order);
        file.extend(interface(order, 0, &[(2, b"eth0")]));
        file.extend(interface(order, 0, &[(9, &[9]), (2, b"any"), (14, &offset)]));
        file.extend(interface(order, 0, &[(9, &[0x80 | 10])]));
        file.extend(interface(order, 0, &[(9, &[3])]));
        file.extend(enhanced(order, 0, 5_000_001, &packet(1, b"a")));
        file.extend(enhanced(order, 1, 5_000_000_001, &packet(2, b"bc")));
        file.extend(enhanced(order, 2, 5 * 1024 + 512, &packet(4, b"d")));
        file.extend(enhanced(order, 3, 5001, &packet(5, b"e")));
        let ((segments, error), _) = read(file);
        assert_eq!(error, None);
        let times: Vec<_> = segments.iter().map(|segment| (segment.0, segment.1)).collect();
        let expected = [
            (5 * SECOND + 1_000, 0),
            (105 * SECOND + 1, 1),
            (5 * SECOND + SECOND / 2, 2),
            (5 * SECOND + SECOND / 1000, 3),
        ];
        assert_eq!(times, expected);
        assert_eq!(segments[1].2, b"bc");
    }
}

#[test]
fn pcapng_interfaces_are_named() {
    let order = u32::to_le_bytes;
    let mut file = section(order);
    file.extend(interface(order, 0, &[(2, b"eth0")]));
    file.extend(interface(order, 0, &[]));
    file.extend(enhanced(order, 1, 1, &packet(1, b"a")));
    let mut reader = Reader::new(Cursor::new(file), "x").unwrap();
    let ifindex = reader.next_segment().unwrap().unwrap().origin.ifindex;
    assert_eq!(reader.interface_name(ifindex), None);
    assert_eq!(reader.interface_name(0), Some("eth0"));
    assert_eq!(reader.interface_name(7), None);
}

#[test]
fn a_second_section_starts_anew_in_an_order_of_its_own() {
    let mut file = section(u32::to_le_bytes);
    file.extend(interface(u32::to_le_bytes, 0, &[(2, b"old")]));
    file.extend(enhanced(u32::to_le_bytes, 0, 1, &packet(1, b"a")));
    file.extend(section(u32::to_be_bytes));
    file.extend(interface(u32::to_be_bytes, 0, &[(2, b"new"), (9, &[9])]));
    file.extend(enhanced(u32::to_be_bytes, 0, 1, &packet(2, b"b")));
    let mut reader = Reader::new(Cursor::new(file), "x").unwrap();
    assert_eq!(reader.next_segment().unwrap().unwrap().time.0, 1_000);
    assert_eq!(reader.interface_name(0), Some("old"));
    assert_eq!(reader.next_segment().unwrap().unwrap().time.0, 1);
    assert_eq!(reader.interface_name(0), Some("new"));
    assert!(reader.next_segment().unwrap().is_none());
}

#[test]
fn simple_packets_take_snap_length_and_time_from_around_them() {
    let order = u32::to_le_bytes;
    let whole = packet(1, &[b's'; 100]);
    let mut file = section(order);
    file.extend(interface(order, 50, &[]));
    file.extend(enhanced(order, 0, 3_000_000, &packet(1, b"a")));
    let body = [&order(whole.len() as u32)[..], &whole[..50]].concat();
    file.extend(block(order, 3, &body));
    let ((segments, error), _) = read(file);
    assert_eq!(error, None);
    assert_eq!(segments[1], (3_000_000_000, 0, vec![b's'; 10], 100));
}

#[test]
fn obsolete_packets_are_read() {
    for order in [u32::to_le_bytes as Order, u32::to_be_bytes] {
        let raw = packet(1, b"old");
        let interface_and_drops =
            if order(1) == [0, 0, 0, 1] { [0, 1, 0xff, 0xff] } else { [1, 0, 0xff, 0xff] };
        let mut body = interface_and_drops.to_vec();
        for field in [0, 9, raw.len() as u32, raw.len() as u32] {
            body.extend(order(field));
        }
        body.extend(&raw);
        let mut file = section(order);
        file.extend(interface(order, 0, &[]));
        file.extend(interface(order, 0, &[]));
        file.extend(block(order, 2, &body));
        let ((segments, error), _) = read(file);
        assert_eq!((segments, error), (vec![(9_000, 1, b"old".to_vec(), 3)], None));
    }
}

#[test]
fn other_blocks_are_passed_over() {
    let order = u32::to_le_bytes;
    let mut file = section(order);
    file.extend(interface(order, 0, &[]));
    // Name resolution (empty list), statistics, and a type nobody knows.
    file.extend(block(order, 4, &[0, 0, 0, 0]));
    file.extend(block(order, 5, &[0; 12]));
    file.extend(block(order, 0x4242_4242, b"whatever this is"));
    file.extend(enhanced(order, 0, 1, &packet(1, b"a")));
    let ((segments, error), _) = read(file);
    assert_eq!((segments.len(), error), (1, None));
}

#[test]
fn contradictions_in_pcapng_are_named_with_their_place() {
    let order = u32::to_le_bytes;
    let mut start = section(order);
    start.extend(interface(order, 0, &[]));
    start.extend(enhanced(order, 0, 1, &packet(1, b"a")));
    let place = start.len();
    let whole = enhanced(order, 0, 1, &packet(1, b"a"));
    let with = |at: usize, value: u8| {
        let mut changed = whole.clone();
        changed[at] = value;
        changed
    };
    let cases = [
        (enhanced(order, 1, 1, &packet(1, b"a")), "an interface that was not described"),
        (with(whole.len() - 4, 1), "the two lengths of a block differ"),
        (with(4, 3), "3 bytes long"),
        (with(7, 0x7f), "beyond 16 MiB"),
        (with(21, 0xff), "holds less than it says"),
        (block(order, 0x0a0d_0d0a, &[0; 16]), "no byte-order magic"),
    ];
    for (bad, what) in cases {
        let ((segments, error), _) = read([&start[..], &bad].concat());
        assert_eq!(segments.len(), 1);
        let error = error.unwrap();
        assert!(error.contains(what), "{error}");
        assert!(
            error.contains(&format!("corrupt at byte {place} (packets read before it: 1)")),
            "{error}"
        );
    }
}

#[test]
fn a_pcapng_cut_anywhere_yields_what_it_holds_and_says_so() {
    let order = u32::to_le_bytes;
    let start = [section(order), interface(order, 0, &[])].concat();
    let one = enhanced(order, 0, 1, &packet(1, b"a"));
    let file = [&start[..], &one, &one].concat();
    for end in start.len()..file.len() {
        let ((segments, error), _) = read(file[..end].to_vec());
        assert_eq!(segments.len(), usize::from(end >= start.len() + one.len()));
        let is_between = (end - start.len()).is_multiple_of(one.len());
        assert_eq!(error.is_none(), is_between, "cut at {end}");
    }
}
