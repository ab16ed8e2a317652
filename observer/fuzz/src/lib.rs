//! What the fuzzer does with its bytes, and what must hold whatever they are.
//!
//! Each target is one function from bytes to nothing that panics where an invariant of the engine
//! is broken. They know the engine's public surface only. The same source is compiled twice: with
//! libFuzzer behind it by `cargo xtask fuzz`, and by `tests/fuzz_seeds.rs`, which replays the
//! committed seeds on a stable toolchain.
//!
//! Inputs are lists of operations in a byte code of our own ([`feed`]) and not those of a derive:
//! a seed can then be written by hand, and one byte changed by the fuzzer changes one operation.

pub mod capture;
pub mod feed;
pub mod http1;
pub mod pipeline;
pub mod record;
pub mod recorder;
pub mod tcp;
pub mod wire;

/// What a target does with its bytes.
pub type Check = fn(&[u8]);

/// Every target: its name, as `cargo xtask fuzz` and the seed folders use it, and its function.
pub const TARGETS: &[(&str, Check)] = &[
    ("record", record::check),
    ("capture", capture::check),
    ("tcp", tcp::check),
    ("http1", http1::check),
    ("pipeline", pipeline::check),
];
