//! Ethernet and what hides between it and IP: tags, LLC, MPLS, PPPoE, PPP.

use super::layer::Layer;
use super::link::ethertype_of_version;
use super::{Decoded, Skip, Walk, net};
use crate::segment::Encapsulation;

pub(super) const ETHERTYPE_IPV4: u16 = 0x0800;
pub(super) const ETHERTYPE_IPV6: u16 = 0x86dd;

/// An Ethernet frame without preamble. What follows IP, such as padding and a frame check
/// sequence, is cut off by IP's own length.
pub(super) fn frame(walk: Walk, layer: Layer<'_>) -> Result<Decoded, Skip> {
    let ethertype = layer.be16(12)?;
    payload(walk, ethertype, layer.skip(14)?)
}

/// What an EtherType announces.
pub(super) fn payload(mut walk: Walk, ethertype: u16, layer: Layer<'_>) -> Result<Decoded, Skip> {
    walk.descend()?;
    match ethertype {
        ETHERTYPE_IPV4 | ETHERTYPE_IPV6 => net::ip(walk, layer),
        // 802.1Q, 802.1ad, and three that switches used before 802.1ad had its own.
        0x8100 | 0x88a8 | 0x9100 | 0x9200 | 0x9300 => {
            let tag = layer.be16(0)?;
            walk.vlan = walk.vlan.or(Some(tag & 0x0fff));
            payload(walk, layer.be16(2)?, layer.skip(4)?)
        }
        0x8847 | 0x8848 => mpls(walk, layer),
        0x8864 => pppoe(walk, layer),
        0x880b => ppp(walk, layer),
        // 802.1ah: an instance tag of four bytes, then the customer's Ethernet frame.
        0x88e7 => frame(walk, layer.skip(4)?),
        // VN-Tag of Cisco's fabric extenders: four bytes, then the next EtherType.
        0x8926 => payload(walk, layer.be16(4)?, layer.skip(6)?),
        // 802.1BR: six bytes of port identifiers, then the next EtherType.
        0x893f => payload(walk, layer.be16(6)?, layer.skip(8)?),
        // Cisco's metadata: version, length in words, two options, then the next EtherType.
        0x8909 => payload(walk, layer.be16(6)?, layer.skip(8)?),
        // Cisco's FabricPath: a tag behind its own addresses, then the frame that it carries.
        0x8903 => frame(walk, layer.skip(2)?),
        0x894f => network_service_header(walk, layer),
        // Transparent Ethernet bridging.
        0x6558 => frame(walk, layer),
        // 802.3: a length instead of a type, and LLC behind it. It also tells the padding.
        len @ 0..=1500 => llc(walk, layer.limit(usize::from(len))),
        _ => Err(Skip::NotTcp),
    }
}

/// RFC 8300 §2: the length in words is in the first two bytes, the next protocol in the fourth.
fn network_service_header(walk: Walk, layer: Layer<'_>) -> Result<Decoded, Skip> {
    let len = usize::from(layer.be16(0)? & 0x003f) * 4;
    if len < 8 {
        return Err(Skip::Malformed);
    }
    let rest = layer.skip(len)?;
    match layer.u8(3)? {
        1 | 2 => net::ip(walk, rest),
        3 => frame(walk, rest),
        5 => mpls(walk, rest),
        _ => Err(Skip::NotTcp),
    }
}

/// IEEE 802.2; with SNAP it names an EtherType (RFC 1042).
pub(super) fn llc(walk: Walk, layer: Layer<'_>) -> Result<Decoded, Skip> {
    match layer.array(0)? {
        [0xaa, 0xaa, 0x03] => {
            // Organisation 0 (RFC 1042) and 0x0000f8 (802.1H) name an EtherType.
            match layer.array(3)? {
                [0, 0, 0] | [0, 0, 0xf8] => payload(walk, layer.be16(6)?, layer.skip(8)?),
                _ => Err(Skip::NotTcp),
            }
        }
        // IP has a service access point of its own (RFC 948), seldom used.
        [0x06, 0x06, 0x03] => net::ip(walk, layer.skip(3)?),
        _ => Err(Skip::NotTcp),
    }
}

/// RFC 3032. Nothing says what follows the last label: an IP packet shows its version, a
/// pseudowire's control word starts with a zero nibble (RFC 4385), else it is bare Ethernet.
pub(super) fn mpls(mut walk: Walk, mut layer: Layer<'_>) -> Result<Decoded, Skip> {
    walk.unwrap(Encapsulation::Mpls)?;
    loop {
        walk.descend()?;
        let label = layer.be32(0)?;
        layer = layer.skip(4)?;
        if label & 0x100 != 0 {
            break;
        }
    }
    match layer.u8(0)? >> 4 {
        // A MAC address may start with any of these nibbles too.
        4 | 6 => net::ip(walk, layer).or_else(|skip| match skip {
            Skip::Malformed => frame(walk, layer),
            skip => Err(skip),
        }),
        0 => frame(walk, layer.skip(4)?).or_else(|skip| match skip {
            Skip::Malformed | Skip::NotTcp => frame(walk, layer),
            skip => Err(skip),
        }),
        _ => frame(walk, layer),
    }
}

/// RFC 2516 §4: version and type, code, session, length; then PPP.
pub(super) fn pppoe(mut walk: Walk, layer: Layer<'_>) -> Result<Decoded, Skip> {
    walk.unwrap(Encapsulation::Pppoe)?;
    if layer.be16(0)? != 0x1100 {
        return Err(Skip::NotTcp);
    }
    let len = usize::from(layer.be16(4)?);
    ppp(walk, layer.skip(6)?.limit(len))
}

/// RFC 1661 §2 and RFC 1662 §3: address and control may be left out, and a protocol number
/// below 256 may be sent as one byte, which is odd.
pub(super) fn ppp(mut walk: Walk, layer: Layer<'_>) -> Result<Decoded, Skip> {
    walk.descend()?;
    let layer = if layer.be16(0)? == 0xff03 { layer.skip(2)? } else { layer };
    let first = layer.u8(0)?;
    let (protocol, layer) = match first & 1 {
        1 => (u16::from(first), layer.skip(1)?),
        _ => (layer.be16(0)?, layer.skip(2)?),
    };
    match protocol {
        0x0021 | 0x0057 => net::ip(walk, layer),
        0x0281 | 0x0283 => mpls(walk, layer),
        _ => Err(Skip::NotTcp),
    }
}

/// An IP packet or nothing: for carriers that do not say what they carry.
pub(super) fn bare_ip(walk: Walk, layer: Layer<'_>) -> Result<Decoded, Skip> {
    match ethertype_of_version(layer.u8(0)?) {
        Some(ethertype) => payload(walk, ethertype, layer),
        None => Err(Skip::NotTcp),
    }
}
