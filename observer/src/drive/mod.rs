//! What lies between a source and whoever wants its events: segments go to the engine, events come
//! out, time is kept. The daemon, `tail`, `read` and [`crate::watch`] stand on it.
//!
//! It knows neither sinks nor the command line, and decides nothing about events.

mod clock;
pub mod file;
#[cfg(feature = "live")]
mod lane;
#[cfg(feature = "live")]
pub mod live;
#[cfg(feature = "live")]
mod memory;
#[cfg(feature = "live")]
mod source;
pub mod spread;

pub(crate) use self::clock::monotonic;
#[cfg(feature = "live")]
pub(crate) use self::clock::now;
#[cfg(feature = "live")]
pub(crate) use self::source::counters;
#[cfg(feature = "live")]
pub use self::source::{Drive, LateNames, Place, Source};
