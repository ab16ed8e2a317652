//! `observer run`: the daemon's wiring.
//!
//! One thread does everything that happens per segment and per event of a ring: reading, engine,
//! NDJSON, and writing that to files. The first of them also does what happens once: clients, the
//! account, the service manager. Each sink has a thread of its own for what takes time, and so has the
//! control socket; they see whole pieces. This module knows no command line and no HTTP.

mod govern;
mod lanes;
mod pace;
mod reload;
mod systemd;
pub mod worker;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use self::govern::Govern;
use self::lanes::{Guests, Lanes, Shared};
use self::reload::Reloaded;
use self::systemd::Manager;
use self::worker::Worker;
use crate::config::Config;
use crate::drive::{Source, live, monotonic, now};
use crate::event::stats::Snapshot;
use crate::sink::control::server::Server;
use crate::sink::control::{self};
use crate::sink::metrics::{self, Metrics};
use crate::sink::{News, Sinks};
use crate::tcp::Limits;
use crate::{pipeline, privileges};

/// What a daemon is told beside its configuration.
pub struct Orders<'a> {
    /// Set from a signal handler: drain, flush and end.
    pub stop: &'a AtomicBool,
    /// Set from a signal handler: read the configuration again.
    pub reload: &'a AtomicBool,
    /// Reads it.
    pub configuration: &'a dyn Fn() -> anyhow::Result<Config>,
    /// End by itself after this long.
    pub duration: Option<Duration>,
    /// Says one line to the operator.
    pub say: &'a dyn Fn(&str),
}

/// Captures until told to stop. Returns the final numbers.
pub fn run(config: &Config, orders: &Orders<'_>) -> anyhow::Result<Snapshot> {
    // Everything that can be wrong with the configuration comes before the kernel is touched.
    let mut sinks = Sinks::open(&config.all_sinks())?;
    let server = if config.control.socket.as_os_str().is_empty() {
        None
    } else {
        // The socket first: a second daemon must not attach programs beside the first one's.
        let hello = control::Hello {
            headers: config.http.headers,
            body_bytes: config.http.body_bytes,
            ws_messages: config.http.ws_messages,
            interfaces: config.capture.interfaces.clone(),
            ports: config.capture.ports.clone(),
            hosts: config.capture.hosts.clone(),
            netns: config.capture.netns.iter().map(ToString::to_string).collect(),
            backend: format!("{:?}", config.capture.backend).to_lowercase(),
        };
        let (server, tails) = Server::start(&config.control.socket, &hello)?;
        sinks.attach_tails(tails);
        Some(server)
    };
    let (metrics, scrapes) = match &config.metrics.listen {
        Some(listen) => {
            let (metrics, registry) = Metrics::new(&config.metrics);
            (Some(metrics), Some(metrics::server::Server::start(listen, registry)?))
        }
        None => (None, None),
    };
    let n_cpus = std::thread::available_parallelism().map_or(1, usize::from);
    // Which flows stand for others is decided by one engine, at one moment.
    let is_governed = !config.governor.budget().is_none();
    let n_rings = if is_governed { 1 } else { config.capture.n_rings(n_cpus) };
    if is_governed && config.capture.rings > 1 {
        (orders.say)(
            "with a budget of CPU time or memory there is one ring, whatever `rings` says",
        );
    }
    let started = live::start(&config.capture, config.http.body_bytes, false, n_rings);
    let result = match started {
        Ok(mut source) => {
            let elsewhere = match source.n_namespaces() {
                0 => String::new(),
                n => format!("; other network namespaces: {n}"),
            };
            (orders.say)(&format!(
                "watching through {}; interfaces: {}{elsewhere}",
                source.backend(),
                source.n_interfaces()
            ));
            let engine = engine(config, n_rings);
            // Whatever is not given up is what the kernel at hand still asks for.
            privileges::give_up_loading(|| source.ledger().is_ok());
            let status = format!("watching {} interfaces", source.n_interfaces());
            let manager = Manager::from_environment();
            manager.ready(&status);
            let (lanes, loans) = source.take_lanes();
            let lane = |(lane, loan)| {
                let mut worker = Worker::new(lane, engine.clone());
                worker.metrics = metrics.as_ref().map(Metrics::again);
                (worker, loan)
            };
            let workers = lanes.into_iter().map(lane).collect();
            let lanes = Lanes { workers, loans };
            let mut worker = Worker::new(source, engine);
            worker.metrics = metrics;
            serve(worker, lanes, sinks, manager, config.clone(), orders)
        }
        Err(err) => Err(err.into()),
    };
    if let Some(server) = server {
        server.stop();
    }
    if let Some(scrapes) = scrapes {
        scrapes.stop();
    }
    result
}

/// What each of `n_rings` engines is told: what is bounded for all is divided among them.
fn engine(config: &Config, n_rings: u32) -> pipeline::Config {
    let share = |n: u32| n.div_ceil(n_rings.max(1)) as usize;
    pipeline::Config {
        headers: config.http.headers,
        body_prefix: config.http.body_bytes as usize,
        messages: config.http.ws_messages.then_some(config.http.ws_message_bytes as usize),
        limits: Limits {
            flows: share(config.engine.max_flows),
            total_bytes: share(config.engine.buffer_bytes),
            ..pipeline::Config::live().limits
        },
        ..pipeline::Config::live()
    }
}

