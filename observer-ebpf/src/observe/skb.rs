//! Reading an skb: bytes through `bpf_skb_load_bytes`, but for those of usual headers, because direct
//! access sees only the linear part; and what the kernel keeps beside the bytes.

use core::mem::MaybeUninit;

use aya_ebpf::bindings::{__sk_buff, bpf_hdr_start_off};
use aya_ebpf::helpers::generated::{bpf_skb_load_bytes, bpf_skb_load_bytes_relative};
use observer_common::flow::{WAY_IN, WAY_OUT};
use observer_common::headers::{Buffer, Front, Load, USUAL_LEN};
use observer_common::record::{Hook, VLAN_NONE};

use crate::bounds;

/// An skb at one of the hooks. The hook is a constant in each program.
pub struct Skb {
    raw: *mut __sk_buff,
    pub hook: Hook,
}

impl Skb {
    #[inline(always)]
    pub fn new(raw: *mut __sk_buff, hook: Hook) -> Self {
        Self { raw, hook }
    }

    #[inline(always)]
    pub fn raw(&self) -> *mut __sk_buff {
        self.raw
    }

    #[inline(always)]
    pub fn ifindex(&self) -> u32 {
        // SAFETY: the context of the program is valid while it runs.
        unsafe { (*self.raw).ifindex }
    }

    /// The first bytes of the frame where they lie; `None` where there are fewer in one piece, and for
    /// the socket filter, which may not look at them (sk_filter_is_valid_access).
    #[inline(always)]
    pub fn front(&self) -> Option<&Front> {
        if matches!(self.hook, Hook::Socket) {
            return None;
        }
        // SAFETY: as above.
        let (start, end) = unsafe { ((*self.raw).data as usize, (*self.raw).data_end as usize) };
        if start + USUAL_LEN > end {
            return None;
        }
        // SAFETY: as long as was just made sure of, and aligned as `Front` says.
        Some(unsafe { &*(start as *const Front) })
    }

    /// Whether the segment comes in or goes out, as this interface sees it.
    #[inline(always)]
    pub fn way(&self) -> u32 {
        match self.hook {
            Hook::TcIngress => WAY_IN,
            Hook::TcEgress => WAY_OUT,
            // SAFETY: as above.
            Hook::Socket if unsafe { (*self.raw).pkt_type } == PACKET_OUTGOING => WAY_OUT,
            Hook::Socket => WAY_IN,
        }
    }

    /// Identifier of the tag that the kernel moved out of the frame.
    #[inline(always)]
    pub fn vlan(&self) -> u16 {
        // SAFETY: as above.
        unsafe {
            if (*self.raw).vlan_present == 0 {
                return VLAN_NONE;
            }
            ((*self.raw).vlan_tci & 0x0fff) as u16
        }
    }

    /// One byte, where the skb has it.
    #[inline(always)]
    pub fn byte(&self, offset: u32) -> Option<u8> {
        let mut byte = MaybeUninit::<u8>::uninit();
        // SAFETY: room for one byte, which is there where the helper says so.
        unsafe {
            let is_read = bpf_skb_load_bytes(self.raw.cast(), offset, byte.as_mut_ptr().cast(), 1);
            (is_read == 0).then(|| byte.assume_init())
        }
    }

    /// Copies `n_bytes` at `offset` to `to`, which has room for `max`. False when the skb does not
    /// have them, or when there is nothing to copy.
    #[inline(always)]
    pub fn copy(&self, offset: u32, to: *mut u8, n_bytes: u32, max: u32) -> bool {
        let Some(n_bytes) = bounds::size_within(n_bytes, max) else { return false };
        // SAFETY: `to` has room for `max` bytes, and `n_bytes` is at most that.
        unsafe { bpf_skb_load_bytes(self.raw.cast(), offset, to.cast(), n_bytes) == 0 }
    }
}

impl Load for Skb {
    #[inline(always)]
    fn n_bytes(&self) -> u32 {
        // SAFETY: the context of the program is valid while it runs.
        unsafe { (*self.raw).len }
    }

    #[inline(always)]
    fn protocol(&self) -> u16 {
        // SAFETY: as above.
        u16::from_be(unsafe { (*self.raw).protocol } as u16)
    }

    #[inline(always)]
    fn load_to(&self, offset: u32, n_bytes: usize, to: &mut Buffer, at: usize) -> bool {
        // SAFETY: callers pass constants that the buffer has room for.
        unsafe {
            let to = (&raw mut to.0).cast::<u8>().add(at).cast();
            bpf_skb_load_bytes(self.raw.cast(), offset, to, n_bytes as u32) == 0
        }
    }

    #[inline(always)]
    fn load_network(&self, offset: u32, n_bytes: usize, to: &mut Buffer) -> bool {
        let to = (&raw mut to.0).cast();
        let start = bpf_hdr_start_off::BPF_HDR_START_NET;
        // SAFETY: as above.
        unsafe {
            bpf_skb_load_bytes_relative(self.raw.cast(), offset, to, n_bytes as u32, start) == 0
        }
    }
}

/// include/uapi/linux/if_packet.h
const PACKET_OUTGOING: u32 = 4;
