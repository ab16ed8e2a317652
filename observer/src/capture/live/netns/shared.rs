//! What the thread that follows namespaces tells the others: what is watched, by name, and what went
//! wrong. A name is here before the first segment of its place can come.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::super::links::Interface;

/// What is watched in other namespaces.
#[derive(Clone, Debug, Default)]
pub struct Elsewhere {
    /// The names of interfaces, by namespace and index.
    pub interfaces: BTreeMap<(u32, u32), String>,
    /// The namespaces, by inode, and the names that `ip netns` gave them.
    pub namespaces: BTreeMap<u32, Option<String>>,
}

/// To ask for single names.
#[derive(Clone)]
pub struct ElsewhereNames(Arc<Shared>);

impl ElsewhereNames {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self(shared)
    }

    /// Counts the changes.
    pub fn version(&self) -> u64 {
        self.0.version()
    }

    pub fn interface(&self, netns: u32, ifindex: u32) -> Option<String> {
        self.0.lock().elsewhere.interfaces.get(&(netns, ifindex)).cloned()
    }

    /// Empty where `ip netns` gave it none.
    pub fn netns(&self, netns: u32) -> Option<String> {
        self.0.lock().elsewhere.namespaces.get(&netns).map(|name| name.clone().unwrap_or_default())
    }
}

#[derive(Default)]
pub(super) struct Shared {
    /// Counts the changes of the table.
    version: AtomicU64,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    elsewhere: Elsewhere,
    warnings: Vec<String>,
}

impl Shared {
    pub(super) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    pub(super) fn elsewhere(&self) -> Elsewhere {
        self.lock().elsewhere.clone()
    }

    pub(super) fn warn(&self, warnings: Vec<String>) {
        self.lock().warnings.extend(warnings);
    }

    pub(super) fn take_warnings(&self) -> Vec<String> {
        std::mem::take(&mut self.lock().warnings)
    }

    /// What is watched in a namespace from now on.
    pub(super) fn tell(&self, inode: u32, name: Option<&str>, links: &BTreeMap<u32, Interface>) {
        self.change(|elsewhere| {
            let is_new = elsewhere.namespaces.insert(inode, name.map(str::to_owned));
            let mut has_changed = is_new.as_ref().map(Option::as_deref) != Some(name);
            let n_before = elsewhere.interfaces.len();
            elsewhere
                .interfaces
                .retain(|(netns, ifindex), _| *netns != inode || links.contains_key(ifindex));
            has_changed |= elsewhere.interfaces.len() != n_before;
            for (ifindex, link) in links {
                let before = elsewhere.interfaces.insert((inode, *ifindex), link.name.clone());
                has_changed |= before.as_ref() != Some(&link.name);
            }
            has_changed
        });
    }

    /// Which namespaces still are watched.
    pub(super) fn keep(&self, is_there: impl Fn(u32) -> bool) {
        self.change(|elsewhere| {
            let n_before = elsewhere.namespaces.len();
            elsewhere.namespaces.retain(|inode, _| is_there(*inode));
            elsewhere.interfaces.retain(|(inode, _), _| is_there(*inode));
            elsewhere.namespaces.len() != n_before
        });
    }

    fn change(&self, change: impl FnOnce(&mut Elsewhere) -> bool) {
        if change(&mut self.lock().elsewhere) {
            self.version.fetch_add(1, Ordering::Release);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        // Whoever panicked left names behind, each whole.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
