//! observer's own commands: set-up, build, run, test, lint, fuzz, measure. No product code lives here.
//!
//! Each command gathers facts, decides with pure functions that have unit tests, and only then acts
//! through [`runner::Runner`], which prints every command line that it is about to run.

mod bench;
mod compare;
mod cross;
mod dist;
mod ebpf;
mod fuzz;
mod generate;
mod lint;
mod memory;
mod offline;
mod profile;
mod replay;
mod run;
mod runner;
mod setup;
mod soak;
mod test;
mod vm;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::runner::Runner;

/// Sets up, builds, runs and tests observer.
///
/// On a fresh machine with rustup's stable toolchain, `cargo xtask run` and `cargo xtask test` each
/// work as the first thing typed: they install what is missing and say what that is.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Install what is missing to build observer (with --tests and --lint, also to check it)
    Setup(setup::Options),
    /// Build the release binary, target/release/observer
    Build(BuildOptions),
    /// Set up, build, then run observer as root (`observer tail` when no arguments are given)
    Run(run::Options),
    /// Set up, then run every test; the live ones need root and use sudo when it is there
    Test(test::Options),
    /// Replay captures through the kernel and compare with `observer read`; needs the corpus
    Replay(replay::Options),
    /// Check formatting, clippy, documentation and dependencies, with warnings as errors
    Lint,
    /// Run the fuzz targets for a while (needs a nightly toolchain) and say what they found
    Fuzz(fuzz::Options),
    /// Print our exchanges of a capture beside tshark's, and name the differences
    Compare(compare::Options),
    /// Write a capture of made HTTP traffic to measure with
    Generate(generate::Options),
    /// Measure the peak memory of `observer read` over a large capture and over the corpus
    Memory(memory::Options),
    /// Measure what it costs to be watched by observer, beside others; needs root
    Bench(bench::Options),
    /// Make packages: .deb, .rpm and a tarball, in target/dist
    Dist(dist::Options),
    /// Check that observer compiles for machines of another kind, and run the engine's tests there
    Cross(cross::Options),
    /// Boot old kernels under emulation and run the kernel tests and observer inside
    Vm(vm::Options),
    /// Run the daemon for long while everything around it comes and goes; needs root
    Soak(soak::Options),
    /// The load that `bench` makes: not for people
    #[command(hide = true)]
    BenchLoad(bench::LoadOptions),
    /// The traffic of `soak`: not for people
    #[command(hide = true)]
    SoakTraffic(soak::TrafficOptions),
}

#[derive(clap::Args)]
struct BuildOptions {
    /// Build as packages are built: a tenth to a quarter less CPU time at work, and twice the wait
    #[arg(long)]
    profiled: bool,
}

fn build(options: &BuildOptions) -> anyhow::Result<()> {
    let runner = Runner::new();
    let binary = match options.profiled {
        true => profile::build(runner, &workspace::host_triple()?)?,
        false => workspace::build(&runner)?,
    };
    eprintln!("  built {}", binary.display());
    Ok(())
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Setup(options) => setup::setup(&options).map(drop),
        Command::Build(options) => build(&options),
        Command::Run(options) => run::run(&options),
        Command::Test(options) => test::test(&options),
        Command::Replay(options) => replay::replay(&options),
        Command::Lint => lint::lint(),
        Command::Fuzz(options) => fuzz::fuzz(&options),
        Command::Compare(options) => compare::compare(&options),
        Command::Generate(options) => generate::generate(&options),
        Command::Memory(options) => memory::memory(&options),
        Command::Bench(options) => bench::bench(&options),
        Command::Dist(options) => dist::dist(&options),
        Command::Cross(options) => cross::cross(&options),
        Command::Vm(options) => vm::vm(&options),
        Command::Soak(options) => soak::soak(&options),
        Command::BenchLoad(options) => bench::load(&options),
        Command::SoakTraffic(options) => soak::traffic(&options),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    /// Each `cargo xtask …` in these documents, in a console block or between backticks.
    #[test]
    fn every_command_in_the_documents_is_understood() {
        let documents = [
            include_str!("../../README.md"),
            include_str!("../../CONTRIBUTING.md"),
            include_str!("../../docs/ARCHITECTURE.md"),
            include_str!("../../docs/install.md"),
            include_str!("../../docs/limitations.md"),
        ];
        let mut n_commands = 0;
        for line in documents.iter().flat_map(|text| text.lines()) {
            for command in line.split("cargo xtask ").skip(1) {
                let command = command.split(['`', '#']).next().unwrap_or_default();
                let words = ["cargo xtask"].into_iter().chain(command.split_whitespace());
                n_commands += 1;
                assert!(Cli::try_parse_from(words).is_ok(), "cargo xtask {command}");
            }
        }
        assert!(n_commands >= 10, "found only {n_commands}");
        assert!(Cli::try_parse_from(["cargo xtask", "no-such-command"]).is_err());
        assert!(Cli::try_parse_from(["cargo xtask", "setup", "--no-such-flag"]).is_err());
    }

    #[test]
    fn arguments_reach_observer_as_they_are() {
        let cli = Cli::try_parse_from(["cargo xtask", "run", "--", "tail", "-n", "3", "--help"]);
        let Ok(Cli { command: Command::Run(options) }) = cli else { panic!("not understood") };
        assert_eq!(options.arguments, ["tail", "-n", "3", "--help"]);
    }
}
