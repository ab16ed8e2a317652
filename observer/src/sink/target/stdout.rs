//! Standard output, whatever it is: a pipe to a shipper, a file, a terminal.
//!
//! Its descriptor is shared with other processes, so it is not made non-blocking: a write may wait
//! for a slow reader, and the queue before this sink is what grows meanwhile.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::time::Duration;

use super::file::take_back;
use super::{Failure, Taken, Target, wait_writable};

#[derive(Debug)]
pub(in crate::sink) struct Stdout(File);

impl Stdout {
    pub(super) fn open() -> io::Result<Self> {
        Ok(Self(File::from(io::stdout().as_fd().try_clone_to_owned()?)))
    }
}

impl Target for Stdout {
    fn write(&mut self, lines: &[u8]) -> Result<Taken, Failure> {
        match self.0.write(lines) {
            Ok(0) => Err(broken(io::ErrorKind::WriteZero.into())),
            Ok(bytes) => Ok(Taken { bytes, refused: 0 }),
            Err(err) if err.kind() == io::ErrorKind::Interrupted => Ok(Taken::default()),
            // Somebody else may have set the pipe to O_NONBLOCK.
            Err(err) if err.kind() == io::ErrorKind::WouldBlock => Err(Failure::Later),
            Err(err) if err.kind() == io::ErrorKind::BrokenPipe => Err(Failure::Closed),
            Err(err) => Err(broken(err)),
        }
    }

    fn wait(&mut self, timeout: Duration) {
        wait_writable(self.0.as_fd(), timeout);
    }

    fn reopen(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn take_back(&mut self, n: u64) -> io::Result<()> {
        take_back(&self.0, n)
    }
}

fn broken(error: io::Error) -> Failure {
    Failure::Broken { error, from_line_start: false }
}
