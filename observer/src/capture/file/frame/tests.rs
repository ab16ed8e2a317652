//! Frames built by hand from the specifications' layouts: each wrapping must give the same
//! segment, whole and cut at every byte.

#![expect(clippy::indexing_slicing, reason = "tests fail by panicking")]

mod link;
mod network;
mod tunnels;

use super::*;

const PAYLOAD: &[u8] = b"GET / HTTP/1.1\r\n\r\n";
const SEQ: u32 = 0xfffe_0102;

/// All parts behind each other.
fn join(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

/// RFC 1071, word by word: another way than the code under test goes.
fn checksum(bytes: &[u8]) -> [u8; 2] {
    let mut sum = 0u32;
    for word in bytes.chunks(2) {
        sum += u32::from(word[0]) << 8 | u32::from(word.get(1).copied().unwrap_or(0));
        sum = (sum & 0xffff) + (sum >> 16);
    }
    (!(sum as u16)).to_be_bytes()
}

/// A segment with 12 bytes of options, all twelve flag bits' extremes and a right checksum.
fn tcp(pseudo_addresses: &[u8]) -> Vec<u8> {
    let mut segment = join(&[
        &[0xc0, 0x01, 0x46, 0x50],
        &SEQ.to_be_bytes(),
        &[0x00, 0x00, 0x00, 0x07],
        &[0x88, 0x18, 0x01, 0xf5, 0, 0, 0, 0],
        &[1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2],
        PAYLOAD,
    ]);
    let len = segment.len() as u32;
    let pseudo = join(&[pseudo_addresses, &len.to_be_bytes(), &[0, 0, 0, 6], &segment]);
    segment[16..18].copy_from_slice(&checksum(&pseudo));
    segment
}

fn ipv4_with(protocol: u8, fragment: u16, payload: &[u8]) -> Vec<u8> {
    let total = (20 + payload.len()) as u16;
    let mut header = join(&[
        &[0x45, 0],
        &total.to_be_bytes(),
        &[0x12, 0x34],
        &fragment.to_be_bytes(),
        &[64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2],
    ]);
    let sum = checksum(&header);
    header[10..12].copy_from_slice(&sum);
    join(&[&header, payload])
}

fn ipv4(protocol: u8, payload: &[u8]) -> Vec<u8> {
    ipv4_with(protocol, 0x4000, payload)
}

fn addresses6() -> [u8; 32] {
    let mut both = [0; 32];
    (both[0], both[1], both[15]) = (0x20, 0x01, 1);
    (both[16], both[17], both[31]) = (0xfd, 0x00, 2);
    both
}

fn ipv6(next: u8, payload: &[u8]) -> Vec<u8> {
    let len = (payload.len() as u16).to_be_bytes();
    join(&[&[0x60, 0, 0, 0], &len, &[next, 64], &addresses6(), payload])
}

fn tcp4() -> Vec<u8> {
    ipv4(6, &tcp(&[10, 0, 0, 1, 10, 0, 0, 2]))
}

fn tcp6() -> Vec<u8> {
    ipv6(6, &tcp(&addresses6()))
}

fn udp4(port: u16, payload: &[u8]) -> Vec<u8> {
    let len = (8 + payload.len()) as u16;
    let header = join(&[&[0xaa, 0xaa], &port.to_be_bytes(), &len.to_be_bytes(), &[0, 0]]);
    ipv4(17, &join(&[&header, payload]))
}

fn ether(ethertype: u16, payload: &[u8]) -> Vec<u8> {
    join(&[&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2], &ethertype.to_be_bytes(), payload])
}

fn expect_tcp(decoded: Result<Decoded, Skip>) -> Tcp {
    match decoded {
        Ok(Decoded::Tcp(tcp)) => tcp,
        other => panic!("no segment: {other:?}"),
    }
}

/// The frame holds the segment; cut by a snap length at any byte it either tells the same
/// headers and a prefix of the payload, or is counted as cut; shortened or with any byte changed
/// it does not panic.
#[track_caller]
fn check(link: u16, frame: &[u8], vlan: Option<u16>, encapsulation: Option<Encapsulation>) {
    let whole = expect_tcp(decode(link, frame, frame.len(), true));
    assert_eq!((whole.source.port, whole.destination.port), (0xc001, 18000));
    assert_eq!((whole.seq, whole.ack), (SeqNumber(SEQ), SeqNumber(7)));
    assert_eq!((whole.flags, whole.window), (TcpFlags(0x818), 501));
    assert_eq!(whole.payload_len as usize, PAYLOAD.len());
    assert_eq!(&frame[whole.payload.clone()], PAYLOAD);
    assert_eq!(whole.walk.vlan, vlan);
    assert_eq!(whole.walk.encapsulation, encapsulation);
    assert!(!whole.walk.damaged && !whole.walk.bad_checksum);
    for end in 0..frame.len() {
        match decode(link, &frame[..end], frame.len(), true) {
            Ok(Decoded::Tcp(cut)) => {
                assert_eq!((cut.seq, cut.payload_len), (whole.seq, whole.payload_len));
                assert!(PAYLOAD.starts_with(&frame[cut.payload]), "cut at {end}");
                assert!(!cut.walk.damaged, "cut at {end}");
            }
            other => assert_eq!(other, Err(Skip::CutShort), "cut at {end}"),
        }
        let _: Result<Decoded, Skip> = decode(link, &frame[..end], end, true);
        for bit in 0..8 {
            let mut changed = frame.to_vec();
            changed[end] ^= 1 << bit;
            if let Ok(Decoded::Tcp(tcp)) = decode(link, &changed, changed.len(), true) {
                assert!(tcp.payload.end <= changed.len());
                assert!(tcp.payload.len() <= tcp.payload_len as usize);
            }
        }
    }
}
