//! One segment from hook to outcome, and the count of it. Each run counts one `seen` and exactly
//! one outcome, here and nowhere else, so that the ledger adds up.

use core::mem::MaybeUninit;

use aya_ebpf::helpers::bpf_ktime_get_ns;
use observer_common::config::LOOPBACK_IFINDEX;
use observer_common::flow::{FlowKey, HalfIndex, WAY_IN, owner};
use observer_common::headers::Tcp;
use observer_common::record::{NOTE_DETECTED, NOTE_OWNER_MOVED, VLAN_NONE};
use observer_common::stats::{Counters, OUTCOME_SLOTS, Outcome};

use crate::emit::{EMITTED, Emission, observe_emit};
use crate::maps::STATS;
use crate::skb::Skb;
use crate::{filter, flow, headers};

#[inline(always)]
pub fn run(skb: &Skb) {
    let Some(counters) = STATS.get_ptr_mut(0) else { return };
    // SAFETY: the slot belongs to this CPU, and a program is not interrupted by another run here:
    // tc and packet sockets run with bottom halves disabled.
    let counters = unsafe { &mut *counters };
    let outcome = match observe(skb, counters) {
        Ok(()) => Outcome::Emitted,
        Err(outcome) => outcome,
    };
    counters.seen += 1;
    // The mask is for the verifier: it does not know how many outcomes there are.
    counters.outcomes[outcome as usize & (OUTCOME_SLOTS - 1)] += 1;
}

#[inline(always)]
fn observe(skb: &Skb, counters: &mut Counters) -> Result<(), Outcome> {
    // The way out of the loopback device is the one that has the sender's socket, for both
    // halves; the way in shows the same skb again.
    let way = skb.way();
    let ifindex = skb.ifindex();
    if ifindex == LOOPBACK_IFINDEX && way == WAY_IN {
        return Err(Outcome::Loopback);
    }
    let tcp = headers::find(skb)?;
    filter::check(&tcp)?;
    let source = (tcp.source, tcp.source_port);
    let (key, HalfIndex(from_high)) = FlowKey::new(source, (tcp.destination, tcp.destination_port));
    let (flow, detected) = flow::find(skb, &tcp, &key, from_high)?;
    // SAFETY: the entry stays readable and writable until the program ends (RCU).
    let flow = unsafe { &mut *flow };
    let half = if from_high { &mut flow.from_high } else { &mut flow.from_low };
    // SAFETY: the helper has no preconditions.
    let time_ns = unsafe { bpf_ktime_get_ns() };
    let moved = flow::claim(half, &tcp, owner(ifindex, way), time_ns)?;
    let mut notes = 0;
    if detected {
        counters.flows += 1;
        notes |= NOTE_DETECTED | flow::start(&tcp, &key, from_high);
    }
    if moved {
        counters.owner_moves += 1;
        notes |= NOTE_OWNER_MOVED;
    }
    let mut emission = MaybeUninit::uninit();
    let emission = describe(emission.as_mut_ptr(), skb, &tcp, time_ns, notes);
    match observe_emit(skb.raw(), &tcp, emission, half, counters) {
        EMITTED => Ok(()),
        code => Err(Outcome::from_code(code)),
    }
}

/// Fills in an emission; volatile, or its zeros are gathered into a loop over bytes.
#[inline(always)]
fn describe(to: *mut Emission, skb: &Skb, tcp: &Tcp, time_ns: u64, notes: u8) -> *const Emission {
    let socket = skb.socket();
    let vlan = match skb.vlan() {
        VLAN_NONE => tcp.vlan,
        outer => outer,
    };
    // SAFETY: the caller's, with room for an emission.
    unsafe {
        (&raw mut (*to).time_ns).write_volatile(time_ns);
        (&raw mut (*to).socket_cookie).write_volatile(socket.cookie);
        (&raw mut (*to).cgroup_id).write_volatile(socket.cgroup_id);
        (&raw mut (*to).srtt_us).write_volatile(socket.srtt_us);
        (&raw mut (*to).retransmits).write_volatile(socket.retransmits);
        (&raw mut (*to).ifindex).write_volatile(skb.ifindex());
        (&raw mut (*to).vlan).write_volatile(vlan);
        (&raw mut (*to).hook).write_volatile(skb.hook as u8);
        (&raw mut (*to).notes).write_volatile(notes);
    }
    to
}
