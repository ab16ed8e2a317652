//! `observer run`: the daemon's wiring.
//!
//! One thread does everything that happens per segment and per event: rings, engine, NDJSON,
//! file. The control socket has a second thread, which sees batches and only when a client is
//! attached. This module knows no command line and no HTTP.

pub mod live;
pub mod worker;

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use anyhow::Context as _;

use self::worker::{Source, Worker};
use crate::config::Config;
use crate::event::stats::Snapshot;
use crate::pipeline;
use crate::segment::Timestamp;
use crate::sink::control::Tails;
use crate::sink::control::server::Server;
use crate::sink::control::{self};
use crate::sink::{Outcome, Sink, ndjson};

/// What a daemon is told beside its configuration.
pub struct Orders<'a> {
    /// Set from a signal handler: drain, flush and end.
    pub stop: &'a AtomicBool,
    /// End by itself after this long.
    pub duration: Option<Duration>,
    /// Says one line to the operator.
    pub say: &'a dyn Fn(&str),
}

/// Captures until told to stop. Returns the final numbers.
pub fn run(config: &Config, orders: &Orders<'_>) -> anyhow::Result<Snapshot> {
    // Everything that can be wrong with the configuration comes before the kernel is touched.
    let mut sinks = vec![Sink::Ndjson(open_output(&config.output.file)?)];
    let server = if config.control.socket.as_os_str().is_empty() {
        None
    } else {
        // The socket first: a second daemon must not attach programs beside the first one's.
        let hello = control::Hello {
            headers: config.http.headers,
            body_bytes: config.http.body_bytes,
            ws_messages: config.http.ws_messages,
            interfaces: config.capture.interfaces.clone(),
            backend: format!("{:?}", config.capture.backend).to_lowercase(),
        };
        let (server, tails) = Server::start(&config.control.socket, &hello)?;
        sinks.push(Sink::Tails(tails));
        Some(server)
    };
    let started = live::start(&config.capture, config.http.body_bytes, false);
    let result = match started {
        Ok(source) => {
            (orders.say)(&format!(
                "watching through {}; interfaces: {}",
                source.backend(),
                source.n_interfaces()
            ));
            let engine = pipeline::Config {
                headers: config.http.headers,
                body_prefix: config.http.body_bytes as usize,
                messages: config.http.ws_messages.then_some(config.http.ws_message_bytes as usize),
                ..pipeline::Config::live()
            };
            let worker = Worker::new(source, engine);
            serve(worker, &mut sinks, config.stats.interval, orders)
        }
        Err(err) => Err(err),
    };
    drop(sinks);
    if let Some(server) = server {
        server.stop();
    }
    result
}

/// The loop of the daemon: a turn of the worker, clients, statistics when due, lines when due.
fn serve<S: Source>(
    mut worker: Worker<S>,
    sinks: &mut [Sink],
    interval: Duration,
    orders: &Orders<'_>,
) -> anyhow::Result<Snapshot> {
    let start = monotonic();
    let mut stats_due = start + interval;
    let end = orders.duration.map(|duration| start + duration);
    let mut failed = Ok(());
    loop {
        let moment = monotonic();
        if orders.stop.load(Ordering::Relaxed) || end.is_some_and(|end| moment >= end) {
            break;
        }
        if let Err(err) = worker.turn() {
            failed = Err(err);
            break;
        }
        for warning in worker.take_warnings() {
            (orders.say)(&format!("warning: {warning}"));
        }
        for tails in sinks.iter_mut().filter_map(as_tails) {
            tails.serve(now(), || worker.snapshot(Vec::new()));
        }
        if moment >= stats_due {
            stats_due += interval;
            let snapshot = worker.snapshot(sinks.iter().map(Sink::stats).collect());
            worker.batch.push_stats(&snapshot, now());
        }
        if worker.is_due() && write(&mut worker, sinks, orders) == Next::Stop {
            break;
        }
    }
    worker.finish();
    write(&mut worker, sinks, orders);
    let last = worker.snapshot(sinks.iter().map(Sink::stats).collect());
    worker.batch.push_stats(&last, now());
    write(&mut worker, sinks, orders);
    for sink in sinks.iter_mut() {
        if let Outcome::Say(message) = sink.finish() {
            (orders.say)(&message);
        }
        if let Some(tails) = as_tails(sink) {
            tails.dismiss(now(), &last);
        }
    }
    failed.map(|()| last)
}

#[derive(PartialEq, Eq)]
enum Next {
    Go,
    Stop,
}

/// Gives the batch to every sink.
fn write<S: Source>(worker: &mut Worker<S>, sinks: &mut [Sink], orders: &Orders<'_>) -> Next {
    let mut next = Next::Go;
    if worker.batch.is_empty() {
        return next;
    }
    for sink in sinks {
        match sink.write(&worker.batch, now()) {
            Outcome::Done => {}
            Outcome::Say(message) => (orders.say)(&message),
            Outcome::Closed => next = Next::Stop,
        }
    }
    worker.written();
    next
}

fn as_tails(sink: &mut Sink) -> Option<&mut Tails> {
    match sink {
        Sink::Tails(tails) => Some(tails),
        Sink::Ndjson(_) => None,
    }
}

fn open_output(file: &Path) -> anyhow::Result<ndjson::Writer> {
    if file == Path::new("-") {
        return ndjson::Writer::stdout().context("cannot use standard output");
    }
    ndjson::Writer::append(file).map_err(|err| {
        let advice = match err.kind() {
            io::ErrorKind::NotFound => "; make its directory first",
            io::ErrorKind::PermissionDenied => "; choose another file or run as its owner",
            _ => "",
        };
        anyhow::anyhow!("cannot open {} for events: {err}{advice}", file.display())
    })
}

#[expect(clippy::disallowed_methods, reason = "the daemon is an edge: the engine gets this time")]
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}

#[expect(clippy::disallowed_methods, reason = "the daemon is an edge: these are its own timers")]
pub(crate) fn monotonic() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests;
