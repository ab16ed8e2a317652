//! Tunnels over IP and UDP. A UDP port is only a hint: what does not parse as the tunnel is
//! some other protocol, not a broken packet.

use super::ether::{self, bare_ip};
use super::layer::Layer;
use super::{Decoded, Skip, Walk, wireless};
use crate::segment::Encapsulation;

/// RFC 2784, 2890 (key, sequence), 1701 (routing) and, as version 1, PPTP (RFC 2637 §4.1).
pub(super) fn gre(mut walk: Walk, layer: Layer<'_>) -> Result<Decoded, Skip> {
    const CHECKSUM: u16 = 0x8000;
    const ROUTING: u16 = 0x4000;
    const KEY: u16 = 0x2000;
    const SEQUENCE: u16 = 0x1000;
    const ACKNOWLEDGEMENT: u16 = 0x0080;
    walk.unwrap(Encapsulation::Gre)?;
    let (flags, protocol) = (layer.be16(0)?, layer.be16(2)?);
    let optional = |bits: u16| if flags & bits != 0 { 4 } else { 0 };
    let len = 4 + optional(CHECKSUM | ROUTING) + optional(KEY) + optional(SEQUENCE);
    match flags & 0x0007 {
        0 => {
            let mut payload = layer.skip(len)?;
            if flags & ROUTING != 0 {
                payload = source_routes(payload)?;
            }
            match protocol {
                0x88be | 0x22eb => erspan(walk, protocol, flags & SEQUENCE != 0, payload),
                // WCCP version 2 puts four bytes before the packet; version 1 does not.
                0x883e if payload.u8(0)? >> 4 != 4 => bare_ip(walk, payload.skip(4)?),
                0x883e => bare_ip(walk, payload),
                // Aruba's access points forward 802.11 frames; the number tells a queue.
                0x8200..=0x8210 | 0x9000 => wireless::ieee80211(walk, payload),
                // Lengths mean LLC on Ethernet; in GRE the numbers below 1536 are reserved.
                0..=1535 => Err(Skip::NotTcp),
                protocol => ether::payload(walk, protocol, payload),
            }
        }
        1 => ether::ppp(walk, layer.skip(len + optional(ACKNOWLEDGEMENT))?),
        _ => Err(Skip::NotTcp),
    }
}