/// Starts the workers, turns until told to stop, and ends them in order: first nothing new is seen,
/// then each ring is read to its end, then the account is made.
fn serve<S, L>(
    mut worker: Worker<S>,
    lanes: Lanes<L>,
    sinks: Sinks,
    mut manager: Manager,
    mut config: Config,
    orders: &Orders<'_>,
) -> anyhow::Result<Snapshot>
where
    S: Source<Error: Into<anyhow::Error>>,
    L: Source<Error: Into<anyhow::Error>> + Send,
{
    let shared = Shared::new(sinks, lanes, config.http.headers);
    let failed = std::thread::scope(|scope| {
        for number in 0..shared.n_lanes() {
            let (shared, thread) = (&shared, std::thread::Builder::new().name("worker".to_owned()));
            let work = move || shared.work(number);
            if let Err(err) = thread.spawn_scoped(scope, work) {
                shared.stop();
                return Err(err.into());
            }
        }
        let failed = turn(&mut worker, &shared, &mut manager, &mut config, orders);
        manager.stopping();
        worker.detach();
        shared.stop();
        failed
    });
    let last = end_well(worker, shared, config.shutdown.deadline, orders);
    failed.map(|()| last)
}

/// The loop of the daemon: a turn of the worker, clients, statistics when due, lines when due.
fn turn<S, L>(
    worker: &mut Worker<S>,
    shared: &Shared<L>,
    manager: &mut Manager,
    config: &mut Config,
    orders: &Orders<'_>,
) -> anyhow::Result<()>
where
    S: Source<Error: Into<anyhow::Error>>,
    L: Source<Error: Into<anyhow::Error>> + Send,
{
    let start = monotonic();
    let mut stats_due = start + config.stats.interval;
    let end = orders.duration.map(|duration| start + duration);
    let mut govern = Govern::new(config);
    // What a reload has done, to be said when the sinks and every worker follow it.
    let mut reloaded: Option<Reloaded> = None;
    let mut guests = Guests::default();
    loop {
        let moment = monotonic();
        if orders.stop.load(Ordering::Relaxed) || end.is_some_and(|end| moment >= end) {
            return Ok(());
        }
        if orders.reload.swap(false, Ordering::Relaxed) {
            manager.reloading();
            match (orders.configuration)() {
                Ok(new) => {
                    let mut done = {
                        let mut sinks = shared.sinks();
                        reload::apply(new, config, worker, &mut sinks, shared.is_alone())
                    };
                    shared.report_headers(config.http.headers);
                    if shared.is_alone() {
                        done.add(govern.reconfigure(config, worker));
                    }
                    reloaded.take().into_iter().for_each(|before| done.goes_on(before));
                    reloaded = Some(done);
                }
                Err(err) => {
                    (orders.say)(&format!("not reloaded, going on as before: {err:#}"));
                    manager.ready("reloaded");
                }
            }
            stats_due = stats_due.min(monotonic() + config.stats.interval);
        }
        if reloaded.is_some()
            && shared.all_follow()
            && let Some(sinks) = shared.sinks().changed()
            && let Some(done) = reloaded.take()
        {
            done.said(sinks).iter().for_each(|what| (orders.say)(what));
            manager.ready("reloaded");
        }
        let due = end.map_or(stats_due, |end| end.min(stats_due));
        let most = due.saturating_duration_since(moment).min(guests.patience());
        worker.turn(most, |batch| shared.pass_on(batch)).map_err(Into::into)?;
        shared.turn_for_others(worker, &mut guests)?;
        if let Some(err) = shared.take_failure() {
            return Err(err);
        }
        for warning in worker.take_warnings() {
            (orders.say)(&format!("warning: {warning}"));
        }
        if let Some(what) = govern.turned(moment, worker) {
            (orders.say)(&what);
        }
        shared.sinks().serve(now(), |stats| shared.add_to(worker.snapshot(stats.to_vec())));
        if moment >= stats_due {
            stats_due += config.stats.interval;
            let account = shared.add_to(worker.snapshot(shared.sinks().stats()));
            worker.batch.push_stats(&account, now());
        }
        shared.pass_on_all(&mut worker.batch);
        let mut sinks = shared.sinks();
        if tell(sinks.news(), orders) {
            return Ok(());
        }
        let numbers = |worker: &Worker<S>| shared.add_to(worker.snapshot(sinks.stats()));
        worker.leave_metrics(moment, numbers);
        manager.turned(shared.last_turn(moment), || numbers(worker));
    }
}

/// What is half done is reported as it stands, then the account: what it says of each sink is what
/// became of every event before it. The last numbers, which include itself, are returned.
fn end_well<S: Source, L>(
    mut worker: Worker<S>,
    shared: Shared<L>,
    patience: Duration,
    orders: &Orders<'_>,
) -> Snapshot {
    let begin = monotonic();
    let deadline = begin + patience;
    worker.finish(|batch| shared.pass_on(batch));
    shared.pass_on_all(&mut worker.batch);
    // Half of the time: one that is stalled must not use up what the others need for the last line.
    shared.sinks().drain(begin + patience / 2);
    let account = shared.add_to(worker.snapshot(shared.sinks().stats()));
    worker.batch.push_stats(&account, now());
    shared.pass_on_all(&mut worker.batch);
    let rest = shared.add_to(worker.snapshot(Vec::new()));
    let last = |sinks| Snapshot { sinks, ..rest.clone() };
    let (last, news) = shared.into_sinks().end(deadline, now(), last);
    tell(news, orders);
    last
}

/// Passes on what the sinks say. True when nobody wants events any more.
fn tell(news: News, orders: &Orders<'_>) -> bool {
    for what in &news.say {
        (orders.say)(what);
    }
    news.all_closed
}

#[cfg(test)]
mod tests;
