//! A sink's thread: moves lines from its queue, or from its spool, into its target.
//!
//! It counts what became of each event, tries again what failed, and says once when something does
//! not work and once when it does again. It never makes the capture wait. A target that workers may
//! write to as well it touches only when it has lines in hand or an order: then nobody else does.

use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::Lines;
use super::clock::monotonic;
use super::hand::Hand;
use super::queue::{Loss, Next, Queue};
use super::spool::Spool;
use super::stall::Stopwatch;
use super::target::{Failure, Target, locked};

/// Word from a sink to whoever runs the daemon.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Notice {
    Say(String),
    /// The sink of this name wants no more events.
    Closed(String),
}

/// Where a sink's threads leave word.
#[derive(Clone, Debug)]
pub(super) struct Notices {
    sender: Sender<Notice>,
    name: String,
}

impl Notices {
    pub(super) fn new(sender: Sender<Notice>, name: &str) -> Self {
        Self { sender, name: name.to_owned() }
    }

    #[cfg_attr(not(test), expect(dead_code, reason = "what tests listen to"))]
    pub(super) fn channel(name: &str) -> (Self, Receiver<Notice>) {
        let (sender, receiver) = channel();
        (Self::new(sender, name), receiver)
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn say(&self, what: impl Into<String>) {
        // Fails when the daemon has ended; then nobody is there to hear it.
        let _ = self.sender.send(Notice::Say(what.into()));
    }

    fn closed(&self) {
        let _ = self.sender.send(Notice::Closed(self.name.clone()));
    }
}

/// The thread's state.
pub(super) struct Runner {
    queue: Arc<Queue>,
    spool: Option<Spool>,
    notices: Notices,
    hand: Option<Hand>,
    trouble: Option<Trouble>,
    spool_is_failing: bool,
    target: Arc<Mutex<dyn Target>>,
}

/// Since when the target refuses, and how long to wait before the next attempt.
struct Trouble {
    lost_before: u64,
    pause: Duration,
    /// When to count the target as mended although nothing was written.
    said: bool,
    since: Instant,
}

/// What came of one attempt to write.
enum Step {
    Done,
    Again,
    Closed,
    GiveUp,
}

impl Runner {
    pub(super) fn new(
        target: Arc<Mutex<dyn Target>>,
        queue: Arc<Queue>,
        spool: Option<Spool>,
        notices: Notices,
    ) -> Self {
        Self { queue, spool, notices, hand: None, trouble: None, spool_is_failing: false, target }
    }

    /// Until the end is ordered and everything is written, or cannot be.
    pub(super) fn run(mut self) {
        let loss = loop {
            self.reopen_if_asked();
            if self.hand.is_none() && !self.take() {
                break Loss::AtEnd;
            }
            if self.queue.has_ended() {
                break Loss::AtEnd;
            }
            match self.step() {
                Step::Done => self.hand = None,
                Step::Again => {}
                Step::Closed => {
                    self.notices.closed();
                    break Loss::Closed;
                }
                Step::GiveUp => break Loss::AtEnd,
            }
        };
        self.leave(loss);
    }

    /// Takes lines in hand. False when there are none and none will come.
    fn take(&mut self) -> bool {
        while self.spool.as_ref().is_some_and(|spool| !spool.is_empty()) {
            // What came later waits behind what is in the spool.
            self.relieve(true);
            if let Some(lines) = self.unspool() {
                self.hand = Some(Hand::new(Arc::new(lines)));
                return true;
            }
        }
        match self.queue.next(IDLE) {
            Next::Lines(lines) => self.hand = Some(Hand::new(lines)),
            Next::Nothing => {}
            Next::End => return false,
        }
        true
    }

    /// Writes some of what is in hand.
    fn step(&mut self) -> Step {
        let Some(hand) = &mut self.hand else { return Step::Done };
        let mut target = locked(&self.target);
        let stopwatch = target.is_prompt(hand.rest()).then(Stopwatch::start);
        let result = target.write(hand.rest());
        if let Some(now) = stopwatch.and_then(|stopwatch| stopwatch.stalled()) {
            self.queue.stalled(now);
        }
        match result {
            Ok(taken) => {
                drop(target);
                let n_whole = hand.advance(taken.bytes);
                let is_done = hand.is_done();
                if taken.refused > 0 {
                    self.queue.lost(Loss::TooLarge, taken.refused);
                }
                let n_bytes = if taken.refused > 0 { 0 } else { taken.bytes as u64 };
                self.queue.written(n_whole - taken.refused.min(n_whole), n_bytes);
                if taken.bytes > 0 {
                    self.mended();
                }
                if is_done { Step::Done } else { Step::Again }
            }
            Err(Failure::Later) => {
                drop(target);
                self.relieve(false);
                locked(&self.target).wait(SLICE);
                Step::Again
            }
            Err(Failure::Closed) => Step::Closed,
            Err(Failure::Broken { error, from_line_start }) => {
                drop(target);
                if from_line_start {
                    hand.back_to_line_start();
                }
                self.broken(&error)
            }
        }
    }

