//! The only writer of the ring, and the only place that counts kernel loss.
//!
//! A record is reserved in one of a few constant sizes (the verifier wants a constant), its header
//! written field by field, the payload copied once, straight from the skb. A segment that is
//! larger than the largest class becomes several records.

use aya_ebpf::bindings::{__sk_buff, BPF_RB_AVAIL_DATA, BPF_RB_FORCE_WAKEUP, BPF_RB_NO_WAKEUP};
use observer_common::flow::Half;
use observer_common::headers::{FIN, PSH, RST, SYN, Tcp};
use observer_common::record::{
    Hook, NOTE_CONTINUES, NOTE_CUT, PIECE_MAX, PIECES_MAX, RecordHeader,
};
use observer_common::stats::{Counters, Outcome};

use crate::maps::{CAPTURE_LIMIT, FILL_MARK, RING, SLEEPER};
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

/// A record with room for `N` captured bytes.
#[repr(C)]
struct Record<const N: usize> {
    header: RecordHeader,
    bytes: [u8; N],
}

/// What tells one record of a segment from the others.
struct Piece {
    seq: u32,
    flags: u16,
    /// Where its bytes start in the frame.
    offset: u32,
    payload_len: u32,
    captured_len: u32,
    notes: u8,
}

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

/// Where a record's header and bytes come from.
struct Source<'a> {
    skb: &'a Skb,
    tcp: &'a Tcp,
    emission: &'a Emission,
    half: &'a Half,
}

/// Picks the size class. Most segments are bare acknowledgements, requests and small responses, or
/// full frames; the others are super-segments.
#[inline(always)]
fn put(from: &Source<'_>, piece: &Piece, counters: &mut Counters) -> Result<(), Outcome> {
    match piece.captured_len {
        0 => put_sized::<0>(from, piece, counters),
        1..=256 => put_sized::<256>(from, piece, counters),
        257..=1536 => put_sized::<1536>(from, piece, counters),
        1537..=4096 => put_sized::<4096>(from, piece, counters),
        4097..=16384 => put_sized::<16384>(from, piece, counters),
        _ => put_sized::<{ PIECE_MAX as usize }>(from, piece, counters),
    }
}

#[inline(always)]
fn put_sized<const N: usize>(
    from: &Source<'_>,
    piece: &Piece,
    counters: &mut Counters,
) -> Result<(), Outcome> {
    let Some(mut entry) = RING.reserve::<Record<N>>(0) else { return Err(Outcome::RingFull) };
    let record = entry.as_mut_ptr();
    // SAFETY: the reservation is as large as the record and aligned to eight bytes.
    let (header, bytes) =
        unsafe { (&raw mut (*record).header, (&raw mut (*record).bytes).cast::<u8>()) };
    write(header, from, piece);
    if N > 0 && !from.skb.copy(piece.offset, bytes, piece.captured_len, N as u32) {
        entry.discard(u64::from(BPF_RB_NO_WAKEUP));
        return Err(Outcome::Unreadable);
    }
    entry.submit(wakeup(size_of::<Record<N>>() as u64, counters));
    Ok(())
}

/// Writes every field of the header. Volatile, because the compiler gathers plain stores of zeros
/// into a call that stores them byte by byte; and field by field, because a header made on the
/// stack first does not fit there.
#[inline(always)]
fn write(header: *mut RecordHeader, from: &Source<'_>, piece: &Piece) {
    let Source { tcp, emission: e, half, .. } = *from;
    // SAFETY: the caller's reservation has room for a header; address words are plain bytes.
    unsafe {
        (&raw mut (*header).time_ns).write_volatile(e.time_ns);
        (&raw mut (*header).socket_cookie).write_volatile(e.socket_cookie);
        (&raw mut (*header).cgroup_id).write_volatile(e.cgroup_id);
        let source = (&raw mut (*header).source).cast::<u64>();
        source.write_volatile(tcp.source[0]);
        source.add(1).write_volatile(tcp.source[1]);
        let destination = (&raw mut (*header).destination).cast::<u64>();
        destination.write_volatile(tcp.destination[0]);
        destination.add(1).write_volatile(tcp.destination[1]);
        (&raw mut (*header).source_port).write_volatile(tcp.source_port);
        (&raw mut (*header).destination_port).write_volatile(tcp.destination_port);
        (&raw mut (*header).seq).write_volatile(piece.seq);
        (&raw mut (*header).ack).write_volatile(tcp.ack);
        (&raw mut (*header).flags).write_volatile(piece.flags);
        (&raw mut (*header).window).write_volatile(tcp.window);
        (&raw mut (*header).payload_len).write_volatile(piece.payload_len);
        (&raw mut (*header).captured_len).write_volatile(piece.captured_len);
        (&raw mut (*header).ifindex).write_volatile(e.ifindex);
        (&raw mut (*header).srtt_us).write_volatile(e.srtt_us);
        (&raw mut (*header).retransmits).write_volatile(e.retransmits);
        (&raw mut (*header).records_lost).write_volatile(half.records_lost);
        (&raw mut (*header).vlan).write_volatile(e.vlan);
        (&raw mut (*header).hook).write_volatile(e.hook);
        (&raw mut (*header).notes).write_volatile(piece.notes);
        (&raw mut (*header).reserved).write_volatile(0);
    }
}

/// Wakes the reader when it sleeps, and when the ring passes the fill mark. A wake-up per record
/// would cost a busy server a fifth of its throughput.
#[inline(always)]
fn wakeup(n_bytes: u64, counters: &mut Counters) -> u64 {
    if let Some(sleeper) = SLEEPER.get_ptr_mut(0) {
        // SAFETY: the value of an array map is always there.
        unsafe {
            if *sleeper != 0 {
                *sleeper = 0;
                counters.wakeups += 1;
                return u64::from(BPF_RB_FORCE_WAKEUP);
            }
        }
    }
    let waiting = RING.query(u64::from(BPF_RB_AVAIL_DATA));
    let mark = FILL_MARK.load();
    // `waiting` counts this record, so the one that passes the mark finds itself in this zone;
    // the slack is for records that other CPUs reserved in between.
    if waiting >= mark && waiting < mark + n_bytes + WAKE_SLACK {
        counters.wakeups += 1;
        return u64::from(BPF_RB_FORCE_WAKEUP);
    }
    u64::from(BPF_RB_NO_WAKEUP)
}

const WAKE_SLACK: u64 = 8192;
