//! A target for tests, which refuses, cuts and stalls as it is told.

use std::io;
use std::sync::{Arc, Mutex};
use std::thread::ThreadId;
use std::time::Duration;

use super::target::{Failure, Taken, Target};

/// A disk, or a peer, with `room` for so many bytes; the test has the other end.
#[derive(Clone, Debug, Default)]
pub(super) struct Fake(pub(super) Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
pub(super) struct Inner {
    pub(super) held: Vec<u8>,
    pub(super) room: usize,
    pub(super) slow: bool,
    pub(super) resends: bool,
    pub(super) refuses: &'static str,
    pub(super) closed: bool,
    pub(super) n_attempts: u64,
    /// Workers may write to it.
    pub(super) prompt: bool,
    /// Each write waits so long.
    pub(super) stalls: Duration,
    /// The threads that wrote.
    pub(super) writers: Vec<ThreadId>,
}

impl Target for Fake {
    fn write(&mut self, lines: &[u8]) -> Result<Taken, Failure> {
        let stalls = self.0.lock().unwrap().stalls;
        if !stalls.is_zero() {
            std::thread::sleep(stalls);
        }
        let mut inner = self.0.lock().unwrap();
        inner.n_attempts += 1;
        inner.writers.push(std::thread::current().id());
        let n = lines.len().min(inner.room);
        if inner.closed {
            return Err(Failure::Closed);
        }
        if !inner.refuses.is_empty() {
            let end = memchr::memchr(b'\n', lines).unwrap() + 1;
            let line = &lines[..end];
            if line.starts_with(inner.refuses.as_bytes()) {
                return Ok(Taken { bytes: end, refused: 1 });
            }
            inner.held.extend_from_slice(line);
            return Ok(Taken { bytes: end, refused: 0 });
        }
        if n == 0 && inner.slow {
            return Err(Failure::Later);
        }
        if n == 0 {
            let error = io::ErrorKind::StorageFull.into();
            let from_line_start = inner.resends;
            return Err(Failure::Broken { error, from_line_start });
        }
        inner.room -= n;
        inner.held.extend_from_slice(&lines[..n]);
        Ok(Taken { bytes: n, refused: 0 })
    }

    fn is_prompt(&self, _: &[u8]) -> bool {
        self.0.lock().unwrap().prompt
    }

    fn may_be_prompt(&self) -> bool {
        true
    }

    fn wait(&mut self, _: Duration) {
        std::thread::yield_now();
    }

    fn reopen(&mut self) -> io::Result<()> {
        self.0.lock().unwrap().held.extend_from_slice(b"--\n");
        Ok(())
    }

    fn take_back(&mut self, n: u64) -> io::Result<()> {
        let mut inner = self.0.lock().unwrap();
        let len = inner.held.len() - n as usize;
        inner.held.truncate(len);
        Ok(())
    }
}

pub(super) fn room(room: usize) -> Inner {
    Inner { room, ..Inner::default() }
}
