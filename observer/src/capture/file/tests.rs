//! Whole captures built by hand: containers, fragments, counters, and what is said when a file
//! is not what it should be.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]

use std::io::{self, Cursor, Read};

use super::*;
use crate::segment::{Encapsulation, Endpoint};

/// How a file writes its 32-bit numbers.
type Order = fn(u32) -> [u8; 4];

const CLIENT: [u8; 4] = [192, 0, 2, 1];
const SERVER: [u8; 4] = [192, 0, 2, 2];

/// A TCP segment whose checksum was left to the card.
fn tcp(seq: u32, payload: &[u8]) -> Vec<u8> {
    let mut segment = vec![0x9c, 0x40, 0, 80];
    segment.extend(seq.to_be_bytes());
    segment.extend([0, 0, 0, 0, 0x50, 0x18, 1, 0, 0, 0, 0, 0]);
    segment.extend(payload);
    segment
}

/// A raw IPv4 packet; its checksum was left to the card too.
fn ipv4(id: u16, fragment: u16, protocol: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x45, 0];
    packet.extend((20 + payload.len() as u16).to_be_bytes());
    packet.extend(id.to_be_bytes());
    packet.extend(fragment.to_be_bytes());
    packet.extend([64, protocol, 0, 0]);
    packet.extend(CLIENT);
    packet.extend(SERVER);
    packet.extend(payload);
    packet
}

fn packet(seq: u32, payload: &[u8]) -> Vec<u8> {
    ipv4(0, 0, 6, &tcp(seq, payload))
}

/// A pcap file of raw IP packets, by the order and magic wanted.
struct PcapFile {
    bytes: Vec<u8>,
    order: Order,
    is_modified: bool,
}

impl PcapFile {
    fn new(magic: u32, order: Order, link: u32) -> Self {
        let mut bytes = order(magic).to_vec();
        // Version 2.4: two 16-bit numbers.
        let version = if order(1) == 1u32.to_be_bytes() { [0, 2, 0, 4] } else { [2, 0, 4, 0] };
        bytes.extend(version);
        for field in [0, 0, 65535, link] {
            bytes.extend(order(field));
        }
        Self { bytes, order, is_modified: magic == 0xa1b2_cd34 }
    }

    fn raw() -> Self {
        Self::new(0xa1b2_c3d4, u32::to_le_bytes, 101)
    }

    fn push(mut self, time: (u32, u32), packet: &[u8], wire_len: usize) -> Self {
        for field in [time.0, time.1, packet.len() as u32, wire_len as u32] {
            self.bytes.extend((self.order)(field));
        }
        if self.is_modified {
            self.bytes.extend([0; 8]);
        }
        self.bytes.extend(packet);
        self
    }

    fn whole(self, packet: &[u8]) -> Self {
        self.push((1, 0), packet, packet.len())
    }
}

/// Time, interface, payload, length on the wire: of each segment; then the error, if any.
type Seen = (Vec<(u64, u32, Vec<u8>, u32)>, Option<String>);

fn read(bytes: Vec<u8>) -> (Seen, Counters) {
    let mut reader = Reader::new(Cursor::new(bytes), "x.pcap").unwrap();
    read_all(&mut reader)
}

fn read_all(reader: &mut Reader) -> (Seen, Counters) {
    let mut segments = Vec::new();
    let error = loop {
        match reader.next_segment() {
            Ok(Some(segment)) => segments.push((
                segment.time.0,
                segment.origin.ifindex,
                segment.payload.to_vec(),
                segment.payload_len,
            )),
            Ok(None) => break None,
            Err(error) => break Some(error.to_string()),
        }
    };
    assert!(reader.next_segment().unwrap().is_none(), "after its end a reader stays at its end");
    let counters = reader.counters();
    let reasons = [
        counters.segments,
        counters.not_tcp,
        counters.fragments,
        counters.cut_short,
        counters.malformed,
        counters.too_deep,
        counters.unknown_link,
    ];
    assert_eq!(counters.packets, reasons.iter().sum::<u64>(), "every packet counts once");
    ((segments, error), counters)
}

