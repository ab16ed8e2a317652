//! The rings: how many there may be, which of them a flow's records go to, and the rules by which
//! programs on any CPU put records on a ring and one reader takes them off. The programs, the
//! reader's tests and the reader use the code below. It must not know what a record holds.
//!
//! A ring is memory that both sides see (`BPF_F_MMAPABLE`). Positions count bytes since it was made.
//! A program takes room by moving `produced` on, writes there, and *seals* the record: its first
//! word, written last, is one that nothing else can have left in this place ([`seal`]). The reader
//! looks at the word at its own position, and stops where it is not the seal. So a record costs one
//! atomic operation and one copy, and the reader never looks at `produced`, whose cache line moves
//! from CPU to CPU.
//!
//! The memory comes in blocks, because the values of an array may not be larger than 4 MiB before
//! Linux 6.14 (`KMALLOC_MAX_SIZE`, array_map_alloc_check). A record begins inside a block and may
//! run on into the slack behind it, so that none has an edge in it; what follows begins in the next
//! block as far from its start as the record reached into the slack.

use crate::flow::FlowKey;
use crate::record::{PIECE_MAX, RecordHeader};

#[cfg(test)]
mod tests;

/// The most rings there are: one for each reader, and a machine has fewer CPUs to spare for that.
pub const RINGS_MAX: u32 = 64;

/// What the programs and the reader of one ring say to each other. Both sides use it atomically.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Places {
    /// Up to where room was given out; the programs', on a cache line of its own.
    pub produced: u64,
    pub to_line: [u64; 7],
    /// Up to where the reader has given room back.
    pub consumed: u64,
    /// Not 0 while whoever reads sleeps on an empty ring and wants to be woken by the next record:
    /// [`sleeps_by`] the bell to ring, because one reader may look after several rings. On the same
    /// line: the programs look at both for every record, and the reader seldom writes either.
    pub sleeps: u64,
    pub to_end: [u64; 6],
}

const _: () = assert!(size_of::<Places>() == 128);

/// What [`Places::sleeps`] is while the reader sleeps by the bell of that number.
pub const fn sleeps_by(bell: u32) -> u64 {
    1 << 32 | bell as u64
}

/// The bell that it names.
#[inline(always)]
pub const fn bell_of(sleeps: u64) -> u32 {
    sleeps as u32
}

/// Takes room for `n_bytes` and says where; `None` when the ring of `size` bytes is full up to
/// `consumed`. `guess` is what `produced` of this ring once was, as `consumed` is: one that still is
/// saves an attempt, and one that never was may be taken for a full ring.
/// `swap(old, new)` sets `produced` to `new` if it is `old`, and says what it was.
///
/// A swap takes the line with `produced` for writing at once, where a look followed by an addition
/// would have it moved twice; and nothing is given out that is not free, without a margin for those
/// who are between their look and their addition. An attempt fails only when another CPU has
/// succeeded within some nanoseconds. Should that happen so many times in a row, the ring counts as
/// full.
#[inline(always)]
pub fn reserve(
    guess: u64,
    n_bytes: u64,
    consumed: u64,
    size: u64,
    mut swap: impl FnMut(u64, u64) -> u64,
) -> Option<u64> {
    let mut position = guess;
    for _ in 0..ATTEMPTS {
        let end = position.wrapping_add(n_bytes);
        // The guess may lie before `consumed`; then `produced` is something else by now.
        if end.wrapping_sub(consumed) as i64 > size as i64 {
            return None;
        }
        let found = swap(position, end);
        if found == position {
            return Some(position);
        }
        position = found;
    }
    None
}

const ATTEMPTS: u32 = 16;

/// What stands in front of a record on the ring.
#[repr(C)]
#[derive(Debug)]
pub struct Prefix {
    /// [`seal`] of its position, once it is whole.
    pub seal: u64,
    pub extent: Extent,
}

pub const PREFIX_LEN: usize = size_of::<Prefix>();

/// Bytes behind the prefix, and whether they are a record.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent(pub u64);

impl Extent {
    /// The room was taken, and the bytes could not be had: the reader has to be told how much.
    pub const GIVEN_UP: u64 = 1 << 32;

    #[inline(always)]
    pub const fn is_given_up(self) -> bool {
        self.0 & Self::GIVEN_UP != 0
    }

    #[inline(always)]
    pub const fn n_bytes(self) -> u32 {
        self.0 as u32
    }

    /// The room that the record takes. Whole cache lines, so that two CPUs that write neighbours do
    /// not share one.
    #[inline(always)]
    pub const fn room(self) -> u64 {
        (PREFIX_LEN as u64 + self.n_bytes() as u64).next_multiple_of(LINE)
    }
}

/// The first word of a record at `position`. Whatever an earlier lap left in that place, a peer's
/// bytes included, is something else: the earlier seals there had other positions, and nobody
/// outside knows the key, a random number that user space makes for each load.
#[inline(always)]
pub const fn seal(position: u64, key: u64) -> u64 {
    position ^ key
}

/// The block of a ring of `size` bytes, a power of two, and the place in it, of a position.
#[inline(always)]
pub const fn place(position: u64, size: u64) -> (u32, u32) {
    let at = position & (size - 1);
    // The last bits are 0 already; the verifier wants to be shown, where words have to be aligned.
    ((at >> BLOCK_SHIFT) as u32, at as u32 & (BLOCK - LINE as u32))
}

/// Blocks of a ring of `size` bytes. Of a single one, a smaller ring uses a part.
pub const fn n_blocks(size: u64) -> u32 {
    size.div_ceil(BLOCK as u64) as u32
}

const LINE: u64 = 64;
const BLOCK_SHIFT: u32 = 21;
/// Bytes of a block in which records begin.
pub const BLOCK: u32 = 1 << BLOCK_SHIFT;
/// The most that a record takes.
const ROOM_MAX: u32 = Extent((size_of::<RecordHeader>() as u32 + PIECE_MAX) as u64).room() as u32;
/// Bytes from one block to the next.
pub const STRIDE: u32 = BLOCK + ROOM_MAX;

const _: () = assert!((STRIDE as u64).is_multiple_of(LINE));

impl FlowKey {
    /// The ring of the flow, below `n_rings`: one for both halves, so that what one reader sees of a
    /// flow is in order. Connections differ in a port or two, so every bit of what is mixed has to
    /// reach the upper bits of the product. Of IPv6 addresses the interface's half is looked at.
    #[inline(always)]
    pub fn ring(&self, n_rings: u32) -> u32 {
        if n_rings <= 1 {
            return 0;
        }
        let ports = u64::from(self.low_port) << 16 | u64::from(self.high_port);
        let mixed = (self.low[1] ^ self.high[1] >> 7 ^ ports).wrapping_mul(ODD);
        let mixed = (mixed ^ mixed >> 32).wrapping_mul(ODD);
        let upper = mixed >> 32;
        ((upper * u64::from(n_rings)) >> 32) as u32
    }
}

/// 2⁶⁴ over the golden ratio, as in the kernel's `hash_64` (include/linux/hash.h).
const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
