//! Sets the DTH bit (RFC 9401) on chosen segments on their way out: for tests and demonstrations.
//! An object of its own, so that nothing in `observe` can write to a packet. It drops and holds
//! back nothing: the only answer is "let the next program decide".
#![no_std]
#![no_main]

#[path = "../observe/bounds.rs"]
mod bounds;
#[path = "../observe/filter.rs"]
mod filter;
#[path = "../observe/headers.rs"]
mod headers;
mod maps;
mod select;
#[path = "../observe/setting.rs"]
mod setting;
#[path = "../observe/skb.rs"]
#[allow(dead_code, reason = "this object asks an skb for less than `observe` does")]
mod skb;
mod write;

use core::mem::MaybeUninit;

use aya_ebpf::bindings::TC_ACT_UNSPEC;
use aya_ebpf::macros::classifier;
use aya_ebpf::programs::TcContext;
use observer_common::record::Hook;

use crate::skb::Skb;

#[classifier]
pub fn mark_egress(ctx: TcContext) -> i32 {
    let skb = Skb::new(ctx.skb.skb, Hook::TcEgress);
    let mut tcp = MaybeUninit::uninit();
    if let Ok(tcp) = headers::find(&skb, &mut tcp)
        && select::is_chosen(&skb, tcp)
    {
        write::mark(&skb, tcp);
    }
    TC_ACT_UNSPEC
}

/// The licence the kernel asks for.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

/// Nothing here panics; the compiler wants to know what would happen.
#[cfg(not(test))]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
