//! One ring on its way to one engine: its reader, the clock, a handle on the flow table. Lanes share
//! nothing but that table, which each asks about its own flows alone.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::CaptureError;
use super::clock::Clock;
use super::flows::Flows;
use super::ring::{Polled, Reader, Ring};
use crate::decode::decode;
use crate::segment::{Directive, FlowKey, Segment, Timestamp};

/// A further ring of a [`super::Capture`] and all that a thread of its own needs to serve it.
pub struct Lane {
    reader: Reader,
    flows: Flows,
    clock: Clock,
    undecodable: Arc<AtomicU64>,
    /// What the reader watches beside the ring.
    _bell: Arc<Bell>,
}

impl Lane {
    /// `bell` ends a wait, and so does what is behind `links`, where that is given instead.
    pub(super) fn new(
        ring: Ring,
        flows: Flows,
        clock: Clock,
        undecodable: Arc<AtomicU64>,
        bell: &Arc<Bell>,
        links: Option<RawFd>,
    ) -> Result<Self, CaptureError> {
        let reader = Reader::new(ring, links.unwrap_or_else(|| bell.0.as_raw_fd()))?;
        Ok(Self { reader, flows, clock, undecodable, _bell: Arc::clone(bell) })
    }

    /// As [`super::Capture::poll`]; ended early by the [`Bell`].
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
        mut sink: impl FnMut(&Segment<'_>),
    ) -> Result<Polled, CaptureError> {
        self.clock.refresh();
        let offset = self.clock.offset();
        let undecodable = &self.undecodable;
        self.reader.poll(timeout, |record| match decode(record, offset) {
            Ok(segment) => sink(&segment),
            // Cannot happen while both sides are built together; counted, not believed.
            Err(_) => {
                undecodable.fetch_add(1, Ordering::Relaxed);
            }
        })
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

/// Ends the waits of all lanes, from when it is struck.
pub struct Bell(OwnedFd);

impl Bell {
    pub(super) fn new() -> io::Result<Self> {
        // SAFETY: no pointers; the result is checked.
        let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor is new and nobody else's.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    pub fn strike(&self) {
        let one = 1u64;
        // SAFETY: eight bytes, as eventfd(2) wants them. It fails only when it has rung very often.
        unsafe { libc::write(self.0.as_raw_fd(), (&raw const one).cast(), 8) };
    }
}
