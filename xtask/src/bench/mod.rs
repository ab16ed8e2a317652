//! Owns `cargo xtask bench`: what it costs to be watched by observer, beside what it costs to be
//! watched by others, on this machine and in the same minutes.
//!
//! Machines are noisy, so nothing is compared over time: a run that nobody watches stands before
//! and behind each watched run, and what counts is the median of the ratios. CPU time is compared
//! rather than wall time where a load is paced. `lab` is the place, `workload` the load, `peer` who
//! watches, `measure` one run, `report` what comes out.

mod flame;
mod lab;
mod lines;
mod load;
mod measure;
mod offline;
mod others;
mod peer;
mod process;
mod programs;
mod ratio;
mod report;
mod server;
mod workload;

use std::{env, fs, path::PathBuf, thread};

use anyhow::{Context as _, Result, bail};

// A lab and its processes serve the soak as well.
pub(crate) use self::{
    lab::{Lab, now, quiet},
    load::{Options as LoadOptions, load},
    process::{Process, field},
};
use self::{
    measure::Bench,
    peer::Peer,
    report::{Results, Scene},
    server::Nginx,
    workload::Workload,
};
use crate::{
    profile,
    runner::{self, Runner},
    workspace,
};

#[derive(clap::Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    what: Option<What>,
    /// Only this load; may be repeated [default: all]
    #[arg(long = "workload", value_name = "NAME")]
    workloads: Vec<Workload>,
    /// Watched by this one; may be repeated [default: observer, access-log, tcpdump]
    #[arg(long = "peer", value_name = "NAME")]
    peers: Vec<Peer>,
    /// Watched by each one that is installed
    #[arg(long)]
    all_peers: bool,
    /// Watched runs of each peer
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Length of a run
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// Rings of observer, instead of its own choice
    #[arg(long, value_name = "N")]
    rings: Option<u32>,
    /// Also write what was measured as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Short runs of a few loads, which fail when an exchange is missing: for continuous integration
    #[arg(long)]
    quick: bool,
    /// The observer to measure, instead of building one
    #[arg(long, value_name = "FILE")]
    observer: Option<PathBuf>,
}

#[derive(clap::Subcommand)]
enum What {
    /// How fast captures are read, beside other tools; needs no root
    Offline(offline::Options),
    /// Draw where the time goes while observer watches a load
    Flame(flame::Options),
}

pub(crate) fn bench(options: &Options) -> Result<()> {
    if let Some(What::Offline(options)) = &options.what {
        return offline::bench(options);
    }
    let flame = match &options.what {
        Some(What::Flame(flame)) => Some(flame),
        _ => None,
    };
    let given = flame.map_or(&options.observer, |flame| &flame.observer);
    let observer = match given {
        Some(observer) => observer.canonicalize().context("there is no such observer")?,
        None if flame.is_some() => flame::build()?,
        None => profile::build(Runner::new(), &workspace::host_triple()?)?,
    };
    if !runner::is_root() {
        // Everything but the build needs namespaces, and programs in the kernel.
        let mut again = runner::as_root(&env::current_exe()?.display().to_string(), &[]);
        again.args(env::args_os().skip(1)).arg("--observer").arg(&observer);
        return Runner::new().run(&mut again);
    }
    for program in ["nginx", "wrk", "ip", "nsenter", "taskset", "setpriv", "grep"] {
        if runner::find_program(program).is_none() {
            bail!(
                "{program} is missing: `cargo xtask setup --bench` installs what is measured with"
            );
        }
    }
    let scene = scene();
    println!("{}", scene.line());
    let lab = Lab::new()?;
    let nginx = Nginx::start(&lab)?;
    if let Some(flame) = flame {
        return flame::flame(flame, &lab, &nginx, &observer);
    }
    let seconds = if options.quick { 1 } else { options.seconds };
    let rings = options.rings;
    let bench = Bench { lab: &lab, nginx: &nginx, observer: &observer, seconds, rings };
    let mut all = Vec::new();
    for workload in options.workloads() {
        let results = measure(&bench, workload, options)?;
        println!("\n{}", results.table());
        all.push(results);
    }
    if let Some(file) = &options.json {
        let text = serde_json::to_string_pretty(&scene.json(&all))?;
        fs::write(file, text + "\n").with_context(|| format!("cannot write {}", file.display()))?;
    }
    match options.quick {
        true => check(&all),
        false => Ok(()),
    }
}

