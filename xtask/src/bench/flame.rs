//! Owns `cargo xtask bench flame`: a picture of where the machine's time goes while observer watches a
//! load. perf takes the samples, of every CPU, so that server, client and the programs that run in
//! their context are in it; inferno draws them.

use std::{
    fs::{self, File},
    io::BufReader,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use inferno::{collapse::Collapse as _, collapse::perf::Folder, flamegraph};

use super::{
    lab::Lab,
    peer::{Peer, Watcher},
    process::Process,
    server::Nginx,
    workload::Workload,
};
use crate::{runner, runner::Runner, workspace};

#[derive(clap::Args)]
pub(crate) struct Options {
    /// The picture to write
    #[arg(value_name = "FILE.svg")]
    file: PathBuf,
    /// The load that is watched
    #[arg(long, value_name = "NAME", default_value = "tiny")]
    workload: Workload,
    /// Length of the run
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..=60))]
    seconds: u64,
    /// What stands above it [default: the load]
    #[arg(long, value_name = "TEXT")]
    title: Option<String>,
    /// The observer to watch with, instead of building one with frame pointers
    #[arg(long, value_name = "FILE")]
    pub(super) observer: Option<PathBuf>,
}

/// A build with frame pointers: without them perf does not know who called whom.
pub(super) fn build() -> Result<PathBuf> {
    let folder = workspace::target().join("flame");
    let flags =
        format!(r#"target.{}.rustflags=["-Cforce-frame-pointers=yes"]"#, workspace::host_triple()?);
    let build = ["build", "--release", "--package", "observer", "--config", &flags, "--target-dir"];
    Runner::new().run(workspace::cargo().args(build).arg(&folder))?;
    Ok(folder.join("release/observer"))
}

pub(super) fn flame(options: &Options, lab: &Lab, nginx: &Nginx, observer: &Path) -> Result<()> {
    if runner::find_program("perf").is_none() {
        bail!("perf is missing: `cargo xtask setup --bench` installs it");
    }
    let Options { file, workload, seconds, .. } = options;
    let samples = lab.folder().join("perf.data");
    let watcher = Watcher::start(lab, Peer::Observer, observer, None)?;
    let mut perf = None;
    workload.run(lab, *seconds, false, &mut |is_end| {
        if is_end {
            return perf.as_mut().map_or(Ok(()), |perf: &mut Process| perf.stop(lab, "-INT"));
        }
        let mut command = runner::command("perf");
        command.args(["record", "-q", "-a", "-g", "-e", "cpu-clock", "-F", RATE, "-o"]);
        perf = Some(Process::start(lab, "perf", command.arg(&samples))?);
        // It opens its counters in a moment; the load begins when this returns.
        lab.pause(Duration::from_millis(500))
    })?;
    watcher.finish(lab, nginx)?;
    let mut script = runner::command("perf");
    script.args(["script", "-i"]).arg(&samples);
    let mut script = Process::start(lab, "script", &mut script)?;
    script.wait(lab, PATIENCE)?;
    let text = File::open(lab.folder().join("script.out"))?;
    let mut stacks = Vec::new();
    Folder::default().collapse(BufReader::new(text), &mut stacks)?;
    let stacks = String::from_utf8_lossy(&stacks);
    let ours = |line: &&str| SHOWN.iter().any(|name| line.starts_with(&format!("{name};")));
    let stacks: Vec<_> = stacks.lines().filter(ours).map(without_repeats).collect();
    let mut picture = flamegraph::Options::default();
    picture.title = options.title.clone().unwrap_or_else(|| workload.name().to_owned());
    "ns".clone_into(&mut picture.count_name);
    picture.min_width = MIN_WIDTH;
    let out = File::create(file).with_context(|| format!("cannot write {}", file.display()))?;
    flamegraph::from_lines(&mut picture, stacks.iter().map(String::as_str), out)?;
    println!("{}: {} bytes", file.display(), fs::metadata(file)?.len());
    Ok(())
}

/// What perf cannot name stands once in a stack, however often in a row: nginx and wrk have neither
/// symbols nor frame pointers, and what is read as their callers is noise.
fn without_repeats(stack: &str) -> String {
    let mut frames: Vec<_> = stack.split(';').collect();
    frames.dedup_by(|frame, before| frame == before && *frame == UNKNOWN);
    frames.join(";")
}

/// Server, client, and observer's threads that work for each exchange; not what else the machine does.
const SHOWN: [&str; 5] = ["nginx", "wrk", "observer", "worker", "sink"];
const UNKNOWN: &str = "[unknown]";
/// Samples a second of each CPU.
const RATE: &str = "4999";
/// Percent of all samples below which a function is not drawn.
const MIN_WIDTH: f64 = 0.15;
const PATIENCE: Duration = Duration::from_secs(120);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_name_stands_once_in_a_row() {
        assert_eq!(
            without_repeats("wrk;[unknown];[unknown];a;a;[unknown] 7"),
            "wrk;[unknown];a;a;[unknown] 7"
        );
        assert_eq!(without_repeats("wrk;b 1"), "wrk;b 1");
    }
}
