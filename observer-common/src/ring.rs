//! The rings: how many there may be, which of them a flow's records go to, and how a reader says that
//! it sleeps. It must not know what a record holds.

use crate::flow::FlowKey;

/// The most rings there are: one for each reader, and a machine has fewer CPUs to spare for that.
pub const RINGS_MAX: u32 = 64;

/// What the reader of one ring says to the programs; on a cache line of its own, because every CPU
/// reads it for every record.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sleeper {
    /// 1 while the reader sleeps on an empty ring and wants to be woken by the next record.
    pub sleeps: u32,
    pub to_line: [u32; 15],
}

const _: () = assert!(size_of::<Sleeper>() == 64);

impl Sleeper {
    pub const ASLEEP: Self = Self { sleeps: 1, to_line: [0; 15] };
}

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::words;

    fn end(last: u8, port: u16) -> ([u64; 2], u16) {
        (words([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, last]), port)
    }

    #[test]
    fn both_halves_have_one_ring() {
        for port in 1000..2000 {
            let (to_server, _) = FlowKey::new(end(1, port), end(2, 80), 0);
            let (to_client, _) = FlowKey::new(end(2, 80), end(1, port), 0);
            assert_eq!(to_server.ring(8), to_client.ring(8));
        }
    }

    /// Flows that differ in one port, as a load generator's do, and in one address.
    #[test]
    fn flows_spread_evenly() {
        for n_rings in [2, 3, 4, 16, RINGS_MAX] {
            let by_port = (0..6400).map(|i| FlowKey::new(end(1, 32768 + i), end(1, 80), 0));
            let by_even_port =
                (0..6400).map(|i| FlowKey::new(end(1, 32768 + 2 * i), end(1, 80), 0));
            let by_host = (0..6400).map(|i| FlowKey::new(end(i as u8, i / 256), end(200, 80), 0));
            let loads: [&mut dyn Iterator<Item = _>; 3] =
                [&mut { by_port }, &mut { by_even_port }, &mut { by_host }];
            for flows in loads {
                let mut counts = [0; RINGS_MAX as usize];
                flows.for_each(|(key, _)| counts[key.ring(n_rings) as usize] += 1);
                let used = &counts[..n_rings as usize];
                let fair = 6400 / n_rings;
                assert!(used.iter().all(|n| *n > fair / 2 && *n < fair * 2), "{n_rings}: {used:?}");
            }
        }
    }
}
