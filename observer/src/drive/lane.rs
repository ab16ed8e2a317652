//! The rings of a capture, where it has several, as sources of their own. What it learns of
//! interfaces reaches them here.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::{LateNames, Place, Source};
use crate::capture::live::{self, CaptureError, ElsewhereNames, OwnNames};
use crate::event::stats::Ledger;
use crate::segment::{Directive, Segment, Timestamp};

/// One ring's worth of a running capture.
pub struct Lane {
    lane: live::Lane,
    names: Arc<Names>,
    late: LateSources,
    /// The names that the engine has been told, and which version of them.
    told: BTreeMap<Place, String>,
    version: u64,
    /// What of `late` they hold.
    told_late: Versions,
}

/// Whom to ask for a name while segments come.
#[derive(Clone)]
pub(super) struct LateSources {
    /// Nobody but lanes has to: a ring that is alone is read by who attaches.
    pub(super) own: Option<OwnNames>,
    pub(super) elsewhere: Option<ElsewhereNames>,
}

/// How often what they know has changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Versions {
    own: Option<u64>,
    elsewhere: Option<u64>,
}

impl LateSources {
    pub(super) fn versions(&self) -> Versions {
        Versions {
            own: self.own.as_ref().map(OwnNames::version),
            elsewhere: self.elsewhere.as_ref().map(ElsewhereNames::version),
        }
    }
}

/// The names of what is watched, and how often they have changed.
#[derive(Default)]
pub(super) struct Names {
    version: AtomicU64,
    table: Mutex<Table>,
}

#[derive(Clone, Default)]
struct Table {
    names: BTreeMap<Place, String>,
    late: Versions,
}

impl Names {
    /// `late`: what of those that can be asked is among them.
    pub(super) fn set(&self, names: &BTreeMap<Place, String>, late: Versions) {
        *self.lock() = Table { names: names.clone(), late };
        self.version.fetch_add(1, Ordering::Release);
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What makes `now` of what was told.
pub(super) fn tell_changes(
    told: &BTreeMap<Place, String>,
    now: &BTreeMap<Place, String>,
    tell: &mut impl FnMut(Place, Option<&str>),
) {
    for (place, name) in now.iter().filter(|(place, name)| told.get(*place) != Some(*name)) {
        tell(*place, Some(name));
    }
    for place in told.keys().filter(|place| !now.contains_key(place)) {
        tell(*place, None);
    }
}

/// `told`: what the engine knows of theirs.
pub(super) fn late_names(sources: LateSources, told: Versions) -> LateNames {
    let current = sources.clone();
    LateNames {
        have_changed: Box::new(move || current.versions() != told),
        of: Box::new(move |place| match place {
            Place::Interface { netns: 0, ifindex } => sources.own.as_ref()?.interface(ifindex),
            Place::Interface { netns, ifindex } => {
                sources.elsewhere.as_ref()?.interface(netns, ifindex)
            }
            Place::Netns(netns) => sources.elsewhere.as_ref()?.netns(netns),
        }),
    }
}

impl Lane {
    pub(super) fn new(lane: live::Lane, names: &Arc<Names>, late: LateSources) -> Self {
        let names = Arc::clone(names);
        let told_late = Versions::default();
        Self { lane, names, late, told: BTreeMap::new(), version: 0, told_late }
    }
}

impl Source for Lane {
    type Error = CaptureError;

    fn poll(
        &mut self,
        timeout: Duration,
        handle: impl FnMut(&Segment<'_>),
    ) -> Result<usize, CaptureError> {
        self.lane.poll(timeout, handle)
    }

    fn take(&mut self, handle: impl FnMut(&Segment<'_>)) -> Result<usize, CaptureError> {
        Ok(self.lane.take(handle))
    }

    fn has_more(&self) -> bool {
        self.lane.has_more()
    }

    fn come_back(&mut self) {
        self.lane.come_back();
    }

    fn now(&self) -> Timestamp {
        self.lane.now()
    }

    fn clock_shift(&self) -> i64 {
        self.lane.clock_shift()
    }

    /// The capture's own source does that for all.
    fn detach(&mut self) {}

    fn apply(&mut self, directive: Directive) {
        // Where the kernel cannot be told, its bytes keep coming.
        let _ = self.lane.apply(directive);
    }

    fn new_names(&mut self, mut tell: impl FnMut(Place, Option<&str>)) {
        let version = self.names.version.load(Ordering::Acquire);
        if version == self.version {
            return;
        }
        self.version = version;
        let Table { names, late } = self.names.lock().clone();
        tell_changes(&self.told, &names, &mut tell);
        self.told = names;
        self.told_late = late;
    }

    fn late_names(&self) -> Option<LateNames> {
        Some(late_names(self.late.clone(), self.told_late))
    }

    fn take_warnings(&mut self) -> Vec<String> {
        Vec::new()
    }

    /// The kernel keeps one account, and the capture's own source tells it.
    fn ledger(&self) -> Result<Ledger, CaptureError> {
        Ok(Ledger::default())
    }
}
