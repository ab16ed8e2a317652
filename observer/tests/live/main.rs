//! Live capture held against the real thing: real servers and clients in network namespaces of
//! their own, the binary as a user starts it, and what the kernel and the clients say about it.
//!
//! Each test needs root and a few programs (`cargo xtask setup --tests` has them). Where one is
//! missing the test prints a line that starts with `SKIP` and passes; with `OBSERVER_REQUIRE_LIVE=1`
//! it fails instead. Nothing is waited for by the clock: every wait is for something to become
//! true, with a deadline.

#![cfg(feature = "live")]

mod harness;
#[path = "../common/recipe.rs"]
mod recipe;

mod attach;
mod bodies;
mod capture_file;
mod doctor;
mod dth;
mod exchanges;
mod explain;
mod go;
mod governor;
mod hotplug;
mod killed;
mod lanes;
mod ledger;
mod load;
mod metrics;
mod netns;
mod privileges;
mod quiet;
mod recipes;
mod reload;
mod retries;
mod service;
mod small_ring;
mod stalls;
mod storm;
mod tunnels;
mod watch;
