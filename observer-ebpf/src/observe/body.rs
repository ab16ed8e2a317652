//! Bodies that the kernel leaves out by itself. User space is too late for them: with sendfile a
//! server puts the head and the first 65 kB of the body into one super-segment, or all of the body
//! into segments right behind that of the head. The rules are `observer_common::body`'s.

use core::hint::cold_path;
use core::mem::size_of;

use observer_common::body::LARGE;
use observer_common::flow::{Half, STATE_HTTP};
use observer_common::head::{PART, Part, begins_response};
use observer_common::headers::Tcp;

use crate::maps::{BODY_PREFIX, PARTS, SKIP_BODIES};
use crate::skb::Skb;

/// Sets a skip on the half when the segment holds the head of a message and then nothing but body, or
/// begins the body of the head before it. True for that: nothing else tells user space of the skip.
#[inline(always)]
pub fn leave_out(skb: &Skb, tcp: &Tcp, half: &mut Half, state: u32) -> bool {
    if SKIP_BODIES.load() == 0 || tcp.payload_len == 0 || half.skip != 0 || state != STATE_HTTP {
        return false;
    }
    if half.awaits_body != 0 {
        cold_path();
        if half.may_begin_body(tcp, BODY_PREFIX.load()) && !is_response(skb, tcp) {
            half.begin_body();
            return true;
        }
    }
    if !half.may_begin(tcp, LARGE) {
        return false;
    }
    cold_path();
    let Some(part) = PARTS.get_ptr_mut(0) else { return false };
    // SAFETY: the slot belongs to this CPU, as in `tap`.
    let part = unsafe { &mut *part };
    let n_bytes = if tcp.payload_len < PART as u32 { tcp.payload_len } else { PART as u32 };
    if skb.copy(tcp.payload_offset, (&raw mut part.words).cast(), n_bytes, PART as u32) {
        part.n_bytes = u64::from(n_bytes);
        let n_head = observe_head(part);
        half.leave_body_out(tcp, n_head, part.length, BODY_PREFIX.load(), LARGE);
    }
    false
}

/// Whether the segment begins like a response, or is too short to tell.
#[inline(always)]
fn is_response(skb: &Skb, tcp: &Tcp) -> bool {
    let mut bytes = 0u64;
    let n_bytes = size_of::<u64>() as u32;
    let could_read = tcp.payload_len >= n_bytes
        && skb.copy(tcp.payload_offset, (&raw mut bytes).cast(), n_bytes, n_bytes);
    !could_read || begins_response(u64::from_le(bytes))
}

/// Where the head in the part ends, with its body's length beside it; 0 when that cannot be told.
/// Global, for the reasons in `headers`.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn observe_head(part: *mut Part) -> u32 {
    // SAFETY: the caller's; the verifier takes it for a pointer that may be null.
    let Some(part) = (unsafe { part.as_mut() }) else { return 0 };
    part.find(|part, at| observe_line(part, at))
}

/// `Part::line`. Global, for the reasons in `headers`.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn observe_line(part: *mut Part, at: u32) -> u32 {
    // SAFETY: as above.
    match unsafe { part.as_mut() } {
        Some(part) => part.line(at),
        None => observer_common::head::ODD,
    }
}

const _: () = assert!(size_of::<Part>() > PART);
