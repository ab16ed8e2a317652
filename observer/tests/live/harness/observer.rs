//! The observer under test: the binary, inside a namespace.

use std::ops::{Deref, DerefMut};
use std::process::Command;
use std::time::Duration;

use super::event::{Account, Event};
use super::namespace::Namespace;
use super::process::Process;
use super::wait::{LONG, until};

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_observer");

/// Both ways to see traffic.
pub(crate) const BACKENDS: [&str; 2] = ["tc", "socket"];

/// A running `observer`; killed when dropped.
pub(crate) struct Observer {
    process: Process,
    /// Lines of standard output that were taken.
    n_taken: usize,
}

impl Observer {
    /// Starts `observer ARGS` and waits until it watches.
    #[track_caller]
    pub(crate) fn start(namespace: &Namespace, args: &[&str]) -> Self {
        let mut observer = Self::spawn(namespace.command(BINARY).args(args));
        observer.wait_for_message(READY);
        observer
    }

    pub(crate) fn spawn(command: &mut Command) -> Self {
        // What a user's shell may have set must not colour a test.
        command.env_remove("RUST_BACKTRACE").env_remove("NO_COLOR");
        Self { process: Process::start(command), n_taken: 0 }
    }

    /// Events on standard output since the last call, statistics left out: at least `n`, and
    /// whatever else is there by then.
    #[track_caller]
    pub(crate) fn take(&mut self, n: usize) -> Vec<Event> {
        let taken = self.n_taken;
        let found = super::wait::within(LONG, || {
            // To parse thousands of lines at each look would take longer than they take to come.
            if self.stdout.count() < taken + n {
                return None;
            }
            let lines = self.stdout.after(taken);
            let events = exchanges(&lines);
            (events.len() >= n).then_some((lines.len(), events))
        });
        let Some((n_lines, events)) = found else {
            let lines = self.stdout.after(taken);
            let last = lines.last().map_or("nothing", |line| line);
            panic!("{} of {n} events came, the last line is {last}", exchanges(&lines).len());
        };
        self.n_taken += n_lines;
        events
    }

    /// The first statistics written from now on for which `look` finds something.
    #[track_caller]
    pub(crate) fn account<T>(&self, what: &str, look: impl Fn(Account) -> Option<T>) -> T {
        let mut n_lines = self.stdout.get().len();
        until(what, LONG, || {
            let lines = self.stdout.after(n_lines);
            n_lines += lines.len();
            let stats = lines.iter().map(|line| Event::parse(line));
            stats.filter(|event| event.name() == STATS).find_map(|event| look(Account::of(&event)))
        })
    }

    /// An account in which the engine has everything that the kernel has emitted, and in which
    /// nothing has changed since the one before: the traffic before this call is behind.
    #[track_caller]
    pub(crate) fn settled(&self) -> Account {
        let last = std::cell::Cell::new(None);
        self.account("a quiet moment", |account| {
            let before = last.replace(Some(account));
            let is_quiet = account.segments == account.records && before == Some(account);
            is_quiet.then_some(account)
        })
    }

    /// Ends it with a signal, as a user or systemd does, and expects a good exit.
    #[track_caller]
    pub(crate) fn end(mut self, signal: i32) -> End {
        self.signal(signal);
        self.ended()
    }

    /// Waits for a good exit.
    #[track_caller]
    pub(crate) fn ended(mut self) -> End {
        let status = self.wait();
        assert_eq!(status.code(), Some(0), "{:?}", self.stderr.get());
        let rest: Vec<_> = self.stdout.after(self.n_taken);
        let last = self.stdout.get().last().map(|line| Event::parse(line));
        End {
            events: exchanges(&rest),
            account: last.filter(|event| event.name() == STATS).map(|event| Account::of(&event)),
            stderr: self.stderr.get(),
        }
    }
}

/// What was left when an observer ended well.
pub(crate) struct End {
    /// Events that nobody had taken.
    pub(crate) events: Vec<Event>,
    /// From the last line, when that was statistics.
    pub(crate) account: Option<Account>,
    pub(crate) stderr: Vec<String>,
}

impl Deref for Observer {
    type Target = Process;
    fn deref(&self) -> &Process {
        &self.process
    }
}

impl DerefMut for Observer {
    fn deref_mut(&mut self) -> &mut Process {
        &mut self.process
    }
}

fn exchanges(lines: &[String]) -> Vec<Event> {
    lines.iter().map(|line| Event::parse(line)).filter(|event| event.name() != STATS).collect()
}

/// A configuration for `observer run`, with statistics often enough to wait for. `more` is TOML
/// that comes after `[stats]`.
pub(crate) fn configuration(more: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    let interval = STATS_EVERY.as_millis();
    let text = format!("[stats]\ninterval = '{interval}ms'\n{more}");
    std::fs::write(file.path(), text).unwrap();
    file
}

/// Part of a configuration: room for all of a load. These tests run a build that is not optimised,
/// beside each other; how fast it is is not what they ask.
pub(crate) const ROOMY: &str = "[capture]\nring_bytes = 268435456\n";

const READY: &str = "observer: watching ";
const STATS: &str = "observer.stats";
const STATS_EVERY: Duration = Duration::from_millis(100);
