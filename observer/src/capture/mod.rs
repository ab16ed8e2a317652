//! TEMPORARY stand-in of branch `s`; branches `p` and `k` own this module.
pub mod file;
#[cfg(feature = "live")]
pub mod live;
