//! Frames built by hand, and what the walk makes of each.

extern crate std;
use std::vec::Vec;

use super::*;
use crate::config::words;

/// A frame on a device: its bytes, what the kernel takes it for, where its network header is.
struct Frame {
    bytes: Vec<u8>,
    protocol: u16,
    network: usize,
}

impl Load for Frame {
    fn n_bytes(&self) -> u32 {
        self.bytes.len() as u32
    }

    fn protocol(&self) -> u16 {
        self.protocol
    }

    fn load_to(&self, offset: u32, n_bytes: usize, to: &mut Buffer, place: usize) -> bool {
        let at = offset as usize;
        match self.bytes.get(at..at + n_bytes) {
            Some(bytes) => to.0[place..place + n_bytes].copy_from_slice(bytes),
            None => to.0.fill(0xaa),
        }
        self.bytes.len() >= at + n_bytes
    }

    fn load_network(&self, offset: u32, n_bytes: usize, to: &mut Buffer) -> bool {
        self.load(offset + self.network as u32, n_bytes, to)
    }
}

/// What the walk finds, with what is found at once where the frame is usual.
fn walked(frame: &Frame) -> Result<Tcp, Outcome> {
    let walked = walk(frame, &mut Buffer([0xaa; BUFFER_LEN]));
    let at_once = at_once(frame);
    assert!(at_once.is_none_or(|found| found == walked), "{at_once:?} is not {walked:?}");
    walked
}

/// What is found without a walk.
fn at_once(frame: &Frame) -> Option<Result<Tcp, Outcome>> {
    let bytes = frame.bytes.get(..USUAL_LEN)?;
    let halves = bytes.chunks_exact(2).map(|two| u16::from_ne_bytes([two[0], two[1]]));
    let front = Front(halves.collect::<Vec<_>>().try_into().unwrap());
    usual(frame, &front)
}

const CLIENT: [u8; 4] = [10, 0, 0, 1];
const SERVER: [u8; 4] = [10, 0, 0, 2];

fn tcp_header(flags: u16, options: usize) -> Vec<u8> {
    let mut h = Vec::new();
    h.extend(40000u16.to_be_bytes());
    h.extend(80u16.to_be_bytes());
    h.extend(0x0102_0304u32.to_be_bytes());
    h.extend(0x0506_0708u32.to_be_bytes());
    let offset = ((20 + options) / 4) as u16;
    h.extend((offset << 12 | flags).to_be_bytes());
    h.extend(512u16.to_be_bytes());
    h.extend([0; 4]);
    h.extend(std::iter::repeat_n(1, options));
    h
}

fn ipv4(segment: &[u8], options: usize, fragment: u16, protocol: u8) -> Vec<u8> {
    let mut h = Vec::new();
    h.push(0x40 | ((20 + options) / 4) as u8);
    h.push(0);
    h.extend(((20 + options + segment.len()) as u16).to_be_bytes());
    h.extend([0, 0]);
    h.extend(fragment.to_be_bytes());
    h.extend([64, protocol, 0, 0]);
    h.extend(CLIENT);
    h.extend(SERVER);
    h.extend(std::iter::repeat_n(1, options));
    h.extend(segment);
    h
}

fn ipv6(next: u8, rest: &[u8]) -> Vec<u8> {
    let mut h = Vec::from([0x60, 0, 0, 0]);
    h.extend((rest.len() as u16).to_be_bytes());
    h.extend([next, 64]);
    h.extend([0xfd; 16]);
    h.extend([0xfe; 16]);
    h.extend(rest);
    h
}

fn ethernet(ethertype: u16, rest: &[u8]) -> Frame {
    let mut bytes = Vec::from([2; 12]);
    bytes.extend(ethertype.to_be_bytes());
    bytes.extend(rest);
    Frame { bytes, protocol: ethertype, network: 14 }
}

fn segment(payload: &[u8]) -> Vec<u8> {
    let mut s = tcp_header(ACK | PSH, 12);
    s.extend(payload);
    s
}

#[track_caller]
fn found(frame: &Frame, payload: &[u8]) -> Tcp {
    let tcp = walked(frame).expect("a TCP segment");
    let at = tcp.payload_offset as usize;
    assert_eq!(&frame.bytes[at..at + tcp.payload_len as usize], payload);
    assert_eq!((tcp.source_port, tcp.destination_port), (40000, 80));
    assert_eq!((tcp.seq, tcp.ack, tcp.window), (0x0102_0304, 0x0506_0708, 512));
    tcp
}

