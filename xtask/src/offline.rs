//! Owns the observer that only reads files: built with the stable toolchain alone, without eBPF, in
//! a target folder of its own so that it never takes the place of the full binary.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::{runner::Runner, workspace};

/// The binary that was given, or a fresh release build of engine and `read`.
pub(crate) fn binary(given: Option<&Path>) -> Result<PathBuf> {
    let binary = match given {
        Some(given) => given.to_owned(),
        None => {
            let folder = workspace::target().join("offline");
            let build = ["build", "--release", "--package", "observer", "--no-default-features"];
            Runner::new().run(workspace::cargo().args(build).arg("--target-dir").arg(&folder))?;
            folder.join("release/observer")
        }
    };
    if !binary.is_file() {
        bail!("{} is no file", binary.display());
    }
    Ok(binary)
}
