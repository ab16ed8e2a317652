//! systemd's journal in its native protocol: one datagram an event, a field a line.
//!
//! <https://systemd.io/JOURNAL_NATIVE_PROTOCOL/>: what is too large for a datagram is passed as a
//! sealed memory file.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::{AsRawFd as _, FromRawFd as _};
use std::os::unix::net::UnixDatagram;

use super::syslog::event_name;

pub(super) const SOCKET: &str = "/run/systemd/journal/socket";

/// Appends `line` as a journal entry. A line holds no line end but its last byte, so that the short
/// form of a field serves.
pub(super) fn write(line: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b"PRIORITY=6\nSYSLOG_IDENTIFIER=observer\n");
    if let Some(name) = event_name(line) {
        out.extend_from_slice(b"OBSERVER_EVENT=");
        out.extend_from_slice(name);
        out.push(b'\n');
    }
    out.extend_from_slice(b"MESSAGE=");
    out.extend_from_slice(line.strip_suffix(b"\n").unwrap_or(line));
    out.push(b'\n');
}

/// Sends an entry that is too large for a datagram: journald wants a memfd with all seals set.
pub(super) fn send_large(socket: &UnixDatagram, message: &[u8]) -> io::Result<()> {
    let flags = libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING;
    // SAFETY: the name is a C string; the descriptor is new and nobody else's.
    let mut file = unsafe {
        match libc::memfd_create(c"observer-event".as_ptr(), flags) {
            fd if fd >= 0 => File::from_raw_fd(fd),
            _ => return Err(io::Error::last_os_error()),
        }
    };
    file.write_all(message)?;
    let seals = libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_WRITE | libc::F_SEAL_SEAL;
    // SAFETY: no pointers.
    if unsafe { libc::fcntl(file.as_raw_fd(), libc::F_ADD_SEALS, seals) } < 0 {
        return Err(io::Error::last_os_error());
    }
    send_descriptor(socket, &file)
}

/// An empty datagram with one descriptor (unix(7), SCM_RIGHTS).
fn send_descriptor(socket: &UnixDatagram, file: &File) -> io::Result<()> {
    const ONE: u32 = size_of::<libc::c_int>() as u32;
    // Large enough for CMSG_SPACE(4), which is 24, and aligned as a cmsghdr has to be.
    let mut control = [0u64; 4];
    // SAFETY: a msghdr of zeroes is a valid empty one; the control buffer is alive for the call, is
    // larger than CMSG_SPACE says, and CMSG_FIRSTHDR points into it.
    let sent = unsafe {
        let mut header: libc::msghdr = std::mem::zeroed();
        header.msg_control = control.as_mut_ptr().cast();
        header.msg_controllen = libc::CMSG_SPACE(ONE) as _;
        let first = libc::CMSG_FIRSTHDR(&raw const header);
        (*first).cmsg_level = libc::SOL_SOCKET;
        (*first).cmsg_type = libc::SCM_RIGHTS;
        (*first).cmsg_len = libc::CMSG_LEN(ONE) as _;
        libc::CMSG_DATA(first).cast::<libc::c_int>().write_unaligned(file.as_raw_fd());
        libc::sendmsg(socket.as_raw_fd(), &raw const header, libc::MSG_NOSIGNAL)
    };
    if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
