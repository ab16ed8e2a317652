//! The header walk as a function of its own: inlined three times it would take more than the 512
//! bytes of stack that a program has.

use core::mem::MaybeUninit;

use aya_ebpf::bindings::__sk_buff;
use observer_common::headers::{Buffer, Tcp, walk};
use observer_common::record::Hook;
use observer_common::stats::Outcome;

use crate::skb::Skb;

/// The TCP segment in the skb.
#[inline(always)]
pub fn find(skb: &Skb) -> Result<Tcp, Outcome> {
    let mut tcp = MaybeUninit::uninit();
    match walk_into(skb.raw(), &mut tcp) {
        // SAFETY: this outcome says that it was written.
        Outcome::Emitted => Ok(unsafe { tcp.assume_init() }),
        outcome => Err(outcome),
    }
}

/// `Emitted` stands for "found": a function of eBPF returns one number.
#[inline(never)]
fn walk_into(raw: *mut __sk_buff, tcp: &mut MaybeUninit<Tcp>) -> Outcome {
    let mut buffer = MaybeUninit::<Buffer>::uninit();
    // SAFETY: bytes that are only read after a helper has written them (see `Buffer`).
    let buffer = unsafe { &mut *buffer.as_mut_ptr() };
    // The walk does not ask for the hook.
    match walk(&Skb::new(raw, Hook::TcIngress), buffer) {
        Ok(found) => {
            tcp.write(found);
            Outcome::Emitted
        }
        Err(outcome) => outcome,
    }
}
