//! From a segment to its records: one, or several (`pieces`) when it is larger than the largest one.
//! With `pieces` and `ring` below it, this is the only writer of the ring and the only place that
//! counts its loss.

use core::hint::cold_path;

use observer_common::flow::Half;
use observer_common::headers::{FIN, PSH, RST, SYN, Tcp};
use observer_common::record::{Hook, NOTE_CONTINUES, NOTE_CUT, PIECE_MAX, RecordHeader};
use observer_common::stats::{Counters, Outcome};

use crate::maps::{CAPTURE_LIMIT, DRAFTS};
use crate::pieces::{EMITTED, observe_pieces, packed};
use crate::ring::Room;
use crate::skb::Skb;

/// Puts the segment on the ring, in as many records as it takes. `describe` writes a header but for
/// what tells one record from the others, and for what is known here: the bytes that are kept.
#[inline(always)]
pub fn emit(
    skb: &Skb,
    tcp: &Tcp,
    half: &mut Half,
    counters: &mut Counters,
    (ring, n_kept, notes): (u32, u32, u8),
    describe: impl FnOnce(*mut RecordHeader),
) -> Result<(), Outcome> {
    // What is wanted after skips.
    let wanted = n_kept.min(tcp.payload_len).min(CAPTURE_LIMIT.load());
    let code = if matches!(skb.hook, Hook::Socket) {
        // Here the first record is made like the others, in a call: the socket filter has no room for
        // more (20,480 bytes before Linux 6.8).
        match DRAFTS.get_ptr_mut(0) {
            Some(draft) => {
                // SAFETY: the draft belongs to this CPU, as in `tap::run`.
                let header = unsafe { &raw mut (*draft).header };
                describe(header);
                sign(header, tcp, half, notes);
                observe_pieces(skb.raw(), tcp, draft, counters, packed(wanted, ring, 0))
            }
            None => Outcome::Unreadable as u32,
        }
    } else {
        let piece = Piece::of(tcp.payload_len, wanted, false);
        match Room::take(ring, piece.captured, counters) {
            Some(room) => {
                // SAFETY: the room is this record's alone until it is sealed.
                let header = unsafe { &raw mut (*room.record).header };
                describe(header);
                sign(header, tcp, half, notes);
                piece.write(header, tcp, notes, true);
                let is_filled = room.fill(skb, tcp.payload_offset);
                let mut code = if is_filled { EMITTED } else { Outcome::Unreadable as u32 };
                if is_filled && !piece.is_last {
                    cold_path();
                    // It reads the header where it lies: the reader does not come past before the seal.
                    let wanted = packed(wanted, ring, 1);
                    code = observe_pieces(skb.raw(), tcp, room.record, counters, wanted);
                }
                room.finish(is_filled, counters);
                code
            }
            None => Outcome::RingFull as u32,
        }
    };
    if code == EMITTED {
        return Ok(());
    }
    cold_path();
    half.records_lost += 1;
    Err(Outcome::from_code(code))
}

/// What all records of a segment have in common, beside what `describe` writes.
#[inline(always)]
fn sign(header: *mut RecordHeader, tcp: &Tcp, half: &Half, notes: u8) {
    // SAFETY: the caller's, in room of its own. Volatile, as in `describe`.
    unsafe {
        (&raw mut (*header).seq).write_volatile(tcp.seq);
        (&raw mut (*header).notes).write_volatile(notes);
        (&raw mut (*header).records_lost).write_volatile(half.records_lost);
    }
}

/// One record's share of a segment.
pub struct Piece {
    pub captured: u32,
    /// Bytes of payload that it stands for.
    n_bytes: u32,
    pub is_last: bool,
}

impl Piece {
    /// The next piece where so much is left, and so much of it wanted. What the limit leaves out, and
    /// what is past the last piece, stays on the last record.
    #[inline(always)]
    pub fn of(left: u32, wanted: u32, is_final: bool) -> Self {
        let captured = wanted.min(PIECE_MAX);
        let is_last = is_final || wanted <= PIECE_MAX;
        Self { captured, n_bytes: if is_last { left } else { captured }, is_last }
    }

    /// Writes what a header says of it.
    #[inline(always)]
    pub fn write(&self, header: *mut RecordHeader, tcp: &Tcp, notes: u8, is_first: bool) {
        let continues = if self.is_last { 0 } else { NOTE_CONTINUES };
        let cut = if self.captured < self.n_bytes { NOTE_CUT } else { 0 };
        // SAFETY: the caller's, in room of its own. Volatile, as in `describe`.
        unsafe {
            (&raw mut (*header).captured_len).write_volatile(self.captured);
            (&raw mut (*header).payload_len).write_volatile(self.n_bytes);
            (&raw mut (*header).flags).write_volatile(tcp.flags & mask(is_first, self.is_last));
            (&raw mut (*header).notes).write_volatile(notes | continues | cut);
        }
    }
}

/// The flags that a piece of a segment keeps: SYN stands in front of the payload; FIN, PSH and RST
/// behind it.
#[inline(always)]
fn mask(is_first: bool, is_last: bool) -> u16 {
    let front = if is_first { 0 } else { SYN };
    let back = if is_last { 0 } else { FIN | PSH | RST };
    0x0fff & !front & !back
}
