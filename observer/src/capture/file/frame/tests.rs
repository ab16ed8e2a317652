//! Frames built by hand from the specifications' layouts: each wrapping must give the same
//! segment, whole and cut at every byte.

#![expect(clippy::indexing_slicing, reason = "tests fail by panicking")]

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

#[test]
fn ethernet_carries_ipv4_and_ipv6() {
    check(1, &ether(0x0800, &tcp4()), None, None);
    check(1, &ether(0x86dd, &tcp6()), None, None);
}

#[test]
fn vlan_tags_are_passed_and_the_outermost_is_told() {
    let inner = join(&[&[0x20, 0x07, 0x08, 0x00], &tcp4()]);
    for tag in [0x8100, 0x88a8, 0x9100] {
        check(1, &ether(tag, &inner), Some(7), None);
    }
    let double = join(&[&[0xe1, 0x23, 0x81, 0x00], &inner]);
    check(1, &ether(0x88a8, &double), Some(0x123), None);
}

#[test]
fn endless_tags_are_too_deep() {
    let frame = ether(0x8100, &[0x00, 0x01, 0x81, 0x00].repeat(500));
    assert_eq!(decode(1, &frame, frame.len(), true), Err(Skip::TooDeep));
}

#[test]
fn llc_and_snap_name_an_ethertype() {
    let snap = join(&[&[0xaa, 0xaa, 3, 0, 0, 0, 8, 0], &tcp4()]);
    check(1, &ether(snap.len() as u16, &snap), None, None);
    let cisco = join(&[&[0xaa, 0xaa, 3, 0, 0, 0x0c, 0x20, 0], &tcp4()]);
    let frame = ether(cisco.len() as u16, &cisco);
    assert_eq!(decode(1, &frame, frame.len(), true), Err(Skip::NotTcp));
}

#[test]
fn fabric_tags_are_passed() {
    check(1, &ether(0x8926, &join(&[&[0, 1, 0, 2, 8, 0], &tcp4()])), None, None);
    check(1, &ether(0x893f, &join(&[&[0, 0, 0, 0, 0, 0, 8, 0], &tcp4()])), None, None);
    check(1, &ether(0x8909, &join(&[&[1, 1, 0, 1, 0, 9, 8, 0], &tcp4()])), None, None);
    let inner = ether(0x0800, &tcp4());
    check(1, &ether(0x8903, &join(&[&[0, 1], &inner])), None, None);
    check(1, &ether(0x88e7, &join(&[&[0, 0, 0, 1], &inner])), None, None);
    check(1, &ether(0x894f, &join(&[&[0, 2, 2, 1, 0, 0, 1, 1], &tcp4()])), None, None);
}

#[test]
fn linux_cooked_headers() {
    let address = [0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0];
    check(113, &join(&[&[0, 0], &address, &[8, 0], &tcp4()]), None, None);
    let v2 = [0x86, 0xdd, 0, 0, 0, 0, 0, 3, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0];
    check(276, &join(&[&v2, &tcp6()]), None, None);
    let tagged = [0, 5, 8, 0];
    check(113, &join(&[&[0, 0], &address, &[0x81, 0], &tagged, &tcp4()]), Some(5), None);
    let netlink = join(&[&[0, 4, 3, 0x38], &address[2..], &[8, 0], &tcp4()]);
    assert_eq!(decode(113, &netlink, netlink.len(), true), Err(Skip::NotTcp));
}

#[test]
fn raw_ip_under_each_of_its_numbers() {
    for link in [12, 14, 101, 228] {
        check(link, &tcp4(), None, None);
    }
    for link in [12, 101, 229] {
        check(link, &tcp6(), None, None);
    }
}

#[test]
fn loopback_families_of_each_system_in_either_order() {
    check(0, &join(&[&[2, 0, 0, 0], &tcp4()]), None, None);
    check(0, &join(&[&[0, 0, 0, 2], &tcp4()]), None, None);
    check(108, &join(&[&[0, 0, 0, 2], &tcp4()]), None, None);
    for family in [10, 24, 28, 30] {
        check(0, &join(&[&[family, 0, 0, 0], &tcp6()]), None, None);
        check(0, &join(&[&[0, 0, 0, family], &tcp6()]), None, None);
    }
    let appletalk = join(&[&[16, 0, 0, 0], &tcp4()]);
    assert_eq!(decode(0, &appletalk, appletalk.len(), true), Err(Skip::NotTcp));
}

