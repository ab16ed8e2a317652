//! The reading end of the ring: when to sleep, when to look, what to hand out.
//!
//! The kernel sends no wake-up per record. While records come, the reader sleeps for a tick and
//! takes what has gathered; a ring that fills faster wakes it at the fill mark. After a tick without
//! records it says that it sleeps (`PLACES`) and the next record wakes it. So a busy host pays one
//! wake-up per batch, an idle one pays nothing, and where a record comes now and then it is not
//! waited for others for long.
//!
//! Where there are several rings, one reader has none: it waits for what comes on those that are on
//! loan ([`Loans`]), and a record on any of them wakes it. The readers of rings only tick then: who
//! has nothing to do lends its ring.

mod consumer;
mod mapping;
mod maps;

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use observer_common::ring::sleeps_by;

use self::consumer::{Consumer, Look};
use self::mapping::Mapping;
use super::loan::{self, Bell, Loans};
use super::{CaptureError, clock};

pub use self::maps::{Layout, Ring, RingBell};

pub(super) struct Reader {
    /// What it reads, if it is not there to wait for others.
    records: Option<Consumer<Mapping>>,
    bell: RingBell,
    /// Watches the bell for wake-ups alone (edge-triggered): a look at the ring would end every
    /// sleep at the first record.
    ticker: OwnedFd,
    /// Descriptors that end waits as well: one that others strike,
    call: Call,
    /// and one that has something to say, or [`loan::NONE`].
    beside: RawFd,
    /// The rings that it may sleep for: the only one, or those that are on loan. Empty where it never
    /// sleeps.
    looks: Vec<Look<Mapping>>,
    loans: Arc<Loans>,
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

/// What ends a reader's waits without a word.
enum Call {
    /// A ring was lent.
    Nudge,
    Own(Arc<Bell>),
}

impl Reader {
    /// The reader of the only ring.
    pub(super) fn alone(
        ring: Ring,
        beside: RawFd,
        loans: &Arc<Loans>,
    ) -> Result<Self, CaptureError> {
        let Ring { records, bell } = ring;
        let looks = vec![records.look()];
        Self::new(Some(records), bell, Call::Nudge, beside, looks, loans)
    }

    /// One that waits for what comes on those of the rings that are on loan, and reads none.
    pub(super) fn for_all(
        rings: &[Ring],
        bell: RingBell,
        beside: RawFd,
        loans: &Arc<Loans>,
    ) -> Result<Self, CaptureError> {
        let looks = rings.iter().map(|ring| ring.records.look()).collect();
        Self::new(None, bell, Call::Nudge, beside, looks, loans)
    }

    /// The reader of one of several rings, whose waits `call` ends.
    pub(super) fn of_many(
        ring: Ring,
        call: Arc<Bell>,
        loans: &Arc<Loans>,
    ) -> Result<Self, CaptureError> {
        let Ring { records, bell } = ring;
        Self::new(Some(records), bell, Call::Own(call), loan::NONE, Vec::new(), loans)
    }

    fn new(
        records: Option<Consumer<Mapping>>,
        bell: RingBell,
        call: Call,
        beside: RawFd,
        looks: Vec<Look<Mapping>>,
        loans: &Arc<Loans>,
    ) -> Result<Self, CaptureError> {
        let loans = Arc::clone(loans);
        let ticker = ticker(bell.fd().as_raw_fd(), call.bell(&loans).fd(), beside)
            .map_err(CaptureError::system("watch the ring with epoll"))?;
        Ok(Self {
            records,
            bell,
            ticker,
            call,
            beside,
            looks,
            loans,
            caught_up: true,
            is_ticking: false,
            interrupted: false,
        })
    }

    /// What rings past the fill mark.
    pub(super) fn bell(&self) -> io::Result<OwnedFd> {
        self.bell.fd().try_clone_to_owned()
    }

    /// Whether [`Reader::take`] would hand out something.
    pub(super) fn has_more(&self) -> bool {
        self.records.as_ref().is_some_and(Consumer::has_more)
    }

    /// Hands out what is there, for whoever looks after this ring while its own reader rests.
    pub(super) fn take(&mut self, sink: impl FnMut(&[u8])) -> usize {
        self.records.as_mut().map_or(0, |records| records.drain(BATCH, sink))
    }

    /// Its own reader is back, and looks before it waits.
    pub(super) fn come_back(&mut self) {
        self.bell.silence();
        if let Some(records) = &self.records {
            records.memory().sleeps().store(0, Ordering::SeqCst);
        }
        self.caught_up = false;
    }

