//! DTH (RFC 9401) on flows that are not HTTP: seen only when asked for.

use observer::segment::TcpFlags;
use observer_common::stats::Outcome;

use crate::frames::*;
use crate::rig::{Rig, Settings};

const DTH: u16 = TcpFlags::DTH.0;

fn watching() -> Settings {
    Settings { watch_dth: true, ..Settings::default() }
}

#[test]
fn dth_on_an_unknown_flow_is_filtered_unless_it_is_watched_for() {
    let Some(mut rig) = Rig::new(&Settings::default()) else { return };
    rig.send(&Tcp { flags: PSH_ACK | DTH, ..Tcp::data(b"+PONG\r\n") }.frame()).is(Outcome::NotHttp);
    rig.send(&Tcp::bare(ACK | DTH).frame()).is(Outcome::NoPayload);
}

#[test]
fn from_the_first_dth_on_a_flow_shows_its_marks_and_its_end_without_bytes() {
    let Some(mut rig) = Rig::new(&watching()) else { return };
    rig.send(&Tcp::data(b"PING\r\n").frame()).is(Outcome::NotHttp);
    let marked = Tcp { flags: PSH_ACK | DTH, ..Tcp::data(b"+PONG\r\n") };
    let seen = rig.send(&marked.answer());
    assert_eq!((seen.segment().payload_len, seen.segment().payload), (7, &b""[..]));
    assert!(seen.segment().flags.contains(TcpFlags::DTH));
    // Once in a while it says that it lives: the client's half never has.
    rig.send(&Tcp::data(b"PING\r\n").frame()).is(Outcome::Emitted);
    rig.send(&Tcp::data(b"PING\r\n").frame()).is(Outcome::Skipped);
    rig.send(&Tcp::bare(ACK).answer()).is(Outcome::Skipped);
    rig.send(&Tcp::bare(ACK | DTH).answer()).is(Outcome::Emitted);
    rig.send(&Tcp::bare(0x011).answer()).is(Outcome::Emitted);
    rig.send(&Tcp::bare(0x004).frame()).is(Outcome::Emitted);
    let ledger = rig.ledger();
    assert_eq!((ledger.flows, ledger.bytes), (0, 0));
}

#[test]
fn a_watched_flow_that_speaks_http_is_emitted_like_any() {
    let Some(mut rig) = Rig::new(&watching()) else { return };
    rig.send(&Tcp::bare(SYN | DTH).frame()).is(Outcome::Emitted);
    rig.send(&Tcp { seq: 1001, ..Tcp::bare(ACK) }.frame()).is(Outcome::Skipped);
    let get = b"GET / HTTP/1.1\r\n\r\n";
    let seen = rig.send(&Tcp { seq: 1001, ..Tcp::data(get) }.frame());
    assert_eq!(seen.segment().payload, get);
    assert_eq!(seen.segment().origin.from_start, Some(true));
    assert_eq!(rig.ledger().flows, 1);
}

#[test]
fn the_first_segment_with_dth_says_who_opened_the_connection_where_it_is_the_first() {
    for (marked, from_start) in [
        (Tcp { seq: 1001, ..Tcp::bare(ACK | DTH) }.frame(), Some(true)),
        (Tcp { seq: 1002, ..Tcp::bare(ACK | DTH) }.frame(), None),
        (Tcp::bare(ACK | DTH).answer(), None),
    ] {
        let Some(mut rig) = Rig::new(&watching()) else { return };
        rig.send(&Tcp::bare(SYN).frame()).is(Outcome::NoPayload);
        rig.send(&Tcp::bare(SYN | ACK).answer()).is(Outcome::NoPayload);
        assert_eq!(rig.send(&marked).segment().origin.from_start, from_start);
    }
}

#[test]
fn dth_on_http_needs_no_asking() {
    let Some(mut rig) = Rig::new(&Settings::default()) else { return };
    let get = Tcp { flags: PSH_ACK | DTH, ..Tcp::data(b"GET / HTTP/1.1\r\n\r\n") };
    assert_eq!(rig.send(&get.frame()).segment().payload.len(), 18);
    rig.send(&Tcp::bare(ACK | DTH).answer()).is(Outcome::Emitted);
}
