//! Link layers by LINKTYPE_ value (<https://www.tcpdump.org/linktypes.html>).

use super::ether::{self, ETHERTYPE_IPV4, ETHERTYPE_IPV6};
use super::layer::Layer;
use super::{Decoded, Skip, Walk, net, wireless};

pub(super) fn decode(walk: Walk, link: u16, layer: Layer<'_>) -> Result<Decoded, Skip> {
    match link {
        1 => ether::frame(walk, layer),
        0 => null(walk, layer, u32::from_ne_bytes),
        // OpenBSD's loopback: the same in network byte order.
        108 => null(walk, layer, u32::from_be_bytes),
        // PPP; with HDLC-like framing; with a byte for the direction first.
        9 | 50 => ether::ppp(walk, layer),
        204 => ether::ppp(walk, layer.skip(1)?),
        // FDDI: frame control and two addresses, then LLC.
        10 => ether::llc(walk, layer.skip(13)?),
        51 => ether::pppoe(walk, layer),
        104 => cisco_hdlc(walk, layer),
        105 => wireless::ieee80211(walk, layer),
        127 => wireless::radiotap(walk, layer),
        192 => per_packet_information(walk, layer),
        // Raw IP: 12 and 14 are platforms' own numbers, 101 is the registered one.
        12 | 14 | 101 | 228 | 229 => net::ip(walk, layer),
        113 => linux_cooked(walk, layer),
        276 => linux_cooked_v2(walk, layer),
        117 => pflog(walk, layer),
        239 => nflog(walk, layer),
        _ => Err(Skip::UnknownLink),
    }
}

/// BSD loopback: the address family as a number in the byte order of the machine that captured.
fn null(walk: Walk, layer: Layer<'_>, order: fn([u8; 4]) -> u32) -> Result<Decoded, Skip> {
    let family = order(layer.array(0)?);
    let is_ip = |family| match family {
        2 => true,
        // AF_INET6 of Linux, NetBSD and OpenBSD, FreeBSD, Darwin.
        10 | 24 | 28 | 30 => true,
        _ => false,
    };
    if is_ip(family) || is_ip(family.swap_bytes()) {
        return net::ip(walk, layer.skip(4)?);
    }
    Err(Skip::NotTcp)
}

/// Linux cooked v1: 16 bytes, the protocol last (`sll.h` of libpcap).
fn linux_cooked(walk: Walk, layer: Layer<'_>) -> Result<Decoded, Skip> {
    let hardware = layer.be16(2)?;
    cooked(walk, hardware, layer.be16(14)?, layer.skip(16)?)
}

/// Linux cooked v2: 20 bytes, the protocol first.
fn linux_cooked_v2(walk: Walk, layer: Layer<'_>) -> Result<Decoded, Skip> {
    let hardware = layer.be16(8)?;
    cooked(walk, hardware, layer.be16(0)?, layer.skip(20)?)
}

fn cooked(walk: Walk, hardware: u16, protocol: u16, layer: Layer<'_>) -> Result<Decoded, Skip> {
    /// ARPHRD_NETLINK: the protocol is a netlink family, not an EtherType.
    const NETLINK: u16 = 824;
    match protocol {
        _ if hardware == NETLINK => Err(Skip::NotTcp),
        // ETH_P_802_2: an LLC header follows.
        0x0004 => ether::llc(walk, layer),
        protocol => ether::payload(walk, protocol, layer),
    }
}

/// Address and control, then an EtherType; 0x8035 and others are not IP.
fn cisco_hdlc(walk: Walk, layer: Layer<'_>) -> Result<Decoded, Skip> {
    match layer.u8(0)? {
        // Unicast and multicast.
        0x0f | 0x8f => ether::payload(walk, layer.be16(2)?, layer.skip(4)?),
        // The port was switched to PPP in HDLC-like framing (RFC 1662).
        0xff => ether::ppp(walk, layer),
        _ => Err(Skip::NotTcp),
    }
}

/// A header that carries radio facts, then a packet of a link type it names.
fn per_packet_information(walk: Walk, layer: Layer<'_>) -> Result<Decoded, Skip> {
    /// The link type 192 itself would be a loop.
    const SELF: u32 = 192;
    match (layer.le32(4)?, usize::from(layer.le16(2)?)) {
        (SELF, _) => Err(Skip::Malformed),
        (link, len) => {
            let link = u16::try_from(link).map_err(|_| Skip::UnknownLink)?;
            decode(walk, link, layer.skip(len)?)
        }
    }
}

/// The BSD packet filter's log: length of the header first, padded to four bytes.
fn pflog(walk: Walk, layer: Layer<'_>) -> Result<Decoded, Skip> {
    let len = usize::from(layer.u8(0)?).next_multiple_of(4);
    net::ip(walk, layer.skip(len)?)
}

/// Netfilter's log: attributes in the byte order of the machine that captured; the packet is
/// the one of type 9 (`NFULA_PAYLOAD` of `linux/netfilter/nfnetlink_log.h`).
fn nflog(walk: Walk, layer: Layer<'_>) -> Result<Decoded, Skip> {
    const PAYLOAD: u16 = 9;
    let mut rest = layer.skip(4)?;
    // Each attribute is at least four bytes long and there are some twenty kinds.
    for _ in 0..64 {
        let (mut len, mut kind) = (rest.le16(0)?, rest.le16(2)?);
        // Kinds are small numbers: a set high byte is the other byte order.
        if kind > 0x00ff {
            (len, kind) = (len.swap_bytes(), kind.swap_bytes());
        }
        let len = usize::from(len);
        if len < 4 {
            return Err(Skip::Malformed);
        }
        if kind == PAYLOAD {
            return net::ip(walk, rest.skip(4)?.limit(len - 4));
        }
        rest = rest.skip(len.next_multiple_of(4))?;
    }
    Err(Skip::Malformed)
}

/// The EtherType of an IP packet by its version, where a header has none.
pub(super) fn ethertype_of_version(first: u8) -> Option<u16> {
    match first >> 4 {
        4 => Some(ETHERTYPE_IPV4),
        6 => Some(ETHERTYPE_IPV6),
        _ => None,
    }
}