#[test]
fn pcap_in_each_order_and_resolution() {
    let cases: [(u32, Order, u64); 5] = [
        (0xa1b2_c3d4, u32::to_le_bytes, 7_000),
        (0xa1b2_c3d4, u32::to_be_bytes, 7_000),
        (0xa1b2_3c4d, u32::to_le_bytes, 7),
        (0xa1b2_3c4d, u32::to_be_bytes, 7),
        (0xa1b2_cd34, u32::to_le_bytes, 7_000),
    ];
    for (magic, order, ns) in cases {
        let file = PcapFile::new(magic, order, 101)
            .push((1_700_000_000, 7), &packet(1, b"GET"), 43)
            .push((1_700_000_001, 7), &packet(4, b" /"), 42);
        let ((segments, error), _) = read(file.bytes);
        assert_eq!(error, None);
        let start = 1_700_000_000_000_000_000 + ns;
        assert_eq!(
            segments,
            [(start, 0, b"GET".to_vec(), 3), (start + 1_000_000_000, 0, b" /".to_vec(), 2)],
            "magic {magic:x}"
        );
    }
}

#[test]
fn upper_bits_of_a_pcap_link_type_tell_of_a_frame_check_sequence() {
    let file = PcapFile::new(0xa1b2_c3d4, u32::to_le_bytes, 0x2400_0000 | 101);
    let ((segments, _), _) = read(file.whole(&packet(1, b"x")).bytes);
    assert_eq!(segments.len(), 1);
}

#[test]
fn endpoints_and_origin_reach_the_segment() {
    let gre = [&[0, 0, 8, 0][..], &packet(9, b"in")].concat();
    let file = PcapFile::raw().whole(&ipv4(0, 0, 47, &gre));
    let mut reader = Reader::new(Cursor::new(file.bytes), "x.pcap").unwrap();
    let segment = reader.next_segment().unwrap().unwrap();
    assert_eq!(segment.source, Endpoint::v4(CLIENT, 40000));
    assert_eq!(segment.destination, Endpoint::v4(SERVER, 80));
    assert_eq!(segment.origin.encapsulation, Some(Encapsulation::Gre));
    assert_eq!(segment.origin.hook, Hook::File);
    assert!(!segment.origin.damaged);
}

#[test]
fn a_snap_length_keeps_the_length_on_the_wire() {
    let whole = packet(1, &[b'a'; 1000]);
    let file = PcapFile::raw()
        .push((1, 0), &whole[..96], whole.len())
        .push((1, 0), &whole[..40], whole.len())
        .push((1, 0), &whole[..35], whole.len());
    let ((segments, error), counters) = read(file.bytes);
    assert_eq!(error, None);
    let lens: Vec<_> = segments.iter().map(|(_, _, payload, n)| (payload.len(), *n)).collect();
    assert_eq!(lens, [(56, 1000), (0, 1000)]);
    assert_eq!((counters.cut_payloads, counters.cut_short, counters.damaged), (2, 1, 0));
}

#[test]
fn a_file_cut_anywhere_yields_what_it_holds_and_says_where_it_broke() {
    let file = PcapFile::raw().whole(&packet(1, b"one")).whole(&packet(4, b"two")).bytes;
    let (first_end, second_end) = (24 + 16 + 43, file.len());
    for end in 24..=second_end {
        let ((segments, error), _) = read(file[..end].to_vec());
        let expected = usize::from(end >= first_end) + usize::from(end == second_end);
        assert_eq!(segments.len(), expected, "cut at {end}");
        if end == 24 || end == first_end || end == second_end {
            assert_eq!(error, None, "cut at {end}");
        } else {
            let error = error.unwrap();
            let place = format!("x.pcap breaks off at byte {end}, inside a packet");
            assert!(error.starts_with(&place), "{error}");
        }
    }
}

#[test]
fn a_file_that_ends_inside_its_header_is_truncated() {
    let header = PcapFile::raw().bytes;
    for end in 4..24 {
        let error = Reader::new(Cursor::new(header[..end].to_vec()), "x").err().unwrap();
        assert!(matches!(error, FileError::Truncated { inside: "the file header", .. }));
    }
}

