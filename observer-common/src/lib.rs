//! The ABI between the kernel side (`observer-ebpf`) and user space (`observer`), and the pieces
//! of kernel-side logic that are worth testing on the host: the header walk, the detection of HTTP,
//! and what to leave out of a body. It must not know sockets, files, or how either side is built.
//!
//! Everything shared is `#[repr(C)]` with its padding spelled out, so that no byte of kernel
//! memory leaves by accident, and every size is asserted where the type is defined.
#![no_std]
#![forbid(unsafe_code)]

pub mod body;
pub mod config;
pub mod detect;
pub mod flow;
pub mod head;
pub mod headers;
pub mod mark;
pub mod record;
pub mod ring;
pub mod sample;
pub mod skip;
pub mod stats;
