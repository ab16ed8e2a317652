//! `observer` watches HTTP on a Linux host from outside the programs that speak it.
//!
//! ```text
//!  skb ──tc ingress/egress──┐                                   ┌─ NDJSON: stdout, file
//!       └─socket filter ────┤ ring → decode → tcp → http → exchange ─┼─ tail (Unix socket)
//!  pcap/pcapng file ────────┘                                   └─ ...
//!   capture                   engine: no I/O, no clock            sink, cli
//! ```
//!
//! The modules below stand in the order in which a byte passes through them. Automated tests that
//! want to assert on HTTP traffic start at [`watch`].

// The engine.
pub mod segment;
pub mod message;
pub mod decode;
pub mod tcp;
pub mod http;
pub mod tunnel;
pub mod exchange;
pub mod pipeline;
pub mod event;

// The edges.
pub mod capture;
pub mod config;
#[cfg(feature = "live")]
mod privileges;
pub mod governor;
pub mod drive;
pub mod watch;
#[cfg(feature = "live")]
mod usage;
#[cfg(feature = "live")]
pub mod sink;
#[cfg(feature = "live")]
pub mod daemon;
#[cfg(feature = "live")]
pub mod doctor;
#[cfg(feature = "live")]
pub mod explain;
pub mod cli;

/// The Rust examples of README and recipes, compiled.
#[cfg(all(doctest, feature = "live"))]
#[doc = include_str!("../../README.md")]
#[doc = include_str!("../../docs/recipes/asserting-on-http-in-tests.md")]
mod readme {}