#[test]
fn ppp_with_and_without_its_framing() {
    check(9, &join(&[&[0xff, 3, 0, 0x21], &tcp4()]), None, None);
    check(9, &join(&[&[0, 0x57], &tcp6()]), None, None);
    check(50, &join(&[&[0xff, 3, 0x21], &tcp4()]), None, None);
    check(204, &join(&[&[1, 0xff, 3, 0, 0x21], &tcp4()]), None, None);
    let session = join(&[&[0, 0x21], &tcp4()]);
    let len = (session.len() as u16).to_be_bytes();
    let pppoe = join(&[&[0x11, 0, 0, 9], &len, &session]);
    check(1, &ether(0x8864, &pppoe), None, Some(Encapsulation::Pppoe));
    check(51, &pppoe, None, Some(Encapsulation::Pppoe));
}

#[test]
fn cisco_hdlc_names_an_ethertype() {
    check(104, &join(&[&[0x0f, 0, 8, 0], &tcp4()]), None, None);
    check(104, &join(&[&[0x8f, 0, 0x86, 0xdd], &tcp6()]), None, None);
    check(104, &join(&[&[0xff, 3, 0, 0x21], &tcp4()]), None, None);
}

#[test]
fn mpls_labels_before_ip_and_ethernet() {
    let mpls = Some(Encapsulation::Mpls);
    let labels = [0, 1, 0x00, 64, 0, 2, 0x01, 64];
    check(1, &ether(0x8847, &join(&[&labels, &tcp4()])), None, mpls);
    check(1, &ether(0x8848, &join(&[&labels[4..], &tcp6()])), None, mpls);
    let inner = ether(0x0800, &tcp4());
    let control_word = [0, 0, 0, 0];
    check(1, &ether(0x8847, &join(&[&labels[4..], &control_word, &inner])), None, mpls);
    check(1, &ether(0x8847, &join(&[&labels, &inner])), None, mpls);
    check(1, &ether(0x8847, &join(&[&labels, &[0xa2], &inner[1..]])), None, mpls);
}

#[test]
fn wireless_data_frames() {
    let snap = [0xaa, 0xaa, 3, 0, 0, 0, 8, 0];
    let addresses = [7; 22];
    let plain = join(&[&[0x08, 0x01], &addresses, &snap, &tcp4()]);
    check(105, &plain, None, None);
    let qos = join(&[&[0x88, 0x02], &addresses, &[0, 0], &snap, &tcp4()]);
    check(105, &qos, None, None);
    let four_addresses = join(&[&[0x08, 0x03], &addresses, &[7; 6], &snap, &tcp4()]);
    check(105, &four_addresses, None, None);
    check(127, &join(&[&[0, 0, 8, 0, 0, 0, 0, 0], &plain]), None, None);
    // A second mask, the clock aligned to 16, flags that say the header is padded.
    let present = [0x03, 0, 0, 0x80, 0, 0, 0, 0];
    let radiotap = join(&[&[0, 0, 25, 0], &present, &[0; 4], &[9; 8], &[0x20]]);
    let padded = join(&[&[0x88, 0x02], &addresses, &[0, 0, 0, 0], &snap, &tcp4()]);
    check(127, &join(&[&radiotap, &padded]), None, None);
    check(192, &join(&[&[0, 0, 8, 0, 105, 0, 0, 0], &plain]), None, None);
    let protected = join(&[&[0x08, 0x41], &addresses, &snap, &tcp4()]);
    assert_eq!(decode(105, &protected, protected.len(), true), Err(Skip::NotTcp));
}

#[test]
fn nflog_attributes_in_either_order() {
    let packet = tcp4();
    let len = packet.len() as u16 + 4;
    let little =
        join(&[&[2, 0, 0, 1], &[5, 0, 10, 0, 0, 0, 0, 0], &len.to_le_bytes(), &[9, 0], &packet]);
    check(239, &little, None, None);
    let big =
        join(&[&[2, 0, 0, 1], &[0, 5, 0, 10, 0, 0, 0, 0], &len.to_be_bytes(), &[0, 9], &packet]);
    check(239, &big, None, None);
}

