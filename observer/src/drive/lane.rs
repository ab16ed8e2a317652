//! The rings behind a capture's first as sources of their own. What the first learns of interfaces
//! reaches them here.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::{LateNames, Place, Source};
use crate::capture::live::{self, CaptureError, ElsewhereNames};
use crate::event::stats::Ledger;
use crate::segment::{Directive, Segment, Timestamp};

/// One ring's worth of a running capture.
pub struct Lane {
    lane: live::Lane,
    names: Arc<Names>,
    elsewhere: Option<ElsewhereNames>,
    /// The names that the engine has been told, and which version of them.
    told: BTreeMap<Place, String>,
    version: u64,
    /// The version of `elsewhere` that they hold.
    told_elsewhere: Option<u64>,
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
    elsewhere: Option<u64>,
}

impl Names {
    /// `elsewhere`: which version of the names in other namespaces is among them.
    pub(super) fn set(&self, names: &BTreeMap<Place, String>, elsewhere: u64) {
        *self.lock() = Table { names: names.clone(), elsewhere: Some(elsewhere) };
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

/// `told`: the version of `names` that the engine knows.
pub(super) fn late_names(names: ElsewhereNames, told: Option<u64>) -> LateNames {
    let current = names.clone();
    LateNames {
        have_changed: Box::new(move || Some(current.version()) != told),
        of: Box::new(move |place| match place {
            Place::Interface { netns, ifindex } => names.interface(netns, ifindex),
            Place::Netns(netns) => names.netns(netns),
        }),
    }
}

impl Lane {
    pub(super) fn new(
        lane: live::Lane,
        names: &Arc<Names>,
        elsewhere: Option<ElsewhereNames>,
    ) -> Self {
        Self {
            lane,
            names: Arc::clone(names),
            elsewhere,
            told: BTreeMap::new(),
            version: 0,
            told_elsewhere: None,
        }
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
        let Table { names, elsewhere } = self.names.lock().clone();
        tell_changes(&self.told, &names, &mut tell);
        self.told = names;
        self.told_elsewhere = elsewhere;
    }

    fn late_names(&self) -> Option<LateNames> {
        self.elsewhere.clone().map(|names| late_names(names, self.told_elsewhere))
    }

    fn take_warnings(&mut self) -> Vec<String> {
        Vec::new()
    }

    /// The kernel keeps one account, and the capture's own source tells it.
    fn ledger(&self) -> Result<Ledger, CaptureError> {
        Ok(Ledger::default())
    }
}
