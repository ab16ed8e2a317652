//! Run time of the eBPF programs of a process, as the kernel counts it on request
//! (`kernel.bpf_stats_enabled`). Counting costs two looks at the clock a run, so it is on only in
//! runs of its own, and part of what it says is those looks.

use std::{fs, path::Path};

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::runner;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Program {
    pub(super) id: u64,
    pub(super) name: String,
    pub(super) n_runs: u64,
    pub(super) run_time_ns: u64,
}

/// The kernel counts while this is there.
pub(super) struct Counting {
    before: String,
}

impl Counting {
    pub(super) fn start() -> Result<Self> {
        let before = fs::read_to_string(SWITCH).context("this kernel does not count run time")?;
        fs::write(SWITCH, "1").context("cannot switch the count of run time on")?;
        Ok(Self { before })
    }
}

impl Drop for Counting {
    fn drop(&mut self) {
        let _ = fs::write(SWITCH, self.before.trim());
    }
}

/// The programs that a process has open, once each, in the order in which they were loaded.
pub(super) fn of(process: u32) -> Vec<Program> {
    let folder = Path::new("/proc").join(process.to_string()).join("fdinfo");
    let mut programs: Vec<Program> = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let text = fs::read_to_string(entry.path()).unwrap_or_default();
        programs.extend(parse(&text));
    }
    programs.sort_by_key(|program| program.id);
    programs.dedup_by_key(|program| program.id);
    for program in &mut programs {
        program.name = name(program.id).unwrap_or_else(|| format!("program {}", program.id));
    }
    programs
}

/// What a file of `fdinfo` says (kernel/bpf/syscall.c, bpf_prog_show_fdinfo). Links name the id of
/// their program as well, but have no run time.
fn parse(fdinfo: &str) -> Option<Program> {
    let number = |key: &str| {
        let line = fdinfo.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(":\t"));
        line?.trim().parse().ok()
    };
    Some(Program {
        id: number("prog_id")?,
        name: String::new(),
        n_runs: number("run_cnt")?,
        run_time_ns: number("run_time_ns")?,
    })
}

/// Only a system call knows the name, and bpftool makes it.
fn name(id: u64) -> Option<String> {
    let mut bpftool = runner::command("bpftool");
    let shown = runner::ask(bpftool.args(["--json", "prog", "show", "id", &id.to_string()]))?;
    let shown: Value = serde_json::from_str(&shown).ok()?;
    Some(shown["name"].as_str()?.to_owned())
}

const SWITCH: &str = "/proc/sys/kernel/bpf_stats_enabled";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_has_a_run_time_and_a_link_has_none() {
        let program = "pos:\t0\nprog_type:\t3\nprog_tag:\tab\nprog_id:\t31\nrun_time_ns:\t700\n\
                       run_cnt:\t7\n";
        let parsed = parse(program).unwrap();
        assert_eq!((parsed.id, parsed.n_runs, parsed.run_time_ns), (31, 7, 700));
        assert_eq!(parse("link_type:\ttcx\nprog_id:\t31\n"), None);
    }
}
