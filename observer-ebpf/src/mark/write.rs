//! Setting the bit: the one place that writes to a packet.

use aya_ebpf::helpers::generated::{bpf_l4_csum_replace, bpf_skb_store_bytes};
use observer_common::headers::{DTH, Tcp};

use crate::maps::{LIMITED, MARKS, TICKETS};
use crate::skb::Skb;

/// Sets DTH and keeps the checksum right, while the limit allows.
///
/// The checksum is brought up to date by the difference of the one 16-bit word (RFC 1624). Where
/// the device is to compute it (CHECKSUM_PARTIAL) the field holds the pseudo-header's sum alone,
/// and `inet_proto_csum_replace4` leaves it as it is; the device then sums what it finds.
///
/// On a super-segment `tcp_gso_segment` copies the word to each part and takes only FIN, PSH and
/// CWR away from some: all of them carry the bit. The clone that is kept for retransmission gets a
/// header of its own when it is sent, and comes through here again.
#[inline(always)]
pub fn mark(skb: &Skb, tcp: &Tcp) {
    let Some(marks) = MARKS.get_ptr_mut(0) else { return };
    // SAFETY: the slot belongs to this CPU.
    let marks = unsafe { &mut *marks };
    if LIMITED.load() != 0 && !matches!(TICKETS.pop(), Ok(Some(_))) {
        return;
    }
    let at = tcp.payload_offset - u32::from(tcp.header_len);
    // Data Offset counts words of four bytes, and stands above the twelve bits.
    let from = tcp.header_len << 10 | tcp.flags;
    let to = (from | DTH).to_be();
    // SAFETY: the context of the program is valid while it runs, and `to` has two bytes.
    let is_written = unsafe {
        let skb = skb.raw();
        bpf_l4_csum_replace(skb, at + CHECKSUM, u64::from(from.to_be()), u64::from(to), 2) == 0
            && bpf_skb_store_bytes(skb, at + DATA_OFFSET, (&raw const to).cast(), 2, 0) == 0
    };
    if !is_written {
        marks.failed += 1;
        return;
    }
    marks.marked += 1;
    // SAFETY: as above. 0 where the segment is no super-segment.
    let n_parts = unsafe { (*skb.raw()).gso_segs }.max(1);
    marks.on_wire += u64::from(n_parts);
}

/// Where a TCP header has them (RFC 9293 §3.1).
const DATA_OFFSET: u32 = 12;
const CHECKSUM: u32 = 16;
