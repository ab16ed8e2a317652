//! Other network namespaces: attaches inside them where their traffic cannot be seen from ours, and
//! follows them as they come and go.
//!
//! A thread of its own does all of it, so that it can keep the privileges that it takes
//! (`setns` wants CAP_SYS_ADMIN) while the threads that read what peers sent have given up theirs.
//! Segments come over the same ring, with the namespace in them. It must not know what becomes of
//! them.

mod entrance;
mod find;
mod news;
mod shared;
pub(super) mod survey;
mod visit;
mod watched;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{PipeReader, PipeWriter, pipe};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

pub(super) use entrance::Hall;
pub use shared::{Elsewhere, ElsewhereNames};

use self::find::{Finds, Found};
use self::news::{News, Woken};
use self::shared::Shared;
use self::watched::{Watched, place};
use super::{CaptureError, Interfaces, Options, TcAttach, links, with_causes};
use crate::capture::namespaces::Namespace;
use crate::privileges;

/// The thread, and what it has found out.
pub(super) struct Follower {
    shared: Arc<Shared>,
    hall: Arc<Hall>,
    /// Closed to end the thread.
    stop: Option<PipeWriter>,
    thread: Option<JoinHandle<()>>,
}

impl Follower {
    /// Attaches to what is there by the time this returns, and follows it from then on.
    pub(super) fn start(options: &Options, hall: Hall) -> Result<Self, CaptureError> {
        let shared = Arc::new(Shared::default());
        let hall = Arc::new(hall);
        let mut work = Work {
            wanted: options.namespaces.clone(),
            interfaces: options.interfaces.clone(),
            mode: options.tc_attach,
            hall: Arc::clone(&hall),
            watched: BTreeMap::new(),
            told: BTreeMap::new(),
            shared: Arc::clone(&shared),
        };
        // First, so that nothing falls between the look and the news.
        let news = News::open(&work.wanted)?;
        work.first_look()?;
        let (inbox, stop) = pipe().map_err(CaptureError::system("open a pipe"))?;
        let interval = options.reconcile;
        let thread = std::thread::Builder::new()
            .name("observer-netns".to_owned())
            .spawn(move || {
                privileges::keep_to_enter();
                work.follow(news, &inbox, interval);
            })
            .map_err(CaptureError::system("start a thread"))?;
        Ok(Self { shared, hall, stop: Some(stop), thread: Some(thread) })
    }

    /// Counts the changes of [`Follower::elsewhere`].
    pub(super) fn version(&self) -> u64 {
        self.shared.version()
    }

    pub(super) fn elsewhere(&self) -> Elsewhere {
        self.shared.elsewhere()
    }

    pub(super) fn names(&self) -> ElsewhereNames {
        ElsewhereNames::new(Arc::clone(&self.shared))
    }

    pub(super) fn take_warnings(&self) -> Vec<String> {
        self.shared.take_warnings()
    }

    /// Sees nothing new from here on. The programs go later, when this is dropped: that takes a
    /// while where there are many namespaces, and others wait for what was seen.
    pub(super) fn close(&mut self) {
        self.hall.close();
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // It has ended in any case.
            let _ = thread.join();
        }
    }
}

/// What the thread does.
struct Work {
    wanted: Vec<Namespace>,
    interfaces: Interfaces,
    mode: TcAttach,
    hall: Arc<Hall>,
    watched: BTreeMap<u32, Watched>,
    /// What was complained about, by namespace, and has not changed since.
    told: BTreeMap<u32, String>,
    shared: Arc<Shared>,
}

impl Work {
    /// What was asked for by name and never can come is an error; what may come later is waited for.
    fn first_look(&mut self) -> Result<(), CaptureError> {
        let mut warnings = Vec::new();
        let own = visit::own_inode();
        for namespace in &self.wanted {
            let Some(path) = namespace.path() else { continue };
            match (visit::inode(&path), namespace) {
                (Some(inode), _) if Some(inode) == own => warnings.push(format!(
                    "network namespace {namespace} is observer's own, which is watched anyway"
                )),
                (Some(_), _) => {}
                (None, Namespace::Process(pid)) => {
                    return Err(CaptureError::NoSuchProcess { pid: *pid });
                }
                (None, _) if path.exists() => warnings.push(format!(
                    "{namespace} is no network namespace; watching for it to become one"
                )),
                (None, _) => warnings.push(format!(
                    "network namespace {namespace} does not exist; watching for it to appear"
                )),
            }
        }
        self.reconcile(&mut warnings);
        self.shared.warn(warnings);
        Ok(())
    }

