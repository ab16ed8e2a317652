//! What packets are wrapped in, up to the innermost.

use super::*;

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
