//! Owns `cargo xtask fuzz`: builds the targets of `observer/fuzz` with the nightly toolchain that is
//! there, gives each its share of the time, and says what was executed and found.
//!
//! The corpus that grows and the inputs that were found lie in the target folder; the seeds are only
//! read. Without nightly `cargo xtask test` still replays the seeds.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};

use crate::{
    runner::{self, Runner},
    workspace,
};

const TARGETS: [&str; 5] = ["record", "capture", "tcp", "http1", "pipeline"];

/// The crate of the targets, below the root.
const CRATE: &str = "observer/fuzz";

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Time for all targets together; each gets an equal share
    #[arg(long, value_name = "N", default_value_t = 10)]
    minutes: u64,
    /// Where libFuzzer's random choices start, so that a run can be repeated [default: chosen anew]
    #[arg(long, value_name = "N")]
    seed: Option<u32>,
    /// Only this target
    #[arg(value_parser = TARGETS)]
    target: Option<String>,
}

pub(crate) fn fuzz(options: &Options) -> Result<()> {
    set_up()?;
    // Without a sanitizer: the engine has no unsafe code, and runs several times as fast. Debug
    // assertions and overflow checks are on by cargo-fuzz's own default.
    Runner::new().run(&mut cargo_fuzz("build", None))?;
    let targets: Vec<&str> = match &options.target {
        Some(target) => vec![target],
        None => TARGETS.to_vec(),
    };
    let seconds = share(options.minutes, targets.len() as u64);
    let mut n_findings = 0;
    for target in targets {
        let folder = workspace::target().join("fuzz").join(target);
        let outcome = run(target, &folder, seconds, options.seed)?;
        eprintln!("fuzz: {target}: {}", outcome.summary(seconds));
        for found in &outcome.found {
            n_findings += 1;
            eprintln!("  {}", found.display());
            if let Some(reason) = &outcome.reason {
                eprintln!("  {reason}");
            }
            eprintln!("  again, step by step: OBSERVER_FUZZ_TRACE=1 {}", replay(target, found));
        }
    }
    if n_findings > 0 {
        bail!("{n_findings} findings; each becomes a file found_* in {CRATE}/seeds when mended");
    }
    Ok(())
}

/// Seconds for each target, at least one.
fn share(minutes: u64, n_targets: u64) -> u64 {
    (minutes.saturating_mul(60) / n_targets.max(1)).max(1)
}

fn set_up() -> Result<()> {
    let toolchains = runner::ask(runner::command("rustup").args(["toolchain", "list"]));
    if !toolchains.is_some_and(|list| has_nightly(&list)) {
        bail!(
            "fuzzing needs a nightly toolchain, which alone can link libFuzzer's coverage: \
             `rustup toolchain install nightly` brings it; `cargo xtask test -- fuzz_seeds` \
             replays the seeds without it"
        );
    }
    if runner::find_program("cargo-fuzz").is_none() {
        eprintln!("fuzz: installing cargo-fuzz, which builds and starts the targets");
        Runner::new().run(workspace::cargo().args(["install", "--locked", "cargo-fuzz"]))?;
    }
    Ok(())
}

fn has_nightly(toolchains: &str) -> bool {
    toolchains.lines().any(|line| line.starts_with("nightly"))
}

/// `cargo fuzz ACTION` by the nightly toolchain, which must win over the one that runs xtask.
fn cargo_fuzz(action: &str, target: Option<&str>) -> Command {
    let mut command = runner::command("rustup");
    command.current_dir(workspace::root()).args(["run", "nightly", "cargo", "fuzz", action]);
    command.args(["--fuzz-dir", CRATE, "--sanitizer", "none"]).args(target);
    // cargo-fuzz looks for a binary where cargo put it only if it is told.
    command.arg("--target-dir").arg(workspace::target());
    command
}

fn replay(target: &str, found: &Path) -> String {
    runner::describe(cargo_fuzz("run", Some(target)).arg(found))
}

/// What a run did.
#[derive(Debug, Default, PartialEq, Eq)]
struct Outcome {
    executions: u64,
    found: Vec<PathBuf>,
    /// What the assertion said.
    reason: Option<String>,
}

