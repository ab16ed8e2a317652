//! All sinks of a daemon, as the capture thread sees them: it opens and ends them, asks for numbers
//! and news, and never waits but at the end, and a moment for those that a reload takes out. Lines go by way of [`Outlets`].

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use super::clock::monotonic;
use super::control::Tails;
use super::outlet::{MostAtOnce, Outlet, Outlets};
use super::queue::{Overflow, Queue};
use super::runner::{Notice, Notices, Runner};
use super::spool::Spool;
use super::{Batch, Lines, target};
use crate::config::sinks::{Sink, To, WhenFull};
use crate::event::stats::{SinkStats, Snapshot};
use crate::privileges;
use crate::segment::Timestamp;

/// Why a sink cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("cannot open {name} for events: {source}{}", advice(source))]
pub struct OpenError {
    name: String,
    source: std::io::Error,
}

/// Everything that events go to.
#[derive(Debug)]
pub struct Sinks {
    running: Vec<Running>,
    outlets: Arc<Outlets>,
    tails: Option<Tails>,
    notices: Receiver<Notice>,
    sender: Sender<Notice>,
    /// What the sinks are to become, and until when those that go may write what they hold.
    change: Option<(Vec<Sink>, Instant)>,
}

#[derive(Debug)]
struct Running {
    config: Sink,
    outlet: Arc<Outlet>,
    is_closed: bool,
}

/// What has happened to the sinks since the last look.
#[derive(Debug, Default)]
pub struct News {
    /// For the operator.
    pub say: Vec<String>,
    /// Nobody wants events any more.
    pub all_closed: bool,
}

impl Sinks {
    /// Opens each and starts its thread.
    pub fn open(configs: &[Sink]) -> Result<Self, OpenError> {
        let (sender, notices) = channel();
        let outlets = Arc::default();
        let running = Vec::new();
        let mut sinks = Self { running, outlets, tails: None, notices, sender, change: None };
        for config in configs {
            sinks.add(config)?;
        }
        *sinks.outlets.change() = sinks.running.iter().map(Running::outlet).collect();
        Ok(sinks)
    }

    fn add(&mut self, config: &Sink) -> Result<(), OpenError> {
        let running = Running::start(config, self.sender.clone())
            .map_err(|source| OpenError { name: config.name.clone(), source })?;
        self.running.push(running);
        Ok(())
    }

    pub fn attach_tails(&mut self, tails: Tails) {
        self.outlets.set_has_tails(tails.has_clients());
        self.tails = Some(tails);
    }

    /// Where workers give their lines.
    pub fn outlets(&self) -> Arc<Outlets> {
        Arc::clone(&self.outlets)
    }

    /// Gives the batch to every sink and empties it.
    pub fn write(&mut self, batch: &mut Batch, now: Timestamp) {
        let outlets = self.outlets();
        batch.pass_on_all(|lines| {
            outlets.give(lines, MostAtOnce::FOR_WHO_READS);
            self.tell_tails(lines, now);
        });
    }

    /// Gives lines to the clients of the control socket.
    pub fn tell_tails(&mut self, lines: &Arc<Lines>, now: Timestamp) {
        if let Some(tails) = &mut self.tails {
            tails.write(lines, now);
        }
    }

    /// Takes on and lets go clients of the control socket.
    pub fn serve(&mut self, now: Timestamp, snapshot: impl Fn(&[SinkStats]) -> Snapshot) {
        let (stats, outlets) = (&self.running, &self.outlets);
        if let Some(tails) = &mut self.tails {
            tails.serve(now, || {
                // Before a client is told that it is served: what comes then it is to get.
                outlets.set_has_tails(true);
                snapshot(&stats.iter().map(Running::stats).collect::<Vec<_>>())
            });
            self.outlets.set_has_tails(tails.has_clients());
        }
    }

    pub fn news(&mut self) -> News {
        let mut news = News::default();
        for notice in self.notices.try_iter() {
            match notice {
                Notice::Say(what) => news.say.push(what),
                Notice::Closed(name) => {
                    for sink in self.running.iter_mut().filter(|sink| sink.config.name == name) {
                        sink.is_closed = true;
                    }
                }
            }
        }
        news.all_closed = !self.running.is_empty() && self.running.iter().all(|s| s.is_closed);
        news
    }

    /// Has the sinks become those of `configs`: what is not among them ends, files of the others are
    /// opened anew, and what is new begins. [`Sinks::changed`] does it.
    ///
    /// What is to go gets [`RETIRE`] to write what it holds, and everything goes on meanwhile.
    pub fn change(&mut self, configs: &[Sink]) {
        self.change = Some((configs.to_vec(), monotonic() + RETIRE));
    }

    /// Does what was asked for, once those that go hold little. Says what was done; nothing while
    /// that is still to come.
    pub fn changed(&mut self) -> Option<Vec<String>> {
        let (configs, _) = self.change.take_if(|(configs, deadline)| {
            let goes = |sink: &&Running| !configs.contains(&sink.config);
            let holds_much = |sink: &Running| sink.stats().waiting_bytes > LITTLE;
            monotonic() >= *deadline || !self.running.iter().filter(goes).any(holds_much)
        })?;
        Some(self.apply(&configs))
    }

