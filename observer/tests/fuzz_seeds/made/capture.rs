//! Capture files of one to three packets: both formats, both byte orders, several link layers,
//! tunnels and fragments. Checksums are left zero; what they do is not the fuzzer's business.

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";

/// LINKTYPE_ values.
const NULL: u16 = 0;
const ETHERNET: u16 = 1;
const RAW: u16 = 101;
const LINUX_SLL: u16 = 113;
const LINUX_SLL2: u16 = 276;

pub(super) fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    let tcp = tcp(REQUEST);
    let v4 = ipv4(6, 0x4000, &tcp);
    let v6 = ipv6(6, &tcp);
    let vxlan = udp(4789, &[&[8, 0, 0, 0, 0, 0, 1, 0][..], &ethernet(0x0800, &v4)].concat());
    let gre = [&[0, 0, 0x08, 0x00][..], &v4].concat();
    // 24 bytes in the first fragment, the rest behind it; offsets count in eights.
    let fragments = [ipv4(6, 0x2000, &tcp[..24]), ipv4(6, 3, &tcp[24..])];
    let vlan = [&[0x00, 0x64, 0x08, 0x00][..], &v4].concat();
    let sll = [&[0, 0, 0, 1, 0, 6, 1, 2, 3, 4, 5, 6, 0, 0, 0x08, 0x00][..], &v4].concat();
    let sll2 =
        [&[0x86, 0xdd, 0, 0, 0, 0, 0, 1, 0, 1, 0, 6, 1, 2, 3, 4, 5, 6, 0, 0][..], &v6].concat();
    vec![
        ("pcap_ethernet", pcap(false, false, ETHERNET, &[ethernet(0x0800, &v4)])),
        ("pcap_big_endian_ns", pcap(true, true, ETHERNET, &[ethernet(0x86dd, &v6)])),
        ("pcap_raw", pcap(false, true, RAW, &[v4.clone(), v6.clone()])),
        ("pcap_null", pcap(false, false, NULL, &[[&[2, 0, 0, 0][..], &v4].concat()])),
        ("pcap_sll", pcap(false, false, LINUX_SLL, &[sll])),
        ("pcap_sll2", pcap(false, false, LINUX_SLL2, &[sll2])),
        ("pcap_vlan", pcap(false, false, ETHERNET, &[ethernet(0x8100, &vlan)])),
        ("pcap_vxlan", pcap(false, false, RAW, &[ipv4(17, 0, &vxlan)])),
        ("pcap_gre", pcap(false, false, RAW, &[ipv4(47, 0, &gre)])),
        ("pcap_fragments", pcap(false, false, RAW, &fragments)),
        ("pcap_ip_in_ip", pcap(false, false, RAW, &[ipv4(4, 0, &v4)])),
        ("pcap_cut", pcap(false, false, RAW, &[v4[..30].to_vec(), v4.clone()])),
        ("pcap_truncated", pcap(false, false, RAW, &[v4.clone(), v4.clone()])[..100].to_vec()),
        ("pcapng", pcapng(false, &[ethernet(0x0800, &v4)])),
        ("pcapng_big_endian", pcapng(true, &[ethernet(0x86dd, &v6), ethernet(0x0800, &v4)])),
        ("neither", b"%PDF-1.7 is no capture".to_vec()),
    ]
}

fn tcp(payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x9c, 0x40, 0, 80, 0, 0, 0, 1, 0, 0, 0, 9, 0x50, 0x18, 4, 0, 0, 0, 0, 0];
    bytes.extend_from_slice(payload);
    bytes
}

fn udp(port: u16, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u16 + 8).to_be_bytes();
    [&[0xc0, 0x00][..], &port.to_be_bytes(), &length, &[0, 0], payload].concat()
}

fn ipv4(protocol: u8, fragment: u16, payload: &[u8]) -> Vec<u8> {
    let [l0, l1] = (payload.len() as u16 + 20).to_be_bytes();
    let [f0, f1] = fragment.to_be_bytes();
    let header = [0x45, 0, l0, l1, 0, 7, f0, f1, 64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
    [&header[..], payload].concat()
}

fn ipv6(next: u8, payload: &[u8]) -> Vec<u8> {
    let [l0, l1] = (payload.len() as u16).to_be_bytes();
    [&[0x60, 0, 0, 0, l0, l1, next, 64][..], &[0xfd; 16], &[0xfe; 16], payload].concat()
}

fn ethernet(kind: u16, payload: &[u8]) -> Vec<u8> {
    [&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2][..], &kind.to_be_bytes(), payload].concat()
}

fn pcap(big: bool, nanoseconds: bool, link: u16, packets: &[Vec<u8>]) -> Vec<u8> {
    let n = |value: u32| if big { value.to_be_bytes() } else { value.to_le_bytes() };
    let n16 = |value: u16| if big { value.to_be_bytes() } else { value.to_le_bytes() };
    let magic = if nanoseconds { 0xa1b2_3c4d } else { 0xa1b2_c3d4 };
    let mut file = [n(magic).as_slice(), &n16(2), &n16(4), &n(0), &n(0), &n(65535)].concat();
    file.extend_from_slice(&n(u32::from(link)));
    for (i, packet) in (0u32..).zip(packets) {
        let size = n(packet.len() as u32);
        file.extend_from_slice(&[n(1_700_000_000), n(i), size, size].concat());
        file.extend_from_slice(packet);
    }
    file
}

/// A section header, an interface with nanoseconds and a name, and enhanced packet blocks.
fn pcapng(big: bool, packets: &[Vec<u8>]) -> Vec<u8> {
    let n = |value: u32| if big { value.to_be_bytes() } else { value.to_le_bytes() };
    let n16 = |value: u16| if big { value.to_be_bytes() } else { value.to_le_bytes() };
    let block = |kind: u32, body: &[u8]| {
        let size = n(body.len() as u32 + 12);
        [&n(kind), &size[..], body, &size].concat()
    };
    let section = [n(0x1a2b_3c4d).as_slice(), &n16(1), &n16(0), &[0xff; 8]].concat();
    let options = [
        [n16(2), n16(4)].concat(),
        b"eth0".to_vec(),
        [n16(9), n16(1)].concat(),
        vec![9, 0, 0, 0],
        vec![0; 4],
    ];
    let interface = [n16(ETHERNET).as_slice(), &n16(0), &n(0), &options.concat()].concat();
    let mut file = [block(0x0a0d_0d0a, &section), block(1, &interface)].concat();
    for packet in packets {
        let size = n(packet.len() as u32);
        let padding = vec![0; packet.len().next_multiple_of(4) - packet.len()];
        let body = [&n(0)[..], &n(0x0017_9800), &n(7), &size, &size, packet, &padding].concat();
        file.extend_from_slice(&block(6, &body));
    }
    file
}
