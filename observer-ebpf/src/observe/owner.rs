//! Which interface and hook own a half of a flow; the rules are in `observer_common::flow`.

use core::hint::cold_path;

use observer_common::flow::{Half, Sight};
use observer_common::headers::{SYN, Tcp};
use observer_common::record::Hook;
use observer_common::stats::Outcome;

/// Ok when `owner` owns the half, by now; true when it took the half over from another.
#[inline(always)]
pub fn claim(
    hook: Hook,
    half: &mut Half,
    tcp: &Tcp,
    owner: u32,
    now_ns: u64,
) -> Result<bool, Outcome> {
    // Nearly all segments are like this, and a call costs. The socket filter has no room for it.
    if !matches!(hook, Hook::Socket) && half.owner == owner && tcp.flags & SYN == 0 {
        half.advance(&Sight::of(tcp), now_ns);
        return Ok(false);
    }
    cold_path();
    match observe_claim(half, tcp, owner, now_ns) {
        OWNED => Ok(false),
        TAKEN => Ok(true),
        _ => Err(Outcome::Duplicate),
    }
}

/// `OWNED`, `TAKEN`, or something else for a copy of what the owner sees. Global, for the reasons
/// in `headers`.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn observe_claim(half: *mut Half, tcp: *const Tcp, owner: u32, now_ns: u64) -> u32 {
    // SAFETY: the caller's; the verifier takes them for pointers that may be null.
    let (Some(half), Some(tcp)) = (unsafe { (half.as_mut(), tcp.as_ref()) }) else { return COPY };
    let is_other = half.owner != 0 && half.owner != owner;
    if !half.admit(&Sight::of(tcp), owner, now_ns) {
        COPY
    } else if is_other {
        TAKEN
    } else {
        OWNED
    }
}

const OWNED: u32 = 0;
const TAKEN: u32 = 1;
const COPY: u32 = 2;
