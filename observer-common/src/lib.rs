//! The ABI between the kernel side (`observer-ebpf`) and user space (`observer`).
#![no_std]
