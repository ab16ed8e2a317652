//! Where segments come from: capture files, and the running host. Everything in this folder does I/O
//! and knows nothing of HTTP.

pub mod file;
pub mod interfaces;
#[cfg(feature = "live")]
pub mod live;
pub mod namespaces;
