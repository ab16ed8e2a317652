//! observer's own commands: set-up, build, run, test, lint. No product code lives here.
//!
//! Each command gathers facts, decides with pure functions that have unit tests, and only then acts
//! through [`runner::Runner`], which prints every command line that it is about to run.

mod ebpf;
mod lint;
mod run;
mod runner;
mod setup;
mod test;
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
    /// Install what is missing to build observer (and, with --tests, to test it)
    Setup(setup::Options),
    /// Build the release binary, target/release/observer
    Build,
    /// Set up, build, then run observer as root (`observer tail` when no arguments are given)
    Run(run::Options),
    /// Set up, then run every test; the live ones need root and use sudo when it is there
    Test(test::Options),
    /// Check formatting, clippy, documentation and dependencies, with warnings as errors
    Lint,
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Setup(options) => setup::setup(options).map(drop),
        Command::Build => workspace::build(&Runner::new()).map(drop),
        Command::Run(options) => run::run(&options),
        Command::Test(options) => test::test(&options),
        Command::Lint => lint::lint(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
