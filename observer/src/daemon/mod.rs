//! `observer run`: the daemon's wiring.
//!
//! One thread does everything that happens per segment and per event: rings, engine, NDJSON. Each
//! sink has a thread of its own, and so has the control socket; they see batches. This module knows
//! no command line and no HTTP.

mod govern;
mod reload;
mod systemd;
pub mod worker;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use self::govern::Govern;
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
    let started = live::start(&config.capture, config.http.body_bytes, false);
    let result = match started {
        Ok(source) => {
            let elsewhere = match source.n_namespaces() {
                0 => String::new(),
                n => format!("; other network namespaces: {n}"),
            };
            (orders.say)(&format!(
                "watching through {}; interfaces: {}{elsewhere}",
                source.backend(),
                source.n_interfaces()
            ));
            let engine = pipeline::Config {
                headers: config.http.headers,
                body_prefix: config.http.body_bytes as usize,
                messages: config.http.ws_messages.then_some(config.http.ws_message_bytes as usize),
                limits: Limits {
                    flows: config.engine.max_flows as usize,
                    total_bytes: config.engine.buffer_bytes as usize,
                    ..pipeline::Config::live().limits
                },
                ..pipeline::Config::live()
            };
            // Whatever is not given up is what the kernel at hand still asks for.
            privileges::give_up_loading(|| source.ledger().is_ok());
            let status = format!("watching {} interfaces", source.n_interfaces());
            let manager = Manager::from_environment();
            manager.ready(&status);
            let mut worker = Worker::new(source, engine);
            worker.metrics = metrics;
            serve(worker, sinks, manager, config.clone(), orders)
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

/// The loop of the daemon: a turn of the worker, clients, statistics when due, lines when due.
fn serve<S: Source<Error: Into<anyhow::Error>>>(
    mut worker: Worker<S>,
    mut sinks: Sinks,
    mut manager: Manager,
    mut config: Config,
    orders: &Orders<'_>,
) -> anyhow::Result<Snapshot> {
    let start = monotonic();
    let mut stats_due = start + config.stats.interval;
    let end = orders.duration.map(|duration| start + duration);
    let mut govern = Govern::new(&config);
    let mut failed = Ok(());
    loop {
        let moment = monotonic();
        if orders.stop.load(Ordering::Relaxed) || end.is_some_and(|end| moment >= end) {
            break;
        }
        if orders.reload.swap(false, Ordering::Relaxed) {
            manager.reloading();
            match (orders.configuration)() {
                Ok(new) => {
                    reload::apply(new, &mut config, &mut worker, &mut sinks)
                        .iter()
                        .chain(&govern.reconfigure(&config, &mut worker))
                        .for_each(|what| (orders.say)(what));
                }
                Err(err) => (orders.say)(&format!("not reloaded, going on as before: {err:#}")),
            }
            manager.ready("reloaded");
            stats_due = stats_due.min(monotonic() + config.stats.interval);
        }
        if let Err(err) = worker.turn() {
            failed = Err(err.into());
            break;
        }
        for warning in worker.take_warnings() {
            (orders.say)(&format!("warning: {warning}"));
        }
        if let Some(what) = govern.turned(moment, &mut worker) {
            (orders.say)(&what);
        }
        sinks.serve(now(), |stats| worker.snapshot(stats.to_vec()));
        if moment >= stats_due {
            stats_due += config.stats.interval;
            worker.batch.push_stats(&worker.snapshot(sinks.stats()), now());
        }
        if worker.is_due() {
            sinks.write(&mut worker.batch, now());
        }
        if tell(sinks.news(), orders) {
            break;
        }
        worker.leave_metrics(moment, || sinks.stats());
        manager.turned(moment, || worker.snapshot(sinks.stats()));
    }
    manager.stopping();
    let last = end_well(worker, sinks, config.shutdown.deadline, orders);
    failed.map(|()| last)
}

/// What is half done is reported as it stands, then the account: what it says of each sink is what
/// became of every event before it. The last numbers, which include itself, are returned.
fn end_well<S: Source>(
    mut worker: Worker<S>,
    mut sinks: Sinks,
    patience: Duration,
    orders: &Orders<'_>,
) -> Snapshot {
    let begin = monotonic();
    let deadline = begin + patience;
    worker.finish();
    sinks.write(&mut worker.batch, now());
    // Half of the time: one that is stalled must not use up what the others need for the last line.
    sinks.drain(begin + patience / 2);
    worker.batch.push_stats(&worker.snapshot(sinks.stats()), now());
    sinks.write(&mut worker.batch, now());
    let (last, news) = sinks.end(deadline, now(), |stats| worker.snapshot(stats));
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
