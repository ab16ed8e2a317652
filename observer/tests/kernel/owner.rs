//! One owner per half, on two interfaces; the rules by themselves are tested in
//! `observer_common::flow`.

use observer_common::config::{TC_EGRESS, TC_INGRESS};
use observer_common::stats::Outcome;

use crate::frames::*;
use crate::needs::command;
use crate::rig::{Rig, Settings};

#[test]
fn copies_at_a_second_hook_or_interface_are_dropped_and_counted() {
    let Some(mut rig) = Rig::new(&Settings::default()) else { return };
    assert!(command("ip", "link add one index 101 type veth peer name two index 102"));
    let get = Tcp::data(b"GET / HTTP/1.1\r\n\r\n").frame();
    rig.run(TC_EGRESS, 101, &get).is(Outcome::Emitted);
    rig.run(TC_INGRESS, 102, &get).is(Outcome::Duplicate);
    rig.run(TC_EGRESS, 102, &get).is(Outcome::Duplicate);
    // The owner sends it again: that is a retransmission, and news.
    rig.run(TC_EGRESS, 101, &get).is(Outcome::Emitted);
    // The other half may have another owner.
    let answer = Tcp::data(b"HTTP/1.1 200 OK\r\n\r\n").answer();
    rig.run(TC_INGRESS, 102, &answer).is(Outcome::Emitted);
    rig.run(TC_EGRESS, 101, &answer).is(Outcome::Duplicate);
    assert_eq!(rig.ledger().owner_moves, 0);
}

#[test]
fn a_half_moves_when_its_owner_has_gone_silent() {
    let Some(mut rig) = Rig::new(&Settings::default()) else { return };
    assert!(command("ip", "link add one index 101 type veth peer name two index 102"));
    let get = Tcp::data(b"GET / HTTP/1.1\r\n\r\n");
    rig.run(TC_EGRESS, 101, &get.frame()).is(Outcome::Emitted);
    let next = Tcp { seq: 1018, ..get.clone() }.frame();
    rig.run(TC_EGRESS, 102, &next).is(Outcome::Duplicate);
    // The kernel's clock cannot be set; the entry can: its owner was last seen at boot.
    let keys: Vec<_> = rig.flows.keys().collect::<Result<_, _>>().unwrap();
    let mut flow = rig.flows.get(&keys[0], 0).unwrap();
    flow.0.from_low.owner_time_ns = 0;
    flow.0.from_high.owner_time_ns = 0;
    rig.flows.insert(keys[0], flow, 0).unwrap();
    rig.run(TC_EGRESS, 102, &get.frame()).is(Outcome::Duplicate);
    rig.run(TC_EGRESS, 102, &next).is(Outcome::Emitted);
    rig.run(TC_EGRESS, 101, &next).is(Outcome::Duplicate);
    assert_eq!(rig.ledger().owner_moves, 1);
}
