//! Which network namespaces there are, and how each can be reached now. It enters none.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::capture::namespaces::{NAMED, Namespace};

use super::visit;

/// A namespace that can be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// The name that `ip netns` gave it.
    pub(super) name: Option<String>,
    pub(super) path: PathBuf,
}

/// What a look has found.
pub(super) struct Finds {
    /// By inode.
    pub(super) there: BTreeMap<u32, Found>,
    /// Whether no file looks as if it were about to become one.
    pub(super) is_settled: bool,
}

/// Those that were asked for. `known` were found before, and are followed as long as
/// there is any way to them: a process may end and leave its namespace to others.
pub(super) fn find(wanted: &[Namespace], known: &BTreeSet<u32>) -> Finds {
    let mut is_settled = true;
    let mut there = named(&mut is_settled);
    let all = wanted.contains(&Namespace::All);
    let mut meant = known.clone();
    for namespace in wanted {
        let Some(path) = namespace.path() else { continue };
        if let Some(inode) = visit::inode(&path) {
            there.entry(inode).or_insert(Found { name: None, path });
            // Once found, that of a process is `known`; the number may be another's by then.
            meant.insert(inode);
        }
    }
    if all || meant.iter().any(|inode| !there.contains_key(inode)) {
        of_processes(&mut there);
    }
    if !all {
        there.retain(|inode, _| meant.contains(inode));
    }
    if let Some(own) = visit::own_inode() {
        there.remove(&own);
    }
    Finds { there, is_settled }
}

/// Those that a file keeps: of `ip netns` and of what makes containers.
fn named(is_settled: &mut bool) -> BTreeMap<u32, Found> {
    let mut found = BTreeMap::new();
    for folder in FOLDERS {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let Some(inode) = visit::inode(&entry.path()) else {
                *is_settled &= !is_new(&entry);
                continue;
            };
            let name = entry.file_name().into_string().ok().filter(|_| folder == NAMED);
            found.entry(inode).or_insert(Found { name, path: entry.path() });
        }
    }
    found
}

/// Whether a file is so young that a namespace may yet be mounted on it.
fn is_new(entry: &fs::DirEntry) -> bool {
    let changed = entry.metadata().and_then(|metadata| metadata.modified());
    let age = changed.ok().and_then(|changed| changed.elapsed().ok());
    age.is_some_and(|age| age < NEW)
}

/// Those of processes. Threads in a namespace of their own are not looked for.
fn of_processes(found: &mut BTreeMap<u32, Found>) {
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let name = entry.file_name();
        if !name.as_encoded_bytes().first().is_some_and(u8::is_ascii_digit) {
            continue;
        }
        let path = entry.path().join("ns/net");
        if let Some(inode) = linked(&path) {
            found.entry(inode).or_insert(Found { name: None, path });
        }
    }
}

/// The number in `net:[4026531840]`: a third of the work that a look at the file itself is.
fn linked(path: &Path) -> Option<u32> {
    let link = fs::read_link(path).ok()?;
    link.to_str()?.strip_prefix("net:[")?.strip_suffix(']')?.parse().ok()
}

const NEW: Duration = Duration::from_secs(5);

/// Where namespaces are kept by files: `ip netns`, CNI and podman; docker.
pub(super) const FOLDERS: [&str; 2] = [NAMED, "/run/docker/netns"];
