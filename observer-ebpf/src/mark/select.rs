//! Which segments are marked: what the user chose, and never a SYN. RFC 9401 discourages the bit in
//! a handshake, and a middlebox that drops what it does not know would keep a connection from
//! opening at all.

use core::hint::black_box;

use aya_ebpf::bindings::__sk_buff;
use aya_ebpf::helpers::generated::bpf_skb_ancestor_cgroup_id;
use observer_common::headers::{DTH, SYN, Tcp};
use observer_common::mark::{CGROUP_DEPTH_MAX, FOUND, WINDOW};
use observer_common::record::Hook;

use crate::filter;
use crate::maps::{CGROUP, TEXT_ON, TEXT_TABLE, WINDOWS};
use crate::skb::Skb;

#[inline(always)]
pub fn is_chosen(skb: &Skb, tcp: &Tcp) -> bool {
    tcp.flags & (SYN | DTH) == 0
        && filter::check(tcp).is_ok()
        && (CGROUP.load() == 0 || is_in_cgroup(skb))
        && (TEXT_ON.load() == 0 || mark_find(skb.raw(), tcp) != 0)
}

/// Whether the sending socket belongs to the cgroup or to one below it.
#[inline(always)]
fn is_in_cgroup(skb: &Skb) -> bool {
    let wanted = CGROUP.load();
    for level in 0..CGROUP_DEPTH_MAX {
        // SAFETY: the context of the program is valid while it runs.
        if unsafe { bpf_skb_ancestor_cgroup_id(skb.raw(), level) } == wanted {
            return true;
        }
    }
    false
}

/// 1 when the text stands in the first part of the payload. Global, for the reasons in `headers`.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn mark_find(raw: *mut __sk_buff, tcp: *const Tcp) -> u32 {
    // SAFETY: the caller's; the verifier takes it for a pointer that may be null.
    let Some(tcp) = (unsafe { tcp.as_ref() }) else { return 0 };
    let Some(window) = WINDOWS.get_ptr_mut(0) else { return 0 };
    let n_bytes = tcp.payload_len.min(WINDOW as u32);
    let skb = Skb::new(raw, Hook::TcEgress);
    if !skb.copy(tcp.payload_offset, window.cast(), n_bytes, WINDOW as u32) {
        return 0;
    }
    // SAFETY: the slot belongs to this CPU.
    let window = unsafe { &*window };
    let mut state = 0u8;
    for (i, byte) in window.iter().enumerate() {
        // The first black box keeps the count a count up to a constant: as one down from `n_bytes`
        // it has no end that 6.1 can see, which learns nothing from a comparison with 0.
        if i >= black_box(n_bytes) as usize {
            break;
        }
        // The compiler knows what the bound on the index means for the state, and compares that
        // instead, which tells the verifier nothing (`max value is outside of the allowed memory
        // range`): hence the black box.
        state = TEXT_TABLE.at(black_box(usize::from(state) << 8 | usize::from(*byte)));
        if state == FOUND {
            return 1;
        }
    }
    0
}
