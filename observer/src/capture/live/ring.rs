//! The reading end of the ring: when to sleep, when to look, what to hand out.
//!
//! The kernel sends no wake-up per record. While records come, the reader sleeps for a tick and
//! takes what has gathered; a ring that fills faster wakes it at the fill mark. After a while
//! without records it says that it sleeps (`SLEEPER`) and the next record wakes it. So a busy host
//! pays one wake-up per batch, and an idle one pays nothing.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

use aya::maps::{Array, MapData, RingBuf};

use super::CaptureError;

pub(super) struct Reader {
    ring: RingBuf<MapData>,
    sleeper: Array<MapData, u32>,
    /// Watches the ring for wake-ups alone (edge-triggered): a look at the ring would end every
    /// sleep at the first record.
    ticker: OwnedFd,
    links: RawFd,
    /// The last look found the ring empty at its end.
    caught_up: bool,
    /// Ticks without a record.
    quiet_ticks: u32,
}

/// What one call to [`Reader::poll`] met.
pub(super) struct Polled {
    pub(super) n_records: usize,
    /// The rtnetlink socket has something to say.
    pub(super) links_changed: bool,
}

impl Reader {
    pub(super) fn new(
        ring: RingBuf<MapData>,
        sleeper: Array<MapData, u32>,
        links: RawFd,
    ) -> Result<Self, CaptureError> {
        let ticker = ticker(ring.as_raw_fd(), links)
            .map_err(CaptureError::system("watch the ring with epoll"))?;
        Ok(Self { ring, sleeper, ticker, links, caught_up: true, quiet_ticks: QUIET_TICKS })
    }

    pub(super) fn poll(
        &mut self,
        timeout: Duration,
        mut sink: impl FnMut(&[u8]),
    ) -> Result<Polled, CaptureError> {
        let links_changed = if !self.caught_up {
            false
        } else if self.quiet_ticks < QUIET_TICKS {
            self.tick(timeout.min(TICK))?
        } else {
            self.sleep(timeout)?
        };
        let mut n_records = 0;
        while n_records < BATCH
            && let Some(record) = self.ring.next()
        {
            n_records += 1;
            sink(&record);
        }
        self.caught_up = n_records < BATCH;
        self.quiet_ticks = if n_records > 0 { 0 } else { self.quiet_ticks.saturating_add(1) };
        Ok(Polled { n_records, links_changed })
    }

    /// Lets records gather until `timeout` or the fill mark. True when links changed.
    fn tick(&self, timeout: Duration) -> Result<bool, CaptureError> {
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; 2];
        // SAFETY: the array has room for as many events as the call is told.
        let n = unsafe {
            libc::epoll_wait(self.ticker.as_raw_fd(), events.as_mut_ptr(), 2, millis(timeout))
        };
        let n = interrupted_is_none(n).map_err(CaptureError::system("wait for the ring"))?;
        Ok(events.iter().take(n).any(|event| { event.u64 } == TOKEN_LINKS))
    }

    /// Sleeps until the first record, or `timeout`. True when links changed.
    fn sleep(&mut self, timeout: Duration) -> Result<bool, CaptureError> {
        self.sleeper.set(0, 1, 0)?;
        // The kernel may have reserved a record before it could see the flag: it sends no wake-up
        // for that one, but poll looks at the ring before it sleeps. In what is left of the race
        // (a store that another CPU sees late) the bound on the sleep limits the harm.
        let mut fds = [self.ring.as_raw_fd(), self.links].map(|fd| libc::pollfd {
            fd,
            events: libc::POLLIN,
            revents: 0,
        });
        // SAFETY: the array has as many entries as the call is told.
        let n = unsafe { libc::poll(fds.as_mut_ptr(), 2, millis(timeout.min(SLEEP_MAX))) };
        interrupted_is_none(n).map_err(CaptureError::system("wait for the ring"))?;
        let [_, links] = fds;
        Ok(links.revents != 0)
    }
}

fn ticker(ring: RawFd, links: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: no pointers; the result is checked.
    let fd = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor is new and nobody else's.
    let ticker = unsafe { OwnedFd::from_raw_fd(fd) };
    let edge = (libc::EPOLLIN | libc::EPOLLET) as u32;
    for (watched, events, token) in
        [(ring, edge, TOKEN_RING), (links, libc::EPOLLIN as u32, TOKEN_LINKS)]
    {
        let mut event = libc::epoll_event { events, u64: token };
        // SAFETY: the event outlives the call.
        if unsafe { libc::epoll_ctl(fd, libc::EPOLL_CTL_ADD, watched, &raw mut event) } < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(ticker)
}

/// A signal ends a wait early, and the caller looks at what the signal asked for.
fn interrupted_is_none(n: i32) -> io::Result<usize> {
    match usize::try_from(n) {
        Ok(n) => Ok(n),
        Err(_) => match io::Error::last_os_error() {
            error if error.kind() == io::ErrorKind::Interrupted => Ok(0),
            error => Err(error),
        },
    }
}

/// Rounded up, so that a short wait is no busy loop.
fn millis(timeout: Duration) -> i32 {
    i32::try_from(timeout.as_micros().div_ceil(1000)).unwrap_or(i32::MAX)
}

const TOKEN_RING: u64 = 0;
const TOKEN_LINKS: u64 = 1;
/// Records in one call: enough to spread its cost, few enough for timers to be served.
const BATCH: usize = 4096;
/// How old a record may grow while more gather.
const TICK: Duration = Duration::from_millis(5);
/// A tenth of a second without records ends the ticking.
const QUIET_TICKS: u32 = 20;
const SLEEP_MAX: Duration = Duration::from_secs(1);
