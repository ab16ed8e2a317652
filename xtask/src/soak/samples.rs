//! What the observer holds, sample by sample, and the rule by which that is flat.

use std::{fs, path::Path, time::Duration};

use crate::bench::field;

/// One look at a process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sample {
    pub(super) at: Duration,
    pub(super) rss_kib: u64,
    /// Without what is mapped: the rings and the program itself are most of it and do not grow.
    pub(super) anon_kib: u64,
    pub(super) n_descriptors: u64,
    pub(super) n_threads: u64,
}

impl Sample {
    pub(super) fn take(at: Duration, process: u32) -> Self {
        let process = Path::new("/proc").join(process.to_string());
        let status = fs::read_to_string(process.join("status")).unwrap_or_default();
        let (rss_kib, anon_kib) = (field(&status, "VmRSS:"), field(&status, "RssAnon:"));
        let count = |part: &str| fs::read_dir(process.join(part)).map_or(0, Iterator::count) as u64;
        Self { at, rss_kib, anon_kib, n_descriptors: count("fd"), n_threads: count("task") }
    }
}

/// What is compared: the second quarter of the run, when tables and pools have been filled for the
/// first time, with the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Trend {
    /// Medians.
    pub(super) anon_kib: (u64, u64),
    /// The least: links that are there just now hold some.
    pub(super) n_descriptors: (u64, u64),
    pub(super) n_threads: (u64, u64),
}

impl Trend {
    /// `None` where a quarter has no sample.
    pub(super) fn of(samples: &[Sample], length: Duration) -> Option<Self> {
        let within = |from: u32, to: u32| -> Vec<Sample> {
            let is_in = |s: &&Sample| s.at >= length * from / 4 && s.at < length * to / 4;
            samples.iter().filter(is_in).copied().collect()
        };
        let (early, late) = (within(1, 2), within(3, 5));
        let median = |samples: &[Sample]| {
            let mut sorted: Vec<_> = samples.iter().map(|sample| sample.anon_kib).collect();
            sorted.sort_unstable();
            sorted.get(sorted.len() / 2).copied()
        };
        let least = |of: fn(&Sample) -> u64| {
            Some((early.iter().map(of).min()?, late.iter().map(of).min()?))
        };
        Some(Self {
            anon_kib: (median(&early)?, median(&late)?),
            n_descriptors: least(|sample| sample.n_descriptors)?,
            n_threads: least(|sample| sample.n_threads)?,
        })
    }

    /// Everything that has grown in a run of this length.
    pub(super) fn faults(self, length: Duration) -> Vec<String> {
        let mut faults = Vec::new();
        let (early, late) = self.anon_kib;
        if length >= WARM_UP * 4 && late > early + early / 10 + ROOM_KIB {
            faults.push(format!("memory has grown from {early} to {late} KiB"));
        }
        for (what, (early, late)) in
            [("descriptors", self.n_descriptors), ("threads", self.n_threads)]
        {
            if late > early {
                faults.push(format!("{what} have grown from {early} to {late}"));
            }
        }
        faults
    }
}

/// The second quarter of a run has to begin behind it for memory to be judged: connections that have
/// ended are remembered for a minute.
const WARM_UP: Duration = Duration::from_secs(60);

/// By how much memory may differ beside a tenth: arenas of the allocator, pages that a burst has
/// touched.
const ROOM_KIB: u64 = 512;

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(rss: impl Fn(u64) -> u64, descriptors: impl Fn(u64) -> u64) -> Vec<Sample> {
        let sample = |second| Sample {
            at: Duration::from_secs(second),
            rss_kib: 30_000 + rss(second),
            anon_kib: rss(second),
            n_descriptors: descriptors(second),
            n_threads: 5,
        };
        (0..100).map(sample).collect()
    }

    #[track_caller]
    fn check(samples: &[Sample], n_faults: usize) {
        let trend = Trend::of(samples, Duration::from_secs(100)).unwrap();
        assert_eq!(trend.faults(WARM_UP * 4).len(), n_faults, "{trend:?}");
    }

    #[test]
    fn what_wavers_is_flat() {
        check(&samples(|t| 20_000 + t % 7 * 100, |t| 20 + t % 3), 0);
    }

    #[test]
    fn a_warm_up_is_no_growth() {
        check(&samples(|t| 10_000 + t.min(25) * 1000, |t| 10 + t.min(20)), 0);
    }

    #[test]
    fn what_grows_to_the_end_is_found() {
        check(&samples(|t| 20_000 + t * 100, |t| 20 + t / 50), 2);
        check(&samples(|t| 20_000 + t * 100, |_| 20), 1);
        let short = Trend::of(&samples(|t| 20_000 + t * 100, |_| 20), WARM_UP).unwrap();
        assert!(short.faults(WARM_UP).is_empty(), "memory is judged before it is warm");
    }

    #[test]
    fn too_few_samples_make_no_trend() {
        assert_eq!(Trend::of(&[Sample::default()], Duration::from_secs(100)), None);
    }
}
