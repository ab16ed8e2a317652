//! What is known of a flow beside its bytes.

use super::super::half::{Half, HalfFacts};
use crate::segment::{Encapsulation, Endpoint, FlowKey, Hook, Origin, Timestamp};

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
    /// Where its first segment was captured.
    pub origin: Place,
    /// Last smoothed round-trip time told by the kernel, microseconds; 0 when unknown.
    pub srtt_us: u32,
    /// How many flows it stands for: more than 1 where others were sampled out.
    pub adjusted_count: u32,
    pub(super) handshake: Handshake,
    pub(super) halves: [Half; 2],
}

/// How far the handshake got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Handshake {
    Unseen,
    /// When the SYN was captured.
    Begun(Timestamp),
    /// Nanoseconds to the acknowledgement of the SYN-ACK.
    Took(u64),
}

/// Where in the network a flow was captured; see [`Origin`].
#[derive(Clone, Copy, Debug)]
pub struct Place {
    pub ifindex: u32,
    pub netns: u32,
    pub vlan: Option<u16>,
    pub hook: Hook,
    pub encapsulation: Option<Encapsulation>,
}

impl Place {
    pub(super) fn of(origin: &Origin) -> Self {
        let Origin { ifindex, netns, vlan, hook, encapsulation, .. } = *origin;
        Self { ifindex, netns, vlan, hook, encapsulation }
    }
}

impl Facts {
    /// Nanoseconds from the SYN to the acknowledgement of the SYN-ACK.
    pub fn handshake_ns(&self) -> Option<u64> {
        match self.handshake {
            Handshake::Took(ns) => Some(ns),
            Handshake::Unseen | Handshake::Begun(_) => None,
        }
    }

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
