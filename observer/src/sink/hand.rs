//! Lines that are being written, and how far. It knows neither queues nor targets.

use std::sync::Arc;

use super::Lines;

#[derive(Debug)]
pub(super) struct Hand {
    lines: Arc<Lines>,
    /// How far they are written, and where the present line begins.
    at: usize,
    line_start: usize,
    n_left: u64,
}

impl Hand {
    pub(super) fn new(lines: Arc<Lines>) -> Self {
        let n_left = lines.n_events();
        Self { lines, at: 0, line_start: 0, n_left }
    }

    pub(super) fn rest(&self) -> &[u8] {
        self.lines.bytes().get(self.at..).unwrap_or_default()
    }

    /// Lines that are not written, or not as a whole.
    pub(super) fn n_left(&self) -> u64 {
        self.n_left
    }

    /// Bytes that are written of a line that is not whole.
    pub(super) fn n_cut(&self) -> u64 {
        (self.at - self.line_start) as u64
    }

    pub(super) fn is_done(&self) -> bool {
        self.at >= self.lines.bytes().len()
    }

    pub(super) fn is_between_lines(&self) -> bool {
        self.at == self.line_start
    }

    /// The line that is cut is to be written again, or was taken back.
    pub(super) fn back_to_line_start(&mut self) {
        self.at = self.line_start;
    }

    /// `n` bytes more are written; how many lines became whole by that.
    pub(super) fn advance(&mut self, n: usize) -> u64 {
        let bytes = self.lines.bytes();
        let from = self.at;
        self.at = (self.at + n).min(bytes.len());
        if self.is_done() {
            // The usual case, without a look at the bytes.
            self.line_start = self.at;
            return std::mem::take(&mut self.n_left);
        }
        let new = self.lines.bytes().get(from..self.at).unwrap_or_default();
        let n_whole = memchr::memchr_iter(b'\n', new).count() as u64;
        if let Some(last) = memchr::memrchr(b'\n', new) {
            self.line_start = from + last + 1;
        }
        self.n_left = self.n_left.saturating_sub(n_whole);
        n_whole
    }
}
