//! HTTP on any port by its first bytes, in the kernel; the many cases are beside the code in
//! `observer_common::detect`.

use observer::segment::TcpFlags;
use observer_common::config::words;
use observer_common::flow::{Flow, FlowKey, STATE_OFF};
use observer_common::stats::Outcome;

use crate::frames::*;
use crate::rig::{Rig, Settings, Wire};

#[track_caller]
fn check(payload: &[u8], outcome: Outcome) {
    let Some(mut rig) = Rig::new(&Settings::default()) else { return };
    let port = |tcp: Tcp| Tcp { destination_port: 18234, ..tcp };
    rig.send(&port(Tcp::data(payload)).frame()).is(outcome);
}

#[test]
fn http_is_found_on_any_port() {
    for payload in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        b"GET /",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"PROPFIND /dav HTTP/1.1\r\n",
        b"M-SEARCH * HTTP/1.1\r\n",
        b"UPDATEREDIRECTREF /a/path/that/goes/on/and/on HTTP/1.1\r\n",
        b"CONNECT example.com:443 HTTP/1.1\r\n",
        b"\r\nPOST /after/an/empty/line HTTP/1.1\r\n",
    ] {
        check(payload, Outcome::Emitted);
    }
}

#[test]
fn other_protocols_are_not() {
    for payload in [
        &b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\nb\r\n"[..],
        b"GET key\r\n",
        b"SSH-2.0-OpenSSH_9.2p1\r\n",
        b"EHLO mail.example.com\r\n",
        b"CWD /pub\r\n",
        b"CONNECT {\"verbose\":false}\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\r\n",
        b"\r\n\r\n",
        b"G",
        b"get / HTTP/1.1\r\n",
    ] {
        check(payload, Outcome::NotHttp);
    }
}

#[test]
fn a_flow_that_was_turned_off_stays_off_until_a_new_connection() {
    let Some(mut rig) = Rig::new(&Settings::default()) else { return };
    let get = Tcp::data(b"GET / HTTP/1.1\r\n\r\n");
    rig.send(&get.frame()).is(Outcome::Emitted);
    let mapped = |a: [u8; 4]| std::net::Ipv4Addr::from(a).to_ipv6_mapped().octets();
    let (key, _) = FlowKey::new((words(mapped(CLIENT)), 40000), (words(mapped(SERVER)), 80), 0);
    let off = Flow { state: STATE_OFF, ..Flow::EMPTY };
    // Overwrites the entry that the kernel made, so the keys are the same on both sides.
    rig.flows.insert(Wire(key), Wire(off), 2).unwrap();
    rig.send(&get.frame()).is(Outcome::TurnedOff);
    rig.send(&get.answer()).is(Outcome::TurnedOff);
    rig.send(&Tcp::bare(SYN | ACK).answer()).is(Outcome::TurnedOff);
    rig.send(&Tcp::bare(SYN).frame()).is(Outcome::NoPayload);
    rig.send(&get.frame()).is(Outcome::Emitted);
}

const CLIENT_HELLO: &[u8] = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";

fn tls() -> Settings {
    Settings { watch_tls: true, ..Settings::default() }
}

#[test]
fn of_a_flow_that_begins_like_tls_the_beginning_is_emitted() {
    let Some(mut rig) = Rig::new(&tls()) else { return };
    rig.send(&Tcp::bare(SYN).frame()).is(Outcome::NoPayload);
    rig.send(&Tcp::bare(SYN | ACK).answer()).is(Outcome::NoPayload);
    let hello = [CLIENT_HELLO, &[7; 500]].concat();
    let seen = rig.send(&Tcp { seq: 1001, ..Tcp::data(&hello) }.frame());
    assert_eq!(seen.segment().payload, hello);
    assert_eq!(seen.segment().origin.from_start, Some(true));
    assert_eq!(seen.segment().origin.skip_until, None);
    rig.send(&Tcp::bare(ACK).answer()).is(Outcome::Skipped);
    // The server's half began at what the hello acknowledged.
    let server = |at: u32, n| Tcp { seq: Tcp::data(b"").ack + at, ..Tcp::data(&[22; 3000][..n]) };
    assert_eq!(rig.send(&server(0, 3000).answer()).segment().payload.len(), 3000);
    let seen = rig.send(&server(3000, 3000).answer());
    assert_eq!((seen.segment().payload_len, seen.segment().payload.len()), (3000, 1096));
    assert!(seen.segment().origin.skip_until.is_some());
    rig.send(&server(6000, 3000).answer()).is(Outcome::Skipped);
    // The first of the client's behind its beginning says so.
    let client = |at: u32| Tcp { seq: 1001 + at, ..Tcp::data(&[23; 100]) };
    let seen = rig.send(&client(4096).frame());
    assert_eq!((seen.segment().payload_len, seen.segment().payload), (100, &b""[..]));
    assert!(seen.segment().origin.skip_until.is_some());
    rig.send(&client(4196).frame()).is(Outcome::Skipped);
    rig.send(&Tcp { seq: 9000, ..Tcp::bare(0x011) }.answer()).is(Outcome::Emitted);
    assert_eq!(rig.ledger().flows, 1);
}

