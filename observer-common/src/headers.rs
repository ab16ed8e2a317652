//! From the first byte of a frame to the payload of its TCP segment: Ethernet or no link layer at
//! all, in-band VLAN tags, IPv4 with options, IPv6 with extension headers, TCP. It reads through
//! [`Load`], so that the code the verifier accepts is the code the host tests. It must not know
//! flows, HTTP, or how an skb is read.

use crate::record::VLAN_NONE;
use crate::stats::Outcome;

#[cfg(test)]
mod tests;

/// Where headers are read to: one buffer for the whole walk, because a program has 512 bytes of
/// stack, and the caller's, because clearing it is a loop over bytes there. The walk reads only
/// what [`Load`] has just written. Aligned, so that the compiler reads whole words.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug)]
pub struct Buffer(pub [u8; BUFFER_LEN]);

/// The most that is read at once: Ethernet, IPv4 without options, TCP without options.
pub const BUFFER_LEN: usize = 56;
pub const USUAL_LEN: usize = 54;

/// Header bytes, by their places: numbers from network order, words as they lie in memory.
pub trait Octets {
    fn u8(&self, at: usize) -> u8;
    fn u16(&self, at: usize) -> u16;
    fn u32(&self, at: usize) -> u32;
    fn word(&self, at: usize) -> u64;
}

impl Octets for Buffer {
    #[inline(always)]
    fn u8(&self, at: usize) -> u8 {
        self.0[at]
    }

    #[inline(always)]
    fn u16(&self, at: usize) -> u16 {
        u16::from_be_bytes([self.0[at], self.0[at + 1]])
    }

    #[inline(always)]
    fn u32(&self, at: usize) -> u32 {
        u32::from_be_bytes([self.0[at], self.0[at + 1], self.0[at + 2], self.0[at + 3]])
    }

    #[inline(always)]
    fn word(&self, at: usize) -> u64 {
        let b = &self.0;
        let (low, high) = ([b[at], b[at + 1], b[at + 2], b[at + 3]], at + 4);
        let [a, c, d, e] = low;
        u64::from_ne_bytes([a, c, d, e, b[high], b[high + 1], b[high + 2], b[high + 3]])
    }
}

/// The first bytes of a frame where they lie. The kernel keeps frames aligned to two bytes at least
/// (`NET_IP_ALIGN`), so they are read by halves; every number in usual headers is at an even place.
#[repr(transparent)]
pub struct Front(pub [u16; USUAL_LEN / 2]);

impl Octets for Front {
    #[inline(always)]
    fn u8(&self, at: usize) -> u8 {
        self.0[at / 2].to_ne_bytes()[at % 2]
    }

    #[inline(always)]
    fn u16(&self, at: usize) -> u16 {
        u16::from_be(self.0[at / 2])
    }

    #[inline(always)]
    fn u32(&self, at: usize) -> u32 {
        u32::from(self.u16(at)) << 16 | u32::from(self.u16(at + 2))
    }

    #[inline(always)]
    fn word(&self, at: usize) -> u64 {
        u64::from_be(u64::from(self.u32(at)) << 32 | u64::from(self.u32(at + 4)))
    }
}

/// How a frame is read: `__sk_buff` in the kernel, a slice in tests.
pub trait Load {
    /// `skb->len`: bytes from offset 0 to the end, paged data and padding included.
    fn n_bytes(&self) -> u32;

    /// `skb->protocol`: the EtherType that the kernel found, in host order.
    fn protocol(&self) -> u16;

    /// Reads `n_bytes`, a constant of 1 to [`BUFFER_LEN`], at `offset` from where the frame starts.
    /// False when the frame does not have them; then the buffer holds anything.
    fn load(&self, offset: u32, n_bytes: usize, to: &mut Buffer) -> bool {
        self.load_to(offset, n_bytes, to, 0)
    }

    /// The same, to a place in the buffer that has room for it; a constant as well.
    fn load_to(&self, offset: u32, n_bytes: usize, to: &mut Buffer, at: usize) -> bool;

    /// The same, at `offset` from the network header.
    fn load_network(&self, offset: u32, n_bytes: usize, to: &mut Buffer) -> bool;
}

