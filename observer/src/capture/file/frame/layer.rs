//! A view of a packet from some header on, which remembers two ends: that of the captured bytes
//! and that of the bytes that were on the wire. A snap length moves them apart; padding and
//! trailers are cut off both.

use std::ops::Range;

use super::Skip;

#[derive(Clone, Copy, Debug)]
pub(super) struct Layer<'a> {
    frame: &'a [u8],
    start: usize,
    /// End of what was captured; `start <= captured_end <= min(frame.len(), wire_end)`, except
    /// that `start` may lie beyond when the cut went through a header's tail.
    captured_end: usize,
    wire_end: usize,
}

impl<'a> Layer<'a> {
    pub(super) fn new(frame: &'a [u8], wire_len: usize) -> Self {
        let wire_end = wire_len.max(frame.len());
        Self { frame, start: 0, captured_end: frame.len(), wire_end }
    }

    /// Bytes from here to the end, as they were on the wire.
    pub(super) fn wire_len(&self) -> usize {
        self.wire_end.saturating_sub(self.start)
    }

    /// The captured bytes from here on.
    pub(super) fn bytes(&self) -> &'a [u8] {
        self.frame.get(self.range()).unwrap_or_default()
    }

    /// Where `bytes()` lie in the frame.
    pub(super) fn range(&self) -> Range<usize> {
        self.start.min(self.captured_end)..self.captured_end
    }

    pub(super) fn is_whole(&self) -> bool {
        self.captured_end == self.wire_end
    }

    /// What follows a header of `n_bytes`. The header may be cut; nothing then follows.
    pub(super) fn skip(mut self, n_bytes: usize) -> Result<Self, Skip> {
        if n_bytes > self.wire_len() {
            return Err(Skip::Malformed);
        }
        self.start += n_bytes;
        Ok(self)
    }

    /// Drops what lies beyond `n_bytes`: Ethernet padding, trailers.
    #[must_use]
    pub(super) fn limit(mut self, n_bytes: usize) -> Self {
        self.wire_end = self.wire_end.min(self.start.saturating_add(n_bytes));
        self.captured_end = self.captured_end.min(self.wire_end);
        self
    }

    /// Sets the length on the wire to what an inner header says, even when it says more.
    #[must_use]
    pub(super) fn declare(mut self, n_bytes: usize) -> Self {
        self.wire_end = self.start.saturating_add(n_bytes);
        self.captured_end = self.captured_end.min(self.wire_end);
        self
    }

    pub(super) fn array<const N: usize>(&self, at: usize) -> Result<[u8; N], Skip> {
        let found = self.bytes().get(at..).and_then(|rest| rest.first_chunk());
        found.copied().ok_or(if at.saturating_add(N) <= self.wire_len() {
            Skip::CutShort
        } else {
            Skip::Malformed
        })
    }

    pub(super) fn u8(&self, at: usize) -> Result<u8, Skip> {
        self.array(at).map(|[byte]| byte)
    }

    pub(super) fn be16(&self, at: usize) -> Result<u16, Skip> {
        self.array(at).map(u16::from_be_bytes)
    }

    pub(super) fn le16(&self, at: usize) -> Result<u16, Skip> {
        self.array(at).map(u16::from_le_bytes)
    }

    pub(super) fn be32(&self, at: usize) -> Result<u32, Skip> {
        self.array(at).map(u32::from_be_bytes)
    }

    pub(super) fn le32(&self, at: usize) -> Result<u32, Skip> {
        self.array(at).map(u32::from_le_bytes)
    }
}
