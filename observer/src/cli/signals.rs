//! Ctrl-C and SIGTERM: the first asks for an orderly end, a later one ends at once. SIGHUP: files
//! are opened anew.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::drive::monotonic;
use crate::privileges;

/// A flag that the first signal sets. Signals are waited for on a thread of their own, which does
/// nothing until one comes, so that the second one works even when the first thread is stuck.
pub(super) fn stop_flag() -> anyhow::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    let mut signals = Signals::new([SIGINT, SIGTERM]).context("cannot handle signals")?;
    let wait = move || {
        privileges::keep_files_alone();
        let mut first: Option<Instant> = None;
        for signal in signals.forever() {
            match first {
                None => {
                    first = Some(monotonic());
                    flag.store(true, Ordering::Relaxed);
                }
                // `timeout` and `sudo` pass on what the process group has received as well: one
                // wish to end can come as two signals.
                Some(first) if monotonic() - first < SAME_WISH => {}
                // What a shell reports for a process that a signal has ended.
                Some(_) => std::process::exit(128 + signal),
            }
        }
    };
    std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(wait)
        .context("cannot handle signals")?;
    Ok(stop)
}

/// A flag that each SIGHUP sets: files are to be opened anew.
pub(super) fn reload_flag() -> anyhow::Result<Arc<AtomicBool>> {
    let reload = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(SIGHUP, Arc::clone(&reload)).context("cannot handle signals")?;
    Ok(reload)
}

const SAME_WISH: Duration = Duration::from_millis(500);
