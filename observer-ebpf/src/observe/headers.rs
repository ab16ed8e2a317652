//! The header walk as a function of its own. It is global (exported, and called by its type), so
//! that the verifier walks it once and not again for each of its results; and inlined it would take
//! more stack than a program has. Before it comes what nearly all segments are, without a call.

use core::hint::cold_path;
use core::mem::MaybeUninit;

use aya_ebpf::bindings::__sk_buff;
use observer_common::headers::{Buffer, TCP_WORDS, Tcp, usual, walk};
use observer_common::record::Hook;
use observer_common::stats::Outcome;

use crate::skb::Skb;

/// The TCP segment in the skb, in the caller's room: returned by value it would be copied, and a
/// program has 512 bytes of stack.
#[inline(always)]
pub fn find<'a>(skb: &Skb, tcp: &'a mut MaybeUninit<Tcp>) -> Result<&'a mut Tcp, Outcome> {
    if let Some(front) = skb.front()
        && let Some(segment) = usual(skb, front)
    {
        return segment.map(|found| tcp.write(found));
    }
    cold_path();
    let words = tcp.as_mut_ptr().cast::<u64>();
    for i in 0..TCP_WORDS {
        // SAFETY: a Tcp is that many words. The verifier wants what it passes on to be written,
        // and a volatile store is not gathered into a loop over bytes.
        unsafe { words.add(i).write_volatile(0) };
    }
    match observe_walk(skb.raw(), tcp.as_mut_ptr()) {
        // SAFETY: every byte was written above.
        FOUND => Ok(unsafe { tcp.assume_init_mut() }),
        code => Err(Outcome::from_code(code)),
    }
}

/// `FOUND`, or the code of an outcome.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn observe_walk(raw: *mut __sk_buff, tcp: *mut Tcp) -> u32 {
    // The verifier takes a pointer argument of a global function for one that may be null.
    if tcp.is_null() {
        return Outcome::Unreadable as u32;
    }
    let mut buffer = MaybeUninit::<Buffer>::uninit();
    // SAFETY: bytes that are only read after a helper has written them (see `Buffer`).
    let buffer = unsafe { &mut *buffer.as_mut_ptr() };
    // The walk does not ask for the hook.
    match walk(&Skb::new(raw, Hook::TcIngress), buffer) {
        Ok(found) => {
            // SAFETY: the caller's, and not null.
            unsafe { tcp.write(found) };
            FOUND
        }
        Err(outcome) => outcome as u32,
    }
}

/// No outcome yet.
const FOUND: u32 = Outcome::Emitted as u32;
