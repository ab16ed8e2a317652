//! One ring on its way to one engine: its reader, the clock, a handle on the flow table. Lanes share
//! nothing but that table, which each asks about its own flows alone. And one that has no ring, and
//! waits for several.

use std::os::fd::RawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::CaptureError;
use super::clock::Clock;
use super::flows::Flows;
use super::loan::{Bell, Loan, Loans};
use super::ring::{Polled, Reader, Ring, RingBell};
use crate::decode::decode;
use crate::segment::{Directive, FlowKey, Segment, Timestamp};

/// A ring of a [`super::Capture`] and all that a thread of its own needs to serve it.
pub struct Lane {
    reader: Reader,
    flows: Flows,
    clock: Clock,
    undecodable: Arc<AtomicU64>,
}

/// What is the same for all lanes.
pub(super) struct Common {
    pub(super) clock: Clock,
    pub(super) undecodable: Arc<AtomicU64>,
    pub(super) loans: Arc<Loans>,
}

impl Lane {
    /// The only ring's. What is behind `links` ends its waits.
    pub(super) fn alone(
        ring: Ring,
        flows: Flows,
        links: RawFd,
        common: &Common,
    ) -> Result<Self, CaptureError> {
        Ok(Self::new(Reader::alone(ring, links, &common.loans)?, flows, common))
    }

    /// One that waits for all of several rings, woken by `bell`.
    pub(super) fn for_all(
        rings: &[Ring],
        bell: RingBell,
        flows: Flows,
        links: RawFd,
        common: &Common,
    ) -> Result<Self, CaptureError> {
        Ok(Self::new(Reader::for_all(rings, bell, links, &common.loans)?, flows, common))
    }

    /// One of several rings', and what its own worker and the first need to take turns.
    pub(super) fn of_many(
        ring: Ring,
        number: u32,
        flows: Flows,
        common: &Common,
    ) -> Result<(Self, Loan), CaptureError> {
        let call = Arc::new(Bell::new().map_err(CaptureError::system("make an eventfd"))?);
        let reader = Reader::of_many(ring, Arc::clone(&call), &common.loans)?;
        let bell = reader.bell().map_err(CaptureError::system("duplicate a descriptor"))?;
        let loan = common.loans.loan(number, call, Some(bell));
        Ok((Self::new(reader, flows, common), loan))
    }

    fn new(reader: Reader, flows: Flows, common: &Common) -> Self {
        let Common { clock, ref undecodable, .. } = *common;
        Self { reader, flows, clock, undecodable: Arc::clone(undecodable) }
    }

    /// As [`super::Capture::poll`], but it waits until the next tick at most; ended early by
    /// [`Loan::call`].
    pub fn poll(
        &mut self,
        timeout: Duration,
        sink: impl FnMut(&Segment<'_>),
    ) -> Result<usize, CaptureError> {
        Ok(self.poll_beside(timeout, sink)?.n_records)
    }

    pub(super) fn poll_beside(
        &mut self,
        timeout: Duration,
        sink: impl FnMut(&Segment<'_>),
    ) -> Result<Polled, CaptureError> {
        self.clock.refresh();
        self.reader.poll(timeout, decoded(self.clock, &self.undecodable, sink))
    }

    /// Hands over what waits, as [`Lane::poll`] does, and waits for nothing.
    pub fn take(&mut self, sink: impl FnMut(&Segment<'_>)) -> usize {
        self.clock.refresh();
        self.reader.take(decoded(self.clock, &self.undecodable, sink))
    }

    /// Whether [`Lane::take`] would hand over something.
    pub fn has_more(&self) -> bool {
        self.reader.has_more()
    }

    /// To be called when the ring's own worker takes it back.
    pub fn come_back(&mut self) {
        self.reader.come_back();
    }

    pub(super) fn keep_ticking(&mut self) {
        self.reader.keep_ticking();
    }

    /// As [`super::Capture::now`].
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// As [`super::Capture::clock_shift`].
    pub fn clock_shift(&self) -> i64 {
        self.clock.shift()
    }

    /// Does what the engine asks. No error when the kernel does not know the flow any more; then its
    /// bytes keep coming.
    pub fn apply(&mut self, directive: Directive) -> Result<(), CaptureError> {
        match directive {
            Directive::Skip { flow, from_high, until } => self.flows.skip(&flow, from_high, until),
            Directive::Quiet(flow) => self.flows.quiet(&flow),
            Directive::Forget(flow) => self.flows.forget(&flow),
            Directive::LeaveOut(flow) => self.flows.leave_out(&flow),
        }
    }

    /// As [`super::Capture::entry`].
    pub fn entry(&self, flow: &FlowKey) -> Option<&'static str> {
        self.flows.entry(flow)
    }
}

fn decoded(
    clock: Clock,
    undecodable: &AtomicU64,
    mut sink: impl FnMut(&Segment<'_>),
) -> impl FnMut(&[u8]) {
    let offset = clock.offset();
    move |record| match decode(record, offset) {
        Ok(segment) => sink(&segment),
        // Cannot happen while both sides are built together; counted, not believed.
        Err(_) => {
            undecodable.fetch_add(1, Ordering::Relaxed);
        }
    }
}
