//! TCP: from segments to two ordered byte streams a flow, with the gaps told.
//!
//! [`FlowTable`] owns the flows, their lifecycle and every bound on what a peer can make them hold.
//! What the bytes mean is the business of an [`Application`]; this module knows nothing of it.

mod application;
mod assembler;
mod closed;
mod directives;
mod flow;
mod half;
mod limits;
mod sampling;
mod seq;
mod timers;

use std::collections::VecDeque;
use std::hash::BuildHasher;

use hashbrown::HashTable;

use self::closed::Closed;
use self::flow::{Flow, Outcome};
use self::sampling::{Sampling, adjusted_count};
use self::timers::Timers;
use crate::segment::{Directive, FlowKey, Segment, Timestamp};

pub use self::application::{Application, Cause, Delivery, What, Wish};
pub use self::flow::{Facts, Place, Side};
pub use self::half::{DthFacts, HalfFacts};
pub use self::limits::{Limits, TableStats};

#[derive(Debug)]
struct Slot<A> {
    /// The earliest entry for this slot in the timer heap.
    scheduled: Timestamp,
    flow: Flow<A>,
}

/// All flows, by their endpoints.
///
/// Each flow has one live entry in `timers`, at or before its deadline; a segment moves the
/// deadline without touching the heap, and the entry finds out when it comes up.
#[derive(Debug)]
pub struct FlowTable<A> {
    limits: Limits,
    index: HashTable<u32>,
    /// In boxes, so that a flow that has ended leaves eight bytes behind.
    slots: Vec<Option<Box<Slot<A>>>>,
    free: Vec<u32>,
    timers: Timers,
    hasher: foldhash::fast::RandomState,
    closed: Closed,
    /// When to give back the memory of flows that have ended; the end of time where there is none.
    tidy_at: Timestamp,
    /// Much memory was given back since that was asked.
    shrank: bool,
    directives: VecDeque<Directive>,
    buffered: usize,
    sampling: Sampling,
    /// Nothing is taken by [`FlowTable::handle_calm`].
    in_steps: bool,
    stats: TableStats,
}

