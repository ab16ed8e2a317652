//! One TCP segment as the engine sees it, and the small types that name its parts.
//!
//! Everything behind this module speaks in these types; nothing here knows where the bytes came
//! from: a ring buffer, a capture file or a test.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use observer_common::flow::key_netns;

/// Nanoseconds since the Unix epoch, UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// Nanoseconds from `earlier` to `self`; 0 when the clock went backwards in between.
    pub fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// The moment `ns` nanoseconds later.
    #[must_use]
    pub fn after(self, ns: u64) -> Self {
        Self(self.0.saturating_add(ns))
    }
}

/// An address and a TCP port. IPv4 addresses are held IPv4-mapped (RFC 4291 §2.5.5.2).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Endpoint {
    pub addr: [u8; 16],
    pub port: u16,
}

impl Endpoint {
    pub fn v4(addr: [u8; 4], port: u16) -> Self {
        Self { addr: Ipv4Addr::from(addr).to_ipv6_mapped().octets(), port }
    }

    pub fn v6(addr: [u8; 16], port: u16) -> Self {
        Self { addr, port }
    }

    /// The address, where it is one of IPv4.
    #[inline]
    pub fn ipv4(&self) -> Option<[u8; 4]> {
        let addr = u128::from_be_bytes(self.addr);
        (addr >> 32 == 0xffff).then_some((addr as u32).to_be_bytes())
    }

    pub fn ip(&self) -> IpAddr {
        let v6 = Ipv6Addr::from(self.addr);
        v6.to_ipv4_mapped().map_or(IpAddr::V6(v6), IpAddr::V4)
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.ip() {
            IpAddr::V4(addr) => write!(f, "{addr}:{}", self.port),
            IpAddr::V6(addr) => write!(f, "[{addr}]:{}", self.port),
        }
    }
}

/// Both endpoints of a flow, in an order that does not depend on who sent the segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowKey {
    pub low: Endpoint,
    pub high: Endpoint,
    /// The network namespace, where the same endpoints are others in another one
    /// ([`Origin::key_netns`]); 0 elsewhere.
    pub netns: u32,
}

impl FlowKey {
    pub fn new(a: Endpoint, b: Endpoint) -> Self {
        // The order that `Endpoint` has, in two comparisons of whole numbers.
        let order = |e: Endpoint| (u128::from_be_bytes(e.addr), e.port);
        let (low, high) = if order(a) <= order(b) { (a, b) } else { (b, a) };
        Self { low, high, netns: 0 }
    }

    /// The key of the flow that the segment belongs to.
    pub fn of(segment: &Segment<'_>) -> Self {
        let netns = segment.origin.key_netns();
        Self { netns, ..Self::new(segment.source, segment.destination) }
    }
}

/// The namespace counts where there is one, so that the names of flows elsewhere stay what they are.
impl Hash for FlowKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.low.hash(state);
        self.high.hash(state);
        if self.netns != 0 {
            self.netns.hash(state);
        }
    }
}

/// Which half of a flow: named by where its bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    ToServer,
    ToClient,
}

impl Direction {
    #[must_use]
    pub fn opposite(self) -> Self {
        match self {
            Self::ToServer => Self::ToClient,
            Self::ToClient => Self::ToServer,
        }
    }
}

/// A TCP sequence number (RFC 9293 §3.4). Arithmetic on it lives in `tcp::seq` alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct SeqNumber(pub u32);

/// A position in one half's byte stream. Where the SYN was seen, 0 is the first payload byte;
/// where it was not, counting starts at [`Offset::MIDSTREAM`] so that there is room below.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Offset(pub u64);

impl Offset {
    pub const MIDSTREAM: Self = Self(1 << 32);

    #[must_use]
    pub fn plus(self, n: u64) -> Self {
        Self(self.0.saturating_add(n))
    }

