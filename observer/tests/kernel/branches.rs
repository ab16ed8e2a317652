//! Each way through the programs that ends in a counter of its own.

use std::net::Ipv4Addr;

use observer::segment::{Endpoint, Hook, TcpFlags};
use observer_common::config::{self, Network};
use observer_common::record::NOTE_CUT;
use observer_common::stats::Outcome;

use crate::frames::*;
use crate::rig::{Rig, Settings};

const GET: &[u8] = b"GET /index.html HTTP/1.1\r\nHost: example.com\r\n\r\n";

#[test]
fn a_request_becomes_a_record_with_every_field() {
    let Some(mut rig) = Rig::new(&Settings::default()) else { return };
    let seen = rig.send(&Tcp::data(GET).frame());
    let segment = seen.segment();
    assert_eq!(segment.source, Endpoint::v4(CLIENT, 40000));
    assert_eq!(segment.destination, Endpoint::v4(SERVER, 80));
    assert_eq!((segment.seq.0, segment.ack.0), (1000, 5000));
    assert_eq!((segment.flags.0, segment.window), (PSH_ACK, 512));
    assert_eq!((segment.payload_len as usize, segment.payload), (GET.len(), GET));
    assert_eq!((segment.origin.ifindex, segment.origin.hook), (1, Hook::TcEgress));
    assert_eq!((segment.origin.vlan, segment.origin.records_lost), (None, 0));
    assert!(segment.time.0 > 0);
}

#[test]
fn once_known_both_halves_and_bare_segments_are_emitted() {
    let Some(mut rig) = Rig::new(&Settings::default()) else { return };
    rig.send(&Tcp::bare(ACK).frame()).is(Outcome::NoPayload);
    rig.send(&Tcp::data(GET).frame()).is(Outcome::Emitted);
    rig.send(&Tcp::bare(ACK).answer()).is(Outcome::Emitted);
    rig.send(&Tcp::data(b"anything at all").answer()).is(Outcome::Emitted);
    for flags in [0x011, 0x014, 0x004] {
        rig.send(&Tcp::bare(flags).frame()).is(Outcome::Emitted);
    }
    let ledger = rig.ledger();
    assert_eq!((ledger.seen, ledger.emitted, ledger.flows), (7, 6, 1));
    assert_eq!(ledger.bytes as usize, GET.len() + 15);
}

#[test]
fn what_is_no_tcp_segment_has_its_counter() {
    let Some(mut rig) = Rig::new(&Settings::default()) else { return };
    let whole = Tcp::data(GET).bytes();
    rig.send(&ethernet(0x0806, &[0; 46])).is(Outcome::NotIp);
    rig.send(&ethernet(0x0800, &ipv4_with(&whole, 0, 17, 0))).is(Outcome::NotTcp);
    rig.send(&ethernet(0x86dd, &ipv6(58, &whole))).is(Outcome::NotTcp);
    rig.send(&ethernet(0x0800, &ipv4_with(&whole, 0, 6, 0x2000))).is(Outcome::Fragment);
    rig.send(&ethernet(0x0800, &ipv4_with(&whole, 0, 6, 0x0001))).is(Outcome::Fragment);
    let first = [&[6, 0, 0, 1, 0, 0, 0, 0], &whole[..]].concat();
    rig.send(&ethernet(0x86dd, &ipv6(44, &first))).is(Outcome::Fragment);
    let mut frame = Tcp::data(GET).frame();
    frame[14] = 0x44;
    rig.send(&frame).is(Outcome::Malformed);
    let mut frame = Tcp::data(GET).frame();
    frame[16..18].copy_from_slice(&9000u16.to_be_bytes());
    rig.send(&frame).is(Outcome::Malformed);
    let mut frame = Tcp::data(GET).frame();
    frame[14 + 20 + 12] = 0x40;
    rig.send(&frame).is(Outcome::Malformed);
}

#[test]
fn the_second_sight_of_loopback_is_left_out() {
    let Some(mut rig) = Rig::new(&Settings::default()) else { return };
    let frame = Tcp::data(GET).frame();
    rig.run(config::TC_INGRESS, 1, &frame).is(Outcome::Loopback);
    rig.run(config::SOCKET, 1, &frame).is(Outcome::Loopback);
    rig.run(config::TC_EGRESS, 1, &frame).is(Outcome::Emitted);
}

