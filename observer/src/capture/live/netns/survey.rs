//! A look at namespaces for `doctor`: it attaches nothing.

use std::collections::BTreeSet;

use super::super::{links, with_causes};
use super::{find, visit, watched};
use crate::capture::namespaces::Namespace;

/// How many there are beside our own, as far as this process may see.
pub fn n_other_namespaces() -> usize {
    find::find(&[Namespace::All], &BTreeSet::new()).there.len()
}

/// Those that were asked for by name or process and are not there, as they were written.
pub fn missing_namespaces(wanted: &[Namespace]) -> Vec<String> {
    let is_missing =
        |namespace: &&Namespace| namespace.path().is_some_and(|path| visit::inode(&path).is_none());
    wanted.iter().filter(is_missing).map(ToString::to_string).collect()
}

/// Those that were asked for and are there, as messages name them, and how many interfaces each
/// has; an error says why it cannot be entered.
pub fn namespaces(wanted: &[Namespace]) -> Vec<(String, Result<usize, String>)> {
    let found = find::find(wanted, &BTreeSet::new()).there.into_iter();
    let visited = found.map(|(inode, found)| {
        let links = visit::visit(&found.path, inode, |_, _| links::list_links());
        let n_links = match links {
            Ok(Ok(links)) => Ok(links.len()),
            Ok(Err(error)) => Err(with_causes(&error)),
            Err(error) => Err(error.to_string()),
        };
        (watched::place(inode, found.name.as_deref()), n_links)
    });
    visited.collect()
}
