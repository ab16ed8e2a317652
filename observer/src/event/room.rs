//! Memory that lines are written into, one behind the other.
//!
//! It is cleared when it is had, and not again before each line: a line is written into a stretch
//! that is longer than it will be, and to clear that took as long as a tenth of the writing.

/// Lines, and room behind them.
#[derive(Debug, Default)]
pub struct Room {
    /// Lines, then what was written there before or nothing.
    bytes: Vec<u8>,
    /// How much of it is lines. Never more than there are bytes.
    n_written: usize,
}

impl Room {
    /// For so many bytes before there has to be more of it.
    pub fn of(n_bytes: usize) -> Self {
        Self { bytes: vec![0; n_bytes], n_written: 0 }
    }

    /// What is written.
    pub fn written(&self) -> &[u8] {
        self.bytes.get(..self.n_written).unwrap_or_default()
    }

    pub fn len(&self) -> usize {
        self.n_written
    }

    pub fn is_empty(&self) -> bool {
        self.n_written == 0
    }

    /// How much there is, written or not.
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// Forgets what is written, and keeps the memory.
    pub fn clear(&mut self) {
        self.n_written = 0;
    }

    /// Appends `bytes`.
    pub fn push(&mut self, bytes: &[u8]) {
        if let Some(place) = self.rest(bytes.len()).get_mut(..bytes.len()) {
            place.copy_from_slice(bytes);
            self.grow(bytes.len());
        }
    }

    /// What was written from there on, to be changed.
    pub(crate) fn since(&mut self, start: usize) -> &mut [u8] {
        self.bytes.get_mut(start..self.n_written).unwrap_or_default()
    }

    /// The room behind what is written, `at_least` so many bytes.
    pub(super) fn rest(&mut self, at_least: usize) -> &mut [u8] {
        let end = self.n_written.saturating_add(at_least);
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        self.bytes.get_mut(self.n_written..).unwrap_or_default()
    }

    /// The first `n` bytes of the rest are written now.
    pub(super) fn grow(&mut self, n: usize) {
        self.n_written = self.n_written.saturating_add(n).min(self.bytes.len());
    }
}

impl From<Vec<u8>> for Room {
    fn from(bytes: Vec<u8>) -> Self {
        Self { n_written: bytes.len(), bytes }
    }
}

impl From<Room> for Vec<u8> {
    fn from(mut room: Room) -> Self {
        room.bytes.truncate(room.n_written);
        room.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_there_before_is_neither_seen_nor_cleared() {
        let mut room = Room::of(4);
        room.push(b"abcd");
        room.clear();
        assert!(room.is_empty() && room.written().is_empty());
        assert_eq!(room.rest(2), b"abcd");
        room.push(b"ABCDEF");
        assert_eq!((room.written(), room.size()), (&b"ABCDEF"[..], 6));
        room.since(4).copy_from_slice(b"xy");
        assert_eq!(Vec::from(room), b"ABCDxy");
    }
}
