//! The names of this namespace's interfaces, for the threads that read further rings: one is here
//! before the first segment of its interface can come. It must not know who is told.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::links::Interface;

/// To ask for single names.
#[derive(Clone, Default)]
pub struct OwnNames(Arc<Shared>);

#[derive(Default)]
struct Shared {
    /// Counts the changes of the table.
    version: AtomicU64,
    table: Mutex<BTreeMap<u32, String>>,
}

impl OwnNames {
    /// Counts the changes.
    pub fn version(&self) -> u64 {
        self.0.version.load(Ordering::Acquire)
    }

    /// The name of an interface that is watched, or is about to be.
    pub fn interface(&self, ifindex: u32) -> Option<String> {
        self.lock().get(&ifindex).cloned()
    }

    pub(super) fn tell(&self, link: &Interface) {
        let mut table = self.lock();
        if table.get(&link.ifindex) != Some(&link.name) {
            table.insert(link.ifindex, link.name.clone());
            self.0.version.fetch_add(1, Ordering::Release);
        }
    }

    pub(super) fn forget(&self, ifindex: u32) {
        if self.lock().remove(&ifindex).is_some() {
            self.0.version.fetch_add(1, Ordering::Release);
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u32, String>> {
        // Whoever panicked left names behind, each whole.
        self.0.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
