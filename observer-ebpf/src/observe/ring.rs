//! One record on its ring.
//!
//! A record is put together in a place of this CPU's and copied to the ring as long as it is: one
//! helper call, and of the ring no more than the record takes. Where that would be to copy a lot
//! twice, it is made in the ring itself, in one of a few constant sizes (the verifier wants a
//! constant), and copied once, straight from the skb.

use core::ptr::from_ref;

use aya_ebpf::bindings::{__sk_buff, BPF_RB_NO_WAKEUP};
use observer_common::record::{HEADER_LEN, Hook, PIECE_MAX, RecordHeader};
use observer_common::stats::{Counters, Outcome};

use crate::bounds;
use crate::maps::{RINGS, Ring};
use crate::skb::Skb;
use crate::wake::wake;

/// A record with room for `N` captured bytes.
#[repr(C)]
pub struct Record<const N: usize> {
    pub header: RecordHeader,
    bytes: [u8; N],
}

/// Most captured bytes of a record that is copied twice. Requests and the heads of responses are
/// shorter, and so are the segments of an Ethernet. One size class more in the ring instead would not
/// fit into a socket filter (20,480 bytes before Linux 6.8).
const SMALL_MAX: u32 = 4096;
const LARGE_MIN: u32 = SMALL_MAX + 1;

/// Where small records are put together, and the headers of all.
#[repr(C)]
pub struct Draft {
    pub record: Record<{ SMALL_MAX as usize }>,
    /// The ring that it goes to.
    pub ring: u64,
}

/// Puts one record on the ring: the draft's header, and as many bytes from `offset` of the frame as
/// it says. `PUT`, or the code of an outcome. Global, for the reasons in `headers`.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn observe_put(
    raw: *mut __sk_buff,
    draft: *mut Draft,
    offset: u32,
    counters: *mut Counters,
) -> u32 {
    // SAFETY: the caller's; the verifier takes them for pointers that may be null.
    let args = unsafe { (draft.as_mut(), counters.as_mut()) };
    let (Some(draft), Some(counters)) = args else { return Outcome::Unreadable as u32 };
    // The hook is in the header.
    let skb = Skb::new(raw, Hook::TcIngress);
    let number = draft.ring as u32;
    let draft = &mut draft.record;
    // There are as many as `N_RINGS` says.
    let Some(ring) = RINGS.get(number) else { return Outcome::RingFull as u32 };
    let captured = draft.header.captured_len;
    let result = match captured {
        0..=SMALL_MAX => put_small(ring, &skb, draft, offset),
        LARGE_MIN..=16384 => put_large::<16384>(ring, &skb, &draft.header, offset),
        _ => put_large::<{ PIECE_MAX as usize }>(ring, &skb, &draft.header, offset),
    };
    match result {
        Ok(()) => {
            counters.records += 1;
            counters.bytes += u64::from(captured);
            wake(ring, number, counters, u64::from(captured) + HEADER_LEN as u64);
            PUT
        }
        Err(outcome) => outcome as u32,
    }
}

/// No outcome yet.
pub const PUT: u32 = Outcome::Emitted as u32;

#[inline(always)]
fn put_small(
    ring: &Ring,
    skb: &Skb,
    draft: &mut Record<{ SMALL_MAX as usize }>,
    offset: u32,
) -> Result<(), Outcome> {
    let captured = draft.header.captured_len;
    let mut n_bytes = HEADER_LEN;
    if let Some(captured) = bounds::size_within(captured, SMALL_MAX) {
        if !skb.copy(offset, (&raw mut draft.bytes).cast(), captured, SMALL_MAX) {
            return Err(Outcome::Unreadable);
        }
        n_bytes += captured as usize;
    }
    // SAFETY: the draft is that long, and written that far.
    let record = unsafe { core::slice::from_raw_parts(from_ref(draft).cast(), n_bytes) };
    let put = ring.output_untyped::<[u8]>(record, u64::from(BPF_RB_NO_WAKEUP));
    put.map_err(|_| Outcome::RingFull)
}

#[inline(always)]
fn put_large<const N: usize>(
    ring: &Ring,
    skb: &Skb,
    header: &RecordHeader,
    offset: u32,
) -> Result<(), Outcome> {
    let Some(mut entry) = ring.reserve_untyped::<Record<N>>(0) else {
        return Err(Outcome::RingFull);
    };
    let record = entry.as_mut_ptr();
    let from = from_ref(header).cast::<u64>();
    let to = record.cast::<u64>();
    for i in 0..HEADER_LEN / 8 {
        // SAFETY: both are headers, of that many words. Volatile, or the compiler calls a memcpy
        // that goes byte by byte.
        unsafe { to.add(i).write_volatile(from.add(i).read()) };
    }
    // SAFETY: the reservation is as large as the record.
    let bytes = unsafe { (&raw mut (*record).bytes).cast::<u8>() };
    if !skb.copy(offset, bytes, header.captured_len, N as u32) {
        entry.discard(u64::from(BPF_RB_NO_WAKEUP));
        return Err(Outcome::Unreadable);
    }
    entry.submit(u64::from(BPF_RB_NO_WAKEUP));
    Ok(())
}
