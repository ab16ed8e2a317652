//! From a segment to its records: one, or several when it is larger than the largest one. With
//! `ring` below it, this is the only writer of the ring and the only place that counts its loss.

use aya_ebpf::bindings::__sk_buff;
use observer_common::flow::Half;
use observer_common::headers::{FIN, PSH, RST, SYN, Tcp};
use observer_common::record::{Hook, NOTE_CONTINUES, NOTE_CUT, PIECE_MAX, PIECES_MAX};
use observer_common::stats::{Counters, Outcome};

use crate::maps::CAPTURE_LIMIT;
use crate::ring::{Piece, Source, put};
use crate::skb::Skb;

/// What a record says that is not in the TCP header. Whole words without padding: the verifier
/// wants every byte written of what it passes on.
#[repr(C)]
pub struct Emission {
    pub time_ns: u64,
    pub socket_cookie: u64,
    pub cgroup_id: u64,
    pub srtt_us: u32,
    pub retransmits: u32,
    pub ifindex: u32,
    pub vlan: u16,
    pub hook: u8,
    pub notes: u8,
}

const _: () = assert!(size_of::<Emission>() == 40);

/// Puts the segment on the ring, in as many records as it takes. `EMITTED`, or the code of an
/// outcome. Global, for the reasons in `headers`.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn observe_emit(
    raw: *mut __sk_buff,
    tcp: *const Tcp,
    emission: *const Emission,
    half: *mut Half,
    counters: *mut Counters,
) -> u32 {
    // SAFETY: the caller's; the verifier takes them for pointers that may be null.
    let args = unsafe { (tcp.as_ref(), emission.as_ref(), half.as_mut(), counters.as_mut()) };
    let (Some(tcp), Some(emission), Some(half), Some(counters)) = args else {
        return Outcome::Unreadable as u32;
    };
    // The hook is in the emission.
    let skb = Skb::new(raw, Hook::TcIngress);
    match emit(&skb, tcp, emission, half, counters) {
        Ok(()) => EMITTED,
        Err(outcome) => {
            half.records_lost += 1;
            outcome as u32
        }
    }
}

pub const EMITTED: u32 = Outcome::Emitted as u32;

#[inline(always)]
fn emit(
    skb: &Skb,
    tcp: &Tcp,
    e: &Emission,
    half: &Half,
    counters: &mut Counters,
) -> Result<(), Outcome> {
    let mut seq = tcp.seq;
    let mut offset = tcp.payload_offset;
    let mut left = tcp.payload_len;
    let mut wanted = left.min(CAPTURE_LIMIT.load());
    for piece in 0..PIECES_MAX {
        // What the limit leaves out, and what is past the last piece, stays on this record.
        let is_last = wanted <= PIECE_MAX || piece == PIECES_MAX - 1;
        let captured_len = wanted.min(PIECE_MAX);
        let payload_len = if is_last { left } else { captured_len };
        let continues = if is_last { 0 } else { NOTE_CONTINUES };
        let cut = if captured_len < payload_len { NOTE_CUT } else { 0 };
        let flags = tcp.flags & mask(piece == 0, is_last);
        let notes = e.notes | continues | cut;
        let piece = Piece { seq, flags, offset, payload_len, captured_len, notes };
        let source = Source { skb, tcp, emission: e, half };
        put(&source, &piece, counters)?;
        counters.records += 1;
        counters.bytes += u64::from(captured_len);
        if is_last {
            break;
        }
        // SYN takes a number of its own, in front of the payload (RFC 9293 §3.4).
        seq = seq.wrapping_add(captured_len).wrapping_add(u32::from(flags & SYN != 0));
        offset += captured_len;
        left -= captured_len;
        wanted -= captured_len;
    }
    Ok(())
}

/// The flags that a piece of a segment keeps: SYN stands in front of the payload; FIN, PSH and RST
/// behind it.
#[inline(always)]
fn mask(is_first: bool, is_last: bool) -> u16 {
    let front = if is_first { 0 } else { SYN };
    let back = if is_last { 0 } else { FIN | PSH | RST };
    0x0fff & !front & !back
}
