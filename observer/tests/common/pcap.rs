//! Capture files made byte by byte.

const CLIENT: [u8; 6] = [10, 0, 0, 1, 0xc8, 0x22];
const SERVER: [u8; 6] = [10, 0, 0, 2, 0x00, 0x50];

/// A pcap file (link type 101, raw IP) of what client and server send by turns, one millisecond
/// apart.
pub(crate) fn pcap(turns: &[&str]) -> Vec<u8> {
    let mut file = Vec::new();
    for word in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65535, 101] {
        file.extend(word.to_le_bytes());
    }
    let mut next = [1000_u32, 9000];
    for (i, turn) in turns.iter().enumerate() {
        let (from, to) = (i % 2, (i + 1) % 2);
        let packet = packet(from, next[from], next[to], turn.as_bytes());
        let micros = 118_000 + 1000 * i as u32;
        for word in [1_600_000_000, micros, packet.len() as u32, packet.len() as u32] {
            file.extend(word.to_le_bytes());
        }
        file.extend(packet);
        next[from] += turn.len() as u32;
    }
    file
}

/// IPv4 and TCP (PSH, ACK) without checksums: zero is what offloading leaves.
fn packet(from: usize, seq: u32, ack: u32, payload: &[u8]) -> Vec<u8> {
    let ends = [CLIENT, SERVER];
    let (source, destination) = (ends[from], ends[1 - from]);
    let length = 40 + payload.len() as u16;
    let mut packet = vec![0x45, 0];
    packet.extend(length.to_be_bytes());
    packet.extend([0, 0, 0x40, 0, 64, 6, 0, 0]);
    packet.extend(&source[..4]);
    packet.extend(&destination[..4]);
    packet.extend(&source[4..]);
    packet.extend(&destination[4..]);
    packet.extend(seq.to_be_bytes());
    packet.extend(ack.to_be_bytes());
    packet.extend([0x50, 0x18, 0x04, 0x00, 0, 0, 0, 0]);
    packet.extend(payload);
    packet
}