/// A TCP segment found in a frame. Whole words, so that clearing one takes no loop over bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tcp {
    /// Addresses as `config::words` makes them, IPv4 mapped; numbers in host order.
    pub source: [u64; 2],
    pub destination: [u64; 2],
    pub source_port: u16,
    pub destination_port: u16,
    pub seq: u32,
    pub ack: u32,
    /// All twelve bits between Data Offset and Window.
    pub flags: u16,
    pub window: u16,
    pub payload_offset: u32,
    pub payload_len: u32,
    /// Identifier of the outermost tag in the frame itself, or `VLAN_NONE`.
    pub vlan: u16,
    /// Bytes of the TCP header, which ends at `payload_offset`.
    pub header_len: u16,
    pub reserved: [u16; 2],
}

/// Words of a [`Tcp`].
pub const TCP_WORDS: usize = 8;

const _: () = assert!(size_of::<Tcp>() == 8 * TCP_WORDS);

pub const FIN: u16 = 0x001;
pub const SYN: u16 = 0x002;
pub const RST: u16 = 0x004;
pub const PSH: u16 = 0x008;
pub const ACK: u16 = 0x010;
/// RFC 9401: octet 12, mask 0x08.
pub const DTH: u16 = 0x800;

/// Finds the TCP segment in `frame`, or says why there is none.
#[inline(always)]
pub fn walk<L: Load>(frame: &L, buffer: &mut Buffer) -> Result<Tcp, Outcome> {
    // Each load is a call of a helper, and nearly all segments are like this.
    let is_usual = frame.load(0, USUAL_LEN, buffer) && is_usual(frame.protocol(), buffer);
    let network = if is_usual { USUAL } else { link(frame, buffer)? };
    let (ends, at, n_bytes) = match network.ethertype {
        ETHERTYPE_IPV4 => {
            if !is_usual && !frame.load_to(network.offset, 20, buffer, USUAL_IP) {
                return Err(Outcome::Malformed);
            }
            ipv4(frame, &network, buffer)?
        }
        ETHERTYPE_IPV6 => ipv6(frame, &network, buffer)?,
        _ => return Err(Outcome::NotIp),
    };
    if !is_usual && (n_bytes < 20 || !frame.load_to(at, 20, buffer, USUAL_TCP)) {
        return Err(Outcome::Malformed);
    }
    tcp(ends, at, n_bytes, buffer)
}

/// The segment in a frame that begins so; `None` where it takes a walk to find it.
#[inline(always)]
pub fn usual<L: Load>(frame: &L, front: &impl Octets) -> Option<Result<Tcp, Outcome>> {
    if !is_usual(frame.protocol(), front) {
        return None;
    }
    let segment = ipv4(frame, &USUAL, front);
    Some(segment.and_then(|(ends, at, n_bytes)| tcp(ends, at, n_bytes, front)))
}

/// What [`is_usual`] is about.
const USUAL: Network = Network { offset: ETHERNET_LEN, ethertype: ETHERTYPE_IPV4, vlan: VLAN_NONE };
/// Where its IPv4 header is, and its TCP header: and in the buffer those of any other.
const USUAL_IP: usize = ETHERNET_LEN as usize;
const USUAL_TCP: usize = USUAL_IP + 20;

/// Whether a frame that begins so is Ethernet with IPv4 without options, and cannot be anything
/// else: `link` and `ipv4` come to the same.
#[inline(always)]
fn is_usual(protocol: u16, b: &impl Octets) -> bool {
    let is_bare = b.u8(0) >> 4 == 4;
    protocol == ETHERTYPE_IPV4 && b.u16(12) == ETHERTYPE_IPV4 && !is_bare && b.u8(14) == 0x45
}

/// Where the network header is, and what it is.
struct Network {
    offset: u32,
    ethertype: u16,
    vlan: u16,
}

/// Tells Ethernet from no link layer. `__sk_buff` does not say where the network header lies, and
/// `bpf_skb_load_bytes_relative` reads the linear part alone, so the offset has to be found.
///
/// An Ethernet header repeats `skb->protocol` at octet 12; an IP header shows its version in the
/// first four bits. Where both hold (a MAC address that begins with 4, or a packet from 8.0.0.0/16
/// on a tun device) the kernel's own network header decides.
#[inline(always)]
fn link<L: Load>(frame: &L, buffer: &mut Buffer) -> Result<Network, Outcome> {
    let protocol = frame.protocol();
    if !frame.load(0, 16, buffer) {
        return Err(Outcome::NotIp);
    }
    let version = buffer.u8(0) >> 4;
    let bare = (protocol == ETHERTYPE_IPV4 && version == 4)
        || (protocol == ETHERTYPE_IPV6 && version == 6);
    let ethernet = buffer.u16(12) == protocol;
    if ethernet && (!bare || network_is_at(frame, ETHERNET_LEN, buffer)) {
        return tags(frame, protocol, buffer);
    }
    if bare {
        return Ok(Network { offset: 0, ethertype: protocol, vlan: VLAN_NONE });
    }
    let ip = protocol == ETHERTYPE_IPV4 || protocol == ETHERTYPE_IPV6;
    Err(if ip { Outcome::UnknownLink } else { Outcome::NotIp })
}

