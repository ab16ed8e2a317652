//! From the kernel's monotonic clock to Unix time.

use std::time::Duration;

use crate::decode::ClockOffset;
use crate::segment::Timestamp;

/// The offset between the two clocks as it was at the start, and how far somebody has set the time
/// since. NTP slews both clocks alike, so that the offset changes only then, or when the machine
/// was asleep.
///
/// The capture's time follows the first offset for ever: a flow must not time out, and no duration
/// come out wrong, because the time of day was set. What is printed is put right with [`shift`].
///
/// [`shift`]: Self::shift
#[derive(Clone, Copy)]
pub(super) struct Clock {
    offset_ns: i64,
    shift_ns: i64,
}

impl Clock {
    pub(super) fn new() -> Self {
        Self { offset_ns: measure(), shift_ns: 0 }
    }

    pub(super) fn refresh(&mut self) {
        let shift_ns = measure().saturating_sub(self.offset_ns);
        // One measurement differs from the next by microseconds; times within a capture must not
        // jitter by that.
        if shift_ns.abs_diff(self.shift_ns) > TOLERANCE_NS {
            self.shift_ns = shift_ns;
        }
    }

    pub(super) fn offset(&self) -> ClockOffset {
        ClockOffset(self.offset_ns)
    }

    /// What to add to the capture's time for the time of day.
    pub(super) fn shift(&self) -> i64 {
        self.shift_ns
    }

    /// The capture's time now.
    pub(super) fn now(&self) -> Timestamp {
        let now = read(libc::CLOCK_MONOTONIC).saturating_add(self.offset_ns);
        Timestamp(u64::try_from(now).unwrap_or(0))
    }
}

/// Reads the monotonic clock before and after the other one and takes the middle.
fn measure() -> i64 {
    let before = read(libc::CLOCK_MONOTONIC);
    let unix = read(libc::CLOCK_REALTIME);
    let after = read(libc::CLOCK_MONOTONIC);
    unix - (before + (after - before) / 2)
}

/// `CLOCK_MONOTONIC`, from a start that all threads share.
pub(super) fn monotonic() -> Duration {
    Duration::from_nanos(u64::try_from(read(libc::CLOCK_MONOTONIC)).unwrap_or(0))
}

fn read(clock: libc::clockid_t) -> i64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is valid; both clocks exist on every Linux, so the call cannot fail.
    unsafe { libc::clock_gettime(clock, &raw mut time) };
    time.tv_sec * 1_000_000_000 + time.tv_nsec
}

const TOLERANCE_NS: u64 = Duration::from_millis(1).as_nanos() as u64;
