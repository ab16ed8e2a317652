//! The socket that sends a segment.

use aya_ebpf::helpers::generated::{
    bpf_get_socket_cookie, bpf_sk_fullsock, bpf_skb_cgroup_id, bpf_tcp_sock,
};
use observer_common::record::Hook;

use crate::skb::Skb;

/// What the sending socket knows; all 0 where there is none at hand.
pub struct Socket {
    pub cookie: u64,
    pub cgroup_id: u64,
    pub srtt_us: u32,
    pub retransmits: u32,
}

impl Socket {
    pub const UNKNOWN: Self = Self { cookie: 0, cgroup_id: 0, srtt_us: 0, retransmits: 0 };

    /// Only the way out has a socket: on the way in the kernel looks it up after the hooks, and
    /// the clone that a packet socket gets has lost it (`__skb_clone` clears `sk`).
    #[inline(always)]
    pub fn of(skb: &Skb) -> Self {
        let mut socket = Self::UNKNOWN;
        if !matches!(skb.hook, Hook::TcEgress) {
            return socket;
        }
        // SAFETY: each pointer is checked for null before it is read or passed on.
        unsafe {
            let sk = (*skb.raw()).__bindgen_anon_2.sk;
            if sk.is_null() {
                return socket;
            }
            socket.cookie = bpf_get_socket_cookie(skb.raw().cast());
            socket.cgroup_id = bpf_skb_cgroup_id(skb.raw());
            let full = bpf_sk_fullsock(sk);
            if full.is_null() {
                return socket;
            }
            let tcp = bpf_tcp_sock(full);
            if !tcp.is_null() {
                // The kernel keeps the estimate times eight (struct tcp_sock, `srtt_us`).
                socket.srtt_us = (*tcp).srtt_us >> 3;
                socket.retransmits = (*tcp).total_retrans;
            }
        }
        socket
    }
}
