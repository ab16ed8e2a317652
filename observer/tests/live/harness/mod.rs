//! What the tests stand on: namespaces, servers, clients, the observer itself, and waiting.

pub(crate) mod client;
pub(crate) mod event;
pub(crate) mod foreign;
pub(crate) mod go;
pub(crate) mod machine;
pub(crate) mod namespace;
pub(crate) mod observer;
pub(crate) mod process;
pub(crate) mod python;
pub(crate) mod recorder;
pub(crate) mod server;
pub(crate) mod threads;
pub(crate) mod tls;
pub(crate) mod wait;

use std::env;
use std::io::Write as _;
use std::path::PathBuf;

/// Whether the test `name` can run here: as root, with these programs. Says why when it cannot.
///
/// # Panics
///
/// When it cannot and `OBSERVER_REQUIRE_LIVE=1`.
#[track_caller]
pub(crate) fn can_run(name: &str, programs: &[&str]) -> bool {
    let Some(why) = obstacle(programs) else { return true };
    let required = env::var("OBSERVER_REQUIRE_LIVE").is_ok_and(|value| value == "1");
    assert!(!required, "{name}: {why}, and OBSERVER_REQUIRE_LIVE=1");
    // Not `println!`: libtest captures that, and a skip must be seen.
    let _ = writeln!(std::io::stdout().lock(), "SKIP {name}: {why}");
    false
}

fn obstacle(programs: &[&str]) -> Option<String> {
    // SAFETY: takes nothing and cannot fail.
    if unsafe { libc::geteuid() } != 0 {
        return Some("needs root".to_owned());
    }
    let missing = ["ip"].iter().chain(programs).find(|program| !is_there(program))?;
    Some(format!("needs {missing}: run `cargo xtask setup --tests`"))
}

/// `python3:NAME` is a module of Debian's Python.
fn is_there(program: &str) -> bool {
    match program.strip_prefix("python3:") {
        Some(module) => python::has_module(module),
        None => find(program).is_some(),
    }
}

/// Where a program is: in PATH, or where Debian keeps those of the administrator.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
}
