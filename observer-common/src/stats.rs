//! The loss ledger: per-CPU counters, one slot a reason. The invariant is
//! `seen = emitted + skipped + filtered + lost`, to the unit, where `filtered` and `lost` are the
//! sums of their reasons: each run of a program counts one `seen` and exactly one [`Outcome`].

/// What became of one segment that reached a program.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Every record of the segment is on the ring.
    Emitted = 0,
    /// Inside a stretch of body that is left out, or a bare acknowledgement of what is known.
    Skipped = 1,
    /// Neither IPv4 nor IPv6.
    NotIp = 2,
    /// IP, and not TCP.
    NotTcp = 3,
    /// An IP fragment: ports and sequence numbers are in the first one only.
    Fragment = 4,
    /// A header is cut short, or a length contradicts another.
    Malformed = 5,
    /// The link layer is neither Ethernet nor none at all.
    UnknownLink = 6,
    /// The second sight of a segment on the loopback device.
    Loopback = 7,
    /// Outside the ports that were asked for.
    Port = 8,
    /// Outside the hosts that were asked for.
    Host = 9,
    /// No payload, in a flow that is not known as HTTP.
    NoPayload = 10,
    /// Payload that does not begin like HTTP, in a flow that is not known as HTTP.
    NotHttp = 11,
    /// A flow that user space has turned off.
    TurnedOff = 12,
    /// A copy of what the owner of the half sees.
    Duplicate = 13,
    /// The ring had no room for at least one record of the segment.
    RingFull = 14,
    /// The flow table took no new flow.
    FlowTable = 15,
    /// The kernel would not hand out bytes that the lengths promise.
    Unreadable = 16,
    /// Of a flow that was sampled out, because observer has to cost less.
    Sampled = 17,
}

impl Outcome {
    /// The outcome of a number; one that is none, which the programs do not make, counts as
    /// something that could not be read.
    #[inline(always)]
    pub fn from_code(code: u32) -> Self {
        match code {
            0 => Self::Emitted,
            1 => Self::Skipped,
            2 => Self::NotIp,
            3 => Self::NotTcp,
            4 => Self::Fragment,
            5 => Self::Malformed,
            6 => Self::UnknownLink,
            7 => Self::Loopback,
            8 => Self::Port,
            9 => Self::Host,
            10 => Self::NoPayload,
            11 => Self::NotHttp,
            12 => Self::TurnedOff,
            13 => Self::Duplicate,
            14 => Self::RingFull,
            15 => Self::FlowTable,
            17 => Self::Sampled,
            _ => Self::Unreadable,
        }
    }
}

/// Slots of [`Counters::outcomes`]: a power of two, so that a mask bounds the index for the
/// verifier, with room to grow.
pub const OUTCOME_SLOTS: usize = 32;

/// One CPU's counters, the value of the map `STATS`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counters {
    /// Runs of a program, one for each segment or other packet.
    pub seen: u64,
    /// The namespace of the segment that comes next, which an entrance has left here
    /// ([`crate::config::ENTRANCES`]); no count of anything.
    pub netns: u32,
    /// The ring of [`Self::produced`]; no count either.
    pub produced_ring: u32,
    /// Records on the ring; more than `Emitted` where segments needed several.
    pub records: u64,
    /// Payload bytes on the ring.
    pub bytes: u64,
    /// Flows that entered the table.
    pub flows: u64,
    /// Halves that changed hands.
    pub owner_moves: u64,
    /// Wake-ups sent to the reader.
    pub wakeups: u64,
    /// Where this CPU's last record ended ([`crate::ring::reserve`]); no count of anything.
    pub produced: u64,
    /// Times that a flow was sampled out.
    pub flows_sampled: u64,
    /// Indexed by [`Outcome`].
    pub outcomes: [u64; OUTCOME_SLOTS],
}

const _: () = assert!(size_of::<Counters>() == 8 * (9 + OUTCOME_SLOTS));
const _: () = assert!((Outcome::Sampled as usize) < OUTCOME_SLOTS);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_outcomes_are_the_same_numbers() {
        for code in 0..=Outcome::Sampled as u32 {
            assert_eq!(Outcome::from_code(code) as u32, code);
        }
    }
}
