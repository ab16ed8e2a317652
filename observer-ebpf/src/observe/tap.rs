//! One segment from hook to outcome, and the count of it. Each run counts one `seen` and exactly
//! one outcome, here and nowhere else, so that the ledger adds up.

use core::hint::{black_box, cold_path};
use core::mem::MaybeUninit;

use aya_ebpf::helpers::bpf_ktime_get_ns;
use aya_ebpf::helpers::generated::bpf_ktime_get_coarse_ns;
use observer_common::config::LOOPBACK_IFINDEX;
use observer_common::flow::{self as table, FlowKey, HalfIndex, WAY_IN, has_passed, millis};
use observer_common::headers::ACK;
use observer_common::record::{Hook, NOTE_BY_INITIATOR, NOTE_DETECTED, NOTE_OWNER_MOVED};
use observer_common::skip::SIGN_OF_LIFE;
use observer_common::stats::{Counters, OUTCOME_SLOTS, Outcome};

use crate::describe::describe;
use crate::emit::emit;
use crate::flow::Part;
use crate::maps::{N_RINGS, STATS};
use crate::skb::Skb;
use crate::socket::Socket;
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
    // What is likely to stay in the kernel needs no time of its own, only how long ago other things
    // were; and this clock, as of the kernel's last tick, costs a load where the other one waits for the
    // counter. The socket filter has no room for both.
    let end = tcp.seq.wrapping_add(tcp.payload_len);
    let may_stay = !matches!(skb.hook, Hook::Socket)
        && (half.skip != 0 && table::is_after(half.skip_until, end)
            || tcp.payload_len == 0 && tcp.flags == ACK);
    // SAFETY: the helpers have no preconditions.
    let mut time_ns =
        unsafe { if may_stay { bpf_ktime_get_coarse_ns() } else { bpf_ktime_get_ns() } };
    let is_next = half.owner == 0 || half.next_seq == tcp.seq;
    let moved = owner::claim(skb.hook, half, tcp, table::owner(netns, ifindex, way), time_ns)?;
    if moved {
        cold_path();
        counters.owner_moves += 1;
    }
    // The other half is another CPU's; only what has no payload depends on it. The socket filter has no
    // room for this either, and shows every acknowledgement.
    let is_tap = !matches!(skb.hook, Hook::Socket);
    let is_known = is_tap && tcp.payload_len == 0 && opposite.has_shown(tcp.ack);
    let kept = skip::cut(skb, tcp, half, is_known, state, is_next, time_ns)?;
    if may_stay {
        // SAFETY: as above.
        time_ns = unsafe { bpf_ktime_get_ns() };
    }
    let mut notes = 0;
    if part != Part::Next {
        cold_path();
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
    // What the socket says changes slowly, and to ask costs four calls and as many cache lines.
    let now = millis(time_ns);
    let mut socket = Socket::UNKNOWN;
    let is_due = has_passed(now, half.socket_time, SIGN_OF_LIFE);
    if matches!(skb.hook, Hook::TcEgress) && (part != Part::Next || is_due) {
        cold_path();
        half.socket_time = now;
        socket = Socket::of(skb);
    }
    let ring = key.ring(N_RINGS.load());
    let what = (ring, kept.n_bytes, notes | kept.notes);
    emit(skb, tcp, half, counters, what, |header| {
        describe(header, skb, netns, tcp, time_ns, kept.skip_until, &socket);
    })
}
