//! A window of contiguous bytes that slides over a `Read`: memory stays flat, and a packet is
//! never copied again once it lies in the window, except when a refill moves the unread rest.
//!
//! Written here because the readers of pcap-parser hide the cause of a read error and take a
//! short first read, as pipes give them, for a broken file.

use std::io::{self, Read};

/// First size of the window. Large enough for a hundred full segments a system call, small
/// enough to stay in the second-level cache.
const INITIAL_SIZE: usize = 256 * 1024;

pub(super) struct Window {
    source: Box<dyn Read + Send>,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    exhausted: bool,
    /// Position of `start` in the file.
    offset: u64,
}

impl Window {
    pub(super) fn new(source: Box<dyn Read + Send>) -> Self {
        let buffer = vec![0; INITIAL_SIZE];
        Self { source, buffer, start: 0, end: 0, exhausted: false, offset: 0 }
    }

    /// All bytes that are there and not yet consumed.
    pub(super) fn bytes(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }

    /// Position in the file of the first of `bytes()`.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// Drops the first `n_bytes`.
    pub(super) fn consume(&mut self, n_bytes: usize) {
        let n_bytes = n_bytes.min(self.end - self.start);
        self.start += n_bytes;
        self.offset += n_bytes as u64;
    }

    /// Reads until the window holds `n_bytes`; `false` when the source ends before. Reads no
    /// further than it must, so that packets from a pipe arrive when they are written.
    pub(super) fn fill(&mut self, n_bytes: usize) -> io::Result<bool> {
        while self.end - self.start < n_bytes {
            if self.exhausted {
                return Ok(false);
            }
            self.make_room(n_bytes);
            let room = self.buffer.get_mut(self.end..).unwrap_or_default();
            match self.source.read(room) {
                Ok(0) => self.exhausted = true,
                // `Read` promises to return no more than it was given room for; not believed.
                Ok(n) => self.end = (self.end + n).min(self.buffer.len()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    fn make_room(&mut self, n_bytes: usize) {
        if self.buffer.len() - self.start < n_bytes || self.end == self.buffer.len() {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if self.buffer.len() < n_bytes {
            self.buffer.resize(n_bytes.next_power_of_two(), 0);
        }
    }
}