/// RFC 1701: a list of entries, closed by one with address family and length 0.
fn source_routes(mut layer: Layer<'_>) -> Result<Layer<'_>, Skip> {
    for _ in 0..32 {
        let (family, len) = (layer.be16(0)?, usize::from(layer.u8(3)?));
        layer = layer.skip(4)?;
        if family == 0 && len == 0 {
            return Ok(layer);
        }
        layer = layer.skip(len)?;
    }
    Err(Skip::TooDeep)
}

/// draft-foschiano-erspan: type I has no header, and no GRE sequence number either; type II has
/// eight bytes; type III twelve and perhaps eight more.
fn erspan(
    mut walk: Walk,
    protocol: u16,
    has_sequence: bool,
    layer: Layer<'_>,
) -> Result<Decoded, Skip> {
    walk.encapsulation = Some(Encapsulation::Erspan);
    if !has_sequence && protocol == 0x88be {
        return ether::frame(walk, layer);
    }
    match layer.u8(0)? >> 4 {
        1 => ether::frame(walk, layer.skip(8)?),
        2 => {
            let bits = layer.be16(10)?;
            let has_subheader = bits & 1 != 0;
            let payload = layer.skip(if has_subheader { 20 } else { 12 })?;
            // "Frame type": Ethernet or bare IP.
            match (bits >> 10) & 0x1f {
                0 => ether::frame(walk, payload),
                2 => bare_ip(walk, payload),
                _ => Err(Skip::NotTcp),
            }
        }
        _ => Err(Skip::NotTcp),
    }
}

/// A UDP datagram on a port that a tunnel is known by.
pub(super) fn udp(walk: Walk, layer: Layer<'_>) -> Result<Decoded, Skip> {
    let (source, destination, len) = (layer.be16(0)?, layer.be16(2)?, layer.be16(4)?);
    let payload = match usize::from(len) {
        // A jumbogram or a super-segment.
        0 => layer,
        len => layer.limit(len),
    }
    .skip(8)?;
    // Tunnels that answer from the same port are known by either; VXLAN, Geneve and MPLS take
    // the source port from a hash of the flow.
    let by_port = |port: u16| match port {
        2152 => Some(gtp_u(walk, payload)),
        1701 => Some(l2tp(walk, payload)),
        3544 => Some(teredo(walk, payload)),
        // GRE in UDP (RFC 8086).
        4754 => Some(gre(walk, payload)),
        4789 | 8472 => Some(vxlan(walk, payload)),
        5072 => Some(ayiya(walk, payload)),
        6081 => Some(geneve(walk, payload)),
        6635 => Some(ether::mpls(walk, payload)),
        _ => None,
    };
    let decoded = by_port(destination).or_else(|| by_port(source));
    match decoded {
        Some(Err(Skip::Malformed)) => Err(Skip::NotTcp),
        Some(result) => result,
        // Teredo's clients talk to each other from any port.
        None if is_teredo_packet(payload) => teredo(walk, payload),
        None => Err(Skip::NotTcp),
    }
}

/// RFC 7348 §5. The flag says that the network identifier is valid; 8472 is the port that Linux
/// used before there was a registered one.
fn vxlan(mut walk: Walk, layer: Layer<'_>) -> Result<Decoded, Skip> {
    walk.unwrap(Encapsulation::Vxlan)?;
    if layer.u8(0)? & 0x08 == 0 {
        return Err(Skip::NotTcp);
    }
    ether::frame(walk, layer.skip(8)?)
}

/// RFC 8926 §3.4: version 0, length of the options in words, an EtherType.
fn geneve(mut walk: Walk, layer: Layer<'_>) -> Result<Decoded, Skip> {
    walk.unwrap(Encapsulation::Geneve)?;
    let first = layer.u8(0)?;
    if first >> 6 != 0 {
        return Err(Skip::NotTcp);
    }
    let len = 8 + usize::from(first & 0x3f) * 4;
    ether::payload(walk, layer.be16(2)?, layer.skip(len)?)
}

/// 3GPP TS 29.281 §5.1: version 1, a user's packet (message 255), optional fields if any of
/// three flags is set, then a chain of extension headers.
fn gtp_u(mut walk: Walk, layer: Layer<'_>) -> Result<Decoded, Skip> {
    walk.unwrap(Encapsulation::GtpU)?;
    let [flags, message] = layer.array(0)?;
    let is_user_data = flags & 0xf0 == 0x30 && message == 255;
    if !is_user_data {
        return Err(Skip::NotTcp);
    }
    // The length counts what follows the first eight bytes.
    let len = usize::from(layer.be16(2)?);
    let layer = layer.limit(8 + len);
    if flags & 0x07 == 0 {
        return bare_ip(walk, layer.skip(8)?);
    }
    let mut next = if flags & 0x04 != 0 { layer.u8(11)? } else { 0 };
    let mut rest = layer.skip(12)?;
    for _ in 0..16 {
        if next == 0 {
            return bare_ip(walk, rest);
        }
        let len = usize::from(rest.u8(0)?) * 4;
        if len == 0 {
            return Err(Skip::Malformed);
        }
        next = rest.u8(len - 1)?;
        rest = rest.skip(len)?;
    }
    Err(Skip::TooDeep)
}

/// RFC 4380 §5.1.1: perhaps an authentication, perhaps an origin indication, then IPv6.
fn teredo(mut walk: Walk, mut layer: Layer<'_>) -> Result<Decoded, Skip> {
    walk.unwrap(Encapsulation::Teredo)?;
    if layer.be16(0)? == 0x0001 {
        let [id_len, auth_len] = layer.array(2)?;
        // Client identifier, authentication value, nonce of eight, one confirmation byte.
        layer = layer.skip(4 + usize::from(id_len) + usize::from(auth_len) + 9)?;
    }
    if layer.be16(0)? == 0x0000 {
        layer = layer.skip(8)?;
    }
    only_ipv6(walk, layer)
}

/// draft-massar-v6ops-ayiya-02 §3: lengths of identity (a power of two) and signature (words),
/// an operation (1: forward), the next header, and a time.
fn ayiya(mut walk: Walk, layer: Layer<'_>) -> Result<Decoded, Skip> {
    walk.unwrap(Encapsulation::Ayiya)?;
    let [identity, signature, operation, next] = layer.array(0)?;
    let identity_len = 1usize << (identity >> 4);
    let signature_len = usize::from(signature >> 4) * 4;
    if operation & 0x0f != 1 {
        return Err(Skip::NotTcp);
    }
    let payload = layer.skip(8 + identity_len + signature_len)?;
    match next {
        4 | 41 => bare_ip(walk, payload),
        _ => Err(Skip::NotTcp),
    }
}

/// An IPv6 packet of exactly the datagram's length, from or to an address of Teredo's prefix.
fn is_teredo_packet(layer: Layer<'_>) -> bool {
    const PREFIX: [u8; 4] = [0x20, 0x01, 0, 0];
    let matches = || -> Result<bool, Skip> {
        Ok(layer.u8(0)? >> 4 == 6
            && usize::from(layer.be16(4)?) + 40 == layer.wire_len()
            && (layer.array(8)? == PREFIX || layer.array(24)? == PREFIX))
    };
    matches().unwrap_or(false)
}

/// Layer 2 tunnelling, version 2 (RFC 2661 §3.1): flags, perhaps a length, tunnel and session,
/// perhaps sequence numbers, perhaps an offset; then PPP.
fn l2tp(mut walk: Walk, layer: Layer<'_>) -> Result<Decoded, Skip> {
    const CONTROL: u16 = 0x8000;
    const LENGTH: u16 = 0x4000;
    const SEQUENCE: u16 = 0x0800;
    const OFFSET: u16 = 0x0200;
    walk.descend()?;
    let flags = layer.be16(0)?;
    if flags & CONTROL != 0 || flags & 0x000f != 2 {
        return Err(Skip::NotTcp);
    }
    let mut len = 6;
    if flags & LENGTH != 0 {
        len += 2;
    }
    if flags & SEQUENCE != 0 {
        len += 4;
    }
    if flags & OFFSET != 0 {
        len += 2 + usize::from(layer.be16(len)?);
    }
    ether::ppp(walk, layer.skip(len)?)
}

fn only_ipv6(walk: Walk, layer: Layer<'_>) -> Result<Decoded, Skip> {
    if layer.u8(0)? >> 4 != 6 {
        return Err(Skip::NotTcp);
    }
    bare_ip(walk, layer)
}