    /// There were records on a ring that this reader looks after: more are likely to come.
    pub(super) fn keep_ticking(&mut self) {
        self.is_ticking = true;
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
        } else if self.is_ticking || self.looks.is_empty() {
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
        let n_records = self.take(sink);
        self.caught_up = n_records < BATCH;
        self.is_ticking = n_records > 0;
        Ok(Polled { n_records, beside })
    }

    /// Lets records gather until `timeout` or the fill mark. True when the other descriptor has something.
    fn tick(&mut self, timeout: Duration) -> Result<bool, CaptureError> {
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; 3];
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
            self.bell.silence();
        }
        if has(TOKEN_CALL) {
            self.call.bell(&self.loans).silence();
        }
        Ok(has(TOKEN_BESIDE))
    }

    /// Sleeps until the first record, or `timeout`.
    ///
    /// A program looks at the word that says so when its record is on the ring, and the reader looks
    /// at the ring when it has said so. One of the two sees the other, but for a program's stores
    /// that take their time on the way to this CPU: so the reader looks again a moment later, before
    /// it sleeps for long. Where a ring's own reader takes it back meanwhile, a record on it may wake
    /// this one for nothing.
    fn sleep(&mut self, timeout: Duration) -> Result<Woken, CaptureError> {
        let timeout = timeout.min(SLEEP_MAX);
        self.bell.silence();
        let bell = sleeps_by(self.bell.number);
        let said =
            self.sleeps_for().map(|ring| ring.memory().sleeps().swap(bell, Ordering::SeqCst));
        let was_asleep = said.fold(true, |all, said| all & (said != 0));
        let has_more = |reader: &Self| reader.sleeps_for().any(Look::has_more);
        let mut woken = Woken { ring: has_more(self), beside: false };
        if !woken.ring && !was_asleep {
            woken = self.wait(timeout.min(FIRST_TICK))?;
            woken.ring |= has_more(self);
        }
        if !woken.ring && !woken.beside && !self.interrupted {
            woken = self.wait(timeout)?;
        }
        Ok(woken)
    }

    fn sleeps_for(&self) -> impl Iterator<Item = &Look<Mapping>> {
        let is_ours = |number| self.records.is_some() || self.loans.is_lent(number);
        self.looks.iter().filter(move |ring| is_ours(ring.memory().number()))
    }

    /// Waits until the bell rings, a ring is lent, or the other descriptor has something.
    fn wait(&mut self, timeout: Duration) -> Result<Woken, CaptureError> {
        let call = self.call.bell(&self.loans).fd();
        let mut fds = [self.bell.fd().as_raw_fd(), call, self.beside].map(|fd| libc::pollfd {
            fd,
            events: libc::POLLIN,
            revents: 0,
        });
        // SAFETY: the array has as many entries as the call is told.
        let n = unsafe { libc::poll(fds.as_mut_ptr(), fds.len() as libc::nfds_t, millis(timeout)) };
        self.waited(n)?;
        let [ring, call, beside] = fds.map(|fd| fd.revents != 0);
        if call {
            self.call.bell(&self.loans).silence();
        }
        Ok(Woken { ring: ring | call, beside })
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

impl Call {
    fn bell<'a>(&'a self, loans: &'a Loans) -> &'a Bell {
        match self {
            Self::Nudge => loans.nudge(),
            Self::Own(bell) => bell,
        }
    }
}

/// What ended a sleep, if it was not the time.
struct Woken {
    /// Something may be on a ring.
    ring: bool,
    beside: bool,
}

fn ticker(ring: RawFd, call: RawFd, beside: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: no pointers; the result is checked.
    let fd = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor is new and nobody else's.
    let ticker = unsafe { OwnedFd::from_raw_fd(fd) };
    let edge = (libc::EPOLLIN | libc::EPOLLET) as u32;
    let level = libc::EPOLLIN as u32;
    let all = [(ring, edge, TOKEN_RING), (call, level, TOKEN_CALL), (beside, level, TOKEN_BESIDE)];
    for (watched, events, token) in all.into_iter().filter(|(fd, ..)| *fd != loan::NONE) {
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
const TOKEN_CALL: u64 = 1;
const TOKEN_BESIDE: u64 = 2;
/// Records in one call: enough to spread its cost, few enough for timers to be served.
const BATCH: usize = 4096;
/// How old a record may grow while more gather. Half of it is what a line waits on average; each
/// costs a wake-up here and a write.
const TICK: Duration = Duration::from_millis(8);
/// The same for the first record after a sleep.
const FIRST_TICK: Duration = Duration::from_millis(2);
const AFTER_SIGNAL: Duration = Duration::from_millis(10);
const SLEEP_MAX: Duration = Duration::from_secs(1);
