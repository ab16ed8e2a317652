//! The ABI between the kernel side (`observer-ebpf`) and user space (`observer`), and the two
//! pieces of kernel-side logic that are worth testing on the host: the header walk and the
//! detection of HTTP. It must not know sockets, files, or how either side is built.
//!
//! Everything shared is `#[repr(C)]` with its padding spelled out, so that no byte of kernel
//! memory leaves by accident, and every size is asserted where the type is defined.
#![no_std]
#![forbid(unsafe_code)]

pub mod config;
pub mod detect;
pub mod flow;
pub mod headers;
pub mod record;
pub mod stats;
