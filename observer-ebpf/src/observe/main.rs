//! The tap: copies TCP payload and flags of HTTP flows into a ring, and changes nothing.
//!
//! No entry point can affect traffic: a classifier's only answer is "let the next program decide",
//! and the socket filter sits on our own socket and keeps nothing for it.
#![no_std]
#![no_main]
#![feature(asm_experimental_arch)]

mod atomic;
mod bounds;
mod emit;
mod filter;
mod body;
mod describe;
mod detect;
mod flow;
mod handshake;
mod headers;
mod maps;
mod owner;
mod pieces;
mod ring;
mod setting;
mod skb;
mod skip;
mod socket;
mod tap;
mod wake;

use aya_ebpf::bindings::TC_ACT_UNSPEC;
use aya_ebpf::macros::{classifier, socket_filter};
use aya_ebpf::programs::{SkBuffContext, TcContext};
use observer_common::record::Hook;

use crate::skb::Skb;

#[classifier]
pub fn observe_ingress(ctx: TcContext) -> i32 {
    tap::run(&Skb::new(ctx.skb.skb, Hook::TcIngress));
    TC_ACT_UNSPEC
}

#[classifier]
pub fn observe_egress(ctx: TcContext) -> i32 {
    tap::run(&Skb::new(ctx.skb.skb, Hook::TcEgress));
    TC_ACT_UNSPEC
}

#[socket_filter]
pub fn observe_socket(ctx: SkBuffContext) -> i64 {
    tap::run(&Skb::new(ctx.skb.skb, Hook::Socket));
    0
}

/// The licence the kernel asks for: `bpf_ktime_get_ns` is open to GPL-compatible programs only.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

/// Nothing here panics; the compiler wants to know what would happen.
#[cfg(not(test))]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
