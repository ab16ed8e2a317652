//! Sequence numbers and stream offsets: the only place that does arithmetic modulo 2³².
//!
//! A half counts in [`Offset`]s, which never wrap. This module translates: a sequence number near a
//! known position belongs to the offset that is less than 2³¹ away (RFC 9293 §3.4).

use crate::segment::{Offset, SeqNumber};

impl SeqNumber {
    /// The sequence number `n` further on.
    #[must_use]
    pub(crate) fn plus(self, n: u32) -> Self {
        Self(self.0.wrapping_add(n))
    }

    /// The sequence number `n` before.
    #[must_use]
    pub(crate) fn minus(self, n: u32) -> Self {
        Self(self.0.wrapping_sub(n))
    }

    /// How far `self` lies after `other`; negative when before.
    pub(crate) fn distance_from(self, other: Self) -> i32 {
        self.0.wrapping_sub(other.0).cast_signed()
    }
}

/// A sequence number and the offset that it stands for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Anchor {
    pub(super) seq: SeqNumber,
    pub(super) offset: Offset,
    #[expect(dead_code, reason = "it is there for the values that it does not have")]
    known: Known,
}

/// Says nothing; its other 255 values make room for a `None` inside an `Option<Anchor>`, of which
/// every flow has two.
#[derive(Clone, Copy, Debug)]
#[repr(u8)]
enum Known {
    Known,
}

const _: () = assert!(size_of::<Option<Anchor>>() == 16);

impl Anchor {
    pub(super) fn new(seq: SeqNumber, offset: Offset) -> Self {
        Self { seq, offset, known: Known::Known }
    }

    /// The offset of `seq`; `None` when it would lie before the stream's start.
    pub(super) fn offset_of(&self, seq: SeqNumber) -> Option<Offset> {
        let distance = i64::from(seq.distance_from(self.seq));
        self.offset.0.checked_add_signed(distance).map(Offset)
    }

    /// How many bytes before the stream's start `seq` lies; 0 when behind it.
    pub(super) fn before_start(&self, seq: SeqNumber) -> u64 {
        let back = u64::from(self.seq.distance_from(seq).max(0).unsigned_abs());
        back.saturating_sub(self.offset.0)
    }

    /// Moves the anchor to `offset`, which is less than 2³¹ away or is reached in several steps.
    pub(super) fn advance_to(&mut self, offset: Offset) {
        // Truncation is the arithmetic: sequence numbers are offsets modulo 2³².
        self.seq = self.seq.plus(offset.0.wrapping_sub(self.offset.0) as u32);
        self.offset = offset;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(anchor_seq: u32, seq: u32, expected: Option<u64>) {
        let anchor = Anchor::new(SeqNumber(anchor_seq), Offset(1000));
        assert_eq!(anchor.offset_of(SeqNumber(seq)), expected.map(Offset));
    }

    #[test]
    fn offsets_follow_sequence_numbers_across_the_wrap() {
        check(10, 10, Some(1000));
        check(10, 11, Some(1001));
        check(u32::MAX, 0, Some(1001));
        check(0, u32::MAX, Some(999));
        check(5000, 3999, None);
    }

    #[test]
    fn bytes_before_the_start_are_counted() {
        let anchor = Anchor::new(SeqNumber(5), Offset(10));
        let before = |seq| anchor.before_start(SeqNumber(seq));
        assert_eq!((before(u32::MAX), before(0), before(6)), (0, 0, 0));
        assert_eq!((before(u32::MAX - 4), before(u32::MAX - 6)), (0, 2));
    }

    #[test]
    fn an_anchor_advances_past_four_gigabytes() {
        let mut anchor = Anchor::new(SeqNumber(7), Offset(0));
        anchor.advance_to(Offset((1 << 32) + 5));
        assert_eq!(anchor.seq, SeqNumber(12));
        assert_eq!(anchor.offset_of(SeqNumber(13)), Some(Offset((1 << 32) + 6)));
    }
}
