//! Where the captures are, and which of them are replayed.

use std::path::{Path, PathBuf};

/// What `OBSERVER_REPLAY` asks for: `all`, or captures by name, between commas; the sample when it
/// is not set. True when it is the whole corpus.
pub(crate) fn chosen() -> (Vec<String>, bool) {
    match std::env::var("OBSERVER_REPLAY").as_deref() {
        Ok("all") => (all(), true),
        Ok(names) => (names.split(',').map(str::to_owned).collect(), false),
        Err(_) => (sample(), false),
    }
}

/// A sample of every link type and kind of traffic that the corpus has, small enough for each run
/// of the tests.
fn sample() -> Vec<String> {
    let lines = include_str!("sample.txt").lines();
    let names = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    names.map(str::to_owned).collect()
}

/// Every capture, by its path within the corpus.
fn all() -> Vec<String> {
    let mut names = Vec::new();
    for folder in entries(&folder()).iter().filter(|path| path.is_dir()) {
        for file in entries(folder) {
            if file.extension().is_some_and(|kind| kind == "pcap" || kind == "pcapng") {
                let name = file.strip_prefix(self::folder()).unwrap();
                names.push(name.to_string_lossy().into_owned());
            }
        }
    }
    names.sort();
    assert!(names.len() >= 428, "the corpus shrank to {} captures", names.len());
    names
}

pub(crate) fn path(name: &str) -> PathBuf {
    folder().join(name)
}

/// Whether the corpus is there; a loud word when it is not.
///
/// # Panics
///
/// When it is not and `OBSERVER_REQUIRE_LIVE=1`.
pub(crate) fn is_there() -> bool {
    let folder = folder();
    if folder.is_dir() {
        return true;
    }
    let why = format!("no corpus at {}: put it there or set OBSERVER_CORPUS", folder.display());
    let required = std::env::var("OBSERVER_REQUIRE_LIVE").is_ok_and(|value| value == "1");
    assert!(!required, "replay: {why}, and OBSERVER_REQUIRE_LIVE=1");
    // Not `println!`: libtest captures that, and a skip must be seen.
    let _ = std::io::Write::write_fmt(
        &mut std::io::stdout().lock(),
        format_args!("SKIP replay: {why}\n"),
    );
    false
}

fn folder() -> PathBuf {
    std::env::var_os("OBSERVER_CORPUS").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/corpus"),
        PathBuf::from,
    )
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|err| panic!("{folder:?}: {err}"));
    entries.map(|entry| entry.unwrap().path()).collect()
}
