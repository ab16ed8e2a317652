//! Owns `cargo xtask lint`: what is checked besides the tests. Each check runs even when one before
//! it failed, so that one run shows everything.

use std::process::Command;

use anyhow::{Result, bail};

use crate::{
    ebpf,
    runner::{self, Runner},
    setup, workspace,
};

pub(crate) fn lint() -> Result<()> {
    let compiler = setup::setup(&setup::Options { lint: true, ..setup::Options::default() })?;
    let mut failed = Vec::new();
    let mut check = |name: &'static str, command: &mut Command| {
        eprintln!("lint: {name}");
        if let Err(error) = Runner::new().run(command) {
            eprintln!("lint: {error:#}");
            failed.push(name);
        }
    };
    check("format", cargo().args(["fmt", "--all", "--check"]));
    check("format, kernel side", in_ebpf(cargo()).args(["fmt", "--check"]));
    // Their sources are linted as a part of observer's tests.
    let mut fuzz = cargo();
    fuzz.current_dir(workspace::root().join("observer/fuzz"));
    check("format, fuzz targets", fuzz.args(["fmt", "--check"]));
    check("clippy", clippy(&["--workspace", "--all-targets", "--all-features"]).args(DENY));
    check(
        "clippy, without live capture",
        clippy(&["--package", "observer", "--all-targets", "--no-default-features"]).args(DENY),
    );
    match ebpf_clippy(compiler.toolchain()) {
        Some(mut command) => check("clippy, kernel side", &mut command),
        None => eprintln!(
            "lint: not checked: clippy on the kernel side, because toolchain `{0}` has none; \
             `rustup component add clippy --toolchain {0}` brings it",
            compiler.toolchain()
        ),
    }
    check(
        "documentation",
        cargo().env("RUSTDOCFLAGS", "-D warnings -A rustdoc::private-intra-doc-links").args([
            "doc",
            "--workspace",
            "--no-deps",
            "--all-features",
            "--document-private-items",
        ]),
    );
    if runner::find_program("cargo-deny").is_some() {
        check("dependencies", cargo().args(["deny"]).args(DENY_CHECKS));
        let config = ["deny", "--config", "../deny.toml"];
        check("dependencies, kernel side", in_ebpf(cargo()).args(config).args(DENY_CHECKS));
    } else {
        eprintln!(
            "lint: not checked: licences and sources of dependencies, because cargo-deny is not \
             installed; `cargo install --locked cargo-deny` brings it"
        );
    }
    if !failed.is_empty() {
        bail!("lint failed: {}", failed.join(", "));
    }
    eprintln!("lint: clean");
    Ok(())
}

/// Not `advisories`, which fetch a database from the network.
const DENY_CHECKS: [&str; 4] = ["check", "bans", "licenses", "sources"];

const DENY: [&str; 3] = ["--", "-D", "warnings"];

fn cargo() -> Command {
    workspace::cargo()
}

fn clippy(arguments: &[&str]) -> Command {
    let mut cargo = cargo();
    cargo.arg("clippy").args(arguments);
    cargo
}

fn in_ebpf(mut command: Command) -> Command {
    command.current_dir(workspace::root().join("observer-ebpf"));
    command
}

/// clippy of the eBPF compiler, on the eBPF target: the host's clippy knows neither. Its own target
/// folder lies beside the one of a build by hand.
fn ebpf_clippy(toolchain: &str) -> Option<Command> {
    runner::ask(runner::command("rustup").args(["run", toolchain, "cargo-clippy", "--version"]))?;
    let mut command = in_ebpf(runner::command("rustup"));
    command
        .args(["run", toolchain, "cargo", "clippy", "--release", "--target", TARGET])
        // Cargo told xtask which compiler it is; the other compiler's cargo must not hear it.
        .env_remove("RUSTC")
        .env_remove("CARGO")
        .env_remove("RUSTUP_TOOLCHAIN")
        .env("RUSTFLAGS", format!("--cfg bpf_target_arch=\"{}\"", std::env::consts::ARCH));
    if toolchain == ebpf::DEBIAN_TOOLCHAIN {
        // Its `core` is ready; aya-ebpf uses one unstable feature.
        command.env("RUSTC_BOOTSTRAP", "aya_ebpf,observe");
    } else {
        command.env("RUSTC_BOOTSTRAP", "1").args(["-Z", "build-std=core"]);
    }
    command.args(DENY);
    Some(command)
}

/// The byte order of the host is the kernel's.
const TARGET: &str =
    if cfg!(target_endian = "big") { "bpfeb-unknown-none" } else { "bpfel-unknown-none" };
