//! IP and TCP themselves: extension headers, lengths, checksums, fragments.

use super::*;

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
