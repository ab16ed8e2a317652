//! Packets of a made capture: pcap records with Ethernet, IPv4 and TCP with timestamps, checksums
//! as a receiver's host sees them. Knows nothing of what they carry.

pub(super) const CLIENT: usize = 0;
pub(super) const SERVER: usize = 1;

pub(super) const SYN: u8 = 0x02;
pub(super) const ACK: u8 = 0x10;
pub(super) const SYN_ACK: u8 = 0x12;
pub(super) const FIN_ACK: u8 = 0x11;
pub(super) const PSH_ACK: u8 = 0x18;

/// Ethernet, IPv4, TCP with the timestamps option.
const HEADERS: usize = 14 + 20 + 32;

/// One TCP segment.
#[derive(Clone, Debug)]
pub(super) struct Packet {
    pub(super) from: usize,
    pub(super) flags: u8,
    pub(super) seq: u32,
    pub(super) ack: u32,
    pub(super) payload: Vec<u8>,
    /// The last byte of a response is in it.
    pub(super) ends_exchange: bool,
}

/// The header of a pcap file with nanoseconds and Ethernet.
pub(super) fn file_header() -> Vec<u8> {
    let words = [0xa1b2_3c4d_u32, 0x0004_0002, 0, 0, 262_144, 1];
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// Appends one pcap record.
pub(super) fn write(out: &mut Vec<u8>, time_ns: u64, connection: u64, packet: &Packet) {
    let size = (HEADERS + packet.payload.len()) as u32;
    let (seconds, nanoseconds) = (time_ns / 1_000_000_000, time_ns % 1_000_000_000);
    for word in [seconds as u32, nanoseconds as u32, size, size] {
        out.extend_from_slice(&word.to_le_bytes());
    }
    // 10.0.0.0/8 and the port number the connections apart: 60,000 ports for each address.
    let [_, a, b, c] = ((connection / 60_000) as u32 + 1).to_be_bytes();
    let (client, server) = ([10, a, b, c], [192, 0, 2, 1]);
    let client_port = (connection % 60_000) as u16 + 2000;
    let to_server = packet.from == CLIENT;
    let (source, destination) = if to_server { (client, server) } else { (server, client) };
    let ports = if to_server { [client_port, 8080] } else { [8080, client_port] };

    out.extend_from_slice(&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0]);
    let ip = out.len();
    out.extend_from_slice(&[0x45, 0]);
    out.extend_from_slice(&(size as u16 - 14).to_be_bytes());
    out.extend_from_slice(&[0, 0, 0x40, 0, 64, 6, 0, 0]);
    out.extend_from_slice(&source);
    out.extend_from_slice(&destination);
    let tcp = out.len();
    for port in ports {
        out.extend_from_slice(&port.to_be_bytes());
    }
    out.extend_from_slice(&packet.seq.to_be_bytes());
    out.extend_from_slice(&packet.ack.to_be_bytes());
    out.extend_from_slice(&[0x80, packet.flags, 0x01, 0xf5, 0, 0, 0, 0]);
    // RFC 7323 §3: two NOPs, then the option.
    out.extend_from_slice(&[1, 1, 8, 10]);
    out.extend_from_slice(&((time_ns / 1_000_000) as u32).to_be_bytes());
    out.extend_from_slice(&[0, 0, 0, 1]);
    out.extend_from_slice(&packet.payload);

    let header_sum = checksum(sum(&out[ip..tcp]));
    out[ip + 10..ip + 12].copy_from_slice(&header_sum.to_be_bytes());
    let pseudo = sum(&source) + sum(&destination) + 6 + (out.len() - tcp) as u64;
    let segment_sum = checksum(pseudo + sum(&out[tcp..]));
    out[tcp + 16..tcp + 18].copy_from_slice(&segment_sum.to_be_bytes());
}

/// The words of RFC 1071; an odd last byte counts as if a zero followed.
fn sum(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<2>();
    let whole: u64 = words.iter().map(|&word| u64::from(u16::from_be_bytes(word))).sum();
    whole + rest.first().map_or(0, |&byte| u64::from(byte) << 8)
}

fn checksum(mut total: u64) -> u16 {
    while total > 0xffff {
        total = (total & 0xffff) + (total >> 16);
    }
    !(total as u16)
}

/// xorshift64*: the same everywhere.
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new() -> Self {
        Self(0x9401)
    }

    pub(super) fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 31) % n
    }

    pub(super) fn between(&mut self, from: u64, to: u64) -> u64 {
        from + self.below(to - from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checksum_is_that_of_rfc_1071() {
        assert_eq!(checksum(sum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7])), !0xddf2);
        assert_eq!(sum(&[1]), 0x100);
    }
}
