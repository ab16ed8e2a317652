//! What a sink writes to. A target takes as many lines as it can at a time and says how far it got;
//! when to try again, what to count and what to say is the [`runner`]'s business.
//!
//! [`runner`]: super::runner

mod archive;
mod datagram;
mod file;
mod journald;
mod rotate;
mod stdout;
mod stream;
mod syslog;

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub(super) use self::datagram::Datagrams;
pub(super) use self::file::FileTarget;
pub(super) use self::stdout::Stdout;
pub(super) use self::stream::Stream;

use super::runner::Notices;
use crate::config::sinks::{Sink, To};

/// One place that lines can be written to. Lives on the sink's thread, or between it and workers.
pub(super) trait Target: Send {
    /// Writes from the front of `lines`, which begin a line unless the last call ended inside one.
    fn write(&mut self, lines: &[u8]) -> Result<Taken, Failure>;

    /// Whether it takes all of `lines` with one write that as a rule waits for nothing, so that a worker
    /// may do it.
    fn is_prompt(&self, _lines: &[u8]) -> bool {
        false
    }

    /// Whether it can ever be prompt.
    fn may_be_prompt(&self) -> bool {
        false
    }

    /// Waits until it may be worth trying again, after [`Failure::Later`].
    fn wait(&mut self, timeout: Duration);

    /// Opens the file or the connection anew. Called between two lines.
    fn reopen(&mut self) -> io::Result<()>;

    /// Takes the last `n` bytes back, which were the beginning of a line that will not be completed.
    fn take_back(&mut self, n: u64) -> io::Result<()>;
}

/// How far a write got.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Taken {
    pub(super) bytes: usize,
    /// Whole lines among them that were not written because the receiver can never take them.
    pub(super) refused: u64,
}

/// Why nothing was taken.
#[derive(Debug)]
pub(super) enum Failure {
    /// Not now: the receiver is slow.
    Later,
    /// It does not work at the moment.
    Broken {
        error: io::Error,
        /// The line that was cut, if one was, has to be sent again from its beginning.
        from_line_start: bool,
    },
    /// The other end has gone for good: nobody wants events any more.
    Closed,
}

/// Opens what the configuration names. A file that cannot be opened is an error; a peer that is not
/// there yet is waited for.
pub(super) fn open(sink: &Sink, notices: &Notices) -> io::Result<Arc<Mutex<dyn Target>>> {
    fn shared(target: impl Target + 'static) -> Arc<Mutex<dyn Target>> {
        Arc::new(Mutex::new(target))
    }
    Ok(match &sink.to {
        To::Stdout => shared(Stdout::open()?),
        To::File(file) => shared(FileTarget::open(file, notices.clone())?),
        To::Unix { path } => shared(Stream::unix(path.clone())),
        To::UnixDatagram { path } => shared(Datagrams::unix(path.clone())),
        To::Tcp { address } => shared(Stream::tcp(address.clone(), stream::Framing::Lines)),
        To::Syslog { address, facility } => syslog::open(address, *facility),
        To::Journald => shared(Datagrams::journald()),
    })
}

/// A target that was left by a thread that panicked is as good as before.
pub(super) fn locked<'a>(target: &'a Mutex<dyn Target>) -> MutexGuard<'a, dyn Target + 'static> {
    target.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits until `fd` can be written to. Errors count as readiness: the write will tell.
fn wait_writable(fd: std::os::fd::BorrowedFd<'_>, timeout: Duration) {
    use std::os::fd::AsRawFd as _;
    let mut poll = libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLOUT, revents: 0 };
    let milliseconds = libc::c_int::try_from(timeout.as_millis()).unwrap_or(libc::c_int::MAX);
    // SAFETY: one entry, alive for the call, and a descriptor that its owner keeps open.
    unsafe { libc::poll(&raw mut poll, 1, milliseconds) };
}
