//! Who turns for a ring: its own worker, or the first worker for all. A ring on loan is the first
//! worker's; its own rests meanwhile, and takes it back when it is called, when the ring has filled
//! past its mark, or when the first is overdue. It must not know what a turn is.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What the first worker and all others know of each other.
pub struct Loans {
    /// A bit for each ring, 1 while it is on loan. Written when one changes hands, seldom.
    rings: AtomicU64,
    /// Ends a wait of the first worker: a ring has come.
    nudge: Bell,
    /// A timer that the first worker keeps from running out (timerfd_create(2)).
    overdue: OwnedFd,
}

/// One ring's part in that.
pub struct Loan {
    number: u32,
    loans: Arc<Loans>,
    call: Arc<Bell>,
    /// What rings past the fill mark.
    bell: Option<OwnedFd>,
}

impl Loans {
    pub fn new() -> io::Result<Arc<Self>> {
        // SAFETY: no pointers; the result is checked.
        let fd = unsafe {
            libc::timerfd_create(libc::CLOCK_MONOTONIC, libc::TFD_CLOEXEC | libc::TFD_NONBLOCK)
        };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor is new and nobody else's.
        let overdue = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(Arc::new(Self { rings: AtomicU64::new(0), nudge: Bell::new()?, overdue }))
    }

    /// The ring with that number, below 64, whose bell is `bell`; `call` ends a wait of its worker.
    pub fn loan(self: &Arc<Self>, number: u32, call: Arc<Bell>, bell: Option<OwnedFd>) -> Loan {
        assert!(number < u64::BITS, "ring {number}");
        Loan { number, loans: Arc::clone(self), call, bell }
    }

    /// The first worker turns. Unless it says so again in so much time, all others come back.
    pub fn postpone(&self, patience: Duration) {
        let value = libc::timespec {
            tv_sec: patience.as_secs().try_into().unwrap_or(libc::time_t::MAX),
            tv_nsec: patience.subsec_nanos().into(),
        };
        let never = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        let timer = libc::itimerspec { it_interval: never, it_value: value };
        // SAFETY: the time is valid and outlives the call, and the old one is not asked for. It
        // cannot fail.
        unsafe {
            libc::timerfd_settime(
                self.overdue.as_raw_fd(),
                0,
                &raw const timer,
                std::ptr::null_mut(),
            )
        };
    }

    pub(super) fn is_lent(&self, number: u32) -> bool {
        self.rings.load(Ordering::Acquire) >> number & 1 != 0
    }

    pub(super) fn nudge(&self) -> &Bell {
        &self.nudge
    }
}

impl Loan {
    pub fn is_lent(&self) -> bool {
        self.loans.is_lent(self.number)
    }

    /// From here on the first worker reads the ring. Nothing of it may be in anybody's hand.
    pub fn lend(&self) {
        self.loans.rings.fetch_or(1 << self.number, Ordering::AcqRel);
        self.loans.nudge.strike();
    }

    /// From here on its own worker does, as soon as the first has let go of it.
    pub fn take_back(&self) {
        self.loans.rings.fetch_and(!(1 << self.number), Ordering::AcqRel);
    }

    /// Wakes the ring's own worker.
    pub fn call(&self) {
        self.call.strike();
    }

    /// Waits until there is a reason for the ring's own worker to come back.
    pub fn rest(&self) -> io::Result<()> {
        let bell = self.bell.as_ref().map_or(NONE, AsRawFd::as_raw_fd);
        let watched = [self.call.fd(), bell, self.loans.overdue.as_raw_fd()];
        let mut fds = watched.map(|fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 });
        // SAFETY: the array has as many entries as the call is told.
        let n = unsafe { libc::poll(fds.as_mut_ptr(), fds.len() as libc::nfds_t, -1) };
        let [call, ..] = fds.map(|fd| fd.revents != 0);
        if call {
            self.call.silence();
        }
        let error = io::Error::last_os_error();
        match n >= 0 || error.kind() == io::ErrorKind::Interrupted {
            true => Ok(()),
            false => Err(error),
        }
    }
}

/// Ends a wait, from when it is struck until it is silenced (eventfd(2)).
pub struct Bell(OwnedFd);

impl Bell {
    pub fn new() -> io::Result<Self> {
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

    pub(super) fn silence(&self) {
        let mut n_strikes = 0u64;
        // SAFETY: eight bytes, as above. It fails only when it is silent.
        unsafe { libc::read(self.0.as_raw_fd(), (&raw mut n_strikes).cast(), 8) };
    }

    pub(super) fn fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

/// poll(2) passes over it.
pub(super) const NONE: RawFd = -1;
