//! Whole captures built by hand: pcap, counters, and what is said when a file is not what it
//! should be.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]

mod fragments;
mod pcapng;

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
    assert!(says(b"\x1f\x8b\x08\x00....").contains("`zcat FILE | observer read -`"));
    assert!(says(b"\x28\xb5\x2f\xfd....").contains("`zstdcat FILE | observer read -`"));
    assert!(says(b"\xfd7zXZ\x00").contains("xz"));
    assert!(says(b"BZh91AY").contains("bzip2"));
    assert!(says(b"snoop\0\0\0").contains("editcap -F pcapng FILE"));
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
    assert!(
        error.starts_with("x.pcap is corrupt at byte 83 (packets read before it: 1)"),
        "{error}"
    );
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
