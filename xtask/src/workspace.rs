//! Owns where things lie in this repository and how cargo is called on it.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};

use crate::{
    ebpf,
    runner::{self, Runner},
};

/// The repository's root: the parent of this package.
pub(crate) fn root() -> &'static Path {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package)
}

/// cargo, started in the repository's root, by the compiler that built xtask, with the eBPF
/// compiler that set-up picked handed to observer's build script.
pub(crate) fn cargo() -> Command {
    let mut cargo = runner::command(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root());
    if let Some(toolchain) = ebpf::toolchain_to_hand_over(&ebpf::Found::look()) {
        cargo.env(ebpf::TOOLCHAIN_VARIABLE, toolchain);
    }
    cargo
}

/// Builds the release binary and says where it is.
pub(crate) fn build(runner: &Runner) -> Result<PathBuf> {
    runner.run(cargo().args(["build", "--release", "--package", "observer"]))?;
    let binary = target().join("release/observer");
    if !binary.is_file() {
        bail!(
            "cargo built no {}: is a target folder or triple set in a cargo configuration file?",
            binary.display()
        );
    }
    Ok(binary)
}

/// The triple of the host, as in `CARGO_TARGET_<TRIPLE>_RUNNER`.
pub(crate) fn host_triple() -> Result<String> {
    let version = runner::ask(runner::command("rustc").arg("-vV"))
        .context("rustc does not run: install Rust from https://rustup.rs")?;
    parse_host(&version).context("rustc -vV names no host")
}

fn parse_host(version: &str) -> Option<String> {
    version.lines().find_map(|line| line.strip_prefix("host: ")).map(str::to_owned)
}

/// Where cargo puts what it builds.
pub(crate) fn target() -> PathBuf {
    target_folder(env::var_os("CARGO_TARGET_DIR").map(PathBuf::from), root())
}

/// Cargo takes a relative CARGO_TARGET_DIR from where it is started, which is the root.
fn target_folder(told: Option<PathBuf>, root: &Path) -> PathBuf {
    root.join(told.unwrap_or_else(|| "target".into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_target_folder_follows_the_environment() {
        let root = Path::new("/src/observer");
        assert_eq!(target_folder(None, root), Path::new("/src/observer/target"));
        assert_eq!(target_folder(Some("out".into()), root), Path::new("/src/observer/out"));
        assert_eq!(target_folder(Some("/var/t".into()), root), Path::new("/var/t"));
    }

    #[test]
    fn the_host_is_read_from_rustc() {
        let version = "rustc 1.95.0\nhost: aarch64-unknown-linux-gnu\nLLVM version: 22.1\n";
        assert_eq!(parse_host(version).as_deref(), Some("aarch64-unknown-linux-gnu"));
        assert_eq!(parse_host("rustc 1.95.0"), None);
    }

    #[test]
    fn the_root_holds_this_workspace() {
        assert!(root().join("observer/Cargo.toml").is_file());
    }
}