/// Whether the kernel's network header begins with the same 20 bytes as `offset` does.
#[inline(always)]
fn network_is_at<L: Load>(frame: &L, offset: u32, buffer: &mut Buffer) -> bool {
    if !frame.load(offset, 20, buffer) {
        return false;
    }
    let there = (buffer.word(0), buffer.word(8), buffer.u32(16));
    frame.load_network(0, 20, buffer) && there == (buffer.word(0), buffer.word(8), buffer.u32(16))
}

/// The tags that are still in the frame. The kernel moves the outermost into the skb's metadata
/// on the way in, so these are the second tag of QinQ, or both on the way out of a device that
/// tags by itself.
#[inline(always)]
fn tags<L: Load>(frame: &L, mut ethertype: u16, b: &mut Buffer) -> Result<Network, Outcome> {
    let mut offset = ETHERNET_LEN;
    let mut vlan = VLAN_NONE;
    for _ in 0..TAGS_MAX {
        if !matches!(ethertype, ETHERTYPE_VLAN | ETHERTYPE_QINQ | ETHERTYPE_QINQ_OLD) {
            break;
        }
        if !frame.load(offset, 4, b) {
            return Err(Outcome::Malformed);
        }
        if vlan == VLAN_NONE {
            vlan = b.u16(0) & VLAN_ID_MASK;
        }
        ethertype = b.u16(2);
        offset += 4;
    }
    Ok(Network { offset, ethertype, vlan })
}

/// RFC 791 §3.1, of the header in its usual place: the ends, where what it carries is in the frame,
/// and how long.
#[inline(always)]
fn ipv4<L: Load>(
    frame: &L,
    network: &Network,
    b: &impl Octets,
) -> Result<(Ends, u32, u32), Outcome> {
    let o = USUAL_IP;
    let at = network.offset;
    let header_len = u32::from(b.u8(o) & 0x0f) * 4;
    if b.u8(o) >> 4 != 4 || header_len < 20 {
        return Err(Outcome::Malformed);
    }
    if b.u8(o + 9) != PROTOCOL_TCP {
        return Err(Outcome::NotTcp);
    }
    // More Fragments, or an offset other than 0.
    if b.u16(o + 6) & 0x3fff != 0 {
        return Err(Outcome::Fragment);
    }
    // The frame has the 20 bytes that were just loaded, so this cannot wrap.
    let available = frame.n_bytes().wrapping_sub(at);
    // Total Length trims Ethernet padding. 0 is BIG TCP, whose length does not fit 16 bits
    // (iph_totlen in include/linux/ip.h, 6.3): then the skb is the measure.
    let n_bytes = match u32::from(b.u16(o + 2)) {
        0 => available,
        total => total,
    };
    if n_bytes > available || n_bytes < header_len {
        return Err(Outcome::Malformed);
    }
    let (source, destination) = ([0, mapped(b, o + 12)], [0, mapped(b, o + 16)]);
    let ends = Ends { source, destination, vlan: network.vlan };
    Ok((ends, at + header_len, n_bytes - header_len))
}

/// The low word of an IPv4-mapped address (RFC 4291 §2.5.5.2).
#[inline(always)]
fn mapped(b: &impl Octets, at: usize) -> u64 {
    (0xffff << 32 | u64::from(b.u32(at))).to_be()
}

