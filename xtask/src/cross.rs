//! Owns `cargo xtask cross`: whether observer compiles for machines of another kind, user space and
//! eBPF objects, and whether the engine's own tests hold there, under emulation.
//!
//! The standard library for a target comes from rustup. Where it cannot be had the target is named
//! as not checked; that is no failure, because it says nothing about observer.

use anyhow::{Result, bail};

use crate::{
    runner::{self, Runner},
    setup, workspace,
};

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Only these, by the start of the target's name
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    only: Vec<String>,
    /// Also run the engine's unit tests, emulated, where that is possible
    #[arg(long)]
    test: bool,
}

/// A kind of machine.
struct Machine {
    target: &'static str,
    /// What links for it, and what runs what was linked.
    tools: Option<Tools>,
    /// A test whose name has this in it is known to fail there; each has its reason beside it.
    skip: Option<&'static str>,
}

struct Tools {
    linker: &'static str,
    runner: &'static [&'static str],
}

/// 64 bits, and a kernel whose BPF has what the programs use. s390x is there because its bytes are
/// the other way round; no compiler has a ready `core` for its eBPF, so it takes the source of one
/// (Debian's rust-web-src, rustup's rust-src).
const MACHINES: &[Machine] = &[
    Machine {
        // Static, so that neither a linker nor a C library of that machine is needed.
        target: "aarch64-unknown-linux-musl",
        tools: Some(Tools { linker: "rust-lld", runner: &["qemu-aarch64-static"] }),
        skip: None,
    },
    Machine {
        target: "s390x-unknown-linux-gnu",
        tools: Some(Tools {
            linker: "s390x-linux-gnu-gcc",
            runner: &["qemu-s390x-static", "-L", "/usr/s390x-linux-gnu"],
        }),
        // pcap-parser 0.17 takes a block's type for little-endian on every machine
        // (`PcapEndianness::native_u32`) and refuses all blocks on this one.
        skip: Some("pcapng::"),
    },
    Machine { target: "riscv64gc-unknown-linux-gnu", tools: None, skip: None },
    Machine { target: "powerpc64le-unknown-linux-gnu", tools: None, skip: None },
];

pub(crate) fn cross(options: &Options) -> Result<()> {
    setup::setup(&setup::Options { cross: options.test, ..setup::Options::default() })?;
    let runner = Runner::new();
    let wanted = |machine: &&Machine| {
        let only = &options.only;
        only.is_empty() || only.iter().any(|name| machine.target.starts_with(name))
    };
    let machines: Vec<_> = MACHINES.iter().filter(wanted).collect();
    if machines.is_empty() {
        let targets: Vec<_> = MACHINES.iter().map(|machine| machine.target).collect();
        bail!("there are {}", targets.join(", "));
    }
    let (mut good, mut failed) = (Vec::new(), Vec::new());
    for machine in machines {
        if !has_std(runner, machine.target) {
            eprintln!("cross: NOT CHECKED: {}: rustup has no std for it here", machine.target);
            continue;
        }
        match check(runner, machine, options.test) {
            Ok(()) => good.push(machine.target),
            Err(error) => failed.push(format!("{}: {error:#}", machine.target)),
        }
    }
    eprintln!("cross: good: {}", if good.is_empty() { "none".into() } else { good.join(", ") });
    if !failed.is_empty() {
        bail!("{}", failed.join("; "));
    }
    Ok(())
}

/// Whether the standard library for the target is there, if need be after asking rustup for it.
pub(crate) fn has_std(runner: Runner, target: &str) -> bool {
    let is_there = || {
        let list = ["target", "list", "--installed"];
        let list = runner::ask(runner::command("rustup").args(list)).unwrap_or_default();
        list.lines().any(|line| line == target)
    };
    // Networks fail: once more, and bounded in time.
    for _ in 0..2 {
        if is_there() {
            return true;
        }
        let _ =
            runner.run(runner::command("timeout").args(["120", "rustup", "target", "add", target]));
    }
    is_there()
}

/// Checks everything, which compiles the eBPF objects too; then the tests that need no kernel.
fn check(runner: Runner, machine: &Machine, test: bool) -> Result<()> {
    let target = machine.target;
    runner.run(workspace::cargo().args(["check", "--package", "observer", "--target", target]))?;
    if !test {
        return Ok(());
    }
    let Some(tools) = &machine.tools else {
        eprintln!("cross: not run: the tests of {target}");
        return Ok(());
    };
    let mut tests = workspace::cargo();
    let name = variable(target);
    tests.env(format!("CARGO_TARGET_{name}_LINKER"), tools.linker);
    tests.env(format!("CARGO_TARGET_{name}_RUNNER"), tools.runner.join(" "));
    tests.args(["test", "--package", "observer-common", "--package", "observer", "--lib"]);
    tests.args(["--no-default-features", "--target", target, "--"]);
    runner.run(tests.args(machine.skip.into_iter().flat_map(|name| ["--skip", name])))
}

/// As cargo calls a target in the environment.
fn variable(target: &str) -> String {
    target.to_uppercase().replace('-', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_named_as_cargo_names_them() {
        assert_eq!(variable("s390x-unknown-linux-gnu"), "S390X_UNKNOWN_LINUX_GNU");
    }
}
