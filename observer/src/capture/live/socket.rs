//! The second backend: the socket filter on packet sockets of our own, which see every interface
//! without being attached to one. The filter keeps nothing, so the sockets never hold a byte.

use std::collections::BTreeMap;
use std::io;
use std::mem::size_of;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use observer_common::config::SOCKET;

use super::object::Object;
use super::{CaptureError, Interface, Interfaces};

/// One socket for all interfaces (under index 0), or one for each that was named.
pub(super) struct PacketSocket {
    sockets: BTreeMap<u32, OwnedFd>,
}

impl PacketSocket {
    pub(super) fn open(
        object: &mut Object,
        wanted: &Interfaces,
        chosen: &[Interface],
    ) -> Result<Self, CaptureError> {
        let mut sockets = BTreeMap::new();
        match wanted {
            Interfaces::Any => {
                sockets.insert(EVERY, filtered(object, EVERY)?);
            }
            Interfaces::Named(_) => {
                for link in chosen {
                    sockets.insert(link.ifindex, filtered(object, link.ifindex)?);
                }
            }
        }
        Ok(Self { sockets })
    }

    /// An interface that came later.
    pub(super) fn add(
        &mut self,
        object: &mut Object,
        link: &Interface,
    ) -> Result<(), CaptureError> {
        if !self.sockets.contains_key(&EVERY) {
            self.sockets.insert(link.ifindex, filtered(object, link.ifindex)?);
        }
        Ok(())
    }

    /// Closes everything (packet_release waits until no CPU runs the filter any more).
    pub(super) fn release(&mut self) {
        self.sockets.clear();
    }

    pub(super) fn forget(&mut self, ifindex: u32) {
        self.sockets.remove(&ifindex);
    }
}

/// A socket that has its filter before it is bound, so that no packet is queued in between.
fn filtered(object: &mut Object, ifindex: u32) -> Result<OwnedFd, CaptureError> {
    let socket = open().map_err(CaptureError::system("open a packet socket"))?;
    let filter = object.socket_filter()?;
    let attached = filter.attach(&socket);
    attached.map_err(|source| CaptureError::Program { program: SOCKET, source })?;
    bind(&socket, ifindex).map_err(CaptureError::system("bind a packet socket"))?;
    Ok(socket)
}

/// Protocol 0 receives nothing (packet(7)). `SOCK_RAW` frames start at the link-layer header, as
/// they do at the tc hooks.
fn open() -> io::Result<OwnedFd> {
    // SAFETY: no pointers; the result is checked.
    let fd = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor is new and nobody else's.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

pub(super) fn bind(socket: &OwnedFd, ifindex: u32) -> io::Result<()> {
    let address = libc::sockaddr_ll {
        sll_family: libc::AF_PACKET as u16,
        sll_protocol: (libc::ETH_P_ALL as u16).to_be(),
        sll_ifindex: ifindex.cast_signed(),
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    };
    let n_bytes = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
    // SAFETY: the address outlives the call and is as long as the call is told.
    let result = unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), n_bytes) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// The index that stands for every interface, those that come later too.
const EVERY: u32 = 0;