#[test]
fn tls_is_left_alone_unless_it_is_asked_for() {
    check(CLIENT_HELLO, Outcome::NotHttp);
    let Some(mut rig) = Rig::new(&tls()) else { return };
    for payload in
        [&b"\x17\x03\x03\x00\x20abcdefgh"[..], b"\x16\x03\x01", b"\x16\x03\x01\x00\x05hello!"]
    {
        rig.send(&Tcp::data(payload).frame()).is(Outcome::NotHttp);
    }
}

/// The verdict was on the last connection between the same ends; the SYN tells that it has ended.
#[test]
fn a_new_connection_is_judged_anew_by_its_own_bytes() {
    for next in [&b"GET / HTTP/1.1\r\n\r\n"[..], CLIENT_HELLO, b"SSH-2.0-x\r\n"] {
        let Some(mut rig) = Rig::new(&tls()) else { return };
        rig.send(&Tcp::data(CLIENT_HELLO).frame()).is(Outcome::Emitted);
        let syn = Tcp { seq: 1 << 31, ..Tcp::bare(SYN) };
        assert!(rig.send(&syn.frame()).segment().flags.contains(TcpFlags::SYN));
        rig.send(&Tcp::bare(SYN | ACK).answer()).is(Outcome::NoPayload);
        let data = Tcp { seq: (1 << 31) + 1, ..Tcp::data(next) };
        let seen = rig.send(&data.frame());
        if next.starts_with(b"SSH") {
            seen.is(Outcome::NotHttp);
            continue;
        }
        assert_eq!(seen.segment().payload, next);
        assert_eq!(seen.segment().origin.from_start, Some(true));
        assert_eq!(seen.segment().origin.skip_until, None);
    }
}

#[test]
fn a_flow_that_was_sampled_out_comes_back_with_a_request() {
    let Some(mut rig) = Rig::new(&tls()) else { return };
    let get = Tcp::data(b"GET / HTTP/1.1\r\n\r\n");
    let ok = Tcp::data(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let mapped = |a: [u8; 4]| std::net::Ipv4Addr::from(a).to_ipv6_mapped().octets();
    let key = |port| FlowKey::new((words(mapped(CLIENT)), port), (words(mapped(SERVER)), 80), 0).0;
    // What user space and the kernel make of a key is the same.
    for port in 40_000..40_064 {
        rig.sample(2);
        let outcome = if key(port).is_kept(2) { Outcome::Emitted } else { Outcome::Sampled };
        rig.send(&Tcp { source_port: port, ..get.clone() }.frame()).is(outcome);
    }
    let port = (40_000..40_064).find(|port| !key(*port).is_kept(2)).unwrap();
    let [get, ok, hello, syn, rest] =
        [get, ok, Tcp::data(CLIENT_HELLO), Tcp::bare(SYN), Tcp::data(b"more")]
            .map(|tcp| Tcp { source_port: port, ..tcp });
    rig.send(&rest.frame()).is(Outcome::Sampled);
    rig.send(&Tcp { flags: FIN | ACK, ..syn.clone() }.frame()).is(Outcome::Sampled);
    // Another connection between the same ends is decided on anew, TLS as well.
    rig.send(&syn.frame()).is(Outcome::NoPayload);
    rig.send(&hello.frame()).is(Outcome::Sampled);
    let n_sampled = rig.ledger().flows_sampled;
    rig.send(&get.frame()).is(Outcome::Sampled);
    rig.sample(0);
    // Only with a request: what it answers was left out.
    rig.send(&ok.answer()).is(Outcome::Sampled);
    rig.send(&rest.frame()).is(Outcome::Sampled);
    rig.send(&get.frame()).is(Outcome::Emitted);
    rig.send(&ok.answer()).is(Outcome::Emitted);
    assert_eq!(rig.ledger().flows_sampled, n_sampled);
    assert!(n_sampled > 10 && rig.ledger().filtered.sampled == n_sampled + 5, "{:?}", rig.ledger());
}
