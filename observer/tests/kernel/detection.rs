//! HTTP on any port by its first bytes, in the kernel; the many cases are beside the code in
//! `observer_common::detect`.

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
    let (key, _) = FlowKey::new((words(mapped(CLIENT)), 40000), (words(mapped(SERVER)), 80));
    let off = Flow { state: STATE_OFF, ..Flow::EMPTY };
    // Overwrites the entry that the kernel made, so the keys are the same on both sides.
    rig.flows.insert(Wire(key), Wire(off), 2).unwrap();
    rig.send(&get.frame()).is(Outcome::TurnedOff);
    rig.send(&get.answer()).is(Outcome::TurnedOff);
    rig.send(&Tcp::bare(SYN | ACK).answer()).is(Outcome::TurnedOff);
    rig.send(&Tcp::bare(SYN).frame()).is(Outcome::NoPayload);
    rig.send(&get.frame()).is(Outcome::Emitted);
}
