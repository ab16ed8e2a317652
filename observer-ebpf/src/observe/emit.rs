//! From a segment to its records: one, or several when it is larger than the largest one. With
//! `ring` below it, this is the only writer of the ring and the only place that counts its loss.

use aya_ebpf::bindings::__sk_buff;
use observer_common::flow::Half;
use observer_common::headers::{FIN, PSH, RST, SYN, Tcp};
use observer_common::record::{NOTE_CONTINUES, NOTE_CUT, PIECE_MAX, PIECES_MAX, RecordHeader};
use observer_common::stats::{Counters, Outcome};

use crate::maps::CAPTURE_LIMIT;
use crate::ring::{PUT, observe_put};

/// Puts the segment on the ring, in as many records as it takes, under a header that is complete
/// but for what tells one of them from the others. `EMITTED`, or the code of an outcome. Global,
/// for the reasons in `headers`.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn observe_emit(
    raw: *mut __sk_buff,
    tcp: *const Tcp,
    header: *mut RecordHeader,
    half: *mut Half,
    counters: *mut Counters,
) -> u32 {
    // SAFETY: the caller's; the verifier takes them for pointers that may be null.
    let args = unsafe { (tcp.as_ref(), header.as_mut(), half.as_mut()) };
    let (Some(tcp), Some(header), Some(half)) = args else { return Outcome::Unreadable as u32 };
    let notes = header.notes;
    let mut offset = tcp.payload_offset;
    let mut left = tcp.payload_len;
    let mut wanted = left.min(CAPTURE_LIMIT.load());
    header.seq = tcp.seq;
    header.records_lost = half.records_lost;
    for piece in 0..PIECES_MAX {
        // What the limit leaves out, and what is past the last piece, stays on this record.
        let is_last = wanted <= PIECE_MAX || piece == PIECES_MAX - 1;
        let captured = wanted.min(PIECE_MAX);
        header.captured_len = captured;
        header.payload_len = if is_last { left } else { captured };
        header.flags = tcp.flags & mask(piece == 0, is_last);
        let continues = if is_last { 0 } else { NOTE_CONTINUES };
        let cut = if captured < header.payload_len { NOTE_CUT } else { 0 };
        header.notes = notes | continues | cut;
        let code = observe_put(raw, header, offset, counters);
        if code != PUT {
            half.records_lost += 1;
            return code;
        }
        if is_last {
            break;
        }
        // SYN takes a number of its own, in front of the payload (RFC 9293 §3.4).
        let syn = u32::from(header.flags & SYN != 0);
        header.seq = header.seq.wrapping_add(captured).wrapping_add(syn);
        offset += captured;
        left -= captured;
        wanted -= captured;
    }
    EMITTED
}

pub const EMITTED: u32 = Outcome::Emitted as u32;

/// The flags that a piece of a segment keeps: SYN stands in front of the payload; FIN, PSH and RST
/// behind it.
#[inline(always)]
fn mask(is_first: bool, is_last: bool) -> u16 {
    let front = if is_first { 0 } else { SYN };
    let back = if is_last { 0 } else { FIN | PSH | RST };
    0x0fff & !front & !back
}
