//! One record on the ring: reserved in one of a few constant sizes (the verifier wants a constant),
//! its header written field by field, its bytes copied once, straight from the skb; and whether the
//! reader is woken for it.

use aya_ebpf::bindings::{BPF_RB_AVAIL_DATA, BPF_RB_FORCE_WAKEUP, BPF_RB_NO_WAKEUP};
use observer_common::flow::Half;
use observer_common::headers::Tcp;
use observer_common::record::{PIECE_MAX, RecordHeader};
use observer_common::stats::{Counters, Outcome};

use crate::emit::Emission;
use crate::maps::{FILL_MARK, RING, SLEEPER};
use crate::skb::Skb;

/// What tells one record of a segment from the others.
pub struct Piece {
    pub seq: u32,
    pub flags: u16,
    /// Where its bytes start in the frame.
    pub offset: u32,
    pub payload_len: u32,
    pub captured_len: u32,
    pub notes: u8,
}

/// Where a record's header and bytes come from.
pub struct Source<'a> {
    pub skb: &'a Skb,
    pub tcp: &'a Tcp,
    pub emission: &'a Emission,
    pub half: &'a Half,
}

/// A record with room for `N` captured bytes.
#[repr(C)]
struct Record<const N: usize> {
    header: RecordHeader,
    bytes: [u8; N],
}

/// Picks the size class. Most segments are bare acknowledgements, requests and small responses, or
/// full frames; the others are super-segments.
#[inline(always)]
pub fn put(from: &Source<'_>, piece: &Piece, counters: &mut Counters) -> Result<(), Outcome> {
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
