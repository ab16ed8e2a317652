//! From the kernel's monotonic clock to Unix time.

use std::time::Duration;

use crate::decode::ClockOffset;

/// The offset between the two clocks. NTP slews both alike, so it changes only when somebody sets
/// the time; it is kept while it is right to a millisecond, so that times within a capture do not
/// jitter by what one measurement differs from the next.
pub(super) struct Clock {
    offset_ns: i64,
}

impl Clock {
    pub(super) fn new() -> Self {
        Self { offset_ns: measure() }
    }

    pub(super) fn refresh(&mut self) {
        let offset_ns = measure();
        if offset_ns.abs_diff(self.offset_ns) > TOLERANCE_NS {
            self.offset_ns = offset_ns;
        }
    }

    pub(super) fn offset(&self) -> ClockOffset {
        ClockOffset(self.offset_ns)
    }
}

/// Reads the monotonic clock before and after the other one and takes the middle.
fn measure() -> i64 {
    let before = read(libc::CLOCK_MONOTONIC);
    let unix = read(libc::CLOCK_REALTIME);
    let after = read(libc::CLOCK_MONOTONIC);
    unix - (before + (after - before) / 2)
}

fn read(clock: libc::clockid_t) -> i64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is valid; both clocks exist on every Linux, so the call cannot fail.
    unsafe { libc::clock_gettime(clock, &raw mut time) };
    time.tv_sec * 1_000_000_000 + time.tv_nsec
}

const TOLERANCE_NS: u64 = Duration::from_millis(1).as_nanos() as u64;