    /// The target refuses. Says so the first time, and waits before the next attempt.
    fn broken(&mut self, error: &io::Error) -> Step {
        self.queue.failing(true, true);
        // The attempt before this one was the last.
        if self.trouble.is_some() && self.queue.is_ending() {
            return Step::GiveUp;
        }
        let lost_before = self.queue.stats("").lost;
        let trouble = self.trouble.get_or_insert_with(|| Trouble {
            lost_before,
            pause: FIRST_PAUSE,
            said: false,
            since: monotonic(),
        });
        if !std::mem::replace(&mut trouble.said, true) {
            let name = self.notices.name();
            let then = match self.spool {
                Some(_) => "spooled",
                None => "lost and counted",
            };
            self.notices.say(format!(
                "cannot write to {name}: {error}; capture goes on, events wait, and are {then} when \
                 too many do"
            ));
        }
        let pause = trouble.pause;
        trouble.pause = (pause * 2).min(LONGEST_PAUSE);
        self.relieve(false);
        self.queue.pause(pause, self.spool.is_some());
        self.relieve(false);
        Step::Again
    }

    /// The target takes lines again.
    fn mended(&mut self) {
        let Some(trouble) = self.trouble.take() else { return };
        self.queue.failing(false, false);
        self.queue.stalled(monotonic());
        let n_lost = self.queue.stats("").lost - trouble.lost_before;
        let seconds = (monotonic() - trouble.since).as_secs_f64();
        let name = self.notices.name();
        self.notices.say(format!(
            "writing to {name} works again after {seconds:.1}s; {n_lost} events were lost"
        ));
    }

    /// Moves the queue to the spool when it is more than half full, or whatever is in it.
    fn relieve(&mut self, even_little: bool) {
        let Some(spool) = &mut self.spool else { return };
        for lines in self.queue.take_for_spool(even_little) {
            match spool.append(&lines) {
                Ok(()) => {
                    self.spool_is_failing = false;
                    self.queue.spooled(lines.n_events());
                }
                Err(error) => {
                    self.queue.lost(Loss::SpoolFull, lines.n_events());
                    if !std::mem::replace(&mut self.spool_is_failing, true) {
                        let name = self.notices.name();
                        self.notices.say(format!(
                            "cannot spool for {name}: {error}; events are lost and counted"
                        ));
                    }
                }
            }
        }
    }

    /// The oldest lines of the spool.
    fn unspool(&mut self) -> Option<Lines> {
        let spool = self.spool.as_mut()?;
        match spool.next() {
            Ok(lines) => {
                self.queue.unspooled(lines.as_ref().map_or(0, Lines::n_events));
                lines
            }
            Err(error) => {
                let n_lost = spool.discard();
                self.queue.unspooled(n_lost);
                self.queue.lost(Loss::SpoolFull, n_lost);
                let name = self.notices.name();
                self.notices.say(format!(
                    "cannot read the spool of {name}: {error}; {n_lost} events are lost"
                ));
                None
            }
        }
    }

    fn reopen_if_asked(&mut self) {
        let is_between_lines = self.hand.as_ref().is_none_or(Hand::is_between_lines);
        if !is_between_lines {
            return;
        }
        let mut target = locked(&self.target);
        if !self.queue.take_reopen() {
            return;
        }
        if let Err(error) = target.reopen() {
            let name = self.notices.name();
            self.notices
                .say(format!("cannot open {name} anew: {error}; writing goes on where it was"));
        }
    }

    /// The end: no half line, and what waits is in the spool or lost.
    fn leave(mut self, loss: Loss) {
        if let Some(hand) = &mut self.hand {
            let n_cut = hand.n_cut();
            if n_cut > 0 {
                match locked(&self.target).take_back(n_cut) {
                    Ok(()) => self.queue.taken_back(n_cut),
                    Err(error) => {
                        let name = self.notices.name();
                        self.notices.say(format!("the last line in {name} is cut: {error}"));
                    }
                }
                hand.back_to_line_start();
            }
        }
        self.relieve(true);
        if let Some(spool) = self.spool.take() {
            let hand = self.hand.as_ref();
            match spool.leave(hand.map_or(&[], Hand::rest)) {
                Ok(()) => self.queue.spooled(hand.map_or(0, Hand::n_left)),
                Err(error) => {
                    let name = self.notices.name();
                    self.notices.say(format!("cannot tidy up the spool of {name}: {error}"));
                }
            }
        }
        self.queue.ended(loss);
    }
}

/// How long to sleep when nothing is to be done; whatever happens wakes the thread.
const IDLE: Duration = Duration::from_secs(3600);
/// How long to wait for a slow receiver before the queue is looked after.
const SLICE: Duration = Duration::from_millis(20);
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests;
