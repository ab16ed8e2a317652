//! How much comes on a ring, and whether one worker is enough for that and for all others. It must
//! not know who turns.

use std::time::{Duration, Instant};

/// Counts what comes on one ring.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    since: Instant,
    n_segments: u64,
}

/// What has come, beside what one worker can do for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Load {
    Little,
    /// As much as stays where it is.
    Some,
    Much,
}

impl Pace {
    pub(super) fn new(moment: Instant) -> Self {
        Self { since: moment, n_segments: 0 }
    }

    /// `n_segments` have come by `moment`. Once a [`WINDOW`] it says what that is for one of
    /// `n_rings` rings.
    pub(super) fn count(
        &mut self,
        moment: Instant,
        n_segments: usize,
        n_rings: usize,
    ) -> Option<Load> {
        self.n_segments += n_segments as u64;
        let passed = moment.saturating_duration_since(self.since);
        if passed < WINDOW {
            return None;
        }
        let come = self.n_segments as f64 * n_rings as f64;
        let load = match come / passed.as_secs_f64() {
            rate if rate < LITTLE => Load::Little,
            rate if rate > MUCH => Load::Much,
            _ => Load::Some,
        };
        *self = Self::new(moment);
        Some(load)
    }
}

const WINDOW: Duration = Duration::from_millis(128);
/// Segments a second, on all rings together if all have as much.
const LITTLE: f64 = 80_000.0;
const MUCH: f64 = 120_000.0;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drive::monotonic;

    /// What it says of so many segments a second on one of `n_rings` rings, a tick at a time.
    fn load(per_second: u64, n_rings: usize) -> Option<Load> {
        let tick = Duration::from_millis(8);
        let (start, per_tick) = (monotonic(), per_second as usize / 125);
        let mut pace = Pace::new(start);
        (1..=16).find_map(|n| pace.count(start + n * tick, per_tick, n_rings))
    }

    #[test]
    fn what_is_much_is_shared_among_the_rings_and_lies_well_above_what_is_little() {
        for (per_second, n_rings, expected) in [
            (0, 2, Load::Little),
            (39_000, 2, Load::Little),
            (41_000, 2, Load::Some),
            (59_000, 2, Load::Some),
            (61_000, 2, Load::Much),
            (4_000, 16, Load::Little),
            (8_000, 16, Load::Much),
        ] {
            assert_eq!(load(per_second, n_rings), Some(expected), "{per_second} of {n_rings}");
        }
    }

    #[test]
    fn a_burst_says_nothing_before_the_window_is_over() {
        let start = monotonic();
        let mut pace = Pace::new(start);
        assert_eq!(pace.count(start + WINDOW / 2, 1_000_000, 2), None);
        assert_eq!(pace.count(start + WINDOW, 0, 2), Some(Load::Much));
        assert_eq!(pace.count(start + WINDOW * 2, 0, 2), Some(Load::Little));
    }
}
