//! What user space tells the programs before they load, as read-only globals.
//!
//! The verifier sees a frozen map of constants (`.rodata`), so a filter that is off costs nothing:
//! its branch is removed while the program loads. The names below are the symbols in the object;
//! each side uses the same constants for the shapes.

/// Ports to watch, one bit each: bit `p % 64` of word `p / 64`. Looked at when [`PORTS_ON`] is
/// not 0. A bitmap answers in one load however many ports there are.
pub const PORT_WORDS: usize = 1024;
pub const PORTS: &str = "PORTS";
pub const PORTS_ON: &str = "PORTS_ON";

/// Networks to watch; the first [`HOSTS_LEN`] of them count, and 0 of them means every host.
pub const HOSTS_MAX: usize = 16;
pub const HOSTS: &str = "HOSTS";
pub const HOSTS_LEN: &str = "HOSTS_LEN";

/// Payload bytes to copy of one segment, at most.
pub const CAPTURE_LIMIT: &str = "CAPTURE_LIMIT";

/// Not 0: the kernel leaves out bodies whose length it reads in the head by itself, but for their
/// first [`BODY_PREFIX`] bytes.
pub const SKIP_BODIES: &str = "SKIP_BODIES";
pub const BODY_PREFIX: &str = "BODY_PREFIX";

/// Not 0: flows that are not known as HTTP are watched from the first segment with DTH on.
pub const WATCH_DTH: &str = "WATCH_DTH";

/// Not 0: flows that begin like TLS are told of, by their first bytes, their lengths and their end.
pub const WATCH_TLS: &str = "WATCH_TLS";

/// Bytes waiting in a ring at which the reader is woken.
pub const FILL_MARK: &str = "FILL_MARK";

/// Rings in use; the flow decides which of them its records go to.
pub const N_RINGS: &str = "N_RINGS";

/// Bytes of each ring, a power of two, and the key of its seals ([`crate::ring`]).
pub const RING_BYTES: &str = "RING_BYTES";
pub const SEAL_KEY: &str = "SEAL_KEY";

/// Names of maps: the rings' memory, their places, what wakes their readers; the flow table and the
/// counters.
pub const RINGS: &str = "RINGS";
pub const PLACES: &str = "PLACES";
pub const BELLS: &str = "BELLS";
pub const FLOWS: &str = "FLOWS";
pub const STATS: &str = "STATS";
/// Its only value tells which flows are kept ([`crate::sample::mask`]).
pub const SAMPLING: &str = "SAMPLING";

/// Where an entrance finds the classifiers: an array of programs, by [`ENTRANCE_INGRESS`] and
/// [`ENTRANCE_EGRESS`].
///
/// An entrance is a program of a few instructions in front of a classifier. Each network namespace
/// but observer's own has its own pair: no program can ask in which namespace it runs before Linux
/// 6.15 (`bpf_get_netns_cookie` for tc), and interface indices repeat. It leaves the number of its
/// namespace in [`crate::stats::Counters::netns`] of its CPU and goes on to the classifier, which
/// takes it from there.
pub const ENTRANCES: &str = "ENTRANCES";
pub const ENTRANCE_INGRESS: u32 = 0;
pub const ENTRANCE_EGRESS: u32 = 1;

/// The programs. The names are also what marks a clsact filter as ours, hence not just `ingress`.
pub const TC_INGRESS: &str = "observe_ingress";
pub const TC_EGRESS: &str = "observe_egress";
pub const SOCKET: &str = "observe_socket";

/// How long the owner of a half has to be silent before another hook may take the half over.
pub const OWNER_SILENCE_NS: u64 = 1_000_000_000;

/// The index of every network namespace's loopback device (`LOOPBACK_IFINDEX`, net_namespace.h).
pub const LOOPBACK_IFINDEX: u32 = 1;

/// A network: `address & mask == network`, both as the 128 bits on the wire. IPv4 is mapped.
/// Two words of each, because eBPF has no 128-bit arithmetic.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Network {
    pub network: [u64; 2],
    pub mask: [u64; 2],
}

const _: () = assert!(size_of::<Network>() == 32);

impl Network {
    /// The network of the first `prefix` bits of `address`; bits past 128 are ignored.
    pub fn new(address: [u8; 16], prefix: u8) -> Self {
        let ones = u32::from(prefix).min(128);
        // A shift by 128 overflows, and a prefix of 0 is every address.
        let mask = if ones == 0 { 0 } else { u128::MAX << (128 - ones) };
        let mask = words(mask.to_be_bytes());
        let [high, low] = words(address);
        Self { network: [high & mask[0], low & mask[1]], mask }
    }

    #[inline(always)]
    pub fn contains(&self, address: [u64; 2]) -> bool {
        address[0] & self.mask[0] == self.network[0] && address[1] & self.mask[1] == self.network[1]
    }
}

/// The two words of an address, in the order of the host's memory.
#[inline(always)]
pub fn words(address: [u8; 16]) -> [u64; 2] {
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = address;
    [u64::from_ne_bytes([a, b, c, d, e, f, g, h]), u64::from_ne_bytes([i, j, k, l, m, n, o, p])]
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn mapped(v4: [u8; 4]) -> [u8; 16] {
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, v4[0], v4[1], v4[2], v4[3]]
    }

    #[track_caller]
    fn check(network: [u8; 16], prefix: u8, address: [u8; 16], contains: bool) {
        assert_eq!(Network::new(network, prefix).contains(words(address)), contains);
    }

    #[test]
    fn a_prefix_decides_to_the_bit() {
        check(mapped([10, 1, 2, 3]), 96 + 8, mapped([10, 200, 0, 1]), true);
        check(mapped([10, 1, 2, 3]), 96 + 8, mapped([11, 1, 2, 3]), false);
        check(mapped([192, 168, 4, 0]), 96 + 23, mapped([192, 168, 5, 255]), true);
        check(mapped([192, 168, 4, 0]), 96 + 23, mapped([192, 168, 6, 0]), false);
        check(mapped([127, 0, 0, 1]), 128, mapped([127, 0, 0, 1]), true);
        check(mapped([127, 0, 0, 1]), 128, mapped([127, 0, 0, 2]), false);
    }

    #[test]
    fn a_prefix_of_nothing_is_every_address() {
        check([0; 16], 0, mapped([1, 2, 3, 4]), true);
        check([0xfe; 16], 0, [0x20; 16], true);
    }
}
