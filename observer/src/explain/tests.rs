//! Each situation an operator meets, and the step that names it.

use super::*;

fn evidence() -> Evidence {
    Evidence {
        target: "10.0.0.7:8080".parse().unwrap(),
        n_seconds: 3,
        probe: None,
        wanted: Capture::default(),
        daemon: Daemon::None,
        sights: vec![("eth0".to_owned(), 9)],
        devices: Vec::new(),
        is_local: true,
        listens: true,
        handshake: Handshake { syn: true, syn_ack: true, reset: false },
        first: [b"GET / HTTP/1.1\r\n".to_vec(), b"HTTP/1.1 200 OK\r\n".to_vec()],
        ledger: Ledger { emitted: 4, filtered: [("no_payload", 5)].into(), ..Ledger::default() },
        entry: Some("followed"),
        told: vec!["http.exchange GET /".to_owned()],
    }
}

/// The step says this, and is as bad as that.
#[track_caller]
fn check(evidence: &Evidence, step: &str, state: State, says: &str) {
    let findings = judge(evidence);
    let found = findings.iter().find(|finding| finding.check == step && finding.state == state);
    let found = found.unwrap_or_else(|| panic!("no {step}: {findings:#?}"));
    assert!(found.message.contains(says), "{found:?}");
    assert_eq!(found.remedy.is_some(), state != State::Good, "{found:?}");
}

#[test]
fn a_flow_that_is_told_is_good_at_every_step() {
    let evidence = Evidence { daemon: Daemon::Attached { n_events: 1 }, ..evidence() };
    let findings = judge(&evidence);
    assert!(findings.iter().all(|finding| finding.state == State::Good), "{findings:#?}");
    assert!(is_told(&evidence));
    check(&evidence, "kernel", State::Good, "4 copied, 5 without payload");
    check(&evidence, "packets", State::Good, "9 on eth0");
}

#[test]
fn filters_that_leave_it_out_are_named() {
    let wanted = |change: fn(&mut Capture)| {
        let mut wanted = Capture::default();
        change(&mut wanted);
        Evidence { wanted, ..evidence() }
    };
    let port = wanted(|it| it.ports = vec![80]);
    check(&port, "ports", State::Bad, "only ports 80 are watched");
    assert!(!is_told(&port), "a capture as asked for would not tell of it");
    let hosts = wanted(|it| it.hosts = vec!["192.0.2.0/24".parse().unwrap()]);
    check(&hosts, "hosts", State::Warning, "10.0.0.7 is in none of them");
    let other = wanted(|it| it.interfaces = vec!["lo".into()]);
    check(&other, "interfaces", State::Bad, "crosses eth0; watched is only lo");
    assert!(!is_told(&other));
    let denied = wanted(|it| it.interfaces = vec!["!eth*".into()]);
    check(&denied, "interfaces", State::Bad, "crosses eth0");
    let passes = wanted(|it| it.hosts = vec!["10.0.0.0/8".parse().unwrap()]);
    assert!(judge(&passes).iter().all(|finding| finding.check != "hosts"));
}

#[test]
fn nothing_on_any_interface_says_the_likely_why() {
    let none = Evidence { sights: Vec::new(), told: Vec::new(), ..evidence() };
    let remedy = |evidence: &Evidence| {
        let packets = judge(evidence).into_iter().find(|finding| finding.check == "packets");
        packets.unwrap().remedy.unwrap()
    };
    check(&none, "packets", State::Bad, "crossed an interface here in 3 s");
    assert!(remedy(&none).contains("--probe"));
    assert!(remedy(&Evidence { listens: false, ..none.clone() }).contains("container"));
    assert!(remedy(&Evidence { is_local: false, ..none.clone() }).contains("not of this network"));
    assert!(!is_told(&none));
}

#[test]
fn what_the_wire_shows_is_told() {
    let tls = Evidence {
        first: [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(), Vec::new()],
        ..evidence()
    };
    check(&tls, "first bytes", State::Warning, "TLS");
    let ssh = Evidence { first: [b"SSH-2.0-x\r\n".to_vec(), Vec::new()], ..evidence() };
    check(&ssh, "first bytes", State::Warning, "\"SSH-2.0-x\\r\\n\": no HTTP");
    let refused = Handshake { syn: true, syn_ack: false, reset: true };
    let refused = Evidence { handshake: refused, first: Default::default(), ..evidence() };
    check(&refused, "connection", State::Bad, "refused");
    assert_eq!(judge(&refused).last().unwrap().check, "connection", "the rest would mislead");
    let mute = Evidence { first: Default::default(), ..evidence() };
    check(&mute, "first bytes", State::Warning, "neither end");
    let dropped =
        Evidence { handshake: Handshake { syn: true, ..Default::default() }, ..evidence() };
    check(&dropped, "connection", State::Bad, "not answered");
}

#[test]
fn loss_blindness_and_silence_are_named() {
    let lost = Ledger { emitted: 1, lost: [("ring_full", 2)].into(), ..Ledger::default() };
    check(&Evidence { ledger: lost, ..evidence() }, "kernel", State::Bad, "2 lost (ring_full)");
    let blind = Evidence { ledger: Ledger::default(), entry: None, ..evidence() };
    check(&blind, "kernel", State::Bad, "saw none of its segments");
    check(&blind, "flow table", State::Warning, "no entry");
    let silent = Evidence { daemon: Daemon::Attached { n_events: 0 }, ..evidence() };
    check(&silent, "reported", State::Bad, "the daemon told nothing of it");
    assert!(!is_told(&silent));
    let untold = Evidence { told: Vec::new(), ..evidence() };
    check(&untold, "engine", State::Warning, "no exchange was told");
}
