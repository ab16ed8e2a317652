//! The plain packet: TCP in IP in Ethernet, all of it captured and nothing odd about it. Most
//! packets of most captures are like that, and one look at fixed places reads them.
//!
//! Says what the layers would say, or nothing: whatever is not plain is theirs.

use super::{Addresses, Tcp, Walk, checksum, ether, net};
use crate::segment::{Endpoint, SeqNumber, TcpFlags};

/// Inlined, so that its parts need not go through memory together.
#[inline(always)]
pub(super) fn decode(link: u16, bytes: &[u8], verify_checksums: bool) -> Option<Tcp> {
    // As many layers as are counted on the way down to TCP.
    let (packet, n_layers) = match link {
        1 => {
            let (frame, packet) = bytes.split_first_chunk::<14>()?;
            let [.., high, low] = *frame;
            let is_v4 = packet.first()? >> 4 == 4;
            let ethertype = if is_v4 { ether::ETHERTYPE_IPV4 } else { ether::ETHERTYPE_IPV6 };
            (u16::from_be_bytes([high, low]) == ethertype).then_some((packet, 3))?
        }
        // Raw IP.
        101 => (bytes, 2),
        _ => return None,
    };
    let (addresses, header_len, total_len) = match packet.first()? >> 4 {
        4 => ipv4(packet, verify_checksums)?,
        6 => ipv6(packet)?,
        _ => return None,
    };
    let segment = packet.get(header_len..total_len)?;
    let [s0, s1, d0, d1, q0, q1, q2, q3, a0, a1, a2, a3, data, flags, w0, w1, c0, c1, ..] =
        *segment.first_chunk::<20>()?;
    let tcp_len = usize::from(data >> 4) * 4;
    if tcp_len < 20 || tcp_len > segment.len() {
        return None;
    }
    let field = u16::from_be_bytes([c0, c1]);
    if verify_checksums && checksum::is_tcp_wrong(&addresses, segment, field) {
        return None;
    }
    let start = bytes.len() - packet.len();
    let payload = start + header_len + tcp_len..start + total_len;
    Some(Tcp {
        source: Endpoint { addr: addresses.source, port: u16::from_be_bytes([s0, s1]) },
        destination: Endpoint { addr: addresses.destination, port: u16::from_be_bytes([d0, d1]) },
        seq: SeqNumber(u32::from_be_bytes([q0, q1, q2, q3])),
        ack: SeqNumber(u32::from_be_bytes([a0, a1, a2, a3])),
        flags: TcpFlags(u16::from_be_bytes([data, flags]) & 0x0fff),
        window: u16::from_be_bytes([w0, w1]),
        payload_len: u32::try_from(payload.len()).ok()?,
        payload,
        walk: Walk { verify_checksums, n_layers, ..Walk::default() },
    })
}

/// Addresses, length of the header, length of the packet; `None` for fragments too.
fn ipv4(packet: &[u8], verify_checksums: bool) -> Option<(Addresses, usize, usize)> {
    let start = packet.first_chunk::<20>()?;
    let header_len = usize::from(start[0] & 0x0f) * 4;
    let total_len = usize::from(u16::from_be_bytes([start[2], start[3]]));
    let is_fragment = u16::from_be_bytes([start[6], start[7]]) & 0x3fff != 0;
    if header_len < 20 || total_len < header_len || is_fragment || start[9] != 6 {
        return None;
    }
    let header = packet.get(..header_len)?;
    let is_filled_in = start[10] != 0 || start[11] != 0;
    if verify_checksums && is_filled_in && checksum::sum(header) != 0xffff {
        return None;
    }
    let source = net::mapped([start[12], start[13], start[14], start[15]]);
    let destination = net::mapped([start[16], start[17], start[18], start[19]]);
    Some((Addresses { source, destination, is_v4: true }, header_len, total_len))
}

/// The same, without extension headers.
fn ipv6(packet: &[u8]) -> Option<(Addresses, usize, usize)> {
    let (start, _) = packet.split_first_chunk::<40>()?;
    let payload_len = usize::from(u16::from_be_bytes([start[4], start[5]]));
    if payload_len == 0 || start[6] != 6 {
        return None;
    }
    let source = *start.get(8..)?.first_chunk()?;
    let destination = *start.last_chunk()?;
    Some((Addresses { source, destination, is_v4: false }, 40, 40 + payload_len))
}
