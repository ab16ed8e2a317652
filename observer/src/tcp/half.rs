//! One direction of a flow: where its stream stands, and what of it cannot be delivered yet.
//!
//! Invariants: everything below `next` was delivered or told as a gap, once; every stored piece
//! lies at or above `next`.

mod facts;
mod recent;

use self::recent::Recent;
use super::assembler::{Assembler, Piece};
use super::seq::Anchor;
use crate::segment::{Offset, Origin, Segment, SeqNumber, TcpFlags, Timestamp};

pub(super) use self::facts::Fin;
pub use self::facts::{DthFacts, HalfFacts};

/// How far ahead of the expected position a segment or an acknowledgement is believed: 1 GiB, the
/// largest window that RFC 7323 §2.3 allows.
const MAX_AHEAD: u64 = 1 << 30;

/// Skipping fewer bytes costs more than copying them: asking takes a system call.
const MIN_SKIP: u64 = 32 << 10;

/// The most that is skipped at once: well below the 2³¹ that sequence numbers can tell apart.
const MAX_SKIP: u64 = 1 << 30;

/// How many bytes of a stream may be captured before its SYN.
const LATE_SYN_BYTES: u64 = 1 << 20;

#[derive(Debug, Default)]
pub(super) struct Half {
    /// The next expected position; `None` until a segment or an acknowledgement told one.
    anchor: Option<Anchor>,
    isn: Option<SeqNumber>,
    pub(super) pending: Assembler,
    /// In a box: while a half is open there is none.
    pub(super) fin: Option<Box<Fin>>,
    /// The highest position that the peer acknowledged.
    pub(super) max_acked: Offset,
    /// A segment of this half was seen, and when the last one was.
    pub(super) seen: bool,
    pub(super) last_seen: Timestamp,
    /// Bytes or a gap were delivered.
    started: bool,
    /// The end was delivered.
    pub(super) ended: bool,
    /// The application knows of the DTH bit.
    pub(super) dth_told: bool,
    recent: Recent,
    /// Payload below this is left out by the capture; and whether that is still to be asked for.
    skip: Offset,
    skip_order: bool,
    /// The capture leaves it out already, by its own decision.
    skips_by_itself: bool,
    facts: HalfFacts,
}

/// What to do with a data segment.
pub(super) enum Place {
    /// Nothing in it is new.
    Old,
    /// It lies too far away.
    Elsewhere,
    /// Bytes from `skip` on are new, and the first of them is at this offset.
    New { offset: Offset, skip: usize },
}

impl Half {
    pub(super) fn facts(&self) -> &HalfFacts {
        &self.facts
    }

    pub(super) fn facts_mut(&mut self) -> &mut HalfFacts {
        &mut self.facts
    }

    pub(super) fn is_anchored(&self) -> bool {
        self.anchor.is_some()
    }

    /// The next position to deliver.
    pub(super) fn next(&self) -> Offset {
        self.anchor.map_or(Offset(0), |a| a.offset)
    }

    /// The sequence number of the next position.
    pub(super) fn next_seq(&self) -> Option<SeqNumber> {
        self.anchor.map(|a| a.seq)
    }

    /// Takes the initial sequence number. Returns false when it cannot be that of this stream: the
    /// ports are used again. `referred` when the opposite half has told positions of this one, which
    /// then keeps its numbering.
    pub(super) fn handle_syn(&mut self, isn: SeqNumber, referred: bool) -> bool {
        let first = isn.plus(1);
        if let Some(known) = self.isn {
            return known == isn;
        }
        let Some(anchor) = self.anchor else {
            self.isn = Some(isn);
            self.anchor = Some(Anchor::new(first, Offset(0)));
            return true;
        };
        // The half was anchored by an acknowledgement or by data. A SYN that was merely captured
        // late lies close below; one that lies elsewhere opens another connection.
        let begin = anchor.offset_of(first).filter(|&o| o <= anchor.offset.plus(1));
        let Some(begin) = begin.filter(|&o| anchor.offset.since(o) <= LATE_SYN_BYTES) else {
            return false;
        };
        self.isn = Some(isn);
        if !self.started && self.pending.is_empty() && self.fin.is_none() {
            if referred {
                self.anchor = Some(Anchor::new(first, begin));
                self.facts.rare_mut().begin = begin;
            } else {
                self.anchor = Some(Anchor::new(first, Offset(0)));
                self.max_acked = Offset(0);
                if self.facts.dth().is_some()
                    && let Some(dth) = &mut self.facts.rare_mut().dth
                {
                    dth.count_from(begin);
                }
            }
        }
        self.facts.midstream = false;
        true
    }

