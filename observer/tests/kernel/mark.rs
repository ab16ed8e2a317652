//! The object `mark`: which segments get the DTH bit, that nothing else of a frame changes but its
//! checksum, and what a capture beside it sees.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use aya::maps::{MapData, PerCpuArray, Queue};
use aya::programs::{SchedClassifier, TcAttachType, TestRun, TestRunOptions};
use aya::{Ebpf, EbpfLoader};
use observer::capture::live::{Backend, Capture, CaptureError, Marker, Options, Selection};
use observer::segment::{Segment, TcpFlags};
use observer_common::config::{self, PORT_WORDS};
use observer_common::mark::{self, MARK_EGRESS, Marks, TABLE_LEN};

use crate::frames::*;
use crate::needs::{namespace, namespace_with_tcx};
use crate::rig::Wire;

pub(crate) static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/mark"));

const DTH: u16 = TcpFlags::DTH.0;
const TCP_AT: usize = 14 + 20;

// SAFETY: `repr(C)` of integers without padding.
unsafe impl aya::Pod for Wire<Marks> {}

struct Rig {
    ebpf: Ebpf,
    marks: PerCpuArray<MapData, Wire<Marks>>,
}

impl Rig {
    fn new(port: Option<u16>, text: Option<&str>, limit: Option<u32>) -> Option<Self> {
        if !namespace() {
            return None;
        }
        let mut ports = [0u64; PORT_WORDS];
        if let Some(port) = port {
            ports[usize::from(port >> 6)] = 1 << (port & 63);
        }
        let mut table = Box::new([0; TABLE_LEN]);
        assert!(text.is_none_or(|text| mark::fill(&mut table, text.as_bytes())));
        let mut ebpf = EbpfLoader::new()
            .override_global(config::PORTS, &ports, true)
            .override_global(config::PORTS_ON, &u32::from(port.is_some()), true)
            .override_global(mark::TEXT_ON, &u32::from(text.is_some()), true)
            .override_global(mark::TEXT_TABLE, table.as_ref(), true)
            .override_global(mark::LIMITED, &u32::from(limit.is_some()), true)
            .map_max_entries(mark::TICKETS, limit.unwrap_or(1))
            .load(OBJECT)
            .unwrap();
        let mut tickets: Queue<_, u32> = ebpf.take_map(mark::TICKETS).unwrap().try_into().unwrap();
        for _ in 0..limit.unwrap_or(0) {
            tickets.push(0, 0).unwrap();
        }
        let marks = ebpf.take_map(mark::MARKS).unwrap().try_into().unwrap();
        let mut rig = Self { ebpf, marks };
        rig.program().load().unwrap();
        Some(rig)
    }

    fn program(&mut self) -> &mut SchedClassifier {
        self.ebpf.program_mut(MARK_EGRESS).unwrap().try_into().unwrap()
    }

    /// The frame after the program, with a right checksum before.
    fn run(&mut self, frame: &[u8]) -> Vec<u8> {
        let mut frame = frame.to_vec();
        frame[TCP_AT + 16..][..2].fill(0);
        let sum = checksum(&frame);
        frame[TCP_AT + 16..][..2].copy_from_slice(&sum.to_be_bytes());
        let mut out = vec![0; frame.len() + 64];
        let options = TestRunOptions {
            data_in: Some(&frame),
            data_out: Some(&mut out),
            ..TestRunOptions::default()
        };
        let result = self.program().test_run(options).unwrap();
        assert_eq!(result.return_value, -1i32 as u32, "the verdict");
        out.truncate(result.data_size_out as usize);
        assert_eq!(checksum(&out), 0, "the checksum");
        out
    }

    #[track_caller]
    fn check(&mut self, frame: &[u8], marked: bool) {
        let before = self.marked();
        let mut out = self.run(frame);
        let flags = u16::from_be_bytes([out[TCP_AT + 12], out[TCP_AT + 13]]);
        let expected = if marked { DTH } else { 0 };
        assert_eq!(flags & DTH, expected, "the bit");
        assert_eq!(self.marked() - before, u64::from(marked), "the count");
        // Nothing else has changed.
        out[TCP_AT + 12] &= !(DTH >> 8) as u8;
        out[TCP_AT + 16..][..2].copy_from_slice(&frame[TCP_AT + 16..][..2]);
        assert_eq!(out, frame);
    }

    fn marked(&self) -> u64 {
        self.marks.get(&0, 0).unwrap().iter().map(|marks| marks.0.marked).sum()
    }
}

/// The Internet checksum (RFC 1071) of the TCP segment and its pseudo-header; 0 over one that holds
/// its own.
fn checksum(frame: &[u8]) -> u16 {
    let segment = &frame[TCP_AT..];
    let addresses = &frame[26..34];
    let rest = [0, 6, (segment.len() >> 8) as u8, segment.len() as u8];
    let bytes: Vec<u8> = addresses.iter().chain(&rest).chain(segment).copied().collect();
    let mut sum: u32 = bytes
        .chunks(2)
        .map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0)))
        .sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

#[test]
fn the_bit_is_set_and_the_checksum_stays_right() {
    let Some(mut rig) = Rig::new(Some(80), None, None) else { return };
    for payload in [&b""[..], b"x", b"GET / HTTP/1.1\r\n\r\n", &[0xff; 1000]] {
        for flags in [0x010, 0x018, 0x011, 0x014, 0x1d8] {
            for options in [0, 12, 40] {
                let tcp = Tcp { flags, options, ..Tcp::data(payload) };
                rig.check(&tcp.frame(), true);
                rig.check(&tcp.answer(), true);
            }
        }
    }
}