    /// Nobody gives lines to any sink meanwhile: a successor must not write to the same file as one
    /// that goes, and miss nothing between the two. So it is as short as what [`LITTLE`] takes.
    fn apply(&mut self, configs: &[Sink]) -> Vec<String> {
        let mut said = Vec::new();
        let outlets = self.outlets();
        let mut given_to = outlets.change();
        let (stay, go): (Vec<_>, Vec<_>) = std::mem::take(&mut self.running)
            .into_iter()
            .partition(|sink| configs.contains(&sink.config));
        self.running = stay;
        go.iter().for_each(|sink| sink.outlet.queue.end());
        let deadline = monotonic() + LAST_WRITE;
        for sink in go {
            sink.outlet.queue.wait_ended(left(deadline));
            let SinkStats { name, events, lost, .. } = sink.stats();
            said.push(format!("sink {name} has ended: {events} events written, {lost} lost"));
        }
        self.running.iter().for_each(|sink| sink.outlet.queue.reopen());
        for config in configs {
            if self.running.iter().any(|sink| sink.config == *config) {
                continue;
            }
            match self.add(config) {
                Ok(()) => said.push(format!("sink {} has begun", config.name)),
                Err(err) => said.push(format!("{err}")),
            }
        }
        *given_to = self.running.iter().map(Running::outlet).collect();
        said
    }

    pub fn stats(&self) -> Vec<SinkStats> {
        let tails = self.tails.as_ref().map(Tails::stats);
        self.running.iter().map(Running::stats).chain(tails).collect()
    }

    /// Waits until every sink has written what it was given, or cannot, or until `deadline`.
    pub fn drain(&self, deadline: Instant) {
        for sink in &self.running {
            sink.outlet.queue.wait_empty(left(deadline));
        }
    }

    /// Ends every sink; what one has not written by `deadline` is lost, or stays in its spool. The
    /// last numbers, which are final, go to the clients of the control socket as well.
    pub fn end(
        mut self,
        deadline: Instant,
        now: Timestamp,
        snapshot: impl Fn(Vec<SinkStats>) -> Snapshot,
    ) -> (Snapshot, News) {
        self.running.iter().for_each(|sink| sink.outlet.queue.end());
        self.running.iter().for_each(|sink| sink.outlet.queue.wait_ended(left(deadline)));
        let last = snapshot(self.stats());
        if let Some(tails) = &mut self.tails {
            tails.dismiss(now, &last);
        }
        (last, self.news())
    }
}

impl Running {
    fn start(config: &Sink, sender: Sender<Notice>) -> std::io::Result<Self> {
        let overflow = match config.when_full {
            WhenFull::DropOldest => Overflow::DropOldest,
            WhenFull::DropNewest | WhenFull::Spool { .. } => Overflow::DropNewest,
        };
        let queue = Arc::new(Queue::new(config.queue_bytes as usize, overflow));
        let notices = Notices::new(sender, &config.name);
        let mut spool = None;
        if let WhenFull::Spool { folder, max_bytes } = &config.when_full {
            let (opened, n_events) = Spool::open(folder, *max_bytes)?;
            queue.recovered(n_events);
            if n_events > 0 {
                let name = notices.name();
                notices.say(format!("{n_events} events in the spool of {name} are sent first"));
            }
            spool = Some(opened);
        }
        let target = target::open(config, &notices)?;
        let folders = folders(config);
        // What a worker stalls in, nobody moves into the spool meanwhile.
        let may_be_lent = spool.is_none() && target::locked(&target).may_be_prompt();
        let lent = may_be_lent.then(|| Arc::clone(&target));
        let full = when_full(config);
        let outlet = Outlet::new(Arc::clone(&queue), lent, notices.clone(), full);
        let runner = Runner::new(target, queue, spool, notices);
        std::thread::Builder::new().name("sink".to_owned()).spawn(move || {
            privileges::keep_to(&folders);
            runner.run();
        })?;
        Ok(Self { config: config.clone(), outlet: Arc::new(outlet), is_closed: false })
    }

    fn stats(&self) -> SinkStats {
        self.outlet.queue.stats(&self.config.name)
    }

    fn outlet(&self) -> Arc<Outlet> {
        Arc::clone(&self.outlet)
    }
}

/// What to say when its queue is full.
fn when_full(config: &Sink) -> String {
    let goes = match config.when_full {
        WhenFull::DropOldest => "the oldest events are",
        WhenFull::DropNewest | WhenFull::Spool { .. } => "new events are",
    };
    let Sink { name, queue_bytes, .. } = config;
    format!(
        "{name} does not keep up: its queue of {queue_bytes} bytes is full, {goes} dropped and \
         counted"
    )
}

/// Where the sink writes: beside its file, there where a symbolic link leads as well, and in its
/// spool.
fn folders(config: &Sink) -> Vec<PathBuf> {
    let mut folders = Vec::new();
    if let To::File(file) = &config.to {
        for path in [Some(file.path.clone()), file.path.canonicalize().ok()].into_iter().flatten() {
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
            folders.push(folder.unwrap_or(Path::new(".")).to_owned());
        }
    }
    if let WhenFull::Spool { folder, .. } = &config.when_full {
        folders.push(folder.clone());
    }
    folders
}

fn left(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(monotonic())
}

fn advice(source: &std::io::Error) -> &'static str {
    if source.raw_os_error() == Some(libc::ENXIO) {
        return "; start who reads it first";
    }
    match source.kind() {
        std::io::ErrorKind::NotFound => "; make its directory first",
        std::io::ErrorKind::PermissionDenied => "; choose another file or run as its owner",
        _ => "",
    }
}

/// How long a sink that is taken out of the configuration may take to write what it holds.
const RETIRE: Duration = Duration::from_secs(2);
/// Bytes that any sink which goes on at all writes at once.
const LITTLE: u64 = 1 << 20;
/// What it may take for that: far less than until a ring is full.
const LAST_WRITE: Duration = Duration::from_millis(50);
