//! A live capture as the source: a thread that captures, and what it shares with those who wait.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::error::Came;
use super::held::Held;
use super::select::Select;
use super::{Error, Exchange, Report};
use crate::config;
use crate::drive::live::{self, Live as Capture};
use crate::drive::{Drive, monotonic};
use crate::event::Event;
use crate::event::stats::Ledger;
use crate::pipeline;

/// The capturing thread, from the side of those who wait. Detaches when dropped.
pub(super) struct Live {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// What the thread is told.
pub(super) struct Orders {
    pub(super) capture: config::Capture,
    pub(super) engine: pipeline::Config,
    pub(super) select: Select,
    pub(super) held: Held,
}

struct Shared {
    stop: AtomicBool,
    state: Mutex<State>,
}

struct State {
    phase: Phase,
    held: Held,
    ledger: Option<Ledger>,
    warnings: Vec<String>,
    /// Who waits, and until when. Only one can: waiting borrows the watch.
    waiter: Option<(Waker, Option<Instant>)>,
}

enum Phase {
    /// Programs are being loaded.
    Starting,
    /// Attached: what happens from here on is seen.
    Watching,
    /// Detached. The error is taken by the first who asks.
    Ended(Option<Error>),
}

impl Live {
    /// Starts a thread in the network namespace of the calling one, which then loads and attaches.
    pub(super) fn spawn(orders: Orders) -> Result<Self, Error> {
        let Orders { capture, engine, select, held } = orders;
        let (ledger, warnings, waiter) = (None, Vec::new(), None);
        let state = State { phase: Phase::Starting, held, ledger, warnings, waiter };
        let shared = Arc::new(Shared { stop: AtomicBool::new(false), state: Mutex::new(state) });
        let theirs = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("observer".to_owned())
            .spawn(move || {
                let mut end = End { shared: &theirs, error: Some(Error::Gone) };
                end.error = capture_until_stopped(&theirs, &capture, engine, &select).err();
            })
            .map_err(Error::Thread)?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Whether everything is attached by now.
    pub(super) fn poll_started(&self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let mut state = self.shared.lock();
        match &mut state.phase {
            Phase::Watching => Poll::Ready(Ok(())),
            Phase::Ended(error) => Poll::Ready(Err(error.take().unwrap_or(Error::Gone))),
            Phase::Starting => state.wait(context, None),
        }
    }

    /// What `look` finds among the exchanges that nobody took, as soon as it does. `None` when the
    /// deadline has passed or the capture has ended.
    pub(super) fn poll_until<T>(
        &self,
        context: &mut Context<'_>,
        deadline: Option<Instant>,
        look: &mut dyn FnMut(&mut Held) -> Option<T>,
    ) -> Poll<Result<Option<T>, Error>> {
        let mut state = self.shared.lock();
        if let Some(found) = look(&mut state.held) {
            return Poll::Ready(Ok(Some(found)));
        }
        if let Phase::Ended(error) = &mut state.phase {
            return Poll::Ready(error.take().map_or(Ok(None), Err));
        }
        if deadline.is_some_and(|deadline| monotonic() >= deadline) {
            return Poll::Ready(Ok(None));
        }
        state.wait(context, deadline)
    }

    /// Ends the capture; ready when it is detached and everything it saw is there.
    pub(super) fn poll_stop(&self, context: &mut Context<'_>) -> Poll<Result<Report, Error>> {
        self.shared.stop.store(true, Ordering::Relaxed);
        let mut state = self.shared.lock();
        let Phase::Ended(error) = &mut state.phase else { return state.wait(context, None) };
        if let Some(error) = error.take() {
            return Poll::Ready(Err(error));
        }
        Poll::Ready(Ok(Report {
            exchanges: state.held.take_first(usize::MAX),
            n_exchanges: state.held.n_came,
            n_dropped: state.held.n_dropped,
            ledger: state.ledger.take(),
            packets: None,
            warnings: std::mem::take(&mut state.warnings),
        }))
    }

    /// Whether no more will come.
    pub(super) fn has_ended(&self) -> bool {
        matches!(self.shared.lock().phase, Phase::Ended(_))
    }

    /// A line each for the exchanges that wait to be taken.
    pub(super) fn came(&self) -> Came {
        Came::new(self.shared.lock().held.iter())
    }
}

impl Drop for Live {
    /// Leaves nothing attached behind, also when a test fails in the middle.
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // If it panicked it has said so, and there is nothing left of it.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Whoever panicked with the lock left whole values behind: each change is one assignment.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn wait<T>(&mut self, context: &Context<'_>, deadline: Option<Instant>) -> Poll<T> {
        self.waiter = Some((context.waker().clone(), deadline));
        Poll::Pending
    }

    fn wake(&mut self) {
        if let Some((waker, _)) = self.waiter.take() {
            waker.wake();
        }
    }
}

/// Tells those who wait that the thread is over, also when it panics.
struct End<'a> {
    shared: &'a Shared,
    error: Option<Error>,
}

impl Drop for End<'_> {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.phase = Phase::Ended(self.error.take());
        state.wake();
    }
}

/// What the thread does. When it returns, nothing is attached any more.
fn capture_until_stopped(
    shared: &Shared,
    capture: &config::Capture,
    engine: pipeline::Config,
    select: &Select,
) -> Result<(), Error> {
    let body_prefix = u32::try_from(engine.body_prefix).unwrap_or(u32::MAX);
    let mut drive = Drive::new(live::start(capture, body_prefix, false, 1)?, engine);
    let mut state = shared.lock();
    state.phase = Phase::Watching;
    state.wake();
    drop(state);
    let mut came = Vec::new();
    let mut result = Ok(());
    while result.is_ok() && !shared.stop.load(Ordering::Relaxed) {
        let patience = drive.patience(TICK);
        result = drive.turn(patience, |event| keep(event, select, &mut came)).map(drop);
        hand_over(shared, &mut drive, &mut came);
    }
    drive.finish(|event| keep(event, select, &mut came));
    hand_over(shared, &mut drive, &mut came);
    shared.lock().ledger = drive.snapshot().capture;
    Ok(result?)
}

fn keep(event: Event, select: &Select, came: &mut Vec<Exchange>) {
    if let Event::Exchange(event) = event {
        let exchange = Exchange::new(*event);
        if select.admits(&exchange) {
            came.push(exchange);
        }
    }
}

/// Gives what came to whoever waits, and lets go those who have waited long enough.
fn hand_over(shared: &Shared, drive: &mut Drive<Capture>, came: &mut Vec<Exchange>) {
    let warnings = drive.take_warnings();
    let mut state = shared.lock();
    state.warnings.extend(warnings);
    let deadline = state.waiter.as_ref().and_then(|(_, deadline)| *deadline);
    let is_news = !came.is_empty() || deadline.is_some_and(|deadline| monotonic() >= deadline);
    came.drain(..).for_each(|exchange| state.held.push(exchange));
    if is_news {
        state.wake();
    }
}

/// The longest wait for segments: how much later than asked a deadline or a stop may be noticed.
const TICK: Duration = Duration::from_millis(20);
