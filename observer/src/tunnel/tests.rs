//! Tunnels fed part by part: what is counted, what is recognised, what is not needed any more.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use super::*;
use crate::segment::Direction::{ToClient, ToServer};

const MS: u64 = 1_000_000;

fn agreement(kind: Takeover, protocol: Option<&str>) -> Agreement {
    let protocol = protocol.map(|p| p.as_bytes().to_vec());
    Agreement { kind, protocol, subprotocol: None, deflate: false }
}

fn raw() -> Tunnel {
    Tunnel::new(agreement(Takeover::Connect, None), Timestamp(0), Wanted::default())
}

fn websocket(wanted: Wanted) -> Tunnel {
    Tunnel::new(agreement(Takeover::Upgrade, Some("websocket")), Timestamp(0), wanted)
}

/// Feeds bytes a millisecond apart.
fn feed(tunnel: &mut Tunnel, parts: &[(Direction, &[u8])]) -> Found {
    let mut found = Found::default();
    for ((direction, bytes), ms) in parts.iter().zip(1..) {
        tunnel.handle(*direction, Timestamp(ms * MS), Part::Bytes(bytes), &mut found);
    }
    found
}

#[track_caller]
fn check_inner(parts: &[(Direction, &[u8])], expected: Option<&str>) {
    let mut whole = raw();
    feed(&mut whole, parts);
    assert_eq!(whole.inner().map(Inner::name), expected, "whole: {parts:?}");
    let bytes: Vec<(Direction, &[u8])> =
        parts.iter().flat_map(|(d, bytes)| bytes.chunks(1).map(|b| (*d, b))).collect();
    let mut single = raw();
    feed(&mut single, &bytes);
    assert_eq!(single.inner(), whole.inner(), "byte by byte: {parts:?}");
}

#[test]
fn the_first_bytes_tell_what_is_inside() {
    check_inner(&[(ToServer, b"SSH-2.0-a\r\n")], Some("ssh"));
    check_inner(&[(ToClient, b"welcome\r\nSSH-2.0-b\r\n")], Some("ssh"));
    check_inner(&[(ToServer, b"hello\r\nSSH-2.0-b\r\n")], None);
    check_inner(&[(ToServer, b"SSH-2.0-a")], None);
    check_inner(&[(ToServer, b"GET / HTTP/1.1\r\n")], Some("http/1"));
    check_inner(&[(ToServer, b"GET / SIP/2.0\r\n")], None);
    check_inner(&[(ToServer, b"QUIT now\r\n")], None);
    check_inner(&[(ToServer, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")], Some("http/2"));
    check_inner(&[(ToServer, b"\x16\x03\x01\x00\x05hello")], None);
    check_inner(&[(ToServer, b"\x00\x01\x02"), (ToClient, b"HTTP/1.1 200 OK\r\n")], None);
}

/// A ClientHello with a server name and nothing else, cut into two records, its end missing.
#[test]
fn a_hello_that_is_cut_still_tells_the_name() {
    let name = b"example.org";
    let mut hello = vec![1, 0, 1, 0, 3, 3];
    hello.extend([7; 32]);
    hello.extend([0, 0, 2, 0x13, 1, 1, 0, 1, 0]);
    hello.extend([0, 0, 0, 16, 0, 14, 0, 0, 11]);
    hello.extend(name);
    let (one, two) = hello.split_at(20);
    let record = |part: &[u8]| [&[22, 3, 1, 0, u8::try_from(part.len()).unwrap()], part].concat();
    let bytes = [record(one), record(two)].concat();
    let mut tunnel = raw();
    let mut found = Found::default();
    tunnel.handle(ToServer, Timestamp(0), Part::Bytes(&bytes), &mut found);
    assert_eq!(tunnel.inner(), None, "more of it may come");
    let gap = Part::Gap { n_bytes: 100, on_purpose: false };
    tunnel.handle(ToServer, Timestamp(0), gap, &mut found);
    let Some(Inner::Tls(hellos)) = tunnel.inner() else { panic!("{:?}", tunnel.inner()) };
    assert_eq!(hellos.client.as_ref().unwrap().server_name.as_deref(), Some(name.as_slice()));
}

#[test]
fn idle_time_is_the_longest_silence_of_both_halves_together() {
    let mut tunnel = raw();
    feed(&mut tunnel, &[(ToServer, b"a"), (ToClient, b"b")]);
    assert_eq!(tunnel.report().longest_idle_ns, MS);
    assert_eq!(tunnel.close(Timestamp(50 * MS)).longest_idle_ns, 48 * MS);
}

#[test]
fn nothing_is_dispensable_before_the_inside_is_known() {
    let mut tunnel = raw();
    let mut found = Found::default();
    let bulk = vec![0; 1 << 20];
    assert_eq!(tunnel.dispensable(ToClient), 0);
    tunnel.handle(ToClient, Timestamp(0), Part::Bytes(&bulk), &mut found);
    tunnel.handle(ToClient, Timestamp(MS), Part::Bytes(&bulk), &mut found);
    assert!(tunnel.dispensable(ToClient) > 0, "random bytes are nothing that is known here");
    assert_eq!(tunnel.dispensable(ToServer), 0, "the client has said nothing yet");
}

#[test]
fn of_a_frame_the_rest_is_dispensable_once_the_inside_is_known() {
    let mut tunnel = websocket(Wanted::default());
    let mut frame = vec![0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0];
    frame.extend([0; 20]);
    feed(&mut tunnel, &[(ToClient, &frame)]);
    assert_eq!(tunnel.dispensable(ToClient), (1 << 16) - 20);
    let mut shown = websocket(Wanted { messages: Some(100) });
    feed(&mut shown, &[(ToClient, &frame)]);
    assert_eq!(shown.dispensable(ToClient), 0, "80 more bytes are to be shown");
}

#[test]
fn a_pong_answers_the_last_ping_alone() {
    let mut tunnel = websocket(Wanted::default());
    let parts: &[(Direction, &[u8])] = &[
        (ToServer, b"\x89\x01a"),
        (ToServer, b"\x89\x01b"),
        (ToClient, b"\x8a\x01a"),
        (ToClient, b"\x8a\x01b"),
        (ToClient, b"\x8a\x01b"),
    ];
    feed(&mut tunnel, parts);
    let trip = tunnel.report().websocket.unwrap().round_trip;
    assert_eq!(trip.to_client, websocket::RoundTrip::default());
    let expected =
        websocket::RoundTrip { n_answered: 1, min_ns: 2 * MS, max_ns: 2 * MS, last_ns: 2 * MS };
    assert_eq!(trip.to_server, expected);
}

/// A stretch that was left out took four seconds: nobody knows of a silence in it.
#[test]
fn a_stretch_that_was_left_out_is_no_idle_time() {
    let mut tunnel = raw();
    feed(&mut tunnel, &[(ToServer, b"\x00\x01")]);
    let stretch = Part::Gap { n_bytes: 256 << 20, on_purpose: true };
    tunnel.handle(ToServer, Timestamp(4000 * MS), stretch, &mut Found::default());
    let report = tunnel.close(Timestamp(4002 * MS));
    assert_eq!(report.longest_idle_ns, 2 * MS);
    assert_eq!(report.volume.to_server.n_bytes, 2 + (256 << 20));
}
