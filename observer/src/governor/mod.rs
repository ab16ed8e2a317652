//! Staying within a budget of CPU time and memory: what to leave out next, and when to take it back.
//!
//! A state machine and nothing else. Once an interval it is told what the process used, and it
//! answers with a step when one is due. It asks no clock and reads no file (`daemon::govern` does),
//! and does not know what a step means to the capture (`drive` does).
//!
//! It goes one step at a time in either direction. Down, when a budget is exceeded, or nearly so
//! twice in a row. Up again only after a calm stretch in which there was room for what the step
//! would bring back; a return that had to be taken back soon doubles the next stretch, so that a
//! load that never fits does not make it swing for ever.

use crate::pipeline::Shed;

/// What the process may use. 0: as much as it likes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Budget {
    /// Of one CPU: 150 is one and a half.
    pub cpu_percent: u32,
    pub memory_bytes: u64,
    /// One flow in so many is kept at most; 1 keeps all.
    pub max_adjusted_count: u32,
}

/// What there is to leave out: steps that would change nothing are not taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reported {
    pub bodies: bool,
    pub headers: bool,
}

/// What the process used in one interval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    pub elapsed_ns: u64,
    pub cpu_ns: u64,
    pub memory_bytes: u64,
}

/// How much is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    Full,
    NoBodies,
    NoHeaders,
    /// One flow in 2 to the power of this.
    Sample(u32),
}

/// Why a step was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    Cpu,
    Memory,
    /// There is room again.
    Room,
    /// The budget or what is reported has changed.
    Configuration,
}

/// One step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    pub from: Step,
    pub to: Step,
    pub cause: Cause,
}

/// The decision.
#[derive(Clone, Debug)]
pub struct Governor {
    budget: Budget,
    /// All steps, from nothing left out on.
    ladder: Vec<Step>,
    at: usize,
    /// Intervals in a row in which a budget was nearly exceeded, and in which there was room.
    n_near: u32,
    n_calm: u32,
    /// Calm intervals that a return takes.
    patience: u32,
    /// Intervals since the last return.
    since_return: u32,
    n_shed: u64,
    n_returned: u64,
}

impl Governor {
    pub fn new(budget: Budget, reported: Reported) -> Self {
        Self {
            budget,
            ladder: ladder(budget, reported),
            at: 0,
            n_near: 0,
            n_calm: 0,
            patience: PATIENCE,
            since_return: u32::MAX,
            n_shed: 0,
            n_returned: 0,
        }
    }

    /// Another budget, or other things to leave out. Stays as near as it can to where it was.
    pub fn reconfigure(&mut self, budget: Budget, reported: Reported) -> Option<Change> {
        let from = self.step();
        self.budget = budget;
        self.ladder = ladder(budget, reported);
        let is_over = |step: &Step| budget.is_none() || *step > from;
        self.at = self.ladder.iter().position(is_over).unwrap_or(self.ladder.len());
        self.at = self.at.saturating_sub(1);
        (self.n_near, self.n_calm, self.patience) = (0, 0, PATIENCE);
        let to = self.step();
        (from != to).then_some(Change { from, to, cause: Cause::Configuration })
    }

    /// Takes what one interval used. A step, when one is due.
    pub fn handle_usage(&mut self, usage: &Usage) -> Option<Change> {
        self.since_return = self.since_return.saturating_add(1);
        let cpu = share(usage.cpu_permille(), u64::from(self.budget.cpu_percent) * 10);
        let memory = share(usage.memory_bytes, self.budget.memory_bytes);
        let is_near = cpu >= NEAR || memory >= NEAR;
        let is_over = cpu >= FULL || memory >= FULL;
        let is_calm = cpu <= CALM_CPU && memory <= CALM_MEMORY;
        self.n_near = if is_near { self.n_near.saturating_add(1) } else { 0 };
        self.n_calm = if is_calm { self.n_calm.saturating_add(1) } else { 0 };
        if is_over || self.n_near >= 2 {
            self.shed(if cpu >= memory { Cause::Cpu } else { Cause::Memory })
        } else if self.n_calm >= self.patience {
            self.give_back()
        } else {
            None
        }
    }

