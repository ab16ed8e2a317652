//! The sinks' clocks. They are edges: a file is rotated by the hour and a peer gets its second to
//! answer, whatever the traffic's own time is.

use std::time::{Instant, SystemTime};

#[expect(clippy::disallowed_methods, reason = "sinks are edges: these are their own timers")]
pub(super) fn monotonic() -> Instant {
    Instant::now()
}

#[expect(clippy::disallowed_methods, reason = "files are named and rotated by the wall clock")]
pub(super) fn now() -> SystemTime {
    SystemTime::now()
}
