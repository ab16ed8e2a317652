//! What is known of a flow beside its bytes.

use super::super::half::{Half, HalfFacts};
use crate::segment::{Endpoint, FlowKey, Origin, Timestamp};

/// Which endpoint of the [`FlowKey`] sent something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Low,
    High,
}

impl Side {
    #[must_use]
    pub fn opposite(self) -> Self {
        match self {
            Self::Low => Self::High,
            Self::High => Self::Low,
        }
    }
}

/// What is known of a flow beside its bytes.
#[derive(Debug)]
pub struct Facts {
    pub key: FlowKey,
    /// A name for the flow that does not depend on what else was captured: its endpoints and its
    /// first segment's time, hashed with a fixed seed.
    pub id: u64,
    /// Time of the first segment.
    pub opened: Timestamp,
    /// Who sent the SYN, where it was seen.
    pub initiator: Option<Side>,
    /// Nanoseconds from the SYN to the acknowledgement of the SYN-ACK.
    pub handshake_ns: Option<u64>,
    /// Origin of the first segment.
    pub origin: Origin,
    /// Last smoothed round-trip time told by the kernel, microseconds; 0 when unknown.
    pub srtt_us: u32,
    /// How many flows it stands for: more than 1 where others were sampled out.
    pub adjusted_count: u32,
    pub(super) syn_time: Option<Timestamp>,
    pub(super) halves: [Half; 2],
}

impl Facts {
    pub fn half(&self, side: Side) -> &HalfFacts {
        let [low, high] = &self.halves;
        match side {
            Side::Low => low.facts(),
            Side::High => high.facts(),
        }
    }

    pub fn endpoint(&self, side: Side) -> Endpoint {
        match side {
            Side::Low => self.key.low,
            Side::High => self.key.high,
        }
    }
}
