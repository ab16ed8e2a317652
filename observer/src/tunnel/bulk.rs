//! When bytes may be left out by the capture: not while people type, but while somebody downloads.
//!
//! What is left out is counted only when it has passed, so leaving out what comes slowly would hold
//! back the counts and hide idle times. Hence only as much as has just come fast: if that was all,
//! little is hidden; if it goes on, each stride is twice the one before.

use crate::segment::Timestamp;

/// Bytes over which the rate is measured.
const WINDOW: u64 = 256 << 10;

/// The window in at most this time, in nanoseconds, is a bulk transfer: 1 MiB a second.
const WINDOW_NS: u64 = 250_000_000;

/// Bytes left out at once: less is not worth asking, more would hold back the counts of a transfer
/// that has suddenly become slow.
pub(super) const MIN_STRIDE: u64 = 1 << 20;
pub(super) const MAX_STRIDE: u64 = 256 << 20;

/// The rate of one half.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Bulk {
    since: Timestamp,
    n_bytes: u64,
    /// Bytes that came fast, without a slow window between them.
    streak: u64,
}

impl Bulk {
    /// `n_bytes` came at `time`.
    pub(super) fn note(&mut self, time: Timestamp, n_bytes: u64) {
        let elapsed = time.since(self.since);
        self.n_bytes = self.n_bytes.saturating_add(n_bytes);
        if self.n_bytes < WINDOW {
            if elapsed > WINDOW_NS {
                *self = Self { since: time, n_bytes: 0, streak: 0 };
            }
            return;
        }
        // A stride that was left out is many windows; each has its share of the time.
        let windows = self.n_bytes.checked_div(WINDOW).unwrap_or(1);
        let is_fast = elapsed <= windows.saturating_mul(WINDOW_NS);
        self.streak = if is_fast { self.streak.saturating_add(self.n_bytes) } else { 0 };
        self.since = time;
        self.n_bytes = 0;
    }

    /// Bytes that may be left out next.
    pub(super) fn stride(&self) -> u64 {
        if self.streak == 0 { 0 } else { self.streak.clamp(MIN_STRIDE, MAX_STRIDE) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    /// Feeds pieces of so many bytes, so many milliseconds apart; whether it ends as bulk.
    #[track_caller]
    fn check(pieces: &[(u64, u64)], is_bulk: bool) {
        let mut bulk = Bulk::default();
        let mut now = Timestamp(1_000_000 * MS);
        for (ms, n_bytes) in pieces {
            now = now.after(ms * MS);
            bulk.note(now, *n_bytes);
        }
        assert_eq!(bulk.stride() > 0, is_bulk, "{pieces:?}");
    }

    #[test]
    fn a_stride_is_what_has_just_come_fast() {
        let mut bulk = Bulk::default();
        bulk.note(Timestamp(0), 8 << 20);
        assert_eq!(bulk.stride(), 8 << 20);
        bulk.note(Timestamp(MS), 8 << 20);
        assert_eq!(bulk.stride(), 16 << 20);
        bulk.note(Timestamp(2 * MS), 1 << 30);
        assert_eq!(bulk.stride(), MAX_STRIDE);
    }

    #[test]
    fn only_what_comes_fast_is_bulk() {
        check(&[(100, 50)], false);
        check(&[(100, 50); 1000], false);
        check(&[(1, 65536); 9], true);
        // 64 KiB every 200 ms: below the rate.
        check(&[(200, 65536); 100], false);
        // A fast start that then falls silent for a while.
        check(&[(1, 65536), (1, 65536), (1, 65536), (1, 65536), (9000, 10)], false);
        // A stride that was left out in half a second.
        check(&[(1, 262_144), (500, 1 << 20)], true);
        check(&[(1, 262_144), (5000, 1 << 20)], false);
    }
}
