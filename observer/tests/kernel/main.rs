//! The kernel side, tested in a kernel: every branch of the programs by `BPF_PROG_TEST_RUN` on
//! crafted frames, and the capture around them on devices in network namespaces of our own.
//!
//! These tests need root. Where something is missing they say what and pass, unless
//! `OBSERVER_REQUIRE_LIVE=1` makes that a failure.
#![cfg(feature = "live")]

mod bodies;
mod branches;
mod capture;
mod clsact;
mod detection;
mod devices;
mod frames;
mod helpers;
mod mark;
mod needs;
mod netns;
mod owner;
mod rig;
mod skip;
mod watch;
