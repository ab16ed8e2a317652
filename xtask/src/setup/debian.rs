//! Owns installing on Debian: packages through apt-get, Debian's compiler linked into rustup, and
//! bpf-linker built against Debian's LLVM.

use std::{thread, time::Duration};

use anyhow::{Context as _, Result, bail};

use super::{distribution::Family, needs::Missing, services::Guard};
use crate::{
    ebpf::{DEBIAN_LLVM, DEBIAN_TOOLCHAIN},
    runner::{self, Runner},
    workspace,
};

/// Later versions of bpf-linker may want an LLVM that Debian does not have.
const LINKER_VERSION: &str = "0.13.0";

/// Packages that are installed together, for one reason.
#[derive(Debug, PartialEq, Eq)]
struct Group {
    packages: Vec<&'static str>,
    why: &'static str,
}

pub(super) fn install(runner: Runner, missing: &Missing) -> Result<()> {
    let groups = groups(missing);
    if !groups.is_empty() {
        for group in &groups {
            eprintln!("setup: installing {}: {}", group.packages.join(" "), group.why);
        }
        let packages: Vec<_> = groups.iter().flat_map(|group| group.packages.clone()).collect();
        install_packages(runner, &packages)?;
    }
    if missing.link {
        eprintln!("setup: telling rustup about Debian's compiler, as `{DEBIAN_TOOLCHAIN}`");
        let mut link = runner::command("rustup");
        runner.run(link.args(["toolchain", "link", DEBIAN_TOOLCHAIN, "/usr"]))?;
    }
    if missing.linker {
        eprintln!("setup: building bpf-linker, which links the kernel side (about a minute)");
        install_linker(runner)?;
    }
    Ok(())
}

/// What apt-get has to bring, and why.
fn groups(missing: &Missing) -> Vec<Group> {
    let mut groups = Vec::new();
    if missing.cc {
        let packages = vec!["gcc", "libc6-dev"];
        groups.push(Group { packages, why: "a linker for programs of the host" });
    }
    if missing.compiler {
        let packages = vec!["rustc-web", "cargo-web", "libstd-rust-web-dev-bpf"];
        groups.push(Group { packages, why: "compiles the kernel side to eBPF" });
    }
    if missing.linker {
        let packages = vec!["llvm-22-dev", "libpolly-22-dev", "libzstd-dev", "zlib1g-dev"];
        groups.push(Group { packages, why: "the LLVM that bpf-linker is built against" });
    }
    if missing.clippy {
        groups.push(Group { packages: vec!["rust-web-clippy"], why: "lints the kernel side" });
    }
    for tool in &missing.tools {
        groups.push(Group { packages: vec![tool.package(Family::Debian)], why: tool.why });
    }
    groups
}

fn install_packages(runner: Runner, packages: &[&str]) -> Result<()> {
    if !runner.dry_run && !runner::is_root() && runner::find_program("sudo").is_none() {
        let packages = packages.join(" ");
        bail!("needs root, and there is no sudo: as root, run `apt-get install {packages}`");
    }
    let absent = without_candidate(&policy(packages), packages);
    if !absent.is_empty() {
        eprintln!("setup: the package lists do not have {} yet", absent.join(" "));
        update(runner)?;
        let absent = without_candidate(&policy(packages), packages);
        if !absent.is_empty() && !runner.dry_run {
            bail!("{}", explain_absent(&absent));
        }
    }
    let guard = Guard::new(packages);
    guard.before(runner)?;
    let outcome = install_with_retries(runner, packages);
    guard.after(runner)?;
    outcome.context(
        "the packages could not be installed: see apt-get's own words above \
         (if it would have to remove a package: Debian's rustc-web conflicts with Debian's own \
         rustup and rustc; `rustup toolchain install nightly --component rust-src` needs neither)",
    )
}

/// A mirror that moved on since the lists were read answers 404, and networks fail: refresh the
/// lists and try again, twice.
fn install_with_retries(runner: Runner, packages: &[&str]) -> Result<()> {
    let mut outcome = apt_install(runner, packages);
    for pause in [0, 10] {
        if outcome.is_ok() {
            break;
        }
        eprintln!("setup: trying again with fresh package lists");
        thread::sleep(Duration::from_secs(pause));
        // When the lists cannot be refreshed the old ones may still do.
        let _ = update(runner);
        outcome = apt_install(runner, packages);
    }
    outcome
}

fn apt_install(runner: Runner, packages: &[&str]) -> Result<()> {
    // --no-remove: rather fail than take away something that the user installed.
    let options = ["install", "-y", "-q", "--no-install-recommends", "--no-remove"];
    runner.run(apt_get().args(options).args(packages))
}

fn update(runner: Runner) -> Result<()> {
    runner.run(apt_get().args(["update", "-q"]))
}