/// RFC 8200 §3, and the extension headers of §4 up to [`EXTENSIONS_MAX`].
#[inline(always)]
fn ipv6<L: Load>(
    frame: &L,
    network: &Network,
    b: &mut Buffer,
) -> Result<(Ends, u32, u32), Outcome> {
    let at = network.offset;
    if !frame.load(at, 40, b) || b.u8(0) >> 4 != 6 {
        return Err(Outcome::Malformed);
    }
    let available = frame.n_bytes().wrapping_sub(at).wrapping_sub(40);
    // Payload Length 0 is a jumbogram (RFC 2675), which is how the kernel carries BIG TCP.
    let n_bytes = match u32::from(b.u16(4)) {
        0 => available,
        payload => payload,
    };
    if n_bytes > available {
        return Err(Outcome::Malformed);
    }
    let ends = Ends {
        source: [b.word(8), b.word(16)],
        destination: [b.word(24), b.word(32)],
        vlan: network.vlan,
    };
    let mut next = b.u8(6);
    // Bytes of extension headers so far.
    let mut walked = 0;
    for _ in 0..EXTENSIONS_MAX {
        if next == PROTOCOL_TCP {
            break;
        }
        if !is_extension(next) {
            return Err(Outcome::NotTcp);
        }
        if !frame.load(at + 40 + walked, 4, b) {
            return Err(Outcome::Malformed);
        }
        walked += match next {
            // An atomic fragment (RFC 6946) is whole: offset 0 and no more to come.
            EXT_FRAGMENT if b.u16(2) & 0xfff9 != 0 => return Err(Outcome::Fragment),
            EXT_FRAGMENT => 8,
            // Its length counts 4-octet units, minus 2 (RFC 4302 §2.2).
            EXT_AUTHENTICATION => (u32::from(b.u8(1)) + 2) * 4,
            _ => (u32::from(b.u8(1)) + 1) * 8,
        };
        next = b.u8(0);
    }
    if next != PROTOCOL_TCP {
        return Err(Outcome::NotTcp);
    }
    if walked > n_bytes {
        return Err(Outcome::Malformed);
    }
    Ok((ends, at + 40 + walked, n_bytes - walked))
}

/// The headers that may stand between IPv6 and TCP, of those that IANA lists.
#[inline(always)]
fn is_extension(next: u8) -> bool {
    next == EXT_HOP_BY_HOP
        || next == EXT_ROUTING
        || next == EXT_FRAGMENT
        || next == EXT_AUTHENTICATION
        || next == EXT_DESTINATION
        || next == EXT_MOBILITY
        || next == EXT_HIP
        || next == EXT_SHIM6
}

/// What the layers below TCP knew.
struct Ends {
    source: [u64; 2],
    destination: [u64; 2],
    vlan: u16,
}

/// RFC 9293 §3.1, of the header in its usual place, which is at `at` in the frame; `n_bytes` counts
/// it and the payload.
#[inline(always)]
fn tcp(ends: Ends, at: u32, n_bytes: u32, b: &impl Octets) -> Result<Tcp, Outcome> {
    let o = USUAL_TCP;
    let header_len = u32::from(b.u8(o + 12) >> 4) * 4;
    if n_bytes < 20 || header_len < 20 || header_len > n_bytes {
        return Err(Outcome::Malformed);
    }
    Ok(Tcp {
        source: ends.source,
        destination: ends.destination,
        source_port: b.u16(o),
        destination_port: b.u16(o + 2),
        seq: b.u32(o + 4),
        ack: b.u32(o + 8),
        flags: b.u16(o + 12) & 0x0fff,
        window: b.u16(o + 14),
        payload_offset: at + header_len,
        payload_len: n_bytes - header_len,
        vlan: ends.vlan,
        header_len: header_len as u16,
        reserved: [0; 2],
    })
}

const ETHERNET_LEN: u32 = 14;
const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_IPV6: u16 = 0x86dd;
const ETHERTYPE_VLAN: u16 = 0x8100;
const ETHERTYPE_QINQ: u16 = 0x88a8;
/// QinQ before IEEE 802.1ad.
const ETHERTYPE_QINQ_OLD: u16 = 0x9100;
const VLAN_ID_MASK: u16 = 0x0fff;
/// Tags that may be in the frame itself.
const TAGS_MAX: u32 = 2;

const PROTOCOL_TCP: u8 = 6;
const EXT_HOP_BY_HOP: u8 = 0;
const EXT_ROUTING: u8 = 43;
const EXT_FRAGMENT: u8 = 44;
const EXT_AUTHENTICATION: u8 = 51;
const EXT_DESTINATION: u8 = 60;
const EXT_MOBILITY: u8 = 135;
const EXT_HIP: u8 = 139;
const EXT_SHIM6: u8 = 140;
/// Each header of RFC 8200 §4.1 once, with Destination Options twice, and one more.
const EXTENSIONS_MAX: u32 = 8;
