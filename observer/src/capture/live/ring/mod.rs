//! The reading end of the ring: when to sleep, when to look, what to hand out.
//!
//! The kernel sends no wake-up per record. While records come, the reader sleeps for a tick and
//! takes what has gathered; a ring that fills faster wakes it at the fill mark. After a tick without
//! records it says that it sleeps (`PLACES`) and the next record wakes it. So a busy host pays one
//! wake-up per batch, an idle one pays nothing, and where a record comes now and then it is not
//! waited for others for long.

mod consumer;
mod mapping;
mod maps;

use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::{CaptureError, clock};

pub use self::maps::{Layout, Ring};

pub(super) struct Reader {
    ring: Ring,
    /// Watches the bell for wake-ups alone (edge-triggered): a look at the ring would end every
    /// sleep at the first record.
    ticker: OwnedFd,
    /// A descriptor that ends waits as well.
    beside: RawFd,
    /// The last look found the ring empty at its end.
    caught_up: bool,
    /// The last look found records: more are likely to come.
    is_ticking: bool,
    /// A signal ended the last wait.
    interrupted: bool,
}

/// What one call to [`Reader::poll`] met.
pub(super) struct Polled {
    pub(super) n_records: usize,
    /// The other descriptor has something to say.
    pub(super) beside: bool,
}

impl Reader {
    pub(super) fn new(ring: Ring, beside: RawFd) -> Result<Self, CaptureError> {
        let ticker =
            ticker(fd(&ring), beside).map_err(CaptureError::system("watch the ring with epoll"))?;
        Ok(Self { ring, ticker, beside, caught_up: true, is_ticking: false, interrupted: false })
    }

    pub(super) fn poll(
        &mut self,
        timeout: Duration,
        sink: impl FnMut(&[u8]),
    ) -> Result<Polled, CaptureError> {
        // Another thread may be the one that handles the signal, and need a moment: the caller gets
        // to look for it again soon.
        let timeout = match std::mem::take(&mut self.interrupted) {
            true => timeout.min(AFTER_SIGNAL),
            false => timeout,
        };
        let beside = if !self.caught_up {
            false
        } else if self.is_ticking {
            self.tick(timeout.min(to_next_tick()))?
        } else {
            let mut woken = self.sleep(timeout)?;
            if woken.ring {
                // A response may follow at once. The ticker has seen the same wake-up, and would
                // end this tick for it.
                woken.beside |= self.tick(Duration::ZERO)?;
                woken.beside |= self.tick(timeout.min(FIRST_TICK))?;
            }
            woken.beside
        };
        let n_records = self.ring.records.drain(BATCH, sink);
        self.caught_up = n_records < BATCH;
        self.is_ticking = n_records > 0;
        Ok(Polled { n_records, beside })
    }

