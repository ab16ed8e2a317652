//! Working inside another network namespace, and out of it again.
//!
//! A visit is a thread that enters, works and ends. No other thread of the process ever is
//! elsewhere, and nothing that would keep a namespace alive stays: no descriptor of it, no socket
//! in it. Attached programs do not (`tcx_uninstall`, `__tcf_qdisc_...` run as its devices go).

use std::fs::{self, File};
use std::io;
use std::mem::size_of_val;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// A network namespace, told apart from every other one since the machine was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    /// Of its file in nsfs; free for another namespace once this one is gone.
    pub(super) inode: u32,
    /// Never given twice (`SO_NETNS_COOKIE`, Linux 5.14); 0 before.
    pub(super) cookie: u64,
}

/// The inode number of a namespace's file: `/run/netns/NAME` or `/proc/PID/ns/net`. `None` where
/// there is no such file, or it is no namespace, or not ours to see.
pub(super) fn inode(path: &Path) -> Option<u32> {
    let own = fs::metadata(OWN).ok()?;
    let other = fs::metadata(path).ok()?;
    // All namespaces are files of one file system. Their numbers start at 0xF0000000 and stay below
    // 2³² (PROC_DYNAMIC_FIRST in fs/proc/generic.c).
    if other.dev() != own.dev() { None } else { u32::try_from(other.ino()).ok() }
}

/// That of observer's own.
pub(super) fn own_inode() -> Option<u32> {
    inode(Path::new(OWN))
}

/// Runs `work` in the namespace behind `path`, if that still is the one with this inode number.
pub(super) fn visit<T: Send>(
    path: &Path,
    inode: u32,
    work: impl FnOnce(Identity, BorrowedFd<'_>) -> T + Send,
) -> io::Result<T> {
    let own = File::open(OWN)?;
    std::thread::scope(|scope| {
        let visitor = std::thread::Builder::new().name("observer-visit".to_owned());
        let thread = visitor.spawn_scoped(scope, || {
            let namespace = File::open(path)?;
            let found = namespace.metadata()?;
            if found.dev() != own.metadata()?.dev() || found.ino() != u64::from(inode) {
                return Err(io::ErrorKind::NotFound.into());
            }
            // SAFETY: no pointers; the result is checked.
            if unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) } < 0 {
                return Err(io::Error::last_os_error());
            }
            drop(namespace);
            Ok(work(Identity { inode, cookie: cookie() }, own.as_fd()))
        })?;
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// The cookie of the namespace that the calling thread is in; 0 where the kernel has none.
fn cookie() -> u64 {
    // SAFETY: no pointers; the result is checked.
    let fd = unsafe { libc::socket(libc::AF_UNIX, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) };
    if fd < 0 {
        return 0;
    }
    // SAFETY: the descriptor is new and nobody else's.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    let mut cookie = 0u64;
    let mut n_bytes = size_of_val(&cookie) as libc::socklen_t;
    // SAFETY: both pointers outlive the call, and the length is that of the number.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_NETNS_COOKIE,
            (&raw mut cookie).cast(),
            &raw mut n_bytes,
        )
    };
    if result < 0 { 0 } else { cookie }
}

const OWN: &str = "/proc/thread-self/ns/net";
