//! A network device whose cable the test holds: what is written to the file arrives at the device.
//!
//! Not a veth pair: a write into a TAP or TUN device runs the kernel's receive path, and with it the
//! classifier, before it returns (`tun_get_user` to `netif_receive_skb`). There is no backlog that
//! could drop or reorder frames, and nothing to wait for.

use std::fs::File;
use std::io::Write as _;
use std::os::fd::AsRawFd as _;

use super::frames::Wire;
use super::harness::namespace::Namespace;

/// A TAP device (Ethernet frames) or a TUN device (bare IP packets) in a namespace, up, without an
/// address, so that the kernel has nothing to answer with.
pub(crate) struct Device {
    file: File,
}

impl Device {
    pub(crate) fn new(namespace: &Namespace, wire: Wire) -> Self {
        let file = namespace.inside(|| {
            // Otherwise the device greets its neighbours.
            std::fs::write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1").unwrap();
            let file = File::options().read(true).write(true).open("/dev/net/tun").unwrap();
            let flags = libc::IFF_NO_PI
                | match wire {
                    Wire::Ethernet => libc::IFF_TAP,
                    Wire::Ip => libc::IFF_TUN,
                };
            // `struct ifreq` of <linux/if.h>: the name, then a union that starts with the flags.
            let mut request = [0u8; 40];
            request[..NAME.len()].copy_from_slice(NAME.as_bytes());
            request[16..18].copy_from_slice(&(flags as u16).to_ne_bytes());
            // SAFETY: the request outlives the call and is as long as a `struct ifreq`.
            let result =
                unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF, request.as_mut_ptr()) };
            assert_eq!(result, 0, "TUNSETIFF: {}", std::io::Error::last_os_error());
            file
        });
        namespace.ip(&["link", "set", NAME, "up"]);
        Self { file }
    }

    /// Puts a frame on the wire; false when the device does not take it.
    pub(crate) fn send(&mut self, frame: &[u8]) -> bool {
        match self.file.write(frame) {
            Ok(n_bytes) => {
                assert_eq!(n_bytes, frame.len(), "half of a frame was sent");
                true
            }
            // Shorter than its link header, or neither IPv4 nor IPv6 (`tun_get_user`).
            Err(err) if err.raw_os_error() == Some(libc::EINVAL) => false,
            Err(err) => panic!("a frame of {} bytes: {err}", frame.len()),
        }
    }
}

pub(crate) const NAME: &str = "replay0";
