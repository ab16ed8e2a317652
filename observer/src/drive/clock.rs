//! The two clocks of an edge. The engine has none and is given the time.

use std::time::Instant;
#[cfg(feature = "live")]
use std::time::SystemTime;

#[cfg(feature = "live")]
use crate::segment::Timestamp;

/// The wall clock, as captures stamp segments.
#[cfg(feature = "live")]
#[expect(clippy::disallowed_methods, reason = "an edge: the engine gets this time")]
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}

#[expect(clippy::disallowed_methods, reason = "an edge: these are its own timers")]
pub(crate) fn monotonic() -> Instant {
    Instant::now()
}
