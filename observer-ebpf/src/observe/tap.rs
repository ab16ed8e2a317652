//! One segment from hook to outcome, and the count of it. Each run counts one `seen` and exactly
//! one outcome, here and nowhere else, so that the ledger adds up.

use core::hint::black_box;
use core::mem::MaybeUninit;

use aya_ebpf::helpers::bpf_ktime_get_ns;
use observer_common::config::LOOPBACK_IFINDEX;
use observer_common::flow::{self as table, FlowKey, HalfIndex, WAY_IN};
use observer_common::headers::Tcp;
use observer_common::record::{
    NOTE_BY_INITIATOR, NOTE_DETECTED, NOTE_OWNER_MOVED, RecordHeader, VLAN_NONE,
};
use observer_common::stats::{Counters, OUTCOME_SLOTS, Outcome};

use crate::emit::{EMITTED, observe_emit};
use crate::flow::Part;
use crate::maps::{DRAFTS, STATS};
use crate::skb::Skb;
use crate::skip::Kept;
use crate::{filter, flow, handshake, headers, owner, skip};

#[inline(always)]
pub fn run(skb: &Skb) {
    let Some(counters) = STATS.get_ptr_mut(0) else { return };
    // SAFETY: the slot belongs to this CPU, and a program is not interrupted by another run here:
    // tc and packet sockets run with bottom halves disabled.
    let counters = unsafe { &mut *counters };
    // An entrance has left it just before, on this CPU; what comes without one is our own namespace's.
    let netns = core::mem::take(&mut counters.netns);
    let outcome = match observe(skb, netns, counters) {
        Ok(()) => Outcome::Emitted,
        Err(outcome) => outcome,
    };
    counters.seen += 1;
    // The mask is for the verifier, which does not know how many outcomes there are (`R6 unbounded
    // memory access`). The compiler does, and drops the mask, hence the black box.
    counters.outcomes[black_box(outcome as usize) & (OUTCOME_SLOTS - 1)] += 1;
}

#[inline(always)]
fn observe(skb: &Skb, netns: u32, counters: &mut Counters) -> Result<(), Outcome> {
    // The way out of the loopback device is the one that has the sender's socket, for both
    // halves; the way in shows the same skb again.
    let way = skb.way();
    let ifindex = skb.ifindex();
    if ifindex == LOOPBACK_IFINDEX && way == WAY_IN {
        return Err(Outcome::Loopback);
    }
    let mut tcp = MaybeUninit::uninit();
    let tcp = headers::find(skb, &mut tcp)?;
    filter::check(tcp)?;
    let source = (tcp.source, tcp.source_port);
    let destination = (tcp.destination, tcp.destination_port);
    let key_netns = table::key_netns(netns, ifindex);
    let (key, HalfIndex(from_high)) = FlowKey::new(source, destination, key_netns);
    let (flow, part) = flow::find(skb, tcp, &key, from_high, counters)?;
    // SAFETY: the entry stays readable and writable until the program ends (RCU).
    let flow = unsafe { &mut *flow };
    let state = flow.state;
    let (half, opposite) = match from_high {
        true => (&mut flow.from_high, &flow.from_low),
        false => (&mut flow.from_low, &flow.from_high),
    };
    // SAFETY: the helper has no preconditions.
    let time_ns = unsafe { bpf_ktime_get_ns() };
    let is_next = half.owner == 0 || half.next_seq == tcp.seq;
    let moved = owner::claim(half, tcp, table::owner(netns, ifindex, way), time_ns)?;
    if moved {
        counters.owner_moves += 1;
    }
    // The other half is another CPU's; only what has no payload depends on it.
    let is_known = tcp.payload_len == 0 && opposite.has_shown(tcp.ack);
    let kept = skip::cut(skb, tcp, half, is_known, state, is_next, time_ns)?;
    let mut notes = 0;
    if part != Part::Next {
        notes |= handshake::notes(tcp, &key, from_high);
    }
    if part == Part::Detected {
        counters.flows += 1;
        notes |= NOTE_DETECTED;
    } else if notes & NOTE_BY_INITIATOR == 0 {
        // That the other end was silent before is known of the first bytes alone.
        notes = 0;
    }
    if moved {
        notes |= NOTE_OWNER_MOVED;
    }
    // There is one on each CPU.
    let Some(draft) = DRAFTS.get_ptr_mut(0) else { return Err(Outcome::Unreadable) };
    // SAFETY: the draft belongs to this CPU, as in `run`.
    describe(unsafe { &raw mut (*draft).header }, skb, netns, tcp, time_ns, notes, &kept);
    match observe_emit(skb.raw(), tcp, draft, half, counters) {
        EMITTED => Ok(()),
        code => Err(Outcome::from_code(code)),
    }
}

/// Writes a header but for what `emit` knows of each record. Volatile, because the compiler gathers
/// plain stores into calls that store byte by byte.
#[inline(always)]
fn describe(
    header: *mut RecordHeader,
    skb: &Skb,
    netns: u32,
    tcp: &Tcp,
    time_ns: u64,
    notes: u8,
    kept: &Kept,
) {
    let socket = skb.socket();
    let vlan = match skb.vlan() {
        VLAN_NONE => tcp.vlan,
        outer => outer,
    };
    // SAFETY: the caller's, with room for a header; addresses are words here and bytes there.
    unsafe {
        (&raw mut (*header).time_ns).write_volatile(time_ns);
        (&raw mut (*header).socket_cookie).write_volatile(socket.cookie);
        (&raw mut (*header).cgroup_id).write_volatile(socket.cgroup_id);
        let source = (&raw mut (*header).source).cast::<u64>();
        source.write_volatile(tcp.source[0]);
        source.add(1).write_volatile(tcp.source[1]);
        let destination = (&raw mut (*header).destination).cast::<u64>();
        destination.write_volatile(tcp.destination[0]);
        destination.add(1).write_volatile(tcp.destination[1]);
        (&raw mut (*header).source_port).write_volatile(tcp.source_port);
        (&raw mut (*header).destination_port).write_volatile(tcp.destination_port);
        (&raw mut (*header).ack).write_volatile(tcp.ack);
        (&raw mut (*header).window).write_volatile(tcp.window);
        (&raw mut (*header).captured_len).write_volatile(kept.n_bytes);
        (&raw mut (*header).ifindex).write_volatile(skb.ifindex());
        (&raw mut (*header).srtt_us).write_volatile(socket.srtt_us);
        (&raw mut (*header).retransmits).write_volatile(socket.retransmits);
        (&raw mut (*header).vlan).write_volatile(vlan);
        (&raw mut (*header).hook).write_volatile(skb.hook as u8);
        (&raw mut (*header).notes).write_volatile(notes | kept.notes);
        (&raw mut (*header).skip_until).write_volatile(kept.skip_until);
        (&raw mut (*header).netns).write_volatile(netns);
        (&raw mut (*header).reserved).write_volatile(0);
    }
}
