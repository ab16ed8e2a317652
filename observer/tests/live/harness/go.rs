//! Programs in Go: built from `tests/go` with nothing but Go's own library and no network, and run
//! inside a namespace.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use super::find;
use super::namespace::Namespace;
use super::process::Process;

/// Builds `tests/go/NAME` and returns the binary. Go's cache lies in our target folder, so only the
/// first build takes longer than a moment.
#[track_caller]
pub(crate) fn build(name: &str) -> PathBuf {
    // One after the other: two tests may want the same one.
    static BUILDING: Mutex<()> = Mutex::new(());
    // A build that failed has told so in its own test; the lock guards nothing that could be half
    // done.
    let _building = BUILDING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("go");
    let binary = target.join(name);
    let mut go = Command::new(find("go").unwrap_or_else(|| "go".into()));
    go.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/go").join(name));
    // Outside GOPATH and without a module there is only one way to find a package: Go's own. What
    // the user has configured for their own work must not change that.
    let variables = [("GOENV", "off"), ("GOFLAGS", ""), ("GO111MODULE", "off"), ("GOWORK", "off")];
    go.envs(variables).env("GOPATH", target.join("path")).env("GOCACHE", target.join("cache"));
    go.args(["build", "-o"]).arg(&binary).arg(".");
    let output = go.output().unwrap_or_else(|err| panic!("cannot start go: {err}"));
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "go build {name}: {text}");
    binary
}

/// The running `tests/go/sample`: net/http, a handler that hijacks, and the wrapper around the
/// handlers, whose lines are the process's standard output.
pub(crate) struct Sample {
    pub(crate) process: Process,
}

impl Sample {
    #[track_caller]
    pub(crate) fn start(namespace: &Namespace, port: u16) -> Self {
        let mut command = namespace.command(&build("sample").display().to_string());
        let mut process = Process::start(command.args(["-listen", &format!(":{port}")]));
        process.wait_for_message("listening on");
        Self { process }
    }

    /// What the wrapper has printed so far, without the durations: `GET /hello/ann 200`.
    pub(crate) fn wrapper_lines(&self) -> Vec<String> {
        let lines = self.process.stdout.get();
        let cut = |line: &String| line.rsplit_once(' ').map_or("", |(rest, _)| rest).to_owned();
        lines.iter().map(cut).collect()
    }
}