#[test]
fn gre_with_each_optional_field() {
    let gre = Some(Encapsulation::Gre);
    check(101, &ipv4(47, &join(&[&[0, 0, 8, 0], &tcp4()])), None, gre);
    let all = [0xb0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2];
    check(101, &ipv4(47, &join(&[&all, &tcp4()])), None, gre);
    let bridged = ether(0x86dd, &tcp6());
    check(101, &ipv4(47, &join(&[&[0, 0, 0x65, 0x58], &bridged])), None, gre);
    let pptp = [0x30, 0x81, 0x88, 0x0b, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3];
    check(101, &ipv4(47, &join(&[&pptp, &[0xff, 3, 0, 0x21], &tcp4()])), None, gre);
    check(101, &udp4(4754, &join(&[&[0, 0, 8, 0], &tcp4()])), None, gre);
    let wccp = join(&[&[0, 0, 0x88, 0x3e, 0, 0, 0, 0], &tcp4()]);
    check(101, &ipv4(47, &wccp), None, gre);
}

#[test]
fn erspan_of_three_types() {
    let erspan = Some(Encapsulation::Erspan);
    let inner = ether(0x0800, &tcp4());
    check(101, &ipv4(47, &join(&[&[0, 0, 0x88, 0xbe], &inner])), None, erspan);
    let second = [0x10, 0, 0x88, 0xbe, 0, 0, 0, 1, 0x10, 1, 0, 1, 0, 0, 0, 0];
    check(101, &ipv4(47, &join(&[&second, &inner])), None, erspan);
    let third = [0x10, 0, 0x22, 0xeb, 0, 0, 0, 1, 0x20, 1, 0, 1, 0, 0, 0, 0, 0, 0];
    check(101, &ipv4(47, &join(&[&third, &[0, 0], &inner])), None, erspan);
    check(101, &ipv4(47, &join(&[&third, &[0, 1], &[0; 8], &inner])), None, erspan);
    check(101, &ipv4(47, &join(&[&third, &[8, 0], &tcp4()])), None, erspan);
}

#[test]
fn tunnels_over_udp() {
    let inner = ether(0x0800, &tcp4());
    let vxlan = join(&[&[8, 0, 0, 0, 0, 0, 1, 0], &inner]);
    for port in [4789, 8472] {
        check(101, &udp4(port, &vxlan), None, Some(Encapsulation::Vxlan));
    }
    let geneve = join(&[&[1, 0, 0x65, 0x58, 0, 0, 1, 0, 0, 0, 0, 0], &inner]);
    check(101, &udp4(6081, &geneve), None, Some(Encapsulation::Geneve));
    let gtp_len = (tcp4().len() as u16).to_be_bytes();
    let gtp = join(&[&[0x30, 255], &gtp_len, &[0, 0, 0, 1], &tcp4()]);
    check(101, &udp4(2152, &gtp), None, Some(Encapsulation::GtpU));
    // A sequence number and an extension header of four bytes.
    let gtp_len = (tcp4().len() as u16 + 8).to_be_bytes();
    let more = [0, 0, 0, 1, 0, 7, 0, 0x85, 1, 0, 0, 0];
    let gtp = join(&[&[0x36, 255], &gtp_len, &more, &tcp4()]);
    check(101, &udp4(2152, &gtp), None, Some(Encapsulation::GtpU));
    let ayiya = join(&[&[0x40, 0x50, 0x01, 41], &[0; 4], &[0; 36], &tcp6()]);
    check(101, &udp4(5072, &ayiya), None, Some(Encapsulation::Ayiya));
    let l2tp = join(&[&[0, 2, 0, 1, 0, 1, 0xff, 3, 0, 0x21], &tcp4()]);
    check(101, &udp4(1701, &l2tp), None, None);
    let mpls = join(&[&[0, 1, 1, 64], &tcp4()]);
    check(101, &udp4(6635, &mpls), None, Some(Encapsulation::Mpls));
}

