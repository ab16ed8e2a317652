//! Which flows stay when observer has to cost less: a hash of both endpoints, computed alike in the
//! kernel and in user space, so that both halves and both sides of the border decide alike.
//!
//! The flows that stay at one step are among those that stayed at the step before, so a step more
//! lets flows go and takes none on. There is no seed: two hosts that watch the same connections
//! keep the same ones.

use crate::flow::FlowKey;

/// The largest step: one flow in 1,048,576. The governor stops long before.
pub const MAX_SHIFT: u32 = 20;

impl FlowKey {
    /// Whether the flow stays where one in 2 to the power of `shift` does.
    #[inline(always)]
    pub fn is_kept(&self, shift: u32) -> bool {
        self.is_within(mask(shift))
    }

    /// The same, with what [`mask`] makes of the step.
    #[inline(always)]
    pub fn is_within(&self, mask: u32) -> bool {
        self.sample_hash() & mask == 0
    }

    /// A sum of products with odd constants, then a round that brings every bit of it down to the
    /// ones that decide: the address bits that differ are few and at the end (a /24, ports that
    /// count up). Short, because a socket holds no long filter before Linux 6.8.
    #[inline(always)]
    pub fn sample_hash(&self) -> u32 {
        let ports = (self.low_port as u64) << 16 | self.high_port as u64;
        // The upper halves are zero in IPv4 and say little in IPv6.
        let upper = self.low[0] ^ self.high[0];
        let mut sum = u64::from_be(upper).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        sum = sum.wrapping_add(u64::from_be(self.low[1]).wrapping_mul(0xbf58_476d_1ce4_e5b9));
        sum = sum.wrapping_add(u64::from_be(self.high[1]).wrapping_mul(0xd6e8_feb8_6659_fd93));
        sum = sum.wrapping_add(ports.wrapping_mul(0xe703_7ed1_a0b4_28db));
        sum = (sum ^ (sum >> 32)).wrapping_mul(0xff51_afd7_ed55_8ccd);
        (sum >> 32) as u32
    }
}

/// The bits of the hash that are zero in the flows that stay.
pub const fn mask(shift: u32) -> u32 {
    let shift = if shift < MAX_SHIFT { shift } else { MAX_SHIFT };
    (1 << shift) - 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::words;

    fn flow(client_port: u16, server: u8) -> FlowKey {
        let mut address = [0; 16];
        address[10..].copy_from_slice(&[0xff, 0xff, 10, 0, 0, server]);
        FlowKey::new((words([0; 16]), client_port), (words(address), 80), 0).0
    }

    #[test]
    fn at_no_step_every_flow_stays() {
        assert!((0..1000).all(|port| flow(port, 1).is_kept(0)));
    }

    #[test]
    fn whoever_stays_at_a_step_stayed_at_the_one_before() {
        for port in 0..u16::MAX {
            let stays: [bool; 12] =
                core::array::from_fn(|shift| flow(port, 1).is_kept(shift as u32));
            assert!(stays.windows(2).all(|pair| pair[0] || !pair[1]), "{port}: {stays:?}");
        }
    }

    /// Ports that count up, and addresses that do: as many stay as should, within five standard
    /// deviations.
    #[test]
    fn neighbours_stay_as_often_as_chance_has_it() {
        for shift in 1..=10 {
            let n_flows = 65_535.0 * 8.0;
            let flows = (0..8).flat_map(|server| (0..u16::MAX).map(move |port| flow(port, server)));
            let n_kept = flows.filter(|flow| flow.is_kept(shift)).count() as f64;
            let expected = n_flows / f64::from(1_u32 << shift);
            assert!((n_kept - expected).abs() < 5.0 * expected.sqrt(), "{shift}: {n_kept}");
        }
    }

    #[test]
    fn both_directions_are_one_flow() {
        let (a, b) = ((words([1; 16]), 40000), (words([2; 16]), 80));
        assert_eq!(FlowKey::new(a, b, 0).0.sample_hash(), FlowKey::new(b, a, 0).0.sample_hash());
    }
}