fn mapped_words(v4: [u8; 4]) -> [u64; 2] {
    let mut address = [0; 16];
    address[10..12].fill(0xff);
    address[12..].copy_from_slice(&v4);
    words(address)
}

#[test]
fn ipv4_over_ethernet() {
    let tcp = found(&ethernet(0x0800, &ipv4(&segment(b"GET /"), 0, 0, 6)), b"GET /");
    assert_eq!((tcp.source, tcp.destination), (mapped_words(CLIENT), mapped_words(SERVER)));
    assert_eq!(tcp.flags, ACK | PSH);
    assert_eq!(tcp.vlan, VLAN_NONE);
}

#[test]
fn all_twelve_flag_bits_come_through() {
    for flags in [0x800, 0x100, 0xfff, 0x018] {
        let frame = ethernet(0x0800, &ipv4(&tcp_header(flags, 0), 0, 0, 6));
        assert_eq!(found(&frame, b"").flags, flags);
    }
}

#[test]
fn what_is_usual_takes_no_walk() {
    let frame = |options, flags| {
        let segment = [tcp_header(flags, 12), b"GET / HTTP/1.1".to_vec()].concat();
        ethernet(ETHERTYPE_IPV4, &ipv4(&segment, options, 0, 6))
    };
    for flags in [ACK, FIN | PSH, SYN, DTH] {
        let usual = frame(0, flags);
        assert_eq!(at_once(&usual).unwrap(), Ok(found(&usual, b"GET / HTTP/1.1")));
    }
    assert_eq!(at_once(&frame(4, ACK)), None);
}

#[test]
fn ipv4_options_are_passed_over() {
    found(&ethernet(0x0800, &ipv4(&segment(b"x"), 40, 0, 6)), b"x");
}

#[test]
fn ethernet_padding_is_no_payload() {
    let mut frame = ethernet(0x0800, &ipv4(&tcp_header(ACK, 0), 0, 0, 6));
    frame.bytes.resize(60, 0);
    found(&frame, b"");
    let mut frame = ethernet(0x86dd, &ipv6(6, &segment(b"ab")));
    frame.bytes.extend([0; 6]);
    found(&frame, b"ab");
}

#[test]
fn one_or_two_tags_in_the_frame() {
    let ip = ipv4(&segment(b"x"), 0, 0, 6);
    let one = [&[0x20, 0x64, 0x08, 0x00], &ip[..]].concat();
    assert_eq!(found(&ethernet(0x8100, &one), b"x").vlan, 100);
    let two = [&[0x00, 0x07, 0x81, 0x00], &one[..]].concat();
    assert_eq!(found(&ethernet(0x88a8, &two), b"x").vlan, 7);
    let three = [&[0x00, 0x09, 0x88, 0xa8], &two[..]].concat();
    assert_eq!(walked(&ethernet(0x88a8, &three)), Err(Outcome::NotIp));
}

#[test]
fn no_link_layer_at_all() {
    let bytes = ipv4(&segment(b"x"), 0, 0, 6);
    found(&Frame { bytes, protocol: 0x0800, network: 0 }, b"x");
    let bytes = ipv6(6, &segment(b"x"));
    found(&Frame { bytes, protocol: 0x86dd, network: 0 }, b"x");
}

#[test]
fn a_bare_packet_that_reads_like_ethernet_is_still_bare() {
    // Octets 12 and 13, where the EtherType would be, are the start of 8.0.69.1.
    let mut bytes = ipv4(&segment(b"x"), 0, 0, 6);
    bytes[12..16].copy_from_slice(&[8, 0, 0x45, 1]);
    found(&Frame { bytes, protocol: 0x0800, network: 0 }, b"x");
}

#[test]
fn a_mac_address_that_reads_like_ipv4_is_still_ethernet() {
    let mut frame = ethernet(0x0800, &ipv4(&segment(b"x"), 0, 0, 6));
    frame.bytes[0] = 0x45;
    found(&frame, b"x");
}