    /// Lets records gather until `timeout` or the fill mark. True when the other descriptor has something.
    fn tick(&mut self, timeout: Duration) -> Result<bool, CaptureError> {
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; 2];
        let timeout = libc::timespec {
            tv_sec: timeout.as_secs().try_into().unwrap_or(libc::time_t::MAX),
            tv_nsec: timeout.subsec_nanos().into(),
        };
        // SAFETY: the array has room for as many events as the call is told, the time is valid, and
        // there is no set of signals.
        let n = unsafe {
            libc::syscall(
                libc::SYS_epoll_pwait2,
                self.ticker.as_raw_fd(),
                events.as_mut_ptr(),
                events.len(),
                &raw const timeout,
                std::ptr::null::<libc::sigset_t>(),
                0_usize,
            )
        };
        let n = self.waited(i32::try_from(n).unwrap_or(-1))?;
        let has = |token| events.iter().take(n).any(|event| { event.u64 } == token);
        if has(TOKEN_RING) {
            self.ring.bell.silence();
        }
        Ok(has(TOKEN_BESIDE))
    }

    /// Sleeps until the first record, or `timeout`.
    ///
    /// A program looks at the word that says so when its record is on the ring, and the reader looks
    /// at the ring when it has said so. One of the two sees the other, but for a program's stores
    /// that take their time on the way to this CPU: so the reader looks again a moment later, before
    /// it sleeps for long.
    fn sleep(&mut self, timeout: Duration) -> Result<Woken, CaptureError> {
        let timeout = timeout.min(SLEEP_MAX);
        self.ring.bell.silence();
        let sleeps = self.ring.records.memory().sleeps();
        let was_asleep = sleeps.swap(1, Ordering::SeqCst) != 0;
        let mut woken = Woken { ring: self.ring.records.has_more(), beside: false };
        if !woken.ring && !was_asleep {
            woken = self.wait(timeout.min(FIRST_TICK))?;
            woken.ring |= self.ring.records.has_more();
        }
        if !woken.ring && !woken.beside && !self.interrupted {
            woken = self.wait(timeout)?;
        }
        Ok(woken)
    }

    /// Waits until the bell rings, or the other descriptor has something.
    fn wait(&mut self, timeout: Duration) -> Result<Woken, CaptureError> {
        let mut fds = [fd(&self.ring), self.beside].map(|fd| libc::pollfd {
            fd,
            events: libc::POLLIN,
            revents: 0,
        });
        // SAFETY: the array has as many entries as the call is told.
        let n = unsafe { libc::poll(fds.as_mut_ptr(), 2, millis(timeout)) };
        self.waited(n)?;
        let [ring, beside] = fds.map(|fd| fd.revents != 0);
        Ok(Woken { ring, beside })
    }

    /// What a wait returned: how many events. A signal ends it early.
    fn waited(&mut self, n: i32) -> Result<usize, CaptureError> {
        if let Ok(n) = usize::try_from(n) {
            return Ok(n);
        }
        let error = io::Error::last_os_error();
        self.interrupted = error.kind() == io::ErrorKind::Interrupted;
        match self.interrupted {
            true => Ok(0),
            false => Err(CaptureError::system("wait for the ring")(error)),
        }
    }
}

/// What ended a sleep, if it was not the time.
struct Woken {
    ring: bool,
    beside: bool,
}

fn fd(ring: &Ring) -> RawFd {
    ring.bell_map.fd().as_fd().as_raw_fd()
}

fn ticker(ring: RawFd, beside: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: no pointers; the result is checked.
    let fd = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor is new and nobody else's.
    let ticker = unsafe { OwnedFd::from_raw_fd(fd) };
    let edge = (libc::EPOLLIN | libc::EPOLLET) as u32;
    for (watched, events, token) in
        [(ring, edge, TOKEN_RING), (beside, libc::EPOLLIN as u32, TOKEN_BESIDE)]
    {
        let mut event = libc::epoll_event { events, u64: token };
        // SAFETY: the event outlives the call.
        if unsafe { libc::epoll_ctl(fd, libc::EPOLL_CTL_ADD, watched, &raw mut event) } < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(ticker)
}

/// The ticks of all readers fall on the same moments. Where a server and its client keep two CPUs
/// busy by turns, two workers that run at once, one on each, take time from both; one after the
/// other, each would make both wait.
fn to_next_tick() -> Duration {
    let passed = clock::monotonic().as_nanos() % TICK.as_nanos();
    TICK - Duration::from_nanos(u64::try_from(passed).unwrap_or(0))
}

/// Rounded up, so that a short wait is no busy loop.
fn millis(timeout: Duration) -> i32 {
    i32::try_from(timeout.as_micros().div_ceil(1000)).unwrap_or(i32::MAX)
}

const TOKEN_RING: u64 = 0;
const TOKEN_BESIDE: u64 = 1;
/// Records in one call: enough to spread its cost, few enough for timers to be served.
const BATCH: usize = 4096;
/// How old a record may grow while more gather. Half of it is what a line waits on average; each
/// costs a wake-up here and a write.
const TICK: Duration = Duration::from_millis(8);
/// The same for the first record after a sleep.
const FIRST_TICK: Duration = Duration::from_millis(2);
const AFTER_SIGNAL: Duration = Duration::from_millis(10);
const SLEEP_MAX: Duration = Duration::from_secs(1);
