//! Whether the reader of a ring is woken for a record.

use core::hint::cold_path;

use aya_ebpf::bindings::BPF_RB_FORCE_WAKEUP;
use observer_common::ring::{Places, bell_of};
use observer_common::stats::Counters;

use crate::maps::{BELLS, FILL_MARK};

/// Wakes the reader when it sleeps, and while the ring is filled past the mark. A wake-up per record
/// would cost a busy server a fifth of its throughput. How full the ring is, is looked at by whose
/// record reaches into the next sixteenth of the mark. A reader that sleeps for several rings says
/// which bell is its own; past the mark the ring's own bell is rung, whoever reads it now.
///
/// Both come after the record is on the ring. The reader sets the flag first and looks at the ring
/// then, so one of the two sees the other.
#[inline(always)]
pub fn wake(places: *mut Places, number: u32, position: u64, counters: &mut Counters) {
    let end = counters.produced;
    let mark = FILL_MARK.load();
    // SAFETY: the value of an array is always there.
    let (consumed, sleeps) = unsafe { (&raw const (*places).consumed, &raw mut (*places).sleeps) };
    // SAFETY: as above.
    let (sleeper, consumed) = unsafe { (sleeps.read_volatile(), consumed.read_volatile()) };
    // The helpers wake the reader for a record only, which is discarded. A bell without room has
    // rung before.
    let number = if sleeper != 0 {
        cold_path();
        // SAFETY: as above.
        unsafe { sleeps.write_volatile(0) };
        bell_of(sleeper)
    } else if (position ^ end) >= mark >> 4 && end.wrapping_sub(consumed) >= mark {
        number
    } else {
        return;
    };
    cold_path();
    if let Some(bell) = BELLS.get(number)
        && let Some(entry) = bell.reserve(0)
    {
        counters.wakeups += 1;
        entry.discard(u64::from(BPF_RB_FORCE_WAKEUP));
    }
}
