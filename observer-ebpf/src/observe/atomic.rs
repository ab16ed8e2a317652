//! What the compiler does not offer for eBPF, where its `core` has neither swaps nor stores that
//! other CPUs see in order, and the machine has since Linux 5.12.

use core::arch::asm;

/// Sets `*at` to `new` if it is `old`, and says what it was. A full barrier.
#[inline(always)]
pub fn swap_if(at: *mut u64, old: u64, new: u64) -> u64 {
    let found;
    // SAFETY: a word of a map, which the verifier checks as for any other store.
    unsafe {
        asm!("r0 = cmpxchg_64({at} + 0, r0, {new})",
            at = in(reg) at, new = in(reg) new, inout("r0") old => found);
    }
    found
}

/// Sets `*at` so that who sees it sees everything that was written before.
#[inline(always)]
#[cfg(bpf_target_arch = "x86_64")]
pub fn publish(at: *mut u64, value: u64) {
    // The machine keeps the order of stores. The compiler keeps that of volatile ones, and of calls;
    // a barrier would have the CPU wait here until the whole record has come to its cache.
    // SAFETY: as above.
    unsafe { at.write_volatile(value) };
}

/// The same where the machine does not: a swap is a full barrier.
#[inline(always)]
#[cfg(not(bpf_target_arch = "x86_64"))]
pub fn publish(at: *mut u64, value: u64) {
    // SAFETY: as above.
    unsafe {
        asm!("{value} = xchg_64({at} + 0, {value})", at = in(reg) at, value = inout(reg) value => _);
    }
}