#[test]
fn a_syn_and_what_was_not_chosen_are_left_alone() {
    let Some(mut rig) = Rig::new(Some(80), None, None) else { return };
    for flags in [0x002, 0x012, 0x0c2, 0x01a] {
        rig.check(&Tcp::bare(flags).frame(), false);
        rig.check(&Tcp::bare(flags).answer(), false);
    }
    rig.check(&Tcp { destination_port: 81, ..Tcp::data(b"x") }.frame(), false);
}

#[test]
fn a_text_chooses_the_segments_that_hold_it() {
    let text = "この戦争が終わったら";
    let Some(mut rig) = Rig::new(None, Some(text), None) else { return };
    rig.check(&Tcp::data(format!("{text}、結婚するんだ").as_bytes()).frame(), true);
    rig.check(&Tcp::data(text.as_bytes()).answer(), true);
    rig.check(&Tcp::data("この戦争が終わった".as_bytes()).frame(), false);
    rig.check(&Tcp::bare(ACK).frame(), false);
    for (n_before, marked) in [(2048 - text.len(), true), (2049 - text.len(), false)] {
        let payload = [&vec![b'x'; n_before], text.as_bytes()].concat();
        rig.check(&Tcp::data(&payload).frame(), marked);
    }
}

#[test]
fn after_so_many_segments_no_more_are_marked() {
    let Some(mut rig) = Rig::new(Some(80), None, Some(2)) else { return };
    for marked in [true, true, false, false] {
        rig.check(&Tcp::data(b"x").frame(), marked);
    }
}

/// The flags of all segments that the capture sees of one exchange, SYN apart from the others.
fn converse(capture: &mut Capture, listener: &TcpListener) -> Vec<TcpFlags> {
    let server = listener.local_addr().unwrap();
    let body = vec![b'x'; 300_000];
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (mut stream, _) = listener.accept().unwrap();
            stream.read_exact(&mut [0; 18]).unwrap();
            stream.write_all(b"HTTP/1.0 200 OK\r\n\r\n").unwrap();
            stream.write_all(&body).unwrap();
        });
        let mut stream = TcpStream::connect(server).unwrap();
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
        let mut got = Vec::new();
        stream.read_to_end(&mut got).unwrap();
        assert!(got[19..] == body, "the connection is undisturbed");
    });
    let (mut flags, mut last) = (Vec::new(), None);
    let mut sink = |segment: &Segment<'_>| {
        // The records of one large segment have one time.
        if last.replace(segment.time) != Some(segment.time) {
            flags.push(segment.flags);
        }
    };
    while capture.poll(Duration::from_millis(200), &mut sink).unwrap() > 0 {}
    flags
}

/// Waits for a count. A link goes with the last descriptor of it, and a test that starts a process
/// at this moment holds a copy of all descriptors until its exec.
#[track_caller]
fn eventually(count: impl Fn() -> usize, expected: usize) {
    for _ in 0..200 {
        if count() == expected {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    assert_eq!(count(), expected);
}

fn programs() -> usize {
    SchedClassifier::query_tcx("lo", TcAttachType::Egress).unwrap().1.len()
}

#[test]
fn real_connections_are_marked_whoever_attached_first_and_nothing_stays() {
    if !namespace_with_tcx() {
        return;
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let selection =
        Selection { interfaces: vec!["lo".to_owned()], ports: vec![port], ..Selection::default() };
    let options = Options { backend: Backend::Tc, ..Options::default() };
    for marker_first in [true, false] {
        let first = marker_first.then(|| Marker::start(&selection).unwrap());
        let mut capture = Capture::start(&options).unwrap();
        let marker = first.unwrap_or_else(|| Marker::start(&selection).unwrap());
        assert_eq!(programs(), 2);
        let flags = converse(&mut capture, &listener);
        let (opening, others): (Vec<TcpFlags>, Vec<TcpFlags>) =
            flags.into_iter().partition(|flags| flags.contains(TcpFlags::SYN));
        assert!(others.len() >= 5, "{others:?}");
        assert!(others.iter().all(|flags| flags.contains(TcpFlags::DTH)), "{others:?}");
        assert!(!opening.iter().any(|flags| flags.contains(TcpFlags::DTH)), "{opening:?}");
        let marked = marker.marked().unwrap();
        // Loopback carries super-segments, which count once here and in parts on a wire.
        assert!(marked.segments as usize >= others.len(), "{marked:?}");
        assert!(marked.on_wire > marked.segments && marked.failed == 0, "{marked:?}");
        drop(marker);
        eventually(programs, 1);
        let flags = converse(&mut capture, &listener);
        assert!(!flags.iter().any(|flags| flags.contains(TcpFlags::DTH)));
        drop(capture);
        eventually(programs, 0);
    }
}

#[test]
fn what_cannot_be_chosen_is_said() {
    if !namespace() {
        return;
    }
    let lo = || Selection { interfaces: vec!["lo".to_owned()], ..Selection::default() };
    assert!(lo().is_empty());
    let missing = Selection { interfaces: vec!["nope0".to_owned()], ..lo() };
    let error = |selection: &Selection| Marker::start(selection).err().unwrap();
    assert!(matches!(error(&missing), CaptureError::NoSuchInterface { .. }));
    let cgroup = Selection { cgroup: Some("/tmp".into()), ..lo() };
    assert!(matches!(error(&cgroup), CaptureError::NoCgroup { .. }));
    for text in [String::new(), "x".repeat(65)] {
        let text = Selection { text: Some(text), ..lo() };
        assert!(matches!(error(&text), CaptureError::TextLength { .. }));
    }
}
