//! What is known of one half of a flow beside its bytes. Vocabulary only.

use crate::segment::{Offset, TcpFlags, Timestamp};

/// What is known of one half beside its bytes. All counts are running totals.
#[derive(Clone, Debug, Default)]
pub struct HalfFacts {
    /// Union of the flags of all its segments.
    pub flags: TcpFlags,
    /// The half was picked up without its SYN.
    pub midstream: bool,
    /// Segments that brought nothing new.
    pub retransmissions: u32,
    /// Everything before this was delivered or told as a gap.
    pub delivered: Offset,
    /// What nearly no half has.
    rare: Option<Box<Rare>>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Rare {
    pub(super) overlap_conflicts: u32,
    pub(super) damaged: u32,
    pub(super) records_lost: u32,
    pub(super) out_of_window: u32,
    pub(super) dth: Option<DthFacts>,
    pub(super) begin: Offset,
}

impl HalfFacts {
    /// Overlaps whose bytes differed from those that came first.
    pub fn overlap_conflicts(&self) -> u32 {
        self.rare.as_ref().map_or(0, |rare| rare.overlap_conflicts)
    }

    /// Segments with a wrong checksum or with lengths that contradict each other.
    pub fn damaged(&self) -> u32 {
        self.rare.as_ref().map_or(0, |rare| rare.damaged)
    }

    /// Records of this half that the kernel could not put on the ring.
    pub fn records_lost(&self) -> u32 {
        self.rare.as_ref().map_or(0, |rare| rare.records_lost)
    }

    /// Segments too far from the expected position to belong to this stream.
    pub fn out_of_window(&self) -> u32 {
        self.rare.as_ref().map_or(0, |rare| rare.out_of_window)
    }

    /// What is known of its segments with the DTH bit, where there were any.
    pub fn dth(&self) -> Option<&DthFacts> {
        self.rare.as_ref()?.dth.as_ref()
    }

    /// Where the first byte stands, unless the half was picked up without its SYN.
    pub fn begin(&self) -> Offset {
        self.rare.as_ref().map_or(Offset(0), |rare| rare.begin)
    }

    /// There is nothing that nearly no half has.
    pub(super) fn is_plain(&self) -> bool {
        self.rare.is_none()
    }

    /// All of it is zero until it is asked for here.
    pub(super) fn rare_mut(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }
}

/// The DTH bit (RFC 9401) in one half.
#[derive(Clone, Copy, Debug)]
pub struct DthFacts {
    /// The position of the first segment with it, and when that was captured.
    pub at: Offset,
    pub time: Timestamp,
    /// That was a SYN.
    pub handshake: bool,
    /// It carried no payload, or none that is new.
    pub bare: bool,
    /// All payload with it lies between these.
    pub carried: Option<(Offset, Offset)>,
    pub n_segments: u32,
}

impl DthFacts {
    /// Positions count from `begin` now.
    pub(super) fn count_from(&mut self, begin: Offset) {
        let moved = |at: Offset| Offset(at.since(begin));
        self.at = moved(self.at);
        self.carried = self.carried.map(|(start, end)| (moved(start), moved(end)));
    }
}

/// Where a half ends, learned from a FIN.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Fin {
    pub(in super::super) offset: Offset,
    pub(in super::super) acked: Option<Offset>,
    pub(in super::super) time: Timestamp,
}
