//! One run: a watcher or none, a load, and what both cost.

use std::path::Path;

use anyhow::Result;

use super::{
    lab::Lab,
    lines::Watch,
    peer::{Ledger, Peer, Watcher},
    process::Usage,
    programs::{self, Counting, Program},
    ratio::quantile,
    server::Nginx,
    workload::{Done, Workload},
};

/// What one run came to.
#[derive(Clone, Debug)]
pub(super) struct Run {
    pub(super) done: Done,
    /// CPU time of the server, which has what the kernel does for a watcher in it.
    pub(super) server_cpu_ns: u64,
    pub(super) watcher: Option<Watched>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Watched {
    /// Of the watcher's processes, while the load ran and until they had nothing left to do.
    pub(super) cpu_ns: Option<u64>,
    pub(super) switches: Option<u64>,
    pub(super) peak_rss_kib: Option<u64>,
    pub(super) exchanges: Option<u64>,
    pub(super) lost: Option<u64>,
    pub(super) ours: Option<Ledger>,
    /// From the last byte to the line in the file: half of the lines came within the first, 99 of
    /// 100 within the second.
    pub(super) delay_ns: Option<(u64, u64)>,
    /// What the programs did during the load, where the kernel counted.
    pub(super) programs: Vec<Program>,
}

/// What a run needs to know.
pub(super) struct Bench<'a> {
    pub(super) lab: &'a Lab,
    pub(super) nginx: &'a Nginx,
    pub(super) observer: &'a Path,
    pub(super) seconds: u64,
    pub(super) rings: Option<u32>,
}

impl Run {
    /// Exchanges a second, or bytes a second where an exchange is a large one.
    pub(super) fn rate(&self, workload: Workload) -> f64 {
        let amount = match workload {
            Workload::Download | Workload::Iperf3 => self.done.bytes,
            _ => self.done.completed,
        };
        amount as f64 / self.done.seconds
    }

    /// Whether every exchange that the load completed was told, none was invented, and nothing was
    /// lost. What was under way at the end may be told or not.
    pub(super) fn is_complete(&self) -> bool {
        let Some(watched) = &self.watcher else { return true };
        let told = watched.exchanges.unwrap_or(0);
        let extra = told.checked_sub(self.done.completed);
        watched.lost.unwrap_or(0) == 0 && extra.is_some_and(|extra| extra <= self.done.under_way)
    }
}

impl Bench<'_> {
    /// One run under the eyes of `peer`, or of nobody.
    pub(super) fn run(&self, workload: Workload, peer: Option<Peer>) -> Result<Run> {
        self.run_with(workload, peer, false)
    }

    /// A run of observer in which the kernel counts the programs' time.
    pub(super) fn run_counting(&self, workload: Workload) -> Result<Run> {
        let _counting = Counting::start()?;
        self.run_with(workload, Some(Peer::Observer), true)
    }

    fn run_with(&self, workload: Workload, peer: Option<Peer>, is_counting: bool) -> Result<Run> {
        let Self { lab, nginx, observer, seconds, rings } = *self;
        // nginx writes a few lines in any case: which ports are open, nothing per request.
        nginx.take_log()?;
        let watcher = peer.map(|peer| Watcher::start(lab, peer, observer, rings)).transpose()?;
        let watch = match (&watcher, peer) {
            (Some(watcher), Some(Peer::Observer))
                if workload.pace().is_some_and(|pace| pace > 0) =>
            {
                Some(Watch::start(&watcher.output))
            }
            _ => None,
        };
        let process = watcher.as_ref().and_then(|watcher| watcher.process.as_ref());
        let mut looks: Vec<Look> = Vec::new();
        let done = workload.run(lab, seconds, peer == Some(Peer::AccessLog), &mut |is_end| {
            let server = nginx.process.usage();
            let usage = match process {
                Some(process) if is_end => Some(process.settled_usage(lab)?),
                Some(process) => Some(process.usage()),
                None => None,
            };
            let programs = match process {
                Some(process) if is_counting => programs::of(process.id()),
                _ => Vec::new(),
            };
            looks.push(Look { server, usage, programs });
            Ok(())
        })?;
        let report = watcher.map(|watcher| {
            let delays = watch.map(Watch::delays).transpose()?;
            Ok::<_, anyhow::Error>((watcher.finish(lab, nginx)?, delays.unwrap_or_default()))
        });
        let report = report.transpose()?;
        let [before, after] = <[Look; 2]>::try_from(looks)
            .map_err(|_| anyhow::anyhow!("a load is looked at twice"))?;
        let usage = before.usage.zip(after.usage);
        let watched = report.map(|(report, delays)| Watched {
            cpu_ns: usage.map(|(before, after)| after.cpu_ns - before.cpu_ns),
            switches: usage.map(|(before, after)| after.switches - before.switches),
            peak_rss_kib: usage.map(|(_, after)| after.peak_rss_kib),
            exchanges: report.exchanges.map(|told| told.saturating_sub(done.before)),
            lost: report.lost,
            ours: report.ours,
            delay_ns: quantile(&delays, 0.5).zip(quantile(&delays, 0.99)),
            programs: difference(&before.programs, after.programs),
        });
        let server_cpu_ns = after.server.cpu_ns - before.server.cpu_ns;
        Ok(Run { done, server_cpu_ns, watcher: watched })
    }
}

/// What is looked at before and after a load.
struct Look {
    server: Usage,
    usage: Option<Usage>,
    programs: Vec<Program>,
}

fn difference(before: &[Program], after: Vec<Program>) -> Vec<Program> {
    let mut after = after;
    for program in &mut after {
        if let Some(first) = before.iter().find(|first| first.id == program.id) {
            program.n_runs -= first.n_runs;
            program.run_time_ns -= first.run_time_ns;
        }
    }
    after
}