#[test]
fn teredo_with_its_indications() {
    let teredo = Some(Encapsulation::Teredo);
    check(101, &udp4(3544, &tcp6()), None, teredo);
    let origin = [0, 0, 1, 2, 3, 4, 5, 6];
    check(101, &udp4(3544, &join(&[&origin, &tcp6()])), None, teredo);
    let authentication = [0, 1, 1, 2, 9, 8, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    check(101, &udp4(3544, &join(&[&authentication, &origin, &tcp6()])), None, teredo);
    let anywhere = udp4(40000, &tcp6());
    let found = expect_tcp(decode(101, &anywhere, anywhere.len(), true));
    assert_eq!(found.walk.encapsulation, teredo);
}

#[test]
fn ip_within_ip_and_the_innermost_tunnel_is_told() {
    let nested = Some(Encapsulation::IpInIp);
    check(101, &ipv4(4, &tcp4()), None, nested);
    check(101, &ipv4(41, &tcp6()), None, nested);
    check(101, &ipv6(4, &tcp4()), None, nested);
    check(101, &ipv6(41, &tcp6()), None, nested);
    check(101, &ipv4(47, &join(&[&[0, 0, 8, 0], &ipv4(4, &tcp4())])), None, nested);
    check(101, &ipv4(97, &join(&[&[0x30, 0], &ether(0x0800, &tcp4())])), None, None);
    check(101, &ipv4(137, &join(&[&[0, 1, 1, 64], &tcp4()])), None, Some(Encapsulation::Mpls));
}

#[test]
fn eight_tunnels_are_followed_and_no_more() {
    let mut packet = tcp4();
    for _ in 0..8 {
        packet = ipv4(4, &packet);
    }
    assert!(decode(101, &packet, packet.len(), true).is_ok());
    packet = ipv4(4, &packet);
    assert_eq!(decode(101, &packet, packet.len(), true), Err(Skip::TooDeep));
}

#[test]
fn a_datagram_on_a_tunnels_port_that_is_none_is_not_tcp() {
    for port in [1701, 2152, 3544, 4754, 4789, 5072, 6081, 6635, 8472, 53] {
        let packet = udp4(port, b"\x00\x00 some other protocol speaks here \xff\xff");
        assert_eq!(decode(101, &packet, packet.len(), true), Err(Skip::NotTcp), "port {port}");
    }
}

#[test]
fn ipv6_extension_headers_are_walked_within_bounds() {
    let segment = tcp(&addresses6());
    let hop_by_hop = [60, 0, 1, 4, 0, 0, 0, 0];
    let options = [51, 1, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let authentication = [6, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1];
    check(101, &ipv6(0, &join(&[&hop_by_hop, &options, &authentication, &segment])), None, None);
    let atomic = [6, 0, 0, 0, 0, 0, 0, 9];
    check(101, &ipv6(44, &join(&[&atomic, &segment])), None, None);
    let endless = ipv6(60, &[60, 0, 1, 4, 0, 0, 0, 0].repeat(100));
    assert_eq!(decode(101, &endless, endless.len(), true), Err(Skip::TooDeep));
}

#[test]
fn a_routing_header_with_segments_left_hides_the_checksums_destination() {
    let mut segment = tcp(&addresses6());
    segment[16] ^= 0x55;
    for (segments_left, is_damaged) in [(1, false), (0, true)] {
        let routing = [6, 0, 4, segments_left, 0, 0, 0, 0];
        let packet = ipv6(43, &join(&[&routing, &segment]));
        let found = expect_tcp(decode(101, &packet, packet.len(), true));
        assert_eq!(found.walk.damaged, is_damaged);
    }
}

#[test]
fn ethernet_padding_is_no_payload() {
    let frame = join(&[&ether(0x0800, &tcp4()), &[0; 9]]);
    let found = expect_tcp(decode(1, &frame, frame.len(), true));
    assert_eq!(&frame[found.payload], PAYLOAD);
    assert!(!found.walk.damaged);
}

#[test]
fn a_total_length_of_zero_is_a_super_segment() {
    let mut packet = tcp4();
    packet[2..4].copy_from_slice(&[0, 0]);
    packet[10..12].copy_from_slice(&[0, 0]);
    let found = expect_tcp(decode(101, &packet, packet.len(), true));
    assert_eq!(&packet[found.payload], PAYLOAD);
    assert!(!found.walk.damaged);
    let mut packet = tcp6();
    packet[4..6].copy_from_slice(&[0, 0]);
    let found = expect_tcp(decode(101, &packet, packet.len(), true));
    assert_eq!(&packet[found.payload], PAYLOAD);
}

#[test]
fn a_total_length_beyond_the_frame_is_believed_and_flagged() {
    let packet = tcp4();
    let frame = &packet[..packet.len() - 5];
    let found = expect_tcp(decode(101, frame, frame.len(), true));
    assert_eq!(found.payload_len as usize, PAYLOAD.len());
    assert_eq!(&frame[found.payload], &PAYLOAD[..PAYLOAD.len() - 5]);
    assert!(found.walk.damaged && !found.walk.bad_checksum);
}

#[test]
fn impossible_lengths_are_malformed() {
    let good = tcp4();
    for (at, value) in [(0, 0x44), (3, 19), (32, 0x40), (32, 0xf0), (0, 0x55)] {
        let mut packet = good.clone();
        if at == 3 {
            packet[2] = 0;
        }
        packet[at] = value;
        let decoded = decode(101, &packet, packet.len(), true);
        assert_eq!(decoded, Err(Skip::Malformed), "{value:#x} at {at}");
    }
}

#[test]
fn checksums_are_flagged_unless_the_card_was_to_fill_them_in() {
    let good = tcp4();
    let with = |field: [u8; 2]| {
        let mut packet = good.clone();
        packet[36..38].copy_from_slice(&field);
        let found = expect_tcp(decode(101, &packet, packet.len(), true));
        (found.walk.damaged, found.walk.bad_checksum)
    };
    let [high, low] = [good[36], good[37]];
    assert_eq!(with([high, low]), (false, false));
    assert_eq!(with([high, low ^ 1]), (true, true));
    assert_eq!(with([0, 0]), (false, false));
    let len = (good.len() - 20) as u8;
    let partial = |len| {
        let [high, low] = checksum(&[10, 0, 0, 1, 10, 0, 0, 2, 0, 6, 0, len]);
        [!high, !low]
    };
    assert_eq!(with(partial(len)), (false, false));
    assert_eq!(with(partial(0)), (false, false));
    let mut packet = good.clone();
    packet[10] ^= 1;
    assert!(expect_tcp(decode(101, &packet, packet.len(), true)).walk.bad_checksum);
    assert!(!expect_tcp(decode(101, &packet, packet.len(), false)).walk.damaged);
}

#[test]
fn fragments_are_handed_back_with_their_place() {
    let packet = ipv4_with(6, 0x2000 | 5, &[1; 16]);
    let Ok(Decoded::Fragment(found)) = decode(101, &packet, packet.len(), true) else {
        panic!("no fragment");
    };
    assert_eq!((found.offset, found.wire_len, found.is_last), (40, 16, false));
    assert_eq!((found.identification, found.protocol), (0x1234, 6));
    assert_eq!(packet[found.bytes], [1; 16]);
    let packet = ipv6(44, &join(&[&[6, 0, 0, 0x28, 0, 1, 2, 3], &[2; 9]]));
    let Ok(Decoded::Fragment(found)) = decode(101, &packet, packet.len(), true) else {
        panic!("no fragment");
    };
    assert_eq!((found.offset, found.wire_len, found.is_last), (40, 9, true));
    assert_eq!((found.identification, found.protocol), (0x0001_0203, 6));
}

#[test]
fn fragments_that_cannot_be_are_malformed() {
    // Not a multiple of eight with more to come; empty; beyond the largest datagram.
    for (fragment, len) in [(0x2000, 15), (0x2000, 0), (0x1fff, 16)] {
        let packet = ipv4_with(6, fragment, &vec![0; len]);
        assert_eq!(decode(101, &packet, packet.len(), true), Err(Skip::Malformed));
    }
}

#[test]
fn unknown_link_types_are_told_from_other_protocols() {
    assert_eq!(decode(147, &tcp4(), 70, true), Err(Skip::UnknownLink));
    let arp = ether(0x0806, &[0; 46]);
    assert_eq!(decode(1, &arp, arp.len(), true), Err(Skip::NotTcp));
}

#[test]
fn the_short_way_says_what_the_layers_say() {
    let padded = join(&[&ether(0x0800, &tcp4()), &[0; 9]]);
    let frames = [
        (1, ether(0x0800, &tcp4())),
        (1, ether(0x86dd, &tcp6())),
        (1, padded),
        (1, ether(0x0800, &ipv4_with(6, 0x2000, &tcp(&[10, 0, 0, 1, 10, 0, 0, 2])))),
        (101, tcp4()),
        (101, tcp6()),
    ];
    let mut n_short = 0;
    for (link, frame) in frames {
        let mut check = |frame: &[u8], wire_len: usize| {
            for verify in [false, true] {
                let expected = layers(link, frame, wire_len, verify);
                assert_eq!(decode(link, frame, wire_len, verify), expected, "{frame:02x?}");
                n_short += usize::from(plain::decode(link, frame, verify).is_some());
            }
        };
        for n in 0..=frame.len() {
            check(&frame[..n], frame.len());
            check(&frame[..n], n);
        }
        for at in 0..frame.len() {
            for byte in [0, 1, 0x40, 0x45, 0x4f, 0x60, 0x7f, 0x80, 0xff, frame[at] ^ 1] {
                let mut changed = frame.clone();
                changed[at] = byte;
                check(&changed, frame.len());
            }
        }
    }
    assert!(n_short > 1000, "{n_short}");
}
