//! Whether the reader of a ring is woken for a record.

use core::ptr::from_ref;

use aya_ebpf::bindings::{BPF_RB_AVAIL_DATA, BPF_RB_FORCE_WAKEUP};
use aya_ebpf::helpers::generated::bpf_ringbuf_query;
use observer_common::stats::Counters;

use crate::maps::{FILL_MARK, Ring, SLEEPERS};

/// Wakes the reader when it sleeps, and while the ring is filled past the mark. A wake-up per record
/// would cost a busy server a fifth of its throughput. How full the ring is, is looked at now and
/// then: a sixteenth of the mark later is soon enough. Where there are several rings, each is looked
/// at as often as its share of the records is large.
///
/// Both come after the record is on the ring. The reader sets the flag first and looks at the ring
/// then, so one of the two sees the other.
#[inline(always)]
pub fn wake(ring: &Ring, number: u32, counters: &mut Counters, n_bytes: u64) {
    let mut is_due = false;
    let mark = FILL_MARK.load();
    counters.since_look += n_bytes;
    if counters.since_look >= mark >> 4 {
        counters.since_look = 0;
        // SAFETY: a ring that was found.
        let waiting = unsafe {
            let ring = from_ref(ring).cast_mut().cast();
            bpf_ringbuf_query(ring, u64::from(BPF_RB_AVAIL_DATA))
        };
        is_due = waiting >= mark;
    }
    if let Some(sleeper) = SLEEPERS.get_ptr_mut(number) {
        // SAFETY: the value of an array map is always there.
        unsafe {
            if (*sleeper).sleeps != 0 {
                (*sleeper).sleeps = 0;
                is_due = true;
            }
        }
    }
    // The helpers wake the reader for a record only; the reader passes over one that is discarded.
    // A full ring has been past the mark before.
    if is_due && let Some(entry) = ring.reserve(0) {
        counters.wakeups += 1;
        entry.discard(u64::from(BPF_RB_FORCE_WAKEUP));
    }
}
