//! Pieces of one half that cannot be delivered yet, kept in order and without overlap.
//!
//! Knows offsets and bytes only. What came first wins: a later piece fills the holes that are left,
//! and where it repeats bytes with other content, that is counted as a conflict.

use std::collections::VecDeque;

use crate::segment::{Offset, Timestamp};

/// Bytes of the stream that were seen, and what is known about their segment.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    pub(super) offset: Offset,
    pub(super) time: Timestamp,
    /// What the sender had acknowledged of the opposite half.
    pub(super) acked: Option<Offset>,
    pub(super) bytes: Vec<u8>,
    /// Bytes behind `bytes` that were on the wire and not captured.
    pub(super) uncaptured: u64,
}

impl Piece {
    pub(super) fn end(&self) -> Offset {
        self.offset.plus(self.bytes.len() as u64).plus(self.uncaptured)
    }

    /// The part of the piece inside `from..to`.
    fn slice(&self, from: Offset, to: Offset) -> Piece {
        let captured_end = self.offset.plus(self.bytes.len() as u64);
        let start = usize::try_from(from.since(self.offset)).unwrap_or(usize::MAX);
        let end = usize::try_from(to.min(captured_end).since(self.offset)).unwrap_or(usize::MAX);
        let bytes = self.bytes.get(start..end).unwrap_or_default().to_vec();
        let uncaptured = to.since(from).saturating_sub(bytes.len() as u64);
        Piece { offset: from, time: self.time, acked: self.acked, bytes, uncaptured }
    }
}

/// Out-of-order pieces, sorted by offset. Invariant: no two overlap. In a box while there are any: a
/// flow that was disordered once does not keep the memory for it.
#[derive(Debug, Default)]
pub(super) struct Assembler(Option<Box<Pieces>>);

#[derive(Debug, Default)]
struct Pieces {
    pieces: VecDeque<Piece>,
    n_bytes: usize,
}

impl Assembler {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    pub(super) fn n_pieces(&self) -> usize {
        self.0.as_ref().map_or(0, |held| held.pieces.len())
    }

    /// Bytes held.
    pub(super) fn n_bytes(&self) -> usize {
        self.0.as_ref().map_or(0, |held| held.n_bytes)
    }

    pub(super) fn first(&self) -> Option<&Piece> {
        self.0.as_ref()?.pieces.front()
    }

    pub(super) fn pop_first(&mut self) -> Option<Piece> {
        let held = self.0.as_mut()?;
        let piece = held.pieces.pop_front()?;
        held.n_bytes = held.n_bytes.saturating_sub(piece.bytes.len());
        if held.pieces.is_empty() {
            self.0 = None;
        }
        Some(piece)
    }

    /// Stores the parts of `piece` that are not there yet. Returns whether bytes that were already
    /// there differ from the new ones.
    pub(super) fn insert(&mut self, piece: Piece) -> bool {
        if piece.offset >= piece.end() {
            return false;
        }
        self.0.get_or_insert_default().insert(piece)
    }
}

impl Pieces {
    /// See [`Assembler::insert`].
    fn insert(&mut self, piece: Piece) -> bool {
        let mut conflict = false;
        let mut from = piece.offset;
        let end = piece.end();
        let mut i = self.pieces.partition_point(|p| p.end() <= from);
        while from < end {
            let Some(next) = self.pieces.get(i) else { break };
            if next.offset >= end {
                break;
            }
            if from < next.offset {
                let part = piece.slice(from, next.offset);
                from = next.offset;
                self.put(i, part);
            } else {
                let upto = next.end().min(end);
                let (old, new) = (next.slice(from, upto), piece.slice(from, upto));
                let n = old.bytes.len().min(new.bytes.len());
                conflict |= old.bytes.get(..n) != new.bytes.get(..n);
                from = upto;
            }
            i = i.saturating_add(1);
        }
        if from < end {
            let part = if from == piece.offset { piece } else { piece.slice(from, end) };
            self.put(i, part);
        }
        conflict
    }

    fn put(&mut self, at: usize, piece: Piece) {
        self.n_bytes = self.n_bytes.saturating_add(piece.bytes.len());
        self.pieces.insert(at, piece);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Inserts `(offset, text)` in order; expects the stored pieces and the number of conflicts.
    #[track_caller]
    fn check(inserts: &[(u64, &str)], expected: &[(u64, &str)], conflicts: usize) {
        let mut assembler = Assembler::default();
        let mut n_conflicts = 0;
        for &(offset, text) in inserts {
            n_conflicts += usize::from(assembler.insert(Piece {
                offset: Offset(offset),
                time: Timestamp(0),
                acked: None,
                bytes: text.as_bytes().to_vec(),
                uncaptured: 0,
            }));
        }
        let stored: Vec<(u64, String)> = assembler
            .0
            .iter()
            .flat_map(|held| &held.pieces)
            .map(|p| (p.offset.0, String::from_utf8_lossy(&p.bytes).into_owned()))
            .collect();
        let expected: Vec<(u64, String)> =
            expected.iter().map(|&(o, t)| (o, t.to_owned())).collect();
        assert_eq!(stored, expected);
        assert_eq!(n_conflicts, conflicts);
        assert_eq!(assembler.n_bytes(), expected.iter().map(|(_, t)| t.len()).sum::<usize>());
    }

    #[test]
    fn pieces_are_sorted() {
        check(&[(10, "cd"), (5, "ab")], &[(5, "ab"), (10, "cd")], 0);
    }

    #[test]
    fn the_same_piece_twice_is_stored_once() {
        check(&[(10, "cd"), (10, "cd")], &[(10, "cd")], 0);
    }

    #[test]
    fn first_bytes_win_and_a_conflict_is_told() {
        check(&[(10, "cd"), (9, "xyz!")], &[(9, "x"), (10, "cd"), (12, "!")], 1);
        check(&[(10, "cd"), (9, "bcde")], &[(9, "b"), (10, "cd"), (12, "e")], 0);
    }

    #[test]
    fn a_large_piece_fills_every_hole() {
        check(
            &[(2, "c"), (6, "g"), (0, "abcdefghi")],
            &[(0, "ab"), (2, "c"), (3, "def"), (6, "g"), (7, "hi")],
            0,
        );
    }

    #[test]
    fn uncaptured_tails_count_as_covered() {
        let mut assembler = Assembler::default();
        let piece = |offset: u64, text: &str, uncaptured| Piece {
            offset: Offset(offset),
            time: Timestamp(0),
            acked: None,
            bytes: text.as_bytes().to_vec(),
            uncaptured,
        };
        assembler.insert(piece(0, "ab", 8));
        assembler.insert(piece(5, "fghijkl", 0));
        let ends: Vec<_> =
            assembler.0.unwrap().pieces.iter().map(|p| (p.offset.0, p.end().0)).collect();
        assert_eq!(ends, [(0, 10), (10, 12)]);
    }
}
