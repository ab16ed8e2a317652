//! Link layers and what stands between them and IP.

use super::*;

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
