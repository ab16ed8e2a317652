//! The governor's edge: measures the process once a second, has the step that is due taken, and
//! says so. What to leave out is `governor`'s to decide, and `drive`'s to do.

use std::time::{Duration, Instant};

use super::worker::Worker;
use crate::config::Config;
use crate::drive::{Source, now};
use crate::event::governor::{GovernorStats, GovernorStep};
use crate::governor::{Budget, Cause, Change, Governor, Reported, Step, Usage};
use crate::usage;

#[derive(Debug)]
pub(super) struct Govern {
    governor: Governor,
    /// What it was made of.
    asked: (Budget, Reported),
    measured: Option<(Instant, usage::Usage)>,
    last: Usage,
}

impl Govern {
    pub(super) fn new(config: &Config) -> Self {
        let asked @ (budget, reported) = (config.governor.budget(), reported(config));
        Self {
            governor: Governor::new(budget, reported),
            asked,
            measured: None,
            last: Usage::default(),
        }
    }

    /// Called once a turn of the work loop. What to say to the operator.
    pub(super) fn turned<S: Source>(
        &mut self,
        moment: Instant,
        worker: &mut Worker<S>,
    ) -> Option<String> {
        if self.governor.budget().is_none() {
            return None;
        }
        if self.measured.is_some_and(|(before, _)| moment - before < INTERVAL) {
            return None;
        }
        let used = usage::Usage::read()?;
        let (before, used_before) = self.measured.replace((moment, used))?;
        self.last = Usage {
            elapsed_ns: u64::try_from((moment - before).as_nanos()).unwrap_or(u64::MAX),
            cpu_ns: used.cpu_ns.saturating_sub(used_before.cpu_ns),
            memory_bytes: used.anonymous_bytes,
        };
        let change = self.governor.handle_usage(&self.last);
        worker.governor = Some(self.stats());
        change.map(|change| self.take(change, worker))
    }

    /// After the configuration was read anew. Where nothing of it concerns this, an interval that
    /// has begun goes on: reloads in a row do not keep it from its measurements.
    pub(super) fn reconfigure<S: Source>(
        &mut self,
        config: &Config,
        worker: &mut Worker<S>,
    ) -> Option<String> {
        let asked @ (budget, reported) = (config.governor.budget(), reported(config));
        if asked == self.asked {
            return None;
        }
        self.asked = asked;
        let change = self.governor.reconfigure(budget, reported);
        self.measured = None;
        worker.governor = (!config.governor.budget().is_none()).then(|| self.stats());
        change.map(|change| self.take(change, worker))
    }

    fn take<S: Source>(&self, change: Change, worker: &mut Worker<S>) -> String {
        worker.shed(change.to.shed());
        let step = GovernorStep {
            from: change.from.name(),
            cause: change.cause.name(),
            now: self.stats(),
        };
        worker.batch.push_governor(&step, now());
        said(change, &step.now)
    }

    fn stats(&self) -> GovernorStats {
        let (step, budget) = (self.governor.step(), self.governor.budget());
        let (shed, returned) = self.governor.n_steps();
        GovernorStats {
            step: step.name(),
            adjusted_count: step.adjusted_count(),
            cpu_percent: self.last.cpu_permille() / 10,
            memory_bytes: self.last.memory_bytes,
            cpu_budget_percent: budget.cpu_percent,
            memory_budget_bytes: budget.memory_bytes,
            shed,
            returned,
        }
    }
}

/// What events tell that could be left out of them.
fn reported(config: &Config) -> Reported {
    let http = &config.http;
    let messages = http.ws_messages && http.ws_message_bytes > 0;
    Reported { bodies: http.body_bytes > 0 || messages, headers: http.headers }
}

/// For people.
fn said(change: Change, now: &GovernorStats) -> String {
    let what = match change.to {
        Step::Full => "everything is reported again".to_owned(),
        Step::NoBodies => "bodies are left out".to_owned(),
        Step::NoHeaders => "header fields beyond the usual ones are left out".to_owned(),
        Step::Sample(_) => format!("one flow in {} is followed", now.adjusted_count),
    };
    let why = match change.cause {
        Cause::Cpu => {
            format!("{} % of a CPU used, {} % allowed", now.cpu_percent, now.cpu_budget_percent)
        }
        Cause::Memory => {
            let mib = |n_bytes: u64| n_bytes.div_ceil(1 << 20);
            let (used, allowed) = (mib(now.memory_bytes), mib(now.memory_budget_bytes));
            format!("{used} MiB of memory used, {allowed} MiB allowed")
        }
        Cause::Room => "there is room again".to_owned(),
        Cause::Configuration => "the configuration has changed".to_owned(),
    };
    format!("governor: {what} ({why})")
}

const INTERVAL: Duration = Duration::from_secs(1);
