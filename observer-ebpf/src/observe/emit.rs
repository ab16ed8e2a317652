//! From a segment to its records: one, or several when it is larger than the largest one. With
//! `ring` below it, this is the only writer of the ring and the only place that counts its loss.

use aya_ebpf::bindings::__sk_buff;
use observer_common::flow::Half;
use observer_common::headers::{FIN, PSH, RST, SYN, Tcp};
use observer_common::record::{NOTE_CONTINUES, NOTE_CUT, PIECE_MAX, PIECES_MAX};
use observer_common::stats::{Counters, Outcome};

use crate::maps::CAPTURE_LIMIT;
use crate::ring::{Draft, PUT, observe_put};

/// Puts the segment on the ring, in as many records as it takes, under a header that is complete
/// but for what tells one of them from the others. `EMITTED`, or the code of an outcome. Global,
/// for the reasons in `headers`.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn observe_emit(
    raw: *mut __sk_buff,
    tcp: *const Tcp,
    draft: *mut Draft,
    half: *mut Half,
    counters: *mut Counters,
) -> u32 {
    // SAFETY: the caller's; the verifier takes them for pointers that may be null.
    let args = unsafe { (tcp.as_ref(), draft.as_mut(), half.as_mut()) };
    let (Some(tcp), Some(draft), Some(half)) = args else { return Outcome::Unreadable as u32 };
    let header = &mut draft.record.header;
    header.seq = tcp.seq;
    header.records_lost = half.records_lost;
    let notes = header.notes;
    // What is wanted after skips came with the header.
    let wanted = header.captured_len.min(tcp.payload_len).min(CAPTURE_LIMIT.load());
    let offset = tcp.payload_offset;
    let mut rest = Rest { raw, tcp, draft, counters, notes, offset, left: tcp.payload_len, wanted };
    let code = rest.put_all();
    if code != EMITTED {
        half.records_lost += 1;
    }
    code
}

pub const EMITTED: u32 = Outcome::Emitted as u32;

/// What is left of a segment while its records are made.
struct Rest<'a> {
    raw: *mut __sk_buff,
    tcp: &'a Tcp,
    draft: &'a mut Draft,
    counters: *mut Counters,
    notes: u8,
    offset: u32,
    left: u32,
    /// Bytes of `left` that the capture limit allows.
    wanted: u32,
}

impl Rest<'_> {
    /// Written out instead of looped over: the compiler let the loop's last block fall through to
    /// its first, which 6.1 takes for an endless loop (`back-edge from insn`, check_cfg).
    #[inline(always)]
    fn put_all(&mut self) -> u32 {
        const { assert!(PIECES_MAX == 8) };
        macro_rules! put_each {
            ($($piece:literal)*) => {
                $(match self.put($piece) {
                    MORE => {}
                    code => return code,
                })*
            };
        }
        put_each!(0 1 2 3 4 5 6);
        self.put(7)
    }

    /// Puts one record. `MORE`, `EMITTED` after the last one, or the code of another outcome. A call,
    /// because eight copies would take a quarter of what a socket filter may measure before 6.8
    /// (`net.core.optmem_max`, 20,480 bytes: __sk_filter_charge).
    #[inline(never)]
    fn put(&mut self, piece: u32) -> u32 {
        // What the limit leaves out, and what is past the last piece, stays on this record.
        let is_last = self.wanted <= PIECE_MAX || piece == PIECES_MAX - 1;
        let captured = self.wanted.min(PIECE_MAX);
        let header = &mut self.draft.record.header;
        header.captured_len = captured;
        header.payload_len = if is_last { self.left } else { captured };
        header.flags = self.tcp.flags & mask(piece == 0, is_last);
        let continues = if is_last { 0 } else { NOTE_CONTINUES };
        let cut = if captured < header.payload_len { NOTE_CUT } else { 0 };
        header.notes = self.notes | continues | cut;
        let code = observe_put(self.raw, self.draft, self.offset, self.counters);
        if code != PUT {
            return code;
        }
        if is_last {
            return EMITTED;
        }
        // SYN takes a number of its own, in front of the payload (RFC 9293 §3.4).
        let header = &mut self.draft.record.header;
        let syn = u32::from(header.flags & SYN != 0);
        header.seq = header.seq.wrapping_add(captured).wrapping_add(syn);
        self.offset += captured;
        self.left -= captured;
        self.wanted -= captured;
        MORE
    }
}

const MORE: u32 = u32::MAX;

/// The flags that a piece of a segment keeps: SYN stands in front of the payload; FIN, PSH and RST
/// behind it.
#[inline(always)]
fn mask(is_first: bool, is_last: bool) -> u16 {
    let front = if is_first { 0 } else { SYN };
    let back = if is_last { 0 } else { FIN | PSH | RST };
    0x0fff & !front & !back
}
