//! What packages ship beside the binary, made from the command line itself: manual pages and
//! completions.

use std::path::Path;

use anyhow::Context as _;
use clap::CommandFactory as _;
use clap_complete::Shell;

use super::args::Cli;
use super::{Failure, print};

/// One page on standard output, or all of them into a folder.
pub(super) fn man(out: Option<&Path>) -> Result<(), Failure> {
    let mut command = Cli::command();
    match out {
        None => {
            let mut page = Vec::new();
            clap_mangen::Man::new(command).render(&mut page).context("cannot make the page")?;
            print(&page)
        }
        Some(folder) => {
            std::fs::create_dir_all(folder)
                .with_context(|| format!("cannot make the folder {}", folder.display()))?;
            // So that pages carry the names of their commands: `observer-tail`.
            command.build();
            clap_mangen::generate_to(command, folder)
                .with_context(|| format!("cannot write pages into {}", folder.display()))?;
            Ok(())
        }
    }
}

pub(super) fn completions(shell: Shell) -> Result<(), Failure> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "observer", &mut text);
    print(&text)
}