    /// Anchors a half that was picked up without its SYN at `seq`.
    pub(super) fn anchor_midstream(&mut self, seq: SeqNumber) {
        if self.anchor.is_none() {
            self.anchor = Some(Anchor::new(seq, Offset::MIDSTREAM));
            self.facts.midstream = true;
        }
    }

    /// The stream offset of an acknowledgement of this half, where it is credible.
    pub(super) fn acknowledged(&mut self, ack: SeqNumber) -> Option<Offset> {
        let offset = self.offset_of(ack)?;
        self.max_acked = self.max_acked.max(offset);
        Some(offset)
    }

    /// Where `len` bytes at `seq` belong.
    pub(super) fn place(&mut self, seq: SeqNumber, len: u64) -> Place {
        self.anchor_midstream(seq);
        let Some(anchor) = self.anchor.as_mut() else { return Place::Elsewhere };
        // RFC 9293 §3.10.7.4: of a segment that begins before the stream, the part inside counts.
        let before = anchor.before_start(seq);
        let (seq, len) = match u32::try_from(before) {
            Ok(n) if u64::from(n) < len => (seq.plus(n), len.saturating_sub(before)),
            _ => (seq, len),
        };
        let Some(offset) = anchor.offset_of(seq) else { return Place::Elsewhere };
        if offset.since(anchor.offset) > MAX_AHEAD {
            return Place::Elsewhere;
        }
        if offset < anchor.offset && !self.started && self.facts.midstream {
            // Nothing was delivered yet, so an earlier segment may still move the start: but within
            // one window in all, or what waits would span more than sequence numbers can tell apart.
            if Offset::MIDSTREAM.since(offset) > MAX_AHEAD {
                return Place::Elsewhere;
            }
            *anchor = Anchor::new(seq, offset);
        }
        let next = anchor.offset;
        if offset.plus(len) <= next {
            return Place::Old;
        }
        let skip = next.since(offset).saturating_add(before);
        let skip = usize::try_from(skip).unwrap_or(usize::MAX);
        Place::New { offset: offset.max(next), skip }
    }

    /// The offset of `seq`, where the half has a position and it is credible.
    pub(super) fn offset_of(&self, seq: SeqNumber) -> Option<Offset> {
        let anchor = self.anchor?;
        let offset = anchor.offset_of(seq)?;
        (offset.since(anchor.offset) <= MAX_AHEAD).then_some(offset)
    }

    /// Notes that everything up to `offset` was delivered or told as a gap.
    pub(super) fn advance_to(&mut self, offset: Offset) {
        self.started = true;
        if let Some(anchor) = self.anchor.as_mut() {
            anchor.advance_to(offset);
        }
        self.facts.delivered = offset;
    }

    /// Leaves out the next `n` bytes, where it is worth asking. Returns whether to ask.
    pub(super) fn skip_next(&mut self, n: u64) -> bool {
        let next = self.next();
        if n < MIN_SKIP || self.skip > next {
            return false;
        }
        self.skip = next.plus(n.min(MAX_SKIP));
        self.skip_order = true;
        self.skips_by_itself = false;
        true
    }

    /// Leaves out everything from here on; the flow asks for both halves at once.
    pub(super) fn skip_all(&mut self) {
        self.skip = Offset(u64::MAX);
        self.skip_order = false;
    }

    /// The capture leaves out what lies below `until`, by its own decision.
    pub(super) fn note_skip(&mut self, until: SeqNumber) {
        if let Some(until) = self.offset_of(until).filter(|&until| until > self.next()) {
            self.skips_by_itself = until >= self.skip;
            self.skip = self.skip.max(until);
        }
    }

    /// Whether the capture is still to be asked to skip: neither has it all gone by, nor is it left out
    /// anyway.
    pub(super) fn is_skip_due(&self) -> bool {
        self.skips_next() && !self.skips_by_itself
    }

    /// The sequence number to skip to, once for each skip that was decided here.
    pub(super) fn take_skip_order(&mut self) -> Option<SeqNumber> {
        if !std::mem::take(&mut self.skip_order) {
            return None;
        }
        let mut anchor = self.anchor?;
        anchor.advance_to(self.skip);
        Some(anchor.seq)
    }

    /// Whether everything below `upto` may be missing on purpose.
    pub(super) fn skips_to(&self, upto: Offset) -> bool {
        upto <= self.skip
    }

    /// What comes next is left out.
    pub(super) fn skips_next(&self) -> bool {
        self.skip > self.next()
    }

    /// How far the half moves on over bytes that were left out, where it does.
    pub(super) fn skipped_upto(&self, upto: Offset) -> Option<Offset> {
        let stored = self.pending.first().map_or(Offset(u64::MAX), |p| p.offset);
        let upto = upto.min(self.skip).min(stored);
        (upto > self.next() && !self.ended).then_some(upto)
    }

