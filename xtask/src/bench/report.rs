//! What was measured: a table for people, JSON for machines.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::{
    measure::{Run, Watched},
    peer::Peer,
    ratio::Spread,
    workload::Workload,
};

/// All runs of one workload.
pub(super) struct Results {
    pub(super) workload: Workload,
    pub(super) seconds: u64,
    /// Runs that nobody watched: one before each watched run, and one at the end.
    pub(super) plain: Vec<Run>,
    /// Each peer with its runs, and the number of the plain run before each.
    pub(super) watched: Vec<(Peer, Vec<(usize, Run)>)>,
    /// The run of observer in which the kernel counted the programs' time.
    pub(super) counted: Option<Run>,
}

/// Where and when.
pub(super) struct Scene {
    pub(super) date: String,
    pub(super) commit: String,
    pub(super) machine: String,
    pub(super) kernel: String,
    pub(super) n_cpus: usize,
}

impl Results {
    /// Rate of each watched run over the mean of the plain runs before and behind it.
    fn kept(&self, runs: &[(usize, Run)]) -> Option<Spread> {
        let rate = |number: usize| self.plain.get(number).map(|run| run.rate(self.workload));
        Spread::of(runs.iter().filter_map(|(before, run)| {
            let plain = f64::midpoint(rate(*before)?, rate(before + 1)?);
            Some(run.rate(self.workload) / plain)
        }))
    }

    pub(super) fn table(&self) -> String {
        let mut text = format!(
            "{}: {} rounds of {} s a run\n{:<12} {:>14} {:>20} {:>9} {:>8} {:>10} {:>10} {:>9} {:>16}\n",
            self.workload.name(),
            self.watched.first().map_or(0, |(_, runs)| runs.len()),
            self.seconds,
            "watched by",
            self.unit(),
            "kept (min … max)",
            "reported",
            "lost",
            "own CPU",
            "server CPU",
            "RSS peak",
            "delay p50 / p99"
        );
        let plain: Vec<&Run> = self.plain.iter().collect();
        let _ = writeln!(
            text,
            "{:<12} {:>14} {:>20} {:>9} {:>8} {:>10} {:>10}",
            "nobody",
            self.amount(&plain),
            "",
            "",
            "",
            "",
            self.per_exchange(&plain, |run| Some(run.server_cpu_ns)),
        );
        for (peer, runs) in &self.watched {
            let kept = match self.workload.pace() {
                Some(_) => None,
                None => self.kept(runs),
            };
            let runs: Vec<&Run> = runs.iter().map(|(_, run)| run).collect();
            let _ = writeln!(
                text,
                "{:<12} {:>14} {:>20} {:>9} {:>8} {:>10} {:>10} {:>9} {:>16}",
                peer.name(),
                self.amount(&runs),
                kept.map_or_else(String::new, |kept| {
                    format!("{:.3} ({:.3} … {:.3})", kept.median, kept.min, kept.max)
                }),
                reported(&runs)
                    .filter(|_| self.workload.is_http())
                    .map_or_else(String::new, |told| format!("{:.4}", told.median)),
                sum(&runs, |watched| watched.lost)
                    .map_or_else(String::new, |lost| lost.to_string()),
                self.per_exchange(&runs, |run| run.watcher.as_ref()?.cpu_ns),
                self.per_exchange(&runs, |run| Some(run.server_cpu_ns)),
                largest(&runs, |watched| watched.peak_rss_kib)
                    .map_or_else(String::new, |kib| format!("{:.1} MiB", kib as f64 / 1024.0)),
                delay(&runs).map_or_else(String::new, |(half, most)| {
                    format!("{:.1} / {:.1} ms", half / 1e6, most / 1e6)
                }),
            );
        }
        if self.workload == Workload::Idle {
            text.push_str(&self.wake_ups());
        }
        text.push_str(&self.kernel_side());
        text
    }

    /// How often each watcher was put on a CPU without anything to do.
    fn wake_ups(&self) -> String {
        let mut text = String::new();
        for (peer, runs) in &self.watched {
            let rates = runs.iter().filter_map(|(_, run)| {
                Some(run.watcher.as_ref()?.switches? as f64 / run.done.seconds)
            });
            if let Some(rate) = Spread::of(rates) {
                let _ = writeln!(text, "  {}: {:.1} wake-ups a second", peer.name(), rate.median);
            }
        }
        text
    }

    /// What the programs cost, in a sentence each.
    fn kernel_side(&self) -> String {
        let Some(run) = &self.counted else { return String::new() };
        let Some(watched) = &run.watcher else { return String::new() };
        let mut text = String::new();
        let completed = run.done.completed.max(1) as f64;
        for program in watched.programs.iter().filter(|program| program.n_runs > 0) {
            let _ = writeln!(
                text,
                "  {}: {} runs of {:.0} ns, {:.2} runs and {:.0} ns an exchange",
                program.name,
                program.n_runs,
                program.run_time_ns as f64 / program.n_runs as f64,
                program.n_runs as f64 / completed,
                program.run_time_ns as f64 / completed,
            );
        }
        if let Some(ours) = &watched.ours {
            let gib = run.done.bytes.max(1) as f64 / f64::from(1 << 30);
            let _ = writeln!(
                text,
                "  {} segments seen, {} records ({:.2} an exchange, {:.0} a GiB), {} wake-ups sent",
                ours.seen,
                ours.records,
                ours.records as f64 / completed,
                ours.records as f64 / gib,
                ours.wakeups,
            );
        }
        text
    }

