//! `tail`'s end of the control socket: synchronous, one thread.

use std::io::{self, Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use super::{COMMAND, Hello};

/// A connection to the daemon that has said hello.
#[derive(Debug)]
pub struct Connection {
    stream: UnixStream,
    pub hello: Hello,
    /// Bytes received; a line may still be incomplete at its end.
    received: Vec<u8>,
    /// How much of `received` was handed out by the last call.
    n_taken: usize,
}

/// What a read gave.
#[derive(Debug, PartialEq, Eq)]
pub enum Received<'a> {
    /// Whole lines, at least one.
    Lines(&'a [u8]),
    /// Nothing within the time, or a signal came.
    Nothing,
    /// The daemon has closed the connection.
    End,
}

impl Connection {
    /// Attaches to the daemon on `path`. An error of kind `NotFound` or `ConnectionRefused` means
    /// that none is there.
    pub fn attach(path: &Path) -> io::Result<Self> {
        let mut stream = UnixStream::connect(path)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.write_all(COMMAND.as_bytes())?;
        let mut this = Self { stream, hello: Hello::default(), received: Vec::new(), n_taken: 0 };
        let line = loop {
            if let Some(end) = memchr::memchr(b'\n', &this.received) {
                break this.received.drain(..=end).collect::<Vec<_>>();
            }
            if this.fill()? == 0 {
                break std::mem::take(&mut this.received);
            }
        };
        this.hello = Hello::parse(&line).map_err(io::Error::other)?;
        this.stream.set_read_timeout(Some(TICK))?;
        Ok(this)
    }

    /// Waits until the daemon has taken us on: what it tells from then on reaches us. It says so with
    /// its totals, between two looks at its rings, which are a second apart when nothing comes.
    pub fn settle(&mut self) -> io::Result<()> {
        self.stream.set_read_timeout(Some(PATIENCE))?;
        while memchr::memchr(b'\n', &self.received).is_none() {
            match self.fill() {
                // It has closed: the next `receive` says that.
                Ok(0) => break,
                Ok(_) => {}
                Err(err) if err.kind() == io::ErrorKind::Interrupted => break,
                Err(err) => return Err(err),
            }
        }
        self.stream.set_read_timeout(Some(TICK))
    }

    /// The next whole lines; returns at once when there are some, and after a tenth of a second
    /// at the latest.
    pub fn receive(&mut self) -> io::Result<Received<'_>> {
        self.received.drain(..std::mem::take(&mut self.n_taken));
        if memchr::memchr(b'\n', &self.received).is_none() {
            match self.fill() {
                Ok(0) => return Ok(Received::End),
                Ok(_) => {}
                Err(err) if is_pause(&err) => return Ok(Received::Nothing),
                Err(err) if err.kind() == io::ErrorKind::ConnectionReset => {
                    return Ok(Received::End);
                }
                Err(err) => return Err(err),
            }
        }
        match memchr::memrchr(b'\n', &self.received) {
            Some(end) => {
                self.n_taken = end + 1;
                Ok(Received::Lines(self.received.get(..=end).unwrap_or_default()))
            }
            None => Ok(Received::Nothing),
        }
    }

    /// Asks for no more: the daemon sends what is queued and the last statistics, then closes.
    pub fn leave(&self) {
        // It fails when the daemon has gone, and the next `receive` says that.
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    fn fill(&mut self) -> io::Result<usize> {
        let before = self.received.len();
        self.received.resize(before + CHUNK, 0);
        let room = self.received.get_mut(before..).unwrap_or_default();
        let result = self.stream.read(room);
        self.received.truncate(before + result.as_ref().copied().unwrap_or(0));
        result
    }
}

/// A read that ended without data and without harm.
fn is_pause(err: &io::Error) -> bool {
    matches!(
        err.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted
    )
}

const CHUNK: usize = 64 * 1024;
/// How long the daemon may take to answer: it does so between two polls of the rings.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often a caller gets to look at its signals and its clock.
const TICK: Duration = Duration::from_millis(100);