impl<A: Application> FlowTable<A> {
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            index: HashTable::new(),
            slots: Vec::new(),
            free: Vec::new(),
            timers: Timers::default(),
            hasher: foldhash::fast::RandomState::default(),
            closed: Closed::default(),
            tidy_at: Timestamp(u64::MAX),
            shrank: false,
            directives: VecDeque::new(),
            buffered: 0,
            sampling: Sampling::default(),
            in_steps: false,
            stats: TableStats::default(),
        }
    }

    pub fn stats(&self) -> TableStats {
        TableStats {
            flows: self.index.len() as u64,
            buffered_bytes: self.buffered as u64,
            ..self.stats
        }
    }

    /// Takes every segment the general way: for tests, as [`crate::pipeline::Pipeline`] has it.
    pub(crate) fn take_in_steps(&mut self) {
        self.in_steps = true;
    }

    /// Follows one flow in 2 to the power of `shift` from `from` on, as [`FlowKey::is_kept`] has
    /// it: those that are open when they are at rest next.
    pub fn sample(&mut self, shift: u32, from: Timestamp) {
        self.sampling.set(shift, from);
    }

    /// Takes one segment.
    pub fn handle_segment(&mut self, segment: &Segment<'_>, out: &mut A::Output) {
        self.stats.segments = self.stats.segments.saturating_add(1);
        let key = FlowKey::of(segment);
        let hash = self.hash(&key);
        let shift = self.sampling.at(segment.time);
        if let Some(slot) = self.find(hash, &key) {
            if self.handle_calm(slot, segment, shift, out) {
                return;
            }
            let taken =
                self.with_slot(slot, |flow, limits| flow.handle_segment(segment, limits, out));
            if taken != Some(Outcome::Reused) {
                if !self.bury_if_closed(slot, segment.time) {
                    self.sample_at_rest(slot, shift);
                }
                return;
            }
            self.end(slot, segment.time, Cause::Reused, out);
        }
        if shift != 0 && !key.is_kept(shift) {
            // The kernel was told the step later than the engine, or not at all.
            self.stats.segments_sampled = self.stats.segments_sampled.saturating_add(1);
            self.leave_out(key);
        } else if Flow::<A>::begins_with(segment) && !self.closed.is_late(segment) {
            let slot = self.open(hash, segment, adjusted_count(shift), out);
            self.with_slot(slot, |flow, limits| flow.handle_segment(segment, limits, out));
        } else {
            self.stats.ignored = self.stats.ignored.saturating_add(1);
        }
    }

    /// Takes a segment as nearly all are. What it changes is neither the flow's place in the timers,
    /// since its deadline comes later, nor the byte budget, since nothing is stored.
    #[inline]
    fn handle_calm(
        &mut self,
        slot: u32,
        segment: &Segment<'_>,
        shift: u32,
        out: &mut A::Output,
    ) -> bool {
        let Some(entry) = self.slots.get_mut(slot as usize).and_then(Option::as_deref_mut) else {
            return false;
        };
        if self.in_steps || !entry.flow.handle_calm(segment, out) {
            return false;
        }
        if entry.flow.has_directives() {
            entry.flow.take_directives(&mut self.directives);
        }
        if entry.flow.facts.adjusted_count != adjusted_count(shift) {
            self.sample_at_rest(slot, shift);
        }
        true
    }

    /// Acts on every deadline at or before `now`.
    pub fn handle_timeout(&mut self, now: Timestamp, out: &mut A::Output) {
        while let Some((due, slot)) = self.timers.pop_due(now) {
            self.handle_timer(slot, due, now, out);
        }
        if self.tidy_at <= now {
            self.tidy(now);
        }
    }

    /// When `handle_timeout` next has something to do.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        let due = self.timers.peek().unwrap_or(Timestamp(u64::MAX));
        Some(due.min(self.tidy_at)).filter(|&due| due != Timestamp(u64::MAX))
    }

    /// Whether the memory of many flows was given back since the last call.
    pub fn take_shrank(&mut self) -> bool {
        std::mem::take(&mut self.shrank)
    }

    /// Ends every flow, in the order in which they were opened.
    pub fn finish(&mut self, now: Timestamp, out: &mut A::Output) {
        let mut open: Vec<(Timestamp, u32)> = (0u32..)
            .zip(&self.slots)
            .filter_map(|(i, slot)| Some((slot.as_ref()?.flow.facts.opened, i)))
            .collect();
        open.sort_unstable();
        for (_, slot) in open {
            self.end(slot, now, Cause::CaptureEnd, out);
        }
        self.timers.clear();
        self.tidy_at = Timestamp(u64::MAX);
    }

    fn hash(&self, key: &FlowKey) -> u64 {
        hash(&self.hasher, key)
    }

    fn slot(&self, slot: u32) -> Option<&Slot<A>> {
        self.slots.get(slot as usize)?.as_deref()
    }

    fn slot_mut(&mut self, slot: u32) -> Option<&mut Slot<A>> {
        self.slots.get_mut(slot as usize)?.as_deref_mut()
    }

    fn find(&self, hash: u64, key: &FlowKey) -> Option<u32> {
        let same = |&slot: &u32| self.slot(slot).is_some_and(|s| s.flow.facts.key == *key);
        self.index.find(hash, same).copied()
    }

    /// Runs `f` on a flow, then brings the byte budget and the flow's timer up to date.
    fn with_slot<T>(&mut self, slot: u32, f: impl FnOnce(&mut Flow<A>, &Limits) -> T) -> Option<T> {
        let mut limits = &self.limits;
        let tight;
        if self.buffered >= limits.total_bytes {
            tight = Limits { half_bytes: 0, ..self.limits };
            limits = &tight;
            self.stats.budget_exceeded = self.stats.budget_exceeded.saturating_add(1);
        }
        let entry = self.slots.get_mut(slot as usize).and_then(Option::as_deref_mut)?;
        let before = entry.flow.n_buffered();
        let result = f(&mut entry.flow, limits);
        let after = entry.flow.n_buffered();
        let deadline = entry.flow.deadline(limits);
        let is_sooner = deadline < entry.scheduled;
        if is_sooner {
            entry.scheduled = deadline;
        }
        if entry.flow.has_directives() {
            entry.flow.take_directives(&mut self.directives);
        }
        self.buffered = self.buffered.saturating_sub(before).saturating_add(after);
        if is_sooner {
            self.schedule(deadline, slot);
        }
        Some(result)
    }

    fn schedule(&mut self, due: Timestamp, slot: u32) {
        self.timers.push(due, slot);
        let slots = &self.slots;
        let flow = |slot: u32| slots.get(slot as usize).and_then(Option::as_deref);
        let is_current = |due, slot| flow(slot).is_some_and(|entry| entry.scheduled == due);
        self.timers.tidy(self.index.len(), is_current);
    }

    fn open(
        &mut self,
        hash: u64,
        segment: &Segment<'_>,
        adjusted_count: u32,
        out: &mut A::Output,
    ) -> u32 {
        if self.index.len() >= self.limits.flows {
            self.evict(segment.time, out);
        }
        let mut flow = Flow::new(segment, self.limits.skip);
        flow.facts.adjusted_count = adjusted_count;
        let scheduled = flow.deadline(&self.limits);
        let entry = Box::new(Slot { scheduled, flow });
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None => {
                self.slots.push(None);
                u32::try_from(self.slots.len()).unwrap_or(u32::MAX).saturating_sub(1)
            }
        };
        if let Some(place) = self.slots.get_mut(slot as usize) {
            *place = Some(entry);
        }
        let (slots, hasher) = (&self.slots, &self.hasher);
        self.index.insert_unique(hash, slot, |&slot| hash_of(hasher, slots, slot));
        self.schedule(scheduled, slot);
        self.stats.flows_opened = self.stats.flows_opened.saturating_add(1);
        slot
    }

    fn remove(&mut self, slot: u32) {
        let Some(entry) = self.slots.get_mut(slot as usize).and_then(Option::take) else { return };
        self.buffered = self.buffered.saturating_sub(entry.flow.n_buffered());
        let hash = self.hash(&entry.flow.facts.key);
        if let Ok(found) = self.index.find_entry(hash, |&s| s == slot) {
            found.remove();
        }
        self.free.push(slot);
    }

    /// A timer entry came up: it may be the flow's, an outdated one, or that of an earlier flow in
    /// the same slot; in every case the flow itself says what is due.
    fn handle_timer(&mut self, slot: u32, due: Timestamp, now: Timestamp, out: &mut A::Output) {
        let limits = self.limits;
        let Some(entry) = self.slot_mut(slot) else { return };
        if entry.scheduled != due {
            return;
        }
        entry.scheduled = Timestamp(u64::MAX);
        if entry.flow.deadline(&limits) > now {
            self.with_slot(slot, |_, _| ());
            return;
        }
        let idle = entry.flow.last_seen.after(limits.idle_ns) <= now;
        self.with_slot(slot, |flow, limits| flow.handle_timeout(now, limits, out));
        if self.bury_if_closed(slot, now) && idle {
            self.stats.flows_timed_out = self.stats.flows_timed_out.saturating_add(1);
        }
    }

    /// Ends a flow now and remembers that it was there.
    fn end(&mut self, slot: u32, now: Timestamp, cause: Cause, out: &mut A::Output) {
        self.with_slot(slot, |flow, _| flow.close(now, cause, out));
        self.bury_if_closed(slot, now);
    }

    /// Forgets a flow that has ended, all but where it ended. Returns whether it had.
    fn bury_if_closed(&mut self, slot: u32, now: Timestamp) -> bool {
        let Some(entry) = self.slot(slot).filter(|e| e.flow.is_closed()) else { return false };
        let (key, ends) = (entry.flow.facts.key, entry.flow.ends());
        self.closed.insert(key, ends, now.after(self.limits.time_wait_ns));
        self.tidy_at = self.tidy_at.min(now.after(TIDY_NS));
        self.remove(slot);
        true
    }

    /// Gives back the memory of flows that have ended, and forgets those that were to be remembered
    /// for a while. A table that is a quarter full may fill again.
    fn tidy(&mut self, now: Timestamp) {
        self.closed.expire(now);
        self.tidy_at =
            Timestamp(if self.closed.is_empty() { u64::MAX } else { now.after(TIDY_NS).0 });
        if self.index.len() >= self.index.capacity() / 4 {
            return;
        }
        let n_slots = self.slots.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
        self.shrank |= self.free.len() > MANY;
        self.slots.truncate(n_slots);
        self.slots.shrink_to_fit();
        self.free.retain(|&slot| (slot as usize) < n_slots);
        self.free.shrink_to_fit();
        let slots = &self.slots;
        let slot = |slot: u32| slots.get(slot as usize).and_then(Option::as_deref);
        self.timers.shrink(|due, i| slot(i).is_some_and(|s| s.scheduled == due));
        let n_flows = self.index.len();
        let hasher = &self.hasher;
        self.index.shrink_to(n_flows, |&slot| hash_of(hasher, slots, slot));
    }

    /// Makes room: ends the flow that has been silent longest, as far as the timers tell. A flow
    /// whose timer is old but that spoke since gets a second chance, a bounded number of times.
    fn evict(&mut self, now: Timestamp, out: &mut A::Output) {
        const TRIES: usize = 64;
        for tries in 0.. {
            let Some((due, slot)) = self.timers.pop() else { return };
            let limits = self.limits;
            let Some(entry) = self.slot_mut(slot).filter(|e| e.scheduled == due) else { continue };
            entry.scheduled = Timestamp(u64::MAX);
            if entry.flow.deadline(&limits) > due && tries < TRIES {
                self.with_slot(slot, |_, _| ());
                continue;
            }
            self.stats.flows_evicted = self.stats.flows_evicted.saturating_add(1);
            self.end(slot, now, Cause::Evicted, out);
            return;
        }
    }
}

/// Seeded when the process starts, so that nobody outside can choose flows that collide. Whole
/// numbers: a hasher takes arrays byte by byte, and with their lengths.
fn hash(hasher: &foldhash::fast::RandomState, key: &FlowKey) -> u64 {
    let ports = u32::from(key.low.port) << 16 | u32::from(key.high.port);
    let (low, high) = (u128::from_ne_bytes(key.low.addr), u128::from_ne_bytes(key.high.addr));
    hasher.hash_one((low, high, u64::from(key.netns) << 32 | u64::from(ports)))
}

/// The hash of a slot's flow, worked out again: it is needed when the table grows or shrinks.
fn hash_of<A>(
    hasher: &foldhash::fast::RandomState,
    slots: &[Option<Box<Slot<A>>>],
    slot: u32,
) -> u64 {
    let slot = slots.get(slot as usize).and_then(Option::as_deref);
    slot.map_or(0, |slot| hash(hasher, &slot.flow.facts.key))
}

/// How long after the end of a flow its memory is given back, with that of those that ended since.
const TIDY_NS: u64 = 10_000_000_000;

/// So many flows that it is worth asking the allocator for what they held.
const MANY: usize = 1_000;
