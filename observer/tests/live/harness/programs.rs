//! Programs in other languages that the tests bring along, in the folders `go` and `python`.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use super::find;
use super::namespace::Namespace;

/// Debian's own: the first in PATH may be another, without Debian's modules.
const PYTHON: &str = "/usr/bin/python3";

pub(crate) fn has_module(name: &str) -> bool {
    let mut command = Command::new(PYTHON);
    command.args(["-c", &format!("import {name}")]).env_remove("PYTHONPATH");
    command.output().is_ok_and(|output| output.status.success())
}

/// A script from the folder `python`.
pub(crate) fn python(namespace: &Namespace, script: &str) -> Command {
    let mut command = namespace.command(PYTHON);
    command.env_remove("PYTHONPATH").arg(folder("python").join(script));
    command
}

/// The program of `go/takeovers.go`, built when it is first asked for: from the standard library
/// alone, without a network.
#[track_caller]
pub(crate) fn takeovers() -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| build("takeovers")).clone()
}

fn build(name: &str) -> PathBuf {
    let target = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let program = target.join(name);
    let mut command = Command::new(find("go").unwrap());
    command.args(["build", "-o"]).arg(&program).arg(folder("go").join(format!("{name}.go")));
    // Neither the user's settings nor a module around this folder have a say.
    command.env("GOFLAGS", "").env("GO111MODULE", "off").env("GOPROXY", "off");
    command.env("GOTOOLCHAIN", "local").env("GOCACHE", target.join("go-cache"));
    let output = command.env("GOPATH", target.join("go-path")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    program
}

fn folder(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/live").join(name)
}
