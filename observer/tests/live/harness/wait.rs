//! Waiting for something to become true. There is no bare sleep in these tests.

use std::time::{Duration, Instant};

/// Calls `look` until it finds something.
///
/// # Panics
///
/// When it has found nothing after `limit`: names `what`.
#[track_caller]
pub(crate) fn until<T>(what: &str, limit: Duration, look: impl FnMut() -> Option<T>) -> T {
    let found = within(limit, look);
    found.unwrap_or_else(|| panic!("waited {limit:?} in vain for {what}"))
}

/// Calls `look` until it finds something, for `limit` at most.
pub(crate) fn within<T>(limit: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let end = now() + limit;
    loop {
        // One look more after the end: this process may have been asleep until then.
        let late = now() >= end;
        if let Some(found) = look() {
            return Some(found);
        }
        if late {
            return None;
        }
        std::thread::sleep(PAUSE);
    }
}

#[expect(clippy::disallowed_methods, reason = "a deadline for other processes is wall time")]
fn now() -> Instant {
    Instant::now()
}

/// Long enough for a process that takes its time on a busy machine; a test that passes does not
/// wait for it.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(10);
