//! One packet's bytes to the TCP segment inside it, whatever it is wrapped in.
//!
//! Pure: no file, no state between packets, no allocation. Fragments of IP datagrams are handed
//! back to the caller, who collects them and comes again with [`resume`].
//!
//! Written by hand, not with etherparse: two lengths, captured and on the wire, have to travel
//! through every layer so that a packet cut by a snap length still tells its payload's length,
//! and most of the layers here (802.11, NFLOG, GRE, ERSPAN, VXLAN, Teredo, ...) are not in it.

mod checksum;
mod ether;
mod layer;
mod link;
mod net;
mod plain;
mod transport;
mod tunnel;
mod wireless;

#[cfg(test)]
mod tests;

use std::ops::Range;

use self::layer::Layer;
use crate::segment::{Encapsulation, Endpoint, SeqNumber, TcpFlags};

/// What a packet held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decoded {
    Tcp(Tcp),
    Fragment(Fragment),
}

/// Why a packet gave no segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Skip {
    /// Another protocol, or one that hides what it carries.
    NotTcp,
    /// The capture was cut inside the headers.
    CutShort,
    /// A header contradicts itself or the packet's length.
    Malformed,
    /// A link type that is not read here.
    UnknownLink,
    /// More layers than anything real has.
    TooDeep,
}

/// The headers of a TCP segment. `payload` is a range of the bytes that were decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tcp {
    pub source: Endpoint,
    pub destination: Endpoint,
    pub seq: SeqNumber,
    pub ack: SeqNumber,
    pub flags: TcpFlags,
    pub window: u16,
    pub payload_len: u32,
    pub payload: Range<usize>,
    pub walk: Walk,
}

/// A piece of an IP datagram. `bytes` is a range of the bytes that were decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fragment {
    pub addresses: Addresses,
    /// 16 bits in IPv4, 32 in IPv6.
    pub identification: u32,
    /// Protocol of the datagram's payload.
    pub protocol: u8,
    /// Where the piece lies in the datagram's payload, in bytes.
    pub offset: usize,
    /// Bytes of the piece on the wire; `bytes` is shorter when the capture was cut.
    pub wire_len: usize,
    pub is_last: bool,
    pub bytes: Range<usize>,
    pub walk: Walk,
}

/// Network addresses of a packet; IPv4 is held IPv4-mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Addresses {
    pub source: [u8; 16],
    pub destination: [u8; 16],
    pub is_v4: bool,
}

/// What was seen on the way down to a segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Walk {
    pub vlan: Option<u16>,
    pub encapsulation: Option<Encapsulation>,
    /// Two lengths contradict each other, or a checksum is wrong.
    pub damaged: bool,
    pub bad_checksum: bool,
    verify_checksums: bool,
    /// A routing header changes the destination on the way: the TCP checksum cannot be verified.
    rerouted: bool,
    n_layers: u8,
    n_tunnels: u8,
}

/// Headers between the frame and the segment: tags, labels, tunnels. 32 are more than eight
/// tunnels with their Ethernet, VLAN and IP headers need.
const MAX_LAYERS: u8 = 40;
const MAX_TUNNELS: u8 = 8;

impl Walk {
    /// One header deeper; bounds the recursion.
    fn descend(&mut self) -> Result<(), Skip> {
        self.n_layers += 1;
        if self.n_layers > MAX_LAYERS { Err(Skip::TooDeep) } else { Ok(()) }
    }

    /// Into a tunnel.
    fn unwrap(&mut self, encapsulation: Encapsulation) -> Result<(), Skip> {
        self.n_tunnels += 1;
        if self.n_tunnels > MAX_TUNNELS {
            return Err(Skip::TooDeep);
        }
        self.encapsulation = Some(encapsulation);
        Ok(())
    }
}

/// Decodes the captured `bytes` of a packet that was `wire_len` bytes long, by the LINKTYPE_
/// value of the interface it was captured on.
pub fn decode(
    link: u16,
    bytes: &[u8],
    wire_len: usize,
    verify_checksums: bool,
) -> Result<Decoded, Skip> {
    if let Some(tcp) = plain::decode(link, bytes, verify_checksums) {
        return Ok(Decoded::Tcp(tcp));
    }
    layers(link, bytes, wire_len, verify_checksums)
}

/// The same, where the packet is plain: only then there is something.
#[inline(always)]
pub(super) fn plain(link: u16, bytes: &[u8], verify_checksums: bool) -> Option<Tcp> {
    plain::decode(link, bytes, verify_checksums)
}

/// The same for any packet: header by header.
pub(super) fn layers(
    link: u16,
    bytes: &[u8],
    wire_len: usize,
    verify_checksums: bool,
) -> Result<Decoded, Skip> {
    let walk = Walk { verify_checksums, ..Walk::default() };
    link::decode(walk, link, Layer::new(bytes, wire_len))
}

/// Decodes the payload of a datagram that was put together from fragments, all of it in `bytes`.
/// `walk` is the one of the first fragment.
pub fn resume(
    walk: Walk,
    addresses: Addresses,
    protocol: u8,
    bytes: &[u8],
) -> Result<Decoded, Skip> {
    transport::decode(walk, addresses, protocol, Layer::new(bytes, bytes.len()))
}