impl Options {
    fn workloads(&self) -> Vec<Workload> {
        match (self.workloads.is_empty(), self.quick) {
            (false, _) => self.workloads.clone(),
            (true, true) => vec![Workload::Tiny, Workload::Large, Workload::Paced5k],
            (true, false) => Workload::ALL.to_vec(),
        }
    }

    fn peers(&self) -> Vec<Peer> {
        if self.quick && self.peers.is_empty() {
            return vec![Peer::Observer];
        }
        let usual = [Peer::Observer, Peer::AccessLog, Peer::Tcpdump];
        let chosen = match (self.peers.is_empty(), self.all_peers) {
            (_, true) => &Peer::ALL[..],
            (true, false) => &usual,
            (false, false) => &self.peers,
        };
        let is_there = |peer: &Peer| {
            let missing = peer.program().filter(|program| runner::find_program(program).is_none());
            if let Some(program) = missing {
                eprintln!(
                    "bench: NOT MEASURED: {program} is not installed (`cargo xtask setup --bench`)"
                );
            }
            missing.is_none()
        };
        chosen.iter().copied().filter(is_there).collect()
    }
}

/// All runs of one workload: nobody, a peer, nobody, the next peer, and so on, and nobody.
fn measure(bench: &Bench<'_>, workload: Workload, options: &Options) -> Result<Results> {
    let rounds = if options.quick { 1 } else { options.rounds };
    let peers: Vec<Peer> = options.peers();
    // nginx has nothing to log of what it does not serve.
    let logs = |peer: &Peer| *peer != Peer::AccessLog || workload.is_http();
    let peers: Vec<Peer> = peers.into_iter().filter(logs).collect();
    // The first run of all finds cold caches.
    bench.run(workload, None)?;
    let mut plain = Vec::new();
    let mut watched: Vec<_> = peers.iter().map(|peer| (*peer, Vec::new())).collect();
    for _ in 0..rounds {
        for (peer, runs) in &mut watched {
            // Nothing is compared with the plain runs of a paced load.
            if workload.pace().is_none() || plain.is_empty() {
                plain.push(bench.run(workload, None)?);
            }
            let run = bench.run(workload, Some(*peer))?;
            runs.push((plain.len() - 1, run));
        }
    }
    plain.push(bench.run(workload, None)?);
    let counted = match peers.contains(&Peer::Observer) {
        true => Some(bench.run_counting(workload)?),
        false => None,
    };
    Ok(Results { workload, seconds: bench.seconds, plain, watched, counted })
}

/// What has to hold on any machine, however slow: nothing missing, nothing invented, nothing lost.
fn check(all: &[Results]) -> Result<()> {
    let mut wrong = Vec::new();
    for results in all {
        let observer = results.watched.iter().filter(|(peer, _)| *peer == Peer::Observer);
        for (_, run) in observer.flat_map(|(_, runs)| runs) {
            // Above its rate a machine may be too small for server, load and observer together.
            if results.workload.pace().is_some() && !run.is_complete() {
                wrong.push(format!("{}: {run:?}", results.workload.name()));
            }
            if run.done.completed == 0 {
                wrong.push(format!("{}: the load did nothing", results.workload.name()));
            }
        }
    }
    if !wrong.is_empty() {
        bail!("not every exchange was told:\n{}", wrong.join("\n"));
    }
    println!("\nevery exchange of the paced load was told, and nothing was lost");
    Ok(())
}

fn scene() -> Scene {
    let ask = |program: &str, arguments: &[&str]| {
        let said =
            runner::ask(runner::command(program).current_dir(workspace::root()).args(arguments));
        said.map_or_else(|| "unknown".to_owned(), |said| said.trim().to_owned())
    };
    let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpus.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    Scene {
        date: ask("date", &["-u", "+%Y-%m-%d %H:%M UTC"]),
        commit: ask("git", &["describe", "--always", "--dirty", "--abbrev=10"]),
        machine: model.map_or("unknown processor", |(_, model)| model).to_owned(),
        kernel: ask("uname", &["-r"]),
        n_cpus: thread::available_parallelism().map_or(1, usize::from),
    }
}
