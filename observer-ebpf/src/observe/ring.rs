//! One record on the ring: reserved in one of a few constant sizes (the verifier wants a constant),
//! its bytes copied once, straight from the skb; and whether the reader is woken for it.

use aya_ebpf::bindings::{__sk_buff, BPF_RB_AVAIL_DATA, BPF_RB_FORCE_WAKEUP, BPF_RB_NO_WAKEUP};
use observer_common::record::{HEADER_LEN, Hook, PIECE_MAX, RecordHeader};
use observer_common::stats::{Counters, Outcome};

use crate::maps::{FILL_MARK, RING, SLEEPER};
use crate::skb::Skb;

/// A record with room for `N` captured bytes.
#[repr(C)]
struct Record<const N: usize> {
    header: RecordHeader,
    bytes: [u8; N],
}

/// Puts one record on the ring: the header, and as many bytes from `offset` of the frame as it says.
/// `PUT`, or the code of an outcome. Global, for the reasons in `headers`.
///
/// Most segments are bare acknowledgements, requests and small responses, or full frames; the
/// others are super-segments. Hence the size classes.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn observe_put(
    raw: *mut __sk_buff,
    header: *const RecordHeader,
    offset: u32,
    counters: *mut Counters,
) -> u32 {
    // SAFETY: the caller's; the verifier takes them for pointers that may be null.
    let args = unsafe { (header.as_ref(), counters.as_mut()) };
    let (Some(header), Some(counters)) = args else { return Outcome::Unreadable as u32 };
    // The hook is in the header.
    let skb = Skb::new(raw, Hook::TcIngress);
    let result = match header.captured_len {
        0 => put::<0>(&skb, header, offset, counters),
        1..=256 => put::<256>(&skb, header, offset, counters),
        257..=1536 => put::<1536>(&skb, header, offset, counters),
        1537..=4096 => put::<4096>(&skb, header, offset, counters),
        4097..=16384 => put::<16384>(&skb, header, offset, counters),
        _ => put::<{ PIECE_MAX as usize }>(&skb, header, offset, counters),
    };
    match result {
        Ok(()) => {
            counters.records += 1;
            counters.bytes += u64::from(header.captured_len);
            PUT
        }
        Err(outcome) => outcome as u32,
    }
}

/// No outcome yet.
pub const PUT: u32 = Outcome::Emitted as u32;

#[inline(always)]
fn put<const N: usize>(
    skb: &Skb,
    header: &RecordHeader,
    offset: u32,
    counters: &mut Counters,
) -> Result<(), Outcome> {
    let Some(mut entry) = RING.reserve::<Record<N>>(0) else { return Err(Outcome::RingFull) };
    let record = entry.as_mut_ptr();
    let from = core::ptr::from_ref(header).cast::<u64>();
    let to = record.cast::<u64>();
    for i in 0..HEADER_LEN / 8 {
        // SAFETY: both are headers, of that many words. Volatile, or the compiler calls a memcpy
        // that goes byte by byte.
        unsafe { to.add(i).write_volatile(from.add(i).read()) };
    }
    // SAFETY: the reservation is as large as the record.
    let bytes = unsafe { (&raw mut (*record).bytes).cast::<u8>() };
    if N > 0 && !skb.copy(offset, bytes, header.captured_len, N as u32) {
        entry.discard(u64::from(BPF_RB_NO_WAKEUP));
        return Err(Outcome::Unreadable);
    }
    entry.submit(wakeup(size_of::<Record<N>>() as u64, counters));
    Ok(())
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
