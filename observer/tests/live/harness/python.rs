//! Scripts of the folder `python` that the tests bring along.

use std::path::Path;
use std::process::Command;

use super::namespace::Namespace;

/// Debian's own: the first in PATH may be another, without Debian's modules.
const PYTHON: &str = "/usr/bin/python3";

pub(crate) fn has_module(name: &str) -> bool {
    let mut command = Command::new(PYTHON);
    command.args(["-c", &format!("import {name}")]).env_remove("PYTHONPATH");
    command.output().is_ok_and(|output| output.status.success())
}

/// A script from the folder `python`.
pub(crate) fn script(namespace: &Namespace, name: &str) -> Command {
    let mut command = namespace.command(PYTHON);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/live/python");
    command.env_remove("PYTHONPATH").arg(folder.join(name));
    command
}