impl Outcome {
    fn summary(&self, seconds: u64) -> String {
        let Self { executions, found, .. } = self;
        format!("{executions} executions in up to {seconds} s, {} findings", found.len())
    }
}

fn run(target: &str, folder: &Path, seconds: u64, seed: Option<u32>) -> Result<Outcome> {
    let (corpus, artifacts) = (folder.join("corpus"), folder.join("found"));
    for folder in [&corpus, &artifacts] {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    let before = files(&artifacts)?;
    let log = folder.join("log");
    let mut command = cargo_fuzz("run", Some(target));
    command.arg(&corpus).arg(workspace::root().join(CRATE).join("seeds").join(target)).arg("--");
    command.args([
        format!("-max_total_time={seconds}"),
        // An input that takes this long, or that makes the engine hold this much, is a finding.
        "-timeout=20".to_owned(),
        "-rss_limit_mb=1024".to_owned(),
        "-max_len=4096".to_owned(),
        "-print_final_stats=1".to_owned(),
        format!("-artifact_prefix={}/", artifacts.display()),
    ]);
    command.args(seed.map(|seed| format!("-seed={seed}")));
    eprintln!("  $ {} 2> {}", runner::describe(&command), log.display());
    command.stderr(File::create(&log).with_context(|| format!("cannot write {}", log.display()))?);
    let status = command.status().context("cannot start rustup")?;
    let said = String::from_utf8_lossy(&fs::read(&log)?).into_owned();
    let found: Vec<PathBuf> =
        files(&artifacts)?.into_iter().filter(|file| !before.contains(file)).collect();
    if !status.success() && found.is_empty() {
        bail!("the fuzzer could not run {target} ({status}): see {}", log.display());
    }
    Ok(Outcome { executions: executions(&said), found, reason: reason(&said) })
}

fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect()
}

/// libFuzzer's own count; where a finding ended the run, that of its last progress line.
fn executions(log: &str) -> u64 {
    let stated = log
        .lines()
        .rev()
        .find_map(|line| line.strip_prefix("stat::number_of_executed_units:")?.trim().parse().ok());
    let progress = || {
        log.lines().rev().find_map(|line| line.strip_prefix('#')?.split('\t').next()?.parse().ok())
    };
    stated.or_else(progress).unwrap_or(0)
}

/// The panic's place and message.
fn reason(log: &str) -> Option<String> {
    let mut lines = log
        .lines()
        .skip_while(|line| !line.contains("' panicked at ") && !line.contains(") panicked at "));
    let place = lines.next()?.rsplit("panicked at ").next()?;
    Some(format!("{place} {}", lines.next().unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "#2\tINITED cov: 5\n#4096\tpulse  cov: 9\nthread '<unnamed>' (7) panicked at \
        src/tcp.rs:1:2:\nassertion failed\nstack backtrace:\n";

    #[test]
    fn executions_are_libfuzzers() {
        assert_eq!(executions(LOG), 4096);
        let whole = format!("{LOG}stat::number_of_executed_units: 5000\nstat::other: 1\n");
        assert_eq!(executions(&whole), 5000);
        assert_eq!(executions(""), 0);
    }

    #[test]
    fn a_finding_says_what_broke() {
        assert_eq!(reason(LOG).as_deref(), Some("src/tcp.rs:1:2: assertion failed"));
        assert_eq!(reason("#2\tDONE\n"), None);
    }

    #[test]
    fn the_time_is_shared() {
        assert_eq!((share(10, 5), share(10, 1), share(0, 5)), (120, 600, 1));
    }

    #[test]
    fn nightly_is_recognised() {
        assert!(has_nightly("stable-x86_64 (default)\nnightly-x86_64\n"));
        assert!(!has_nightly("stable-x86_64\nmy-nightly\n"));
    }

    #[test]
    fn every_target_of_the_crate_is_run() {
        let manifest = workspace::root().join(CRATE).join("Cargo.toml");
        let manifest = fs::read_to_string(manifest).expect("the fuzz crate is there");
        let names: Vec<&str> = manifest
            .split("[[bin]]")
            .skip(1)
            .filter_map(|bin| bin.split("name = \"").nth(1)?.split('"').next())
            .collect();
        assert_eq!(names, TARGETS);
    }
}