    fn unit(&self) -> &'static str {
        match self.workload {
            Workload::Download | Workload::Iperf3 => "GB a second",
            Workload::Redis => "requests/s",
            _ => "exchanges/s",
        }
    }

    fn amount(&self, runs: &[&Run]) -> String {
        let rate = Spread::of(runs.iter().map(|run| run.rate(self.workload)));
        match (rate, self.workload) {
            (None, _) => String::new(),
            (Some(rate), Workload::Download | Workload::Iperf3) => {
                format!("{:.2}", rate.median / 1e9)
            }
            (Some(rate), _) => format!("{:.0}", rate.median),
        }
    }

    /// A cost per exchange; per GiB where an exchange is one, and in all where there is none.
    fn per_exchange(&self, runs: &[&Run], cost: impl Fn(&Run) -> Option<u64>) -> String {
        let costs = runs
            .iter()
            .filter_map(|run| Some(cost(run)? as f64 / run.done.completed.max(1) as f64));
        match (Spread::of(costs), self.workload) {
            (None, _) => String::new(),
            (Some(cost), Workload::Download | Workload::Idle | Workload::Iperf3) => {
                format!("{:.2} ms", cost.median / 1e6)
            }
            (Some(cost), _) => format!("{:.0} ns", cost.median),
        }
    }

    pub(super) fn json(&self) -> Value {
        let watched = self.watched.iter().map(|(peer, runs)| {
            let kept = self.kept(runs).map(spread);
            let runs: Vec<_> = runs.iter().map(|(_, run)| self.run(run)).collect();
            (peer.name().to_owned(), json!({"kept": kept, "runs": runs}))
        });
        json!({
            "seconds": self.seconds,
            "plain": self.plain.iter().map(|run| self.run(run)).collect::<Vec<_>>(),
            "watched": watched.collect::<serde_json::Map<_, _>>(),
            "counted": self.counted.as_ref().map(|run| self.run(run)),
        })
    }

    fn run(&self, run: &Run) -> Value {
        json!({
            "completed": run.done.completed,
            "bytes": run.done.bytes,
            "seconds": run.done.seconds,
            "rate": run.rate(self.workload),
            "late": run.done.late,
            "server_cpu_ns": run.server_cpu_ns,
            "watcher": run.watcher.as_ref().map(watcher),
        })
    }
}

fn watcher(watched: &Watched) -> Value {
    let programs = watched.programs.iter().map(|program| {
        json!({"name": program.name, "runs": program.n_runs, "run_time_ns": program.run_time_ns})
    });
    json!({
        "cpu_ns": watched.cpu_ns,
        "switches": watched.switches,
        "peak_rss_kib": watched.peak_rss_kib,
        "exchanges": watched.exchanges,
        "lost": watched.lost,
        "seen": watched.ours.map(|ours| ours.seen),
        "records": watched.ours.map(|ours| ours.records),
        "wakeups": watched.ours.map(|ours| ours.wakeups),
        "delay_p50_ns": watched.delay_ns.map(|(half, _)| half),
        "delay_p99_ns": watched.delay_ns.map(|(_, most)| most),
        "programs": programs.collect::<Vec<_>>(),
    })
}

/// Exchanges told over exchanges completed. Above 1 by what was under way when the load stopped
/// counting.
fn reported(runs: &[&Run]) -> Option<Spread> {
    Spread::of(runs.iter().filter_map(|run| {
        Some(run.watcher.as_ref()?.exchanges? as f64 / run.done.completed.max(1) as f64)
    }))
}

fn sum(runs: &[&Run], of: impl Fn(&Watched) -> Option<u64>) -> Option<u64> {
    let values = runs.iter().filter_map(|run| of(run.watcher.as_ref()?));
    values.reduce(|sum, value| sum + value)
}

fn largest(runs: &[&Run], of: impl Fn(&Watched) -> Option<u64>) -> Option<u64> {
    runs.iter().filter_map(|run| of(run.watcher.as_ref()?)).max()
}

fn delay(runs: &[&Run]) -> Option<(f64, f64)> {
    let of = |pick: fn((u64, u64)) -> u64| {
        let delays = runs.iter().filter_map(|run| run.watcher.as_ref()?.delay_ns);
        Spread::of(delays.map(|delay| pick(delay) as f64)).map(|spread| spread.median)
    };
    of(|(half, _)| half).zip(of(|(_, most)| most))
}

fn spread(spread: Spread) -> Value {
    json!({"median": spread.median, "min": spread.min, "max": spread.max})
}

impl Scene {
    pub(super) fn line(&self) -> String {
        format!(
            "{}, commit {}, {}, {} CPUs, Linux {}",
            self.date, self.commit, self.machine, self.n_cpus, self.kernel
        )
    }

    pub(super) fn json(&self, results: &[Results]) -> Value {
        let all =
            results.iter().map(|results| (results.workload.name().to_owned(), results.json()));
        json!({
            "date": self.date,
            "commit": self.commit,
            "machine": self.machine,
            "cpus": self.n_cpus,
            "kernel": self.kernel,
            "workloads": all.collect::<serde_json::Map<_, _>>(),
        })
    }
}