    fn shed(&mut self, cause: Cause) -> Option<Change> {
        self.n_near = 0;
        if self.since_return <= REGRET {
            self.patience = self.patience.saturating_mul(2).min(MAX_PATIENCE);
        } else if self.at == 0 {
            self.patience = PATIENCE;
        }
        let from = self.step();
        self.at = self.at.saturating_add(1).min(self.ladder.len().saturating_sub(1));
        let to = self.step();
        if from == to {
            return None;
        }
        self.n_shed = self.n_shed.saturating_add(1);
        self.since_return = u32::MAX;
        Some(Change { from, to, cause })
    }

    fn give_back(&mut self) -> Option<Change> {
        self.n_calm = 0;
        let from = self.step();
        self.at = self.at.checked_sub(1)?;
        self.n_returned = self.n_returned.saturating_add(1);
        self.since_return = 0;
        Some(Change { from, to: self.step(), cause: Cause::Room })
    }

    pub fn step(&self) -> Step {
        self.ladder.get(self.at).copied().unwrap_or(Step::Full)
    }

    /// Steps down and steps back, since the start.
    pub fn n_steps(&self) -> (u64, u64) {
        (self.n_shed, self.n_returned)
    }

    pub fn budget(&self) -> Budget {
        self.budget
    }
}

impl Budget {
    /// Nothing is limited.
    pub fn is_none(&self) -> bool {
        self.cpu_percent == 0 && self.memory_bytes == 0
    }
}

impl Usage {
    /// Thousandths of one CPU.
    pub fn cpu_permille(&self) -> u64 {
        let permille = u128::from(self.cpu_ns) * 1000 / u128::from(self.elapsed_ns.max(1));
        u64::try_from(permille).unwrap_or(u64::MAX)
    }
}

impl Step {
    pub fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::NoBodies => "no_bodies",
            Self::NoHeaders => "no_headers",
            Self::Sample(_) => "sample",
        }
    }

    /// How many flows one that is kept stands for.
    pub fn adjusted_count(self) -> u32 {
        1 << self.shed().sample_shift.min(31)
    }

    /// What is left out: a step leaves out what those before it do.
    pub fn shed(self) -> Shed {
        let sample_shift = match self {
            Self::Sample(shift) => shift,
            Self::Full | Self::NoBodies | Self::NoHeaders => 0,
        };
        Shed { bodies: self >= Self::NoBodies, headers: self >= Self::NoHeaders, sample_shift }
    }
}

impl Cause {
    pub fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Memory => "memory",
            Self::Room => "room",
            Self::Configuration => "configuration",
        }
    }
}

fn ladder(budget: Budget, reported: Reported) -> Vec<Step> {
    let mut ladder = vec![Step::Full];
    if budget.is_none() {
        return ladder;
    }
    ladder.extend(reported.bodies.then_some(Step::NoBodies));
    ladder.extend(reported.headers.then_some(Step::NoHeaders));
    let largest = budget.max_adjusted_count.min(MAX_ADJUSTED_COUNT);
    ladder.extend((1..=largest.checked_ilog2().unwrap_or(0)).map(Step::Sample));
    ladder
}

/// Thousandths of `budget`; 0 where there is none.
fn share(used: u64, budget: u64) -> u64 {
    let permille = u128::from(used) * 1000 / u128::from(budget.max(1));
    if budget == 0 { 0 } else { u64::try_from(permille).unwrap_or(u64::MAX) }
}

/// One flow in so many, at most.
pub const MAX_ADJUSTED_COUNT: u32 = 1024;
/// Thousandths of a budget: it is used up,
const FULL: u64 = 1000;
/// and it nearly is.
const NEAR: u64 = 900;
/// A step of sampling taken back doubles the CPU time; twice this still is not near.
const CALM_CPU: u64 = 400;
/// What the process holds falls slowly and never to nothing, so room shows earlier.
const CALM_MEMORY: u64 = 800;
/// Calm intervals before a return, at first and at most.
const PATIENCE: u32 = 5;
const MAX_PATIENCE: u32 = 320;
/// A return that had to be taken back within so many intervals came too early.
const REGRET: u32 = 30;

#[cfg(test)]
mod tests;