#[test]
fn ipv6_with_and_without_extension_headers() {
    let tcp = found(&ethernet(0x86dd, &ipv6(6, &segment(b"x"))), b"x");
    assert_eq!((tcp.source, tcp.destination), (words([0xfd; 16]), words([0xfe; 16])));
    // Hop-by-hop (8 octets), routing (16), an atomic fragment (8), authentication (24), TCP.
    let mut rest = Vec::from([43, 0, 0, 0, 0, 0, 0, 0]);
    rest.extend([44, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    rest.extend([51, 0, 0, 0, 0, 0, 0, 1]);
    rest.extend([6, 4, 0, 0]);
    rest.extend([0; 20]);
    rest.extend(segment(b"xyz"));
    found(&ethernet(0x86dd, &ipv6(0, &rest)), b"xyz");
}

#[test]
fn an_endless_chain_of_extension_headers_ends() {
    let mut rest = Vec::new();
    for _ in 0..20 {
        rest.extend([60, 0, 0, 0, 0, 0, 0, 0]);
    }
    assert_eq!(walked(&ethernet(0x86dd, &ipv6(60, &rest))), Err(Outcome::NotTcp));
}

#[test]
fn big_tcp_is_measured_by_the_skb() {
    let payload = std::vec![b'x'; 100_000];
    let mut bytes = ipv4(&tcp_header(ACK, 0), 0, 0, 6);
    bytes[2..4].fill(0);
    bytes.extend(&payload);
    found(&ethernet(0x0800, &bytes), &payload);
    // IPv6: Payload Length 0 and the jumbo payload option (RFC 2675 §2).
    let mut rest = Vec::from([6, 0, 0xc2, 4, 0, 1, 0x86, 0xa0]);
    rest.extend(tcp_header(ACK, 0));
    let mut bytes = ipv6(0, &rest);
    bytes[4..6].fill(0);
    bytes.extend(&payload);
    found(&ethernet(0x86dd, &bytes), &payload);
}

#[test]
fn what_is_no_tcp_segment_says_why() {
    #[track_caller]
    fn check(frame: &Frame, why: Outcome) {
        assert_eq!(walked(frame), Err(why));
    }
    let whole = segment(b"x");
    check(&ethernet(0x0806, &[0; 28]), Outcome::NotIp);
    check(&ethernet(0x0800, &ipv4(&whole, 0, 0, 17)), Outcome::NotTcp);
    check(&ethernet(0x86dd, &ipv6(17, &whole)), Outcome::NotTcp);
    check(&ethernet(0x0800, &ipv4(&whole, 0, 0x2000, 6)), Outcome::Fragment);
    check(&ethernet(0x0800, &ipv4(&whole, 0, 0x0010, 6)), Outcome::Fragment);
    // Do not Fragment is no fragment.
    found(&ethernet(0x0800, &ipv4(&whole, 0, 0x4000, 6)), b"x");
    let first = [&[6, 0, 0, 1, 0, 0, 0, 0], &whole[..]].concat();
    check(&ethernet(0x86dd, &ipv6(44, &first)), Outcome::Fragment);
    let mut frame = ethernet(0x0800, &ipv4(&whole, 0, 0, 6));
    frame.bytes[0] = 0x10;
    frame.bytes[12] = 0x11;
    check(&frame, Outcome::UnknownLink);
}

#[test]
fn every_cut_is_refused_without_reading_past_the_end() {
    for whole in [
        ethernet(0x0800, &ipv4(&segment(b"payload"), 8, 0, 6)),
        ethernet(0x86dd, &ipv6(60, &[&[6, 0, 0, 0, 0, 0, 0, 0], &segment(b"pay")[..]].concat())),
    ] {
        for n in 0..whole.bytes.len() {
            let cut = Frame { bytes: whole.bytes[..n].to_vec(), ..whole };
            assert!(walked(&cut).is_err(), "cut to {n} bytes");
        }
        assert!(walked(&whole).is_ok());
    }
}

#[test]
fn lengths_that_contradict_each_other_are_malformed() {
    let mut short_header = ethernet(0x0800, &ipv4(&segment(b"x"), 0, 0, 6));
    short_header.bytes[14] = 0x44;
    assert_eq!(walked(&short_header), Err(Outcome::Malformed));
    let mut short_total = ethernet(0x0800, &ipv4(&segment(b"x"), 0, 0, 6));
    short_total.bytes[16..18].copy_from_slice(&39u16.to_be_bytes());
    assert_eq!(walked(&short_total), Err(Outcome::Malformed));
    let mut long_offset = ethernet(0x0800, &ipv4(&tcp_header(ACK, 0), 0, 0, 6));
    long_offset.bytes[14 + 20 + 12] = 0xf0;
    assert_eq!(walked(&long_offset), Err(Outcome::Malformed));
}