#[test]
fn tags_options_and_extension_headers_are_passed() {
    let whole = Tcp::data(GET).bytes();
    let ip = ipv4(&whole);
    let options = ethernet(0x0800, &ipv4_with(&whole, 40, 6, 0));
    let one = ethernet(0x8100, &tag(100, 0x0800, &ip));
    let two = ethernet(0x88a8, &tag(7, 0x8100, &tag(100, 0x0800, &ip)));
    let plain6 = ethernet(0x86dd, &ipv6(6, &whole));
    // Hop-by-hop, routing, destination options, an atomic fragment, authentication, TCP.
    let mut chain = vec![43, 0, 1, 4, 0, 0, 0, 0];
    chain.extend([60, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    chain.extend([44, 0, 1, 4, 0, 0, 0, 0]);
    chain.extend([51, 0, 0, 0, 0, 0, 0, 9]);
    chain.extend([6, 4, 0, 0]);
    chain.extend([0; 20]);
    chain.extend(&whole);
    let chain = ethernet(0x86dd, &ipv6(0, &chain));
    for (frame, vlan) in
        [(options, None), (one, Some(100)), (two, Some(7)), (plain6, None), (chain, None)]
    {
        let Some(mut rig) = Rig::new(&Settings::default()) else { return };
        let seen = rig.send(&frame);
        assert_eq!(seen.segment().payload, GET);
        assert_eq!(seen.segment().origin.vlan, vlan);
    }
    let three = tag(1, 0x8100, &tag(7, 0x8100, &tag(100, 0x0800, &ip)));
    let Some(mut rig) = Rig::new(&Settings::default()) else { return };
    rig.send(&ethernet(0x88a8, &three)).is(Outcome::NotIp);
}

#[test]
fn ethernet_padding_is_not_captured() {
    let Some(mut rig) = Rig::new(&Settings::default()) else { return };
    let mut frame = Tcp { options: 0, ..Tcp::data(b"GET /") }.frame();
    assert!(frame.len() < 60);
    frame.resize(60, 0xee);
    assert_eq!(rig.send(&frame).segment().payload, b"GET /");
}

#[test]
fn all_twelve_flag_bits_arrive() {
    let Some(mut rig) = Rig::new(&Settings::default()) else { return };
    rig.send(&Tcp::data(GET).frame()).is(Outcome::Emitted);
    // The frame of RFC 9401: Data Offset 5 and DTH make octet 12 read 0x58.
    let dth = Tcp { flags: 0x818, options: 0, ..Tcp::data(b"x") }.frame();
    assert_eq!(dth[14 + 20 + 12], 0x58);
    let seen = rig.send(&dth);
    assert!(seen.segment().flags.contains(TcpFlags::DTH));
    for bit in 0..12 {
        let seen = rig.send(&Tcp::bare(1 << bit).frame());
        assert_eq!(seen.segment().flags, TcpFlags(1 << bit));
    }
}

#[test]
fn filters_of_ports_and_hosts_hold_at_either_end() {
    let other = |port| Tcp { destination_port: port, ..Tcp::data(GET) };
    let Some(mut rig) = Rig::new(&Settings { port: Some(8080), ..Settings::default() }) else {
        return;
    };
    rig.send(&Tcp::data(GET).frame()).is(Outcome::Port);
    rig.send(&other(8080).frame()).is(Outcome::Emitted);
    rig.send(&other(8080).answer()).is(Outcome::Emitted);
    rig.send(&other(8081).frame()).is(Outcome::Port);

    let network =
        |a: [u8; 4], bits| Network::new(Ipv4Addr::from(a).to_ipv6_mapped().octets(), bits);
    for (host, outcome) in [
        (network([10, 9, 0, 0], 96 + 16), Outcome::Emitted),
        (network([10, 1, 2, 3], 128), Outcome::Emitted),
        (network([10, 1, 2, 2], 128), Outcome::Host),
        (network([192, 168, 0, 0], 96 + 16), Outcome::Host),
    ] {
        let settings = Settings { host: Some(host), ..Settings::default() };
        let Some(mut rig) = Rig::new(&settings) else { return };
        rig.send(&Tcp::data(GET).frame()).is(outcome);
        rig.send(&Tcp::data(GET).answer()).is(outcome);
    }
}

#[test]
fn payloads_of_every_size_class_arrive_whole() {
    let Some(mut rig) = Rig::new(&Settings::default()) else { return };
    rig.send(&Tcp::data(GET).frame()).is(Outcome::Emitted);
    // The kernel takes frames of up to a page here; larger classes are met live.
    for n in [0, 1, 2, 255, 256, 257, 1448, 1535, 1536, 1537, 3000, 3400] {
        let payload: Vec<u8> = (0..n).map(|i| (i * 7) as u8).collect();
        let seen = rig.send(&Tcp::data(&payload).frame());
        assert_eq!(seen.segment().payload, payload);
    }
}

#[test]
fn a_capture_limit_cuts_and_says_so() {
    let settings = Settings { capture_limit: Some(10), ..Settings::default() };
    let Some(mut rig) = Rig::new(&settings) else { return };
    let seen = rig.send(&Tcp::data(GET).frame());
    assert_eq!(seen.segment().payload, &GET[..10]);
    assert_eq!(seen.segment().payload_len as usize, GET.len());
    let notes = std::mem::offset_of!(observer_common::record::RecordHeader, notes);
    assert!(seen.records[0][notes] & NOTE_CUT != 0);
}

#[test]
fn a_full_ring_loses_and_counts_and_the_next_record_says_so() {
    let Some(mut rig) = Rig::new(&Settings { ring_bytes: Some(4096), ..Settings::default() })
    else {
        return;
    };
    rig.send(&Tcp::data(GET).frame()).is(Outcome::Emitted);
    // One record of that size fits a ring of 4096, while nobody reads it.
    rig.is_reading = false;
    let large = Tcp::data(&[b'x'; 3000]).frame();
    let outcomes = [rig.send(&large).outcome, rig.send(&large).outcome];
    assert_eq!(outcomes, [Outcome::Emitted, Outcome::RingFull]);
    rig.is_reading = true;
    assert_eq!(rig.send(&Tcp::data(b"w").frame()).records.len(), 2);
    let seen = rig.send(&Tcp::data(b"y").frame());
    assert_eq!(seen.segment().origin.records_lost, 1);
    // The other half lost nothing.
    let seen = rig.send(&Tcp::data(b"z").answer());
    assert_eq!(seen.segment().origin.records_lost, 0);
}

/// How far one ring has come says nothing of another.
#[test]
fn rings_of_different_age_hold_as_much() {
    let settings = Settings { rings: Some(2), ring_bytes: Some(4096), ..Settings::default() };
    let Some(mut rig) = Rig::new(&settings) else { return };
    let from = |port| Tcp { source_port: port, ..Tcp::data(GET) }.frame();
    let seen = rig.send(&from(40_000)).ring;
    let other = (40_001..40_100).find(|port| rig.send(&from(*port)).ring != seen).unwrap();
    for _ in 0..100 {
        rig.send(&from(40_000)).is(Outcome::Emitted);
    }
    for _ in 0..3 {
        rig.send(&from(other)).is(Outcome::Emitted);
        rig.send(&from(40_000)).is(Outcome::Emitted);
    }
}

#[test]
fn a_flow_has_one_ring_for_both_halves_and_flows_spread() {
    let Some(mut rig) = Rig::new(&Settings { rings: Some(4), ..Settings::default() }) else {
        return;
    };
    let mut used = [0; 4];
    for port in 40_000..40_064 {
        let request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        let to_server = rig.send(&Tcp { source_port: port, ..Tcp::data(request) }.frame()).ring;
        let response = Tcp::data(b"HTTP/1.1 204 No Content\r\n\r\n");
        let to_client = rig.send(&Tcp { source_port: port, ..response }.answer()).ring;
        assert_eq!(to_server, to_client, "port {port}");
        used[to_server.unwrap()] += 1;
    }
    assert!(used.iter().all(|n| *n > 4), "{used:?}");
}
