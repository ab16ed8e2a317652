//! Devices without an Ethernet header: packets written to a tun device come in bare.

use std::fs::File;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::time::Duration;

use observer::capture::live::{Backend, Capture, Options};
use observer::segment::Hook;

use crate::frames::{Tcp, ipv4, ipv6};
use crate::needs::{command, missing, namespace};

/// A tun device named `tun0`, up, whose other end is the file.
fn tun() -> Option<File> {
    let file = File::options().read(true).write(true).open("/dev/net/tun").ok()?;
    // `struct ifreq`: the name, then the flags IFF_TUN | IFF_NO_PI.
    let mut request = [0u8; 40];
    request[..4].copy_from_slice(b"tun0");
    request[16..18].copy_from_slice(&0x1001u16.to_ne_bytes());
    // TUNSETIFF, _IOW('T', 202, int)
    // SAFETY: the request outlives the call and is as long as a `struct ifreq`.
    let result = unsafe { libc::ioctl(file.as_raw_fd(), 0x4004_54ca, request.as_mut_ptr()) };
    (result == 0 && command("ip", "link set tun0 up")).then_some(file)
}

#[test]
fn bare_packets_are_found_at_either_backend() {
    if !namespace() {
        return;
    }
    let Some(mut device) = tun() else {
        missing("no tun devices");
        return;
    };
    let payload = b"GET /bare HTTP/1.1\r\nHost: tun\r\n\r\n";
    let plain = ipv4(&Tcp::data(payload).bytes());
    // Octets 12 and 13 of this one read like the EtherType of IPv4, and octet 14 like its header.
    let mut disguised = plain.clone();
    disguised[12..16].copy_from_slice(&[8, 0, 0x45, 1]);
    let packets = [plain, disguised, ipv6(6, &Tcp::data(payload).bytes())];
    for (backend, hook) in [(Backend::Tc, Hook::TcIngress), (Backend::Socket, Hook::Socket)] {
        let options = Options { backend, ..Options::default() };
        let mut capture = Capture::start(&options).unwrap();
        for packet in &packets {
            device.write_all(packet).unwrap();
        }
        let mut seen = Vec::new();
        for _ in 0..20 {
            let poll = capture.poll(Duration::from_millis(50), |segment| {
                seen.push((segment.payload.to_vec(), segment.origin.hook));
            });
            poll.unwrap();
            if seen.len() >= packets.len() {
                break;
            }
        }
        assert_eq!(seen, vec![(payload.to_vec(), hook); packets.len()]);
        let ledger = capture.ledger().unwrap();
        assert_eq!((ledger.flows, ledger.filtered.unknown_link), (3, 0));
        assert!(ledger.is_balanced());
    }
}
