//! The records of a segment that is larger than the largest record.

use aya_ebpf::bindings::__sk_buff;
use observer_common::headers::{SYN, Tcp};
use observer_common::record::{
    Hook, NOTE_CONTINUES, NOTE_CUT, PIECE_MAX, PIECES_MAX, RecordHeader,
};
use observer_common::stats::{Counters, Outcome};

use crate::emit::Piece;
use crate::ring::{Record, Room};
use crate::skb::Skb;

/// The last argument of [`observe_pieces`]: a function takes five.
#[inline(always)]
pub fn packed(wanted: u32, ring: u32, n_done: u32) -> u64 {
    u64::from(wanted) << 32 | u64::from(n_done) << 16 | u64::from(ring)
}

/// Puts the records of a segment on the ring, under the header of `model`; all of them, or all but
/// the first. `EMITTED`, or the code of an outcome. Global, for the reasons in `headers`.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn observe_pieces(
    raw: *mut __sk_buff,
    tcp: *const Tcp,
    model: *const Record,
    counters: *mut Counters,
    packed: u64,
) -> u32 {
    // SAFETY: the caller's; the verifier takes them for pointers that may be null.
    let args = unsafe { (tcp.as_ref(), model.as_ref(), counters.as_mut()) };
    let (Some(tcp), Some(model), Some(counters)) = args else { return Outcome::Unreadable as u32 };
    let (offset, left, wanted) = (tcp.payload_offset, tcp.payload_len, (packed >> 32) as u32);
    let (model, seq, ring) = (&model.header, tcp.seq, packed as u16);
    let ring = u32::from(ring);
    let mut rest = Rest { raw, tcp, model, counters, ring, seq, offset, left, wanted };
    if packed as u32 >> 16 != 0 {
        rest.pass(PIECE_MAX, true);
    } else {
        match rest.put(0) {
            MORE => {}
            code => return code,
        }
    }
    rest.put_rest()
}

pub const EMITTED: u32 = Outcome::Emitted as u32;

/// What is left of a segment while its records are made.
struct Rest<'a> {
    raw: *mut __sk_buff,
    tcp: &'a Tcp,
    model: &'a RecordHeader,
    counters: &'a mut Counters,
    ring: u32,
    seq: u32,
    offset: u32,
    left: u32,
    /// Bytes of `left` that the capture limit allows.
    wanted: u32,
}

impl Rest<'_> {
    /// Written out instead of looped over: the compiler let the loop's last block fall through to
    /// its first, which 6.1 takes for an endless loop (`back-edge from insn`, check_cfg).
    #[inline(always)]
    fn put_rest(&mut self) -> u32 {
        const { assert!(PIECES_MAX == 8) };
        macro_rules! put_each {
            ($($piece:literal)*) => {
                $(match self.put($piece) {
                    MORE => {}
                    code => return code,
                })*
            };
        }
        put_each!(1 2 3 4 5 6);
        self.put(7)
    }

    /// Puts one record. `MORE`, `EMITTED` after the last one, or the code of another outcome. A call,
    /// because eight copies would take a quarter of what a socket filter may measure before 6.8
    /// (`net.core.optmem_max`, 20,480 bytes: __sk_filter_charge).
    #[inline(never)]
    fn put(&mut self, number: u32) -> u32 {
        let piece = Piece::of(self.left, self.wanted, number == PIECES_MAX - 1);
        let Some(room) = Room::take(self.ring, piece.captured, self.counters) else {
            return Outcome::RingFull as u32;
        };
        // SAFETY: the room is this record's alone until it is sealed.
        let header = unsafe { &raw mut (*room.record).header };
        let (from, to) = (core::ptr::from_ref(self.model).cast::<u64>(), header.cast::<u64>());
        for i in 0..size_of::<RecordHeader>() / 8 {
            // SAFETY: both are headers, of that many words. Volatile, or the compiler calls a memcpy
            // that goes byte by byte.
            unsafe { to.add(i).write_volatile(from.add(i).read()) };
        }
        let notes = self.model.notes & !(NOTE_CONTINUES | NOTE_CUT);
        piece.write(header, self.tcp, notes, number == 0);
        // SAFETY: as above.
        unsafe { (&raw mut (*header).seq).write_volatile(self.seq) };
        // The hook is in the header.
        let is_filled = room.fill(&Skb::new(self.raw, Hook::TcIngress), self.offset);
        room.finish(is_filled, self.counters);
        if !is_filled {
            return Outcome::Unreadable as u32;
        }
        if piece.is_last {
            return EMITTED;
        }
        self.pass(piece.captured, number == 0);
        MORE
    }

    /// Goes on behind a piece of so many bytes.
    #[inline(always)]
    fn pass(&mut self, n_bytes: u32, is_first: bool) {
        // SYN takes a number of its own, in front of the payload (RFC 9293 §3.4).
        let syn = u32::from(is_first && self.tcp.flags & SYN != 0);
        self.seq = self.seq.wrapping_add(n_bytes).wrapping_add(syn);
        self.offset = self.offset.wrapping_add(n_bytes);
        self.left = self.left.wrapping_sub(n_bytes);
        self.wanted = self.wanted.wrapping_sub(n_bytes);
    }
}

const MORE: u32 = u32::MAX;