    /// Until the other end of `stop` is closed. Looks when there is news, and at least once in
    /// `interval`; never so often that looking takes more than a part of the time.
    fn follow(mut self, mut news: News, stop: &PipeReader, interval: Duration) {
        let mut patience = interval;
        loop {
            match news.wait(stop, patience) {
                Woken::Stop => break,
                Woken::Time => {}
                Woken::News => {
                    // One change seldom comes alone.
                    std::thread::sleep(SETTLE);
                }
            }
            news.clear();
            news.watch_folders();
            let start = monotonic();
            let mut warnings = Vec::new();
            let is_settled = self.reconcile(&mut warnings);
            self.shared.warn(warnings);
            let rest = (monotonic() - start) * REST;
            if news.rest(stop, rest.min(interval)) == Woken::Stop {
                break;
            }
            patience = if is_settled { interval } else { SETTLE.min(interval) };
        }
        self.release();
    }

    fn release(mut self) {
        let found = find::find(&self.wanted, &self.watched.keys().copied().collect()).there;
        for (inode, mut watched) in std::mem::take(&mut self.watched) {
            // What cannot be entered any more is let go of from here, as far as that goes.
            let _ = found.get(&inode).map(|found| {
                visit::visit(&found.path, inode, |identity, _| {
                    (identity == watched.identity).then(|| watched.release())
                })
            });
        }
    }

    /// Makes what is watched what exists and is wanted. Says whether that was all: a namespace may
    /// be about to come.
    fn reconcile(&mut self, warnings: &mut Vec<String>) -> bool {
        let known: BTreeSet<_> = self.watched.keys().copied().collect();
        let Finds { there, is_settled } = find::find(&self.wanted, &known);
        self.watched.retain(|inode, _| there.contains_key(inode));
        self.shared.keep(|inode| there.contains_key(&inode));
        self.told.retain(|inode, _| there.contains_key(inode));
        let own_links = self.own_links();
        for (inode, found) in there {
            if let Err(error) = self.look_into(inode, &found, &own_links, warnings) {
                let place = place(inode, found.name.as_deref());
                let complaint = format!("not watching {place}: {}", with_causes(&error));
                if self.told.insert(inode, complaint.clone()).as_ref() != Some(&complaint) {
                    warnings.push(complaint);
                }
            }
        }
        is_settled
    }

    /// Brings one namespace in line.
    fn look_into(
        &mut self,
        inode: u32,
        found: &Found,
        own_links: &BTreeSet<u32>,
        warnings: &mut Vec<String>,
    ) -> Result<(), CaptureError> {
        let Self { interfaces, mode, hall, watched, shared, .. } = self;
        let (interfaces, mode, hall) = (&*interfaces, *mode, &*hall);
        let visited = visit::visit(&found.path, inode, |identity, own| {
            // The number of one that is gone may have been given to another.
            if watched.get(&inode).is_none_or(|known| known.identity != identity) {
                watched.insert(inode, Watched::new(identity, hall, mode));
            }
            let Some(current) = watched.get_mut(&inode) else { return Ok(()) };
            current.name.clone_from(&found.name);
            Ok(current.reconcile(interfaces, own, own_links, shared, warnings)?)
        });
        match visited {
            Ok(result) => result,
            // It went between the look and the visit.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(CaptureError::system(match error.raw_os_error() {
                Some(libc::EPERM) => "enter it, which takes CAP_SYS_ADMIN",
                // setns(2): the file is a namespace of another type.
                Some(libc::EINVAL) => "enter it as a network namespace",
                _ => "enter it",
            })(error)),
        }
    }

    /// The interfaces of our own namespace that are watched, as far as that can be told from here.
    fn own_links(&self) -> BTreeSet<u32> {
        let present = links::list_links().unwrap_or_default();
        let watched = present.into_iter().filter(|it| self.interfaces.includes(&it.interface.name));
        watched.map(|link| link.interface.ifindex).collect()
    }
}

/// `ip netns add` takes a few milliseconds from the file to the namespace on it.
const SETTLE: Duration = Duration::from_millis(20);
/// After a look the thread rests for so many times as long, whatever the news.
const REST: u32 = 10;

#[expect(clippy::disallowed_methods, reason = "how long a look took is no time of the capture's")]
fn monotonic() -> Instant {
    Instant::now()
}
