//! Where the acceptance corpus lies: beside the repository, in `../shared/corpus`, or where
//! `OBSERVER_CORPUS` says.

use std::io::Write as _;
use std::path::{Path, PathBuf};

/// The corpus for the test `who`, or a loud word that it is not there.
///
/// # Panics
///
/// When it is not there and `OBSERVER_REQUIRE_LIVE=1`.
pub(crate) fn folder(who: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("OBSERVER_CORPUS").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/corpus"),
        PathBuf::from,
    );
    if folder.join("truth.ndjson").is_file() {
        return Some(folder);
    }
    let why = format!("no corpus at {}: put it there or set OBSERVER_CORPUS", folder.display());
    let is_required = std::env::var_os("OBSERVER_REQUIRE_LIVE").is_some_and(|value| value == "1");
    assert!(!is_required, "{who}: {why}, and OBSERVER_REQUIRE_LIVE=1");
    // Past libtest's capture, so that it is seen.
    let _ = writeln!(std::io::stderr(), "SKIP {who}: {why}");
    None
}
