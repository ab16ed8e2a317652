//! Which captures of the corpus are replayed.

use std::path::{Path, PathBuf};

/// What `OBSERVER_REPLAY` asks for: `all`, or captures by name, between commas; the sample when it
/// is not set. True when it is the whole corpus.
pub(crate) fn chosen(folder: &Path) -> (Vec<String>, bool) {
    match std::env::var("OBSERVER_REPLAY").as_deref() {
        Ok("all") => (all(folder), true),
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
fn all(folder: &Path) -> Vec<String> {
    let mut names = Vec::new();
    for source in entries(folder).iter().filter(|path| path.is_dir()) {
        for file in entries(source) {
            if file.extension().is_some_and(|kind| kind == "pcap" || kind == "pcapng") {
                let name = file.strip_prefix(folder).unwrap();
                names.push(name.to_string_lossy().into_owned());
            }
        }
    }
    names.sort();
    assert!(names.len() >= 428, "the corpus shrank to {} captures", names.len());
    names
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|err| panic!("{folder:?}: {err}"));
    entries.map(|entry| entry.unwrap().path()).collect()
}
