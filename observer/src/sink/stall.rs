//! Whether a write has stalled: it took long, and it waited for something.
//!
//! A piece of 128 KiB goes into the page cache in some 40 to 100 µs. A thousandth of a second more is
//! what a busy CPU does to any thread; what waits for a disk (dirty pages over their limit, a
//! journal that commits) sleeps for 10 ms and more (mm/page-writeback.c, `balance_dirty_pages`).
//! Meanwhile records gather: [`LONG`] is an eighth of what a ring of 8 MiB holds at 250,000 exchanges
//! of 800 bytes a second, so that finding out costs nothing. Time alone is no sign on a busy
//! host, because a thread that others have pushed aside in the middle of a write takes as long. It
//! was then switched from against its will, and a thread that waits goes by its own (getrusage(2),
//! `ru_nvcsw`).

use std::time::{Duration, Instant};

use super::clock::monotonic;

/// A look at the clock before a write.
#[derive(Debug)]
pub(super) struct Stopwatch {
    started: Instant,
    n_waits: i64,
}

impl Stopwatch {
    pub(super) fn start() -> Self {
        Self { started: monotonic(), n_waits: n_waits() }
    }

    /// When the write that began with this has ended, if it has stalled.
    pub(super) fn stalled(&self) -> Option<Instant> {
        let now = monotonic();
        (now - self.started >= LONG && n_waits() > self.n_waits).then_some(now)
    }
}

/// How often this thread has waited for something.
fn n_waits() -> i64 {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: the call fills the place, and a zeroed one is valid should it not.
    unsafe {
        libc::getrusage(libc::RUSAGE_THREAD, usage.as_mut_ptr());
        usage.assume_init().ru_nvcsw
    }
}

const LONG: Duration = Duration::from_millis(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_is_a_stall_and_working_is_none() {
        let stopwatch = Stopwatch::start();
        assert_eq!(stopwatch.stalled(), None);
        // However long: nothing here waits.
        while monotonic() - stopwatch.started < LONG {
            std::hint::spin_loop();
        }
        assert_eq!(stopwatch.stalled(), None);
        std::thread::sleep(Duration::from_millis(1));
        assert!(stopwatch.stalled().is_some());
    }
}
