//! What crosses the interfaces, seen beside the programs: a packet socket that reads the packets of
//! one TCP port. It is how `observer explain` knows of segments that the programs passed over. Not a
//! way to capture: it copies every packet, and what it cannot hold is gone.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::Duration;

use super::{Backend, CaptureError};
use crate::capture::file::frame::{Decoded, Tcp, decode};

/// An open socket.
pub struct Sniffer {
    socket: OwnedFd,
}

/// One segment on one interface.
#[derive(Clone, Debug)]
pub struct Glimpse {
    pub ifindex: u32,
    /// Sent by this host, as far as the interface is concerned.
    pub is_outgoing: bool,
    pub tcp: Tcp,
    pub payload: Vec<u8>,
}

impl Sniffer {
    /// From here on packets wait in the socket, up to its buffer.
    pub fn open(port: u16) -> Result<Self, CaptureError> {
        // Whoever looks beside the programs loads some as well: all that is missing is named at once.
        super::privileges::check(Backend::Socket)?;
        let fail = CaptureError::system("open a packet socket");
        // Cooked packets begin at the network header, whatever the device (packet(7)).
        let kind = libc::SOCK_DGRAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        // SAFETY: no pointers; the result is checked.
        let fd = unsafe { libc::socket(libc::AF_PACKET, kind, 0) };
        if fd < 0 {
            return Err(fail(io::Error::last_os_error()));
        }
        // SAFETY: the descriptor is new and nobody else's.
        let socket = unsafe { OwnedFd::from_raw_fd(fd) };
        let mut code = filter(port);
        let program = libc::sock_fprog { len: code.len() as u16, filter: code.as_mut_ptr() };
        let n_bytes = size_of::<libc::sock_fprog>() as libc::socklen_t;
        let (level, name) = (libc::SOL_SOCKET, libc::SO_ATTACH_FILTER);
        // SAFETY: the program and its instructions outlive the call.
        let set = unsafe {
            libc::setsockopt(socket.as_raw_fd(), level, name, (&raw const program).cast(), n_bytes)
        };
        if set < 0 {
            return Err(fail(io::Error::last_os_error()));
        }
        super::socket::bind(&socket, 0).map_err(fail)?;
        Ok(Self { socket })
    }

    /// Hands over what has come. Never waits.
    pub fn poll(&mut self, mut handle: impl FnMut(Glimpse)) -> io::Result<()> {
        let mut packet = vec![0; MAX_PACKET];
        loop {
            // SAFETY: all zeros is a valid value of this struct of integers.
            let mut from: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
            let mut n_from = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
            // SAFETY: both buffers are as long as the call is told.
            let n = unsafe {
                libc::recvfrom(
                    self.socket.as_raw_fd(),
                    packet.as_mut_ptr().cast(),
                    packet.len(),
                    libc::MSG_TRUNC,
                    (&raw mut from).cast(),
                    &raw mut n_from,
                )
            };
            let Ok(n_wire) = usize::try_from(n) else {
                let err = io::Error::last_os_error();
                return match err.kind() {
                    io::ErrorKind::WouldBlock => Ok(()),
                    io::ErrorKind::Interrupted => continue,
                    // The interface went down; the others go on.
                    _ if err.raw_os_error() == Some(libc::ENETDOWN) => continue,
                    _ => Err(err),
                };
            };
            let bytes = packet.get(..n_wire.min(MAX_PACKET)).unwrap_or_default();
            let Ok(Decoded::Tcp(tcp)) = decode(LINKTYPE_RAW, bytes, n_wire, false) else {
                continue;
            };
            let payload = bytes.get(tcp.payload.clone()).unwrap_or_default().to_vec();
            handle(Glimpse {
                ifindex: u32::try_from(from.sll_ifindex).unwrap_or(0),
                is_outgoing: from.sll_pkttype == libc::PACKET_OUTGOING,
                tcp,
                payload,
            });
        }
    }

    /// How long to wait between two looks.
    pub const TICK: Duration = Duration::from_millis(20);
}

/// Classic BPF, which every kernel has: TCP with this port at either end, over IPv4 without the later
/// fragments, or over IPv6 without extension headers.
fn filter(port: u16) -> Vec<libc::sock_filter> {
    let op = |code: u32, jt, jf, k| libc::sock_filter { code: code as u16, jt, jf, k };
    let port = u32::from(port);
    vec![
        // The version of IP.
        op(libc::BPF_LD | libc::BPF_B | libc::BPF_ABS, 0, 0, 0),
        op(libc::BPF_ALU | libc::BPF_AND | libc::BPF_K, 0, 0, 0xf0),
        op(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 9, 0x40),
        // IPv4: the protocol, the offset of the fragment, the ports behind the options.
        op(libc::BPF_LD | libc::BPF_B | libc::BPF_ABS, 0, 0, 9),
        op(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 14, 6),
        op(libc::BPF_LD | libc::BPF_H | libc::BPF_ABS, 0, 0, 6),
        op(libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K, 12, 0, 0x1fff),
        op(libc::BPF_LDX | libc::BPF_B | libc::BPF_MSH, 0, 0, 0),
        op(libc::BPF_LD | libc::BPF_H | libc::BPF_IND, 0, 0, 0),
        op(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 8, 0, port),
        op(libc::BPF_LD | libc::BPF_H | libc::BPF_IND, 0, 0, 2),
        op(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 6, 7, port),
        // IPv6: the next header, the ports.
        op(libc::BPF_LD | libc::BPF_B | libc::BPF_ABS, 0, 0, 6),
        op(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 5, 6),
        op(libc::BPF_LD | libc::BPF_H | libc::BPF_ABS, 0, 0, 40),
        op(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 2, 0, port),
        op(libc::BPF_LD | libc::BPF_H | libc::BPF_ABS, 0, 0, 42),
        op(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, port),
        op(libc::BPF_RET | libc::BPF_K, 0, 0, MAX_PACKET as u32),
        op(libc::BPF_RET | libc::BPF_K, 0, 0, 0),
    ]
}

/// A super-segment of segmentation offload; BIG TCP is cut, and its payload is a prefix.
const MAX_PACKET: usize = 1 << 16;
/// Packets that begin with IPv4 or IPv6.
const LINKTYPE_RAW: u16 = 101;
