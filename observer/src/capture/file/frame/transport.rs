//! What an IP protocol number announces: TCP (RFC 9293), or a tunnel.

use super::layer::Layer;
use super::{Addresses, Decoded, Skip, Tcp, Walk, checksum, ether, net, tunnel};
use crate::segment::{Encapsulation, Endpoint, SeqNumber, TcpFlags};

pub(super) fn decode(
    mut walk: Walk,
    addresses: Addresses,
    protocol: u8,
    layer: Layer<'_>,
) -> Result<Decoded, Skip> {
    walk.descend()?;
    match protocol {
        6 => tcp(walk, addresses, layer),
        17 => tunnel::udp(walk, layer),
        4 | 41 => {
            walk.unwrap(Encapsulation::IpInIp)?;
            net::ip(walk, layer)
        }
        47 => tunnel::gre(walk, layer),
        // Authentication header (RFC 4302 §2): length in words, less two. It hides nothing.
        51 => {
            let len = (usize::from(layer.u8(1)?) + 2) * 4;
            decode(walk, addresses, layer.u8(0)?, layer.skip(len)?)
        }
        // EtherIP (RFC 3378): version 3 and twelve zero bits, then an Ethernet frame.
        97 if layer.be16(0)? == 0x3000 => ether::frame(walk, layer.skip(2)?),
        137 => ether::mpls(walk, layer),
        _ => Err(Skip::NotTcp),
    }
}

fn tcp(mut walk: Walk, addresses: Addresses, layer: Layer<'_>) -> Result<Decoded, Skip> {
    let offset_and_flags = layer.be16(12)?;
    let window = layer.be16(14)?;
    let header_len = usize::from(offset_and_flags >> 12) * 4;
    if header_len < 20 {
        return Err(Skip::Malformed);
    }
    // A cut through the options leaves an empty payload of known length.
    let payload = layer.skip(header_len)?;
    if walk.verify_checksums && layer.is_whole() && !walk.rerouted {
        let field = layer.be16(16)?;
        if checksum::is_tcp_wrong(&addresses, layer.bytes(), field) {
            walk.bad_checksum = true;
            walk.damaged = true;
        }
    }
    Ok(Decoded::Tcp(Tcp {
        source: Endpoint { addr: addresses.source, port: layer.be16(0)? },
        destination: Endpoint { addr: addresses.destination, port: layer.be16(2)? },
        seq: SeqNumber(layer.be32(4)?),
        ack: SeqNumber(layer.be32(8)?),
        flags: TcpFlags(offset_and_flags & 0x0fff),
        window,
        payload_len: u32::try_from(payload.wire_len()).map_err(|_| Skip::Malformed)?,
        payload: payload.range(),
        walk,
    }))
}
