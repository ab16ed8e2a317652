//! Bodies that the kernel leaves out by itself. User space is too late for them: with sendfile a
//! server puts the head and the first 65 kB of the body into one super-segment.

use core::hint::cold_path;
use core::mem::size_of;

use observer_common::flow::{Half, STATE_HTTP, is_after};
use observer_common::head::{PART, Part};
use observer_common::headers::Tcp;
use observer_common::skip::SKIP_MAX;

use crate::maps::{BODY_PREFIX, PARTS, SKIP_BODIES};
use crate::skb::Skb;

/// Sets a skip on the half when the segment holds the head of a message and then nothing but body.
///
/// That a segment reads like a head does not make it one: a body can hold anything. A message
/// follows on something that the other end has said, so that the first segment of it acknowledges
/// more than the last one of the message before did; pieces of one message do not, but for
/// pipelining. What is not decided is copied.
#[inline(always)]
pub fn leave_out(skb: &Skb, tcp: &Tcp, half: &mut Half, state: u32) {
    if SKIP_BODIES.load() == 0
        || tcp.payload_len < SEGMENT_MIN
        || half.skip != 0
        || state != STATE_HTTP
        || (half.has_data != 0 && !is_after(tcp.ack, half.data_ack))
    {
        return;
    }
    cold_path();
    let Some(part) = PARTS.get_ptr_mut(0) else { return };
    // SAFETY: the slot belongs to this CPU, as in `tap`.
    let part = unsafe { &mut *part };
    if !skb.copy(tcp.payload_offset, (&raw mut part.words).cast(), PART as u32, PART as u32) {
        return;
    }
    let found = observe_head(part);
    if found == 0 || found > tcp.payload_len {
        return;
    }
    let n_body = tcp.payload_len - found;
    // Behind a shorter body another message begins in this segment.
    if part.length < u64::from(n_body) {
        return;
    }
    // A longer body is skipped as far as numbers go; user space goes on from there.
    let n_bytes = part.length.min(u64::from(SKIP_MAX / 2)) as u32;
    let prefix = BODY_PREFIX.load();
    if n_bytes > prefix {
        let start = tcp.seq.wrapping_add(found);
        half.skip(start.wrapping_add(prefix), start.wrapping_add(n_bytes));
    }
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

/// Segments below are copied: that costs less than to look.
const SEGMENT_MIN: u32 = 2048;

const _: () = assert!(SEGMENT_MIN as usize > PART && size_of::<Part>() > PART);
