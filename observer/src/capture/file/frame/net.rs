//! IPv4 (RFC 791) and IPv6 (RFC 8200) headers.

use std::net::Ipv4Addr;

use super::layer::Layer;
use super::{Addresses, Decoded, Fragment, Skip, Walk, checksum, transport};

/// IPv6 extension headers in one packet; RFC 8200 §4.1 orders at most seven.
const MAX_EXTENSION_HEADERS: usize = 16;

/// An IP packet of the version that its first nibble tells.
pub(super) fn ip(mut walk: Walk, layer: Layer<'_>) -> Result<Decoded, Skip> {
    walk.descend()?;
    match layer.u8(0)? >> 4 {
        4 => ipv4(walk, layer),
        6 => ipv6(walk, layer),
        _ => Err(Skip::Malformed),
    }
}

fn ipv4(mut walk: Walk, layer: Layer<'_>) -> Result<Decoded, Skip> {
    let header_len = usize::from(layer.u8(0)? & 0x0f) * 4;
    let total_len = usize::from(layer.be16(2)?);
    if header_len < 20 {
        return Err(Skip::Malformed);
    }
    let layer = match total_len {
        // A sender's super-segment: the card will write the lengths (TSO, BIG TCP).
        0 => layer,
        len if len < header_len => return Err(Skip::Malformed),
        len => bounded(&mut walk, layer, len),
    };
    let addresses = Addresses {
        source: mapped(layer.array(12)?),
        destination: mapped(layer.array(16)?),
        is_v4: true,
    };
    if let Some(header) = layer.bytes().get(..header_len).filter(|_| walk.verify_checksums) {
        // Zero is a checksum that the card was to fill in.
        if layer.be16(10)? != 0 && checksum::sum(header) != 0xffff {
            walk.bad_checksum = true;
            walk.damaged = true;
        }
    }
    let protocol = layer.u8(9)?;
    let payload = layer.skip(header_len)?;
    let fragment = layer.be16(6)?;
    let (more, offset) = (fragment & 0x2000 != 0, usize::from(fragment & 0x1fff) * 8);
    if more || offset > 0 {
        let identification = u32::from(layer.be16(4)?);
        return piece(walk, addresses, identification, protocol, offset, more, payload);
    }
    transport::decode(walk, addresses, protocol, payload)
}

fn ipv6(mut walk: Walk, layer: Layer<'_>) -> Result<Decoded, Skip> {
    let payload_len = usize::from(layer.be16(4)?);
    let addresses =
        Addresses { source: layer.array(8)?, destination: layer.array(24)?, is_v4: false };
    let mut next = layer.u8(6)?;
    let mut rest = match payload_len {
        // A jumbogram (RFC 2675) or a sender's super-segment: it fills the packet.
        0 => layer,
        len => bounded(&mut walk, layer, 40 + len),
    }
    .skip(40)?;
    for _ in 0..MAX_EXTENSION_HEADERS {
        let header_len = match next {
            // Hop-by-hop, routing, destination options, mobility, HIP, Shim6.
            0 | 43 | 60 | 135 | 139 | 140 => (usize::from(rest.u8(1)?) + 1) * 8,
            44 => {
                let field = rest.be16(2)?;
                let (offset, more) = (usize::from(field & 0xfff8), field & 1 != 0);
                let (protocol, identification) = (rest.u8(0)?, rest.be32(4)?);
                let payload = rest.skip(8)?;
                // An "atomic fragment" is whole (RFC 6946).
                if offset == 0 && !more {
                    (next, rest) = (protocol, payload);
                    continue;
                }
                return piece(walk, addresses, identification, protocol, offset, more, payload);
            }
            protocol => return transport::decode(walk, addresses, protocol, rest),
        };
        // With segments left, the destination is not yet the one in the checksum.
        walk.rerouted |= next == 43 && rest.u8(3)? != 0;
        next = rest.u8(0)?;
        rest = rest.skip(header_len)?;
    }
    Err(Skip::TooDeep)
}

/// Cuts `layer` to the length that its header tells. When that is more than the packet had on
/// the wire, the header is believed, because sequence numbers will agree with it, and the
/// contradiction is flagged.
fn bounded<'a>(walk: &mut Walk, layer: Layer<'a>, len: usize) -> Layer<'a> {
    walk.damaged |= len > layer.wire_len();
    layer.declare(len)
}

fn piece(
    walk: Walk,
    addresses: Addresses,
    identification: u32,
    protocol: u8,
    offset: usize,
    more: bool,
    payload: Layer<'_>,
) -> Result<Decoded, Skip> {
    // Every piece but the last is a multiple of eight bytes long; none reaches beyond the
    // largest datagram ("ping of death").
    let wire_len = payload.wire_len();
    if wire_len == 0 || (more && !wire_len.is_multiple_of(8)) || offset + wire_len > 0xffff {
        return Err(Skip::Malformed);
    }
    Ok(Decoded::Fragment(Fragment {
        addresses,
        identification,
        protocol,
        offset,
        wire_len,
        is_last: !more,
        bytes: payload.range(),
        walk,
    }))
}

pub(super) fn mapped(addr: [u8; 4]) -> [u8; 16] {
    Ipv4Addr::from(addr).to_ipv6_mapped().octets()
}