    /// Bytes from `earlier` to `self`; 0 when `self` comes first.
    pub fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// All twelve bits between Data Offset and Window: octet 12's low nibble, then octet 13.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct TcpFlags(pub u16);

impl TcpFlags {
    pub const FIN: Self = Self(0x001);
    pub const SYN: Self = Self(0x002);
    pub const RST: Self = Self(0x004);
    pub const PSH: Self = Self(0x008);
    pub const ACK: Self = Self(0x010);
    pub const URG: Self = Self(0x020);
    pub const ECE: Self = Self(0x040);
    pub const CWR: Self = Self(0x080);
    /// Accurate ECN (RFC 9768), octet 12 mask 0x01.
    pub const AE: Self = Self(0x100);
    /// Death (RFC 9401): the first reserved bit after Data Offset, octet 12 mask 0x08.
    pub const DTH: Self = Self(0x800);

    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// Where in the network stack a segment was seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Hook {
    TcIngress,
    TcEgress,
    /// The AF_PACKET socket's filter.
    Socket,
    /// A capture file.
    #[default]
    File,
}

/// The encapsulation a segment was unwrapped from, where there was one; the innermost counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encapsulation {
    Gre,
    Erspan,
    Vxlan,
    Geneve,
    IpInIp,
    GtpU,
    Teredo,
    Ayiya,
    Pppoe,
    Mpls,
}

/// Facts about a segment that its TCP header does not tell. Absent means unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// Index of the interface: the kernel's, or the one of a pcapng file.
    pub ifindex: u32,
    /// The network namespace in which it was seen, as the number of its inode; 0 is observer's own.
    pub netns: u32,
    pub hook: Hook,
    /// VLAN identifier (0 to 4095) of the outermost tag.
    pub vlan: Option<u16>,
    pub encapsulation: Option<Encapsulation>,
    /// `bpf_get_socket_cookie`; 0 when the skb had no socket, or was not asked: a live capture asks on
    /// the first segment of a half and once a second, for this and the next three.
    pub socket_cookie: u64,
    /// cgroup v2 id of the socket; 0 when unknown.
    pub cgroup_id: u64,
    /// Smoothed round-trip time in microseconds; 0 when unknown.
    pub srtt_us: u32,
    /// Retransmissions that the local socket has sent so far.
    pub retransmits: u32,
    /// Records of this half that the kernel could not put on the ring, so far.
    pub records_lost: u32,
    /// The capture saw the flow's SYN and everything since, although not as a segment: whether the
    /// sender of this segment is who sent it.
    pub from_start: Option<bool>,
    /// The capture leaves out the payload of this half up to here, beyond what this segment carries.
    pub skip_until: Option<SeqNumber>,
    /// The TCP or IP checksum was wrong, or a length contradicted another.
    pub damaged: bool,
}

impl Origin {
    /// The namespace as far as it tells one flow from another: on loopback devices alone.
    pub fn key_netns(&self) -> u32 {
        key_netns(self.netns, self.ifindex)
    }
}

/// What the engine asks of a live capture. A capture that does not follow it, or follows it late,
/// costs more and gives the same events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Directive {
    /// The payload that `flow.high` (or `low`) sends is not wanted up to `until`.
    Skip { flow: FlowKey, from_high: bool, until: SeqNumber },
    /// The payload of both halves is not wanted any more; how much of it there is, and how it ends,
    /// is.
    Quiet(FlowKey),
    /// Nothing more of the flow is wanted.
    Forget(FlowKey),
    /// The flow is sampled out: nothing of it, until more flows are kept.
    LeaveOut(FlowKey),
}

/// One TCP segment, or one GSO/GRO super-segment. `payload` is what was captured of
/// `payload_len` bytes: its prefix, and shorter only when the capture was cut.
#[derive(Clone, Copy, Debug)]
pub struct Segment<'a> {
    pub time: Timestamp,
    pub source: Endpoint,
    pub destination: Endpoint,
    pub seq: SeqNumber,
    pub ack: SeqNumber,
    pub flags: TcpFlags,
    pub window: u16,
    /// Bytes of payload the segment carried on the wire.
    pub payload_len: u32,
    pub payload: &'a [u8],
    pub origin: Origin,
}
