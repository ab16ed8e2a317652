//! One record on its ring, by the rules of `observer_common::ring`: room for it, its bytes straight
//! from the skb, and the seal that shows it to the reader.

use core::hint::cold_path;

use observer_common::record::{PIECE_MAX, RecordHeader};
use observer_common::ring::{Extent, Places, Prefix, n_blocks, place, reserve, seal};
use observer_common::stats::Counters;

use crate::atomic;
use crate::maps::{PLACES, RING_BYTES, RINGS, SEAL_KEY};
use crate::skb::Skb;
use crate::wake::wake;

/// What stands in front of the captured bytes.
#[repr(C)]
pub struct Record {
    prefix: Prefix,
    pub header: RecordHeader,
}

/// Room for a record that the reader does not see yet.
pub struct Room {
    pub record: *mut Record,
    places: *mut Places,
    number: u32,
    captured: u32,
    position: u64,
}

impl Room {
    /// Room on a ring for a record with so many captured bytes; `None` when there is none.
    #[inline(always)]
    pub fn take(number: u32, captured: u32, counters: &mut Counters) -> Option<Self> {
        let places = PLACES.get_ptr_mut(number)?;
        let size = RING_BYTES.load();
        let extent = Extent(u64::from(HEADER_LEN + captured));
        // SAFETY: the value of an array is always there. The swap is a full barrier, between this
        // look and what is written to the room.
        let (produced, consumed) = unsafe {
            (&raw mut (*places).produced, (&raw const (*places).consumed).read_volatile())
        };
        let swap = |old, new| atomic::swap_if(produced, old, new);
        let guess = if counters.produced_ring == number { counters.produced } else { consumed };
        let position = reserve(guess, extent.room(), consumed, size, swap)?;
        counters.produced = position + extent.room();
        counters.produced_ring = number;
        let (block, offset) = place(position, size);
        // There are as many blocks as the size says.
        let block = RINGS.get_ptr_mut(number * n_blocks(size) + block)?;
        // SAFETY: a block has room for the largest record behind every offset in it.
        let record = unsafe { block.cast::<Record>().byte_add(offset as usize) };
        // SAFETY: as above. Volatile, as in `describe`.
        unsafe { (&raw mut (*record).prefix.extent).write_volatile(extent) };
        Some(Self { record, places, number, captured, position })
    }

    /// Copies the captured bytes from `offset` of the frame on. False when they cannot be had.
    #[inline(always)]
    pub fn fill(&self, skb: &Skb, offset: u32) -> bool {
        // SAFETY: the room ends behind the captured bytes, and each block behind the most of them.
        let bytes = unsafe { self.record.add(1).cast::<u8>() };
        self.captured == 0 || skb.copy(offset, bytes, self.captured, PIECE_MAX)
    }

    /// Shows the record to the reader, and counts it if it is one: the room of one that could not be
    /// filled is passed over.
    #[inline(always)]
    pub fn finish(self, is_filled: bool, counters: &mut Counters) {
        if is_filled {
            counters.records += 1;
            counters.bytes += u64::from(self.captured);
        } else {
            cold_path();
            let extent = Extent(u64::from(HEADER_LEN + self.captured) | Extent::GIVEN_UP);
            // SAFETY: the room is this record's alone until it is sealed.
            unsafe { (&raw mut (*self.record).prefix.extent).write_volatile(extent) };
        }
        // SAFETY: as above.
        unsafe {
            let seal = seal(self.position, SEAL_KEY.load());
            atomic::publish(&raw mut (*self.record).prefix.seal, seal);
        }
        wake(self.places, self.number, self.position, counters);
    }
}

pub const HEADER_LEN: u32 = size_of::<RecordHeader>() as u32;