    /// Keeps a fingerprint of delivered bytes to compare a retransmission with.
    pub(super) fn remember(&mut self, offset: Offset, bytes: &[u8]) {
        self.recent.remember(offset, bytes);
    }

    /// Takes note of a segment that brought nothing new.
    pub(super) fn handle_retransmission(&mut self, seq: SeqNumber, bytes: &[u8]) {
        self.facts.retransmissions = self.facts.retransmissions.saturating_add(1);
        let Some(offset) = self.anchor.and_then(|a| a.offset_of(seq)) else { return };
        if self.recent.contradict(offset, bytes) {
            self.note_conflict();
        }
    }

    fn note_conflict(&mut self) {
        let rare = self.facts.rare_mut();
        rare.overlap_conflicts = rare.overlap_conflicts.saturating_add(1);
    }

    /// Takes note of a segment that lies too far away.
    pub(super) fn note_out_of_window(&mut self) {
        let rare = self.facts.rare_mut();
        rare.out_of_window = rare.out_of_window.saturating_add(1);
    }

    /// Takes note of what a segment of this half tells beside its bytes.
    pub(super) fn note_segment(&mut self, segment: &Segment<'_>) {
        self.seen = true;
        self.facts.flags = self.facts.flags.union(segment.flags);
        let Origin { records_lost, damaged, .. } = segment.origin;
        if damaged || records_lost > 0 {
            let rare = self.facts.rare_mut();
            rare.records_lost = rare.records_lost.max(records_lost);
            rare.damaged = rare.damaged.saturating_add(u32::from(damaged));
        }
    }

    /// The same of one that tells nothing but its flags.
    #[inline]
    pub(super) fn note_flags(&mut self, flags: TcpFlags) {
        self.facts.flags = self.facts.flags.union(flags);
    }

    /// It goes on where it stands: it has a position, and nothing waits, has ended or was out of the
    /// ordinary.
    pub(super) fn is_usual(&self) -> bool {
        self.anchor.is_some()
            && self.seen
            && self.pending.is_empty()
            && self.fin.is_none()
            && !self.ended
            && self.facts.is_plain()
    }

    /// What is known of its segments with the DTH bit; `new` where there is nothing yet.
    pub(super) fn dth_or_insert(&mut self, new: DthFacts) -> &mut DthFacts {
        self.facts.rare_mut().dth.get_or_insert(new)
    }

    /// Stores a piece that cannot be delivered yet.
    pub(super) fn store(&mut self, piece: Piece) {
        if self.pending.insert(piece) {
            self.note_conflict();
        }
    }

    /// Whether bytes are missing that the peer has received: it acknowledged past `next`. The one
    /// position above `next` may be a FIN that was not captured.
    pub(super) fn hole_is_acknowledged(&self) -> bool {
        self.anchor.is_some() && self.max_acked.since(self.next()) > 1
    }

    /// Whether anything of this half was told or waits, with what it acknowledges.
    pub(super) fn refers(&self) -> bool {
        self.started || !self.pending.is_empty() || self.fin.is_some()
    }

    /// Whether this half has everything that a segment acknowledging `acked` had received.
    pub(super) fn covers(&self, acked: Option<Offset>) -> bool {
        match acked {
            Some(acked) if self.seen && !self.ended => acked.since(self.next()) <= 1,
            _ => true,
        }
    }

    /// The first thing that waits: its position, and what its sender had acknowledged.
    pub(super) fn waiting_for(&self) -> Option<(Offset, Option<Offset>)> {
        let piece = self.pending.first().map(|p| (p.offset, p.acked));
        let fin = self.fin.as_ref().filter(|_| !self.ended);
        piece.or(fin.map(|f| (f.offset, f.acked)))
    }

    /// The moment at which the oldest thing began to wait; `None` when nothing waits.
    pub(super) fn waiting_since(&self) -> Option<Timestamp> {
        let fin = self.fin.as_ref().filter(|_| !self.ended).map(|f| f.time);
        let piece = self.pending.first().map(|p| p.time);
        match (piece, fin) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_moves_back_by_one_window_in_all() {
        let mut half = Half::default();
        let begin = SeqNumber(1 << 31);
        assert!(matches!(half.place(begin, 10), Place::New { offset: Offset::MIDSTREAM, .. }));
        let back = |n: u64| SeqNumber((1_u32 << 31).wrapping_sub(n as u32));
        assert!(matches!(half.place(back(MAX_AHEAD), 10), Place::New { skip: 0, .. }));
        assert_eq!(half.next(), Offset(Offset::MIDSTREAM.0 - MAX_AHEAD));
        assert!(matches!(half.place(back(MAX_AHEAD + 1), 10), Place::Elsewhere));
        assert_eq!(half.next(), Offset(Offset::MIDSTREAM.0 - MAX_AHEAD), "and stays there");
    }
}