#[test]
fn what_is_no_capture_is_named() {
    let says =
        |bytes: &[u8]| Reader::new(Cursor::new(bytes.to_vec()), "x").err().unwrap().to_string();
    assert!(says(b"").starts_with("x is empty"));
    assert!(says(b"\x1f\x8b\x08\x00....").contains("`zcat x | observer read -`"));
    assert!(says(b"\x28\xb5\x2f\xfd....").contains("`zstdcat x | observer read -`"));
    assert!(says(b"\xfd7zXZ\x00").contains("xz"));
    assert!(says(b"BZh91AY").contains("bzip2"));
    assert!(says(b"snoop\0\0\0").contains("editcap -F pcapng x"));
    assert!(
        says(b"GET / HTTP/1.1").contains("neither pcap nor pcapng (it starts with 47 45 54 20)")
    );
    assert!(says(b"\xd4").contains("neither pcap nor pcapng"));
}

#[test]
fn a_path_that_cannot_be_read_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let error = Reader::open(folder.path()).err().unwrap();
    assert!(matches!(error, FileError::Directory { .. }), "{error}");
    let missing = folder.path().join("no.pcap");
    let error = Reader::open(&missing).err().unwrap();
    assert!(matches!(error, FileError::Open { .. }));
    assert!(error.to_string().contains("no.pcap"));
}

#[test]
fn a_length_beyond_reason_is_corruption_and_takes_no_memory() {
    let mut file = PcapFile::raw().whole(&packet(1, b"one")).bytes;
    file.extend([0xff; 64]);
    let ((segments, error), _) = read(file);
    assert_eq!(segments.len(), 1);
    let error = error.unwrap();
    assert!(error.starts_with("x.pcap is corrupt at byte 83, after 1 packets"), "{error}");
}

/// Gives one byte at a time, as the slowest pipe would.
struct Trickle(Cursor<Vec<u8>>);

impl Read for Trickle {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let n_bytes = into.len().min(1);
        self.0.read(&mut into[..n_bytes])
    }
}

#[test]
fn a_pipe_that_gives_a_byte_at_a_time_reads_the_same() {
    let file = PcapFile::raw().whole(&packet(1, b"one")).whole(&packet(4, b"two")).bytes;
    let expected = read(file.clone());
    let mut reader = Reader::new(Trickle(Cursor::new(file)), "pipe").unwrap();
    assert_eq!(read_all(&mut reader), expected);
}

#[test]
fn more_than_the_window_holds_slides_through_it() {
    let mut file = PcapFile::raw();
    let payload = [b'z'; 1400];
    for n in 0..1000 {
        file = file.whole(&packet(n * 1400, &payload));
    }
    // One packet larger than the window: BIG TCP, with no total length.
    let mut big = packet(1_400_000, &vec![b'y'; 500_000]);
    (big[2], big[3]) = (0, 0);
    let ((segments, error), _) = read(file.whole(&big).whole(&packet(0, b"end")).bytes);
    assert_eq!((segments.len(), error), (1002, None));
    assert!(segments[..1000].iter().all(|(_, _, bytes, _)| bytes == &payload));
    assert_eq!(segments[1000].3, 500_000);
    assert_eq!(segments[1001].2, b"end");
}

#[test]
fn a_read_error_comes_after_what_was_read_with_its_cause() {
    struct Failing(Cursor<Vec<u8>>);
    impl Read for Failing {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            match self.0.read(into)? {
                0 => Err(io::Error::other("the disk went away")),
                n => Ok(n),
            }
        }
    }
    let file = PcapFile::raw().whole(&packet(1, b"one")).bytes;
    let mut reader = Reader::new(Failing(Cursor::new(file)), "x").unwrap();
    assert!(reader.next_segment().unwrap().is_some());
    let Err(FileError::Read { offset: 83, source, .. }) = reader.next_segment() else {
        panic!("the read error is told")
    };
    assert_eq!(source.to_string(), "the disk went away");
}

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
        assert!(error.contains(&format!("corrupt at byte {place}, after 1 packets")), "{error}");
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

#[test]
fn checksums_can_be_left_alone() {
    let mut wrong = packet(1, b"x");
    (wrong[36], wrong[37]) = (0x12, 0x34);
    let file = PcapFile::raw().whole(&wrong).bytes;
    let (_, counters) = read(file.clone());
    assert_eq!((counters.bad_checksum, counters.damaged), (1, 1));
    let options = ReaderOptions { verify_checksums: false };
    let mut reader = Reader::new(Cursor::new(file), "x").unwrap().with_options(options);
    let (_, counters) = read_all(&mut reader);
    assert_eq!((counters.bad_checksum, counters.damaged), (0, 0));
}
