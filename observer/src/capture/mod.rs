//! Where segments come from: the running host, and capture files. It must not know HTTP.

#[cfg(feature = "live")]
pub mod live;
