//! Owns `cargo xtask run`: set up, build, and become observer.

use std::{os::unix::process::CommandExt as _, process::Command};

use anyhow::{Context as _, Result};

use crate::{
    runner::{self, Runner},
    setup, workspace,
};

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Arguments for observer, after `--`; `tail` when there are none
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGS")]
    pub(crate) arguments: Vec<String>,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    setup::setup(&setup::Options::default())?;
    let binary = workspace::build(&Runner::new())?;
    let arguments = match options.arguments.as_slice() {
        [] => vec!["tail".to_owned()],
        given => given.to_vec(),
    };
    let sudo = needs_root(&arguments) && !runner::is_root();
    let mut command = if sudo && runner::find_program("sudo").is_some() {
        let mut sudo = Command::new("sudo");
        sudo.arg(&binary);
        sudo
    } else {
        // Without root and sudo observer itself says which capability is missing.
        Command::new(&binary)
    };
    command.args(&arguments);
    eprintln!("  $ {}", runner::describe(&command));
    // exec: Ctrl-C, signals and the exit code are observer's own, with nobody in between.
    let error = command.exec();
    Err(error).with_context(|| format!("could not start {}", binary.display()))
}

/// Whether observer loads programs into the kernel for these arguments. Reading a file or printing
/// a text does not; running such things as root would leave files of root's behind.
fn needs_root(arguments: &[String]) -> bool {
    let asks_for_text = arguments
        .iter()
        .any(|argument| ["-h", "--help", "-V", "--version"].contains(&argument.as_str()));
    let command = arguments.iter().find(|argument| !argument.starts_with('-'));
    let unprivileged = ["read", "schema", "completions", "man", "help"];
    !asks_for_text && !command.is_some_and(|command| unprivileged.contains(&command.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, expected: bool) {
        let arguments: Vec<_> = line.split_whitespace().map(str::to_owned).collect();
        assert_eq!(needs_root(&arguments), expected, "{line}");
    }

    #[test]
    fn only_what_touches_the_kernel_runs_as_root() {
        check("tail", true);
        check("tail -n 3 -f ndjson", true);
        check("run --config observer.toml", true);
        check("read trace.pcap", false);
        check("tail --help", false);
        check("--version", false);
        check("help tail", false);
    }
}
