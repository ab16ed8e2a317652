//! The captures of the corpus, in the order of its truth. Beside `corpus`, which whoever uses it has
//! as well.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use super::corpus;

/// For the test `who`; none, and a loud word, where there is no corpus.
pub(crate) fn captures(who: &str) -> Vec<PathBuf> {
    let Some(folder) = corpus::folder(who) else { return Vec::new() };
    let truth = fs::read_to_string(folder.join("truth.ndjson")).expect("the truth is readable");
    let file = |line: &str| {
        let truth: Value = serde_json::from_str(line).expect("the truth is JSON lines");
        folder.join(truth["file"].as_str().expect("a capture has a file"))
    };
    truth.lines().map(file).collect()
}
