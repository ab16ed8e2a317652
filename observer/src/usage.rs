//! What this process uses, as the kernel has it. Gathers and judges nothing.

/// What the process has used so far, and holds now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Usage {
    /// CPU time of all threads since the start, nanoseconds.
    pub(crate) cpu_ns: u64,
    /// In memory, mapped files and the ring included; the ring is mapped twice, and counts so.
    pub(crate) resident_bytes: u64,
    /// Of these what the process has taken for itself: heap and stacks.
    pub(crate) anonymous_bytes: u64,
}

impl Usage {
    /// proc(5): the second number in /proc/self/statm are the resident pages, the third those of them
    /// that are backed by something else.
    pub(crate) fn read() -> Option<Self> {
        let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
        let mut numbers = statm.split_whitespace().skip(1).map(str::parse::<u64>);
        let (resident, shared) = (numbers.next()?.ok()?, numbers.next()?.ok()?);
        let mut used = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: no pointers but to a valid place; both calls cannot fail with these arguments.
        let page = unsafe {
            libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut used);
            libc::sysconf(libc::_SC_PAGESIZE)
        };
        let page = u64::try_from(page).ok()?;
        let seconds = u64::try_from(used.tv_sec).ok()?;
        Some(Self {
            cpu_ns: seconds.saturating_mul(1_000_000_000).saturating_add(used.tv_nsec as u64),
            resident_bytes: resident.saturating_mul(page),
            anonymous_bytes: resident.saturating_sub(shared).saturating_mul(page),
        })
    }
}

/// Descriptors that are open.
pub(crate) fn n_descriptors() -> Option<u64> {
    // One of them is the directory that is being read.
    Some((std::fs::read_dir("/proc/self/fd").ok()?.count() as u64).saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_used_grows_and_what_is_held_is_something() {
        let before = Usage::read().unwrap();
        let sum: u64 = (0..3_000_000_u64).map(std::hint::black_box).sum();
        assert!(sum > 0);
        let after = Usage::read().unwrap();
        assert!(after.cpu_ns > before.cpu_ns);
        assert!(after.anonymous_bytes > 100_000, "{after:?}");
        assert!(after.resident_bytes > after.anonymous_bytes, "{after:?}");
        assert!(n_descriptors().unwrap() >= 3);
    }
}
