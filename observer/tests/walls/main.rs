//! The house rules of docs/ARCHITECTURE.md, held by reading the sources: who may name whom, where
//! serialisation, clocks, sockets and sequence arithmetic may be, and how long a file may get.
//!
//! The rules are data in `rules.rs`; `source.rs` turns a file into the paths that it names. Each
//! rule is shown to be able to fail, on a literal offender, at the end of `rules.rs`.

mod rules;
mod source;

use std::{fs, path::Path};

use rules::{Exceptions, Offence};
use source::Source;

#[test]
fn the_walls_stand() {
    let sources = workspace_sources();
    let offences: Vec<Offence> = sources.iter().flat_map(rules::check_walls).collect();
    assert!(offences.is_empty(), "{}", rules::report(&offences));
}

#[test]
fn files_stay_small_and_say_what_they_own() {
    let exceptions = Exceptions::parse(include_str!("exceptions.txt"));
    let offences = rules::check_sizes(&workspace_sources(), &exceptions);
    assert!(offences.is_empty(), "{}", rules::report(&offences));
}

/// Every Rust source of the workspace, by its path from the root, with forward slashes.
fn workspace_sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace's root");
    let mut sources = Vec::new();
    for package in ["observer", "observer-common", "observer-ebpf", "xtask"] {
        collect(root, &root.join(package).join("src"), &mut sources);
    }
    let known = |path: &str| sources.iter().any(|source| source.path == path);
    assert!(known("observer/src/lib.rs") && known("observer/src/main.rs"), "looked in {root:?}");
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    sources
}

fn collect(root: &Path, folder: &Path, sources: &mut Vec<Source>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries {
        let path = entry.expect("a readable folder").path();
        if path.is_dir() {
            collect(root, &path, sources);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.strip_prefix(root).expect("below the root").to_string_lossy();
            let text = fs::read_to_string(&path).expect("a readable source");
            sources.push(Source::new(&name.replace('\\', "/"), &text));
        }
    }
}
