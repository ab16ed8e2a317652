//! Owns `cargo xtask test`: which test commands run, in which order, and the sum at the end.
//!
//! A test that cannot run here prints a line that starts with `SKIP` (past libtest's capture) and
//! passes; with `OBSERVER_REQUIRE_LIVE=1` it fails instead. The sum counts both kinds.

use std::{env, process::Command, time::Instant};

use anyhow::{Result, bail};

use crate::{
    runner::{self, Runner},
    setup, workspace,
};

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Arguments for `cargo test`, such as a test's name, or `-- --nocapture`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGS")]
    arguments: Vec<String>,
}

pub(crate) fn test(options: &Options) -> Result<()> {
    setup::setup(&setup::Options { tests: true, ..setup::Options::default() })?;
    #[expect(clippy::disallowed_methods, reason = "xtask is no part of the engine")]
    let start = Instant::now();
    let runner = privileged_runner()?;
    let mut tally = Tally::default();
    let mut failed = Vec::new();
    for (name, arguments) in SUITES {
        eprintln!("test: {name}");
        let mut cargo = workspace::cargo();
        cargo.arg("test").args(*arguments).args(&options.arguments);
        if let Some((key, value)) = &runner {
            cargo.env(key, value);
        }
        if let Err(error) = run_suite(&mut cargo, &mut tally) {
            failed.push(format!("{name}: {error:#}"));
        }
    }
    let seconds = start.elapsed().as_secs();
    eprintln!("test: {} in {seconds} s", tally.summary());
    if !failed.is_empty() {
        bail!("tests failed: {}", failed.join("; "));
    }
    if tally.passed == 0 {
        bail!("no test ran");
    }
    Ok(())
}

/// Everything once with all features; then what must hold without the kernel side. observer's build
/// script compiles the eBPF objects on the way.
const SUITES: &[(&str, &[&str])] = &[
    ("the whole workspace", &["--workspace", "--all-features", "--no-fail-fast"]),
    (
        "observer without live capture",
        &["--package", "observer", "--no-default-features", "--no-fail-fast"],
    ),
];

fn run_suite(cargo: &mut Command, tally: &mut Tally) -> Result<()> {
    Runner::new().run_and_see(cargo, |line| tally.see(line))
}

/// Live tests load eBPF programs. When we are not root, cargo starts test binaries through sudo;
/// compiling stays the user's.
pub(crate) fn privileged_runner() -> Result<Option<(String, String)>> {
    if runner::is_root() {
        return Ok(None);
    }
    if runner::find_program("sudo").is_none() {
        let required = env::var("OBSERVER_REQUIRE_LIVE").is_ok_and(|value| value == "1");
        if required {
            bail!(
                "OBSERVER_REQUIRE_LIVE=1, and live tests need root: run as root, or install sudo"
            );
        }
        eprintln!("test: not root, and no sudo: live tests will be skipped");
        return Ok(None);
    }
    eprintln!("test: live tests need root: test binaries are started with sudo");
    Ok(Some((runner_variable(&workspace::host_triple()?), "sudo -E".to_owned())))
}

fn runner_variable(triple: &str) -> String {
    format!("CARGO_TARGET_{}_RUNNER", triple.to_uppercase().replace(['-', '.'], "_"))
}

/// What the test binaries reported about themselves.
#[derive(Debug, Default, PartialEq, Eq)]
struct Tally {
    passed: u32,
    failed: u32,
    ignored: u32,
    /// Tests that passed only by saying why they could not run.
    skipped: u32,
}

impl Tally {
    fn see(&mut self, line: &str) {
        if line.starts_with("SKIP") {
            self.skipped += 1;
        }
        // libtest: `test result: ok. 12 passed; 0 failed; 0 ignored; 0 measured; 3 filtered out; …`
        let Some(counts) = line.strip_prefix("test result: ") else { return };
        for count in counts.split([';', '.']) {
            let mut words = count.split_whitespace();
            let Some(number) = words.next().and_then(|word| word.parse::<u32>().ok()) else {
                continue;
            };
            match words.next() {
                Some("passed") => self.passed += number,
                Some("failed") => self.failed += number,
                Some("ignored") => self.ignored += number,
                _ => {}
            }
        }
    }

    fn summary(&self) -> String {
        let Self { passed, failed, ignored, skipped } = self;
        let ran = passed.saturating_sub(*skipped);
        format!("{ran} passed, {failed} failed, {skipped} skipped, {ignored} ignored")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_of_several_binaries_add_up() {
        let mut tally = Tally::default();
        for line in [
            "running 3 tests",
            "test tests::one ... ok",
            "SKIP live::veth: needs root",
            "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; \
             finished in 0.01s",
            "test result: FAILED. 4 passed; 2 failed; 0 ignored; 0 measured; 9 filtered out; \
             finished in 1.50s",
        ] {
            tally.see(line);
        }
        assert_eq!(tally, Tally { passed: 7, failed: 2, ignored: 1, skipped: 1 });
        assert_eq!(tally.summary(), "6 passed, 2 failed, 1 skipped, 1 ignored");
    }

    #[test]
    fn the_runner_variable_is_cargos() {
        assert_eq!(
            runner_variable("x86_64-unknown-linux-gnu"),
            "CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER"
        );
    }
}