fn apt_get() -> std::process::Command {
    // needrestart would ask which services to restart; it is told to stay out of it.
    // RUNLEVEL: see `services`.
    let envs =
        [("DEBIAN_FRONTEND", "noninteractive"), ("NEEDRESTART_SUSPEND", "1"), ("RUNLEVEL", "1")];
    let mut command = runner::as_root("apt-get", &envs);
    // Unattended upgrades may hold dpkg's lock for a while after boot.
    command.args(["-o", "Acquire::Retries=3", "-o", "DPkg::Lock::Timeout=120"]);
    command
}

/// `apt-cache policy` prints a stanza a package: its name and a colon, then `Candidate: VERSION`.
/// Of a package that it never heard of it prints nothing.
fn policy(packages: &[&str]) -> String {
    let mut question = runner::command("apt-cache");
    runner::ask(question.env("LC_ALL", "C").arg("policy").args(packages)).unwrap_or_default()
}

fn without_candidate<'a>(policy: &str, packages: &[&'a str]) -> Vec<&'a str> {
    let has_candidate = |package: &str| {
        let mut lines = policy.lines().skip_while(|line| line.strip_suffix(':') != Some(package));
        lines
            .find_map(|line| line.trim_start().strip_prefix("Candidate: "))
            .is_some_and(|version| version != "(none)")
    };
    packages.iter().copied().filter(|package| !has_candidate(package)).collect()
}

fn explain_absent(absent: &[&str]) -> String {
    let mut text = format!("this machine's package sources do not have {}", absent.join(" "));
    if absent.iter().any(|package| package.contains("-web") || package.contains("-22-")) {
        text += "; they are in Debian's main and security archives. Without them, a compiler for \
                 eBPF is `rustup toolchain install nightly --component rust-src`, and bpf-linker \
                 comes with `cargo binstall bpf-linker`";
    }
    text
}

fn install_linker(runner: Runner) -> Result<()> {
    let llvm = format!("/usr/lib/llvm-{DEBIAN_LLVM}");
    let mut cargo = workspace::cargo();
    let path = cargo
        .get_envs()
        .find_map(|(key, value)| if key == "PATH" { value } else { None })
        .map(|path| path.to_string_lossy().into_owned())
        .unwrap_or_default();
    cargo
        .env("PATH", format!("{llvm}/bin:{path}"))
        .env("LLVM_PREFIX", &llvm)
        .env("RUSTFLAGS", format!("-L {llvm}/lib"))
        // Not into observer's own target folder.
        .env_remove("CARGO_TARGET_DIR")
        .args(["install", "bpf-linker", "--version", LINKER_VERSION, "--locked"])
        .args(["--no-default-features", "--features", &format!("llvm-{DEBIAN_LLVM}")]);
    runner.run(&mut cargo)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ebpf::{Compiler, Found},
        setup::Options,
    };

    const ALL: Options =
        Options { tests: true, lint: true, bench: false, vm: false, cross: false, dry_run: false };

    const POLICY: &str = "\
curl:
  Installed: 7.88.1-10
  Candidate: 7.88.1-10
  Version table:
 *** 7.88.1-10 500
rustc-web:
  Installed: (none)
  Candidate: (none)
  Version table:
wrk:
  Installed: (none)
  Candidate: 4.1.0-3+b2
";

    #[test]
    fn a_package_without_candidate_or_stanza_is_absent() {
        let asked = ["curl", "rustc-web", "wrk", "llvm-22-dev"];
        assert_eq!(without_candidate(POLICY, &asked), ["rustc-web", "llvm-22-dev"]);
        assert_eq!(without_candidate("", &asked), asked);
    }

    #[test]
    fn an_absent_compiler_is_explained_and_an_absent_tool_only_named() {
        assert!(explain_absent(&["rustc-web"]).contains("rust-src"));
        assert!(explain_absent(&["llvm-22-dev"]).contains("binstall"));
        assert!(!explain_absent(&["wrk"]).contains("rust-src"));
    }

    #[test]
    fn each_missing_part_brings_its_packages() {
        let found = Found { rustup: true, ..Found::default() };
        let missing = Missing::find(&found, Some(&Compiler::Debian), &ALL, |p| p != "wrk");
        let packages: Vec<_> = groups(&missing).into_iter().map(|group| group.packages).collect();
        assert_eq!(packages.len(), 4);
        assert!(packages[0].contains(&"libstd-rust-web-dev-bpf"));
        assert!(packages[1].contains(&"llvm-22-dev"));
        assert_eq!(packages[2], ["rust-web-clippy"]);
        assert_eq!(packages[3], ["wrk"]);
    }

    #[test]
    fn only_the_linker_is_built_when_only_it_is_missing() {
        let found = Found { nightly_with_source: true, ..Found::default() };
        let missing = Missing::find(&found, Some(&Compiler::Nightly), &ALL, |_| true);
        let groups = groups(&missing);
        assert_eq!(groups.len(), 1);
        assert!(!groups[0].packages.contains(&"rustc-web"));
    }
}
