//! `observer tail`: from the daemon when one runs, otherwise from a capture of its own.

use std::fs::File;
use std::io;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::ColorChoice;
use serde_json::Value;

use super::args::{Format, TailArgs};
use super::filter::Filter;
use super::output::{Output, stdout};
use super::run::lay_over;
use super::{Failure, complain, engine_config, plural, shape, signals, summary};
use crate::capture::interfaces;
use crate::capture::namespaces::Namespace;
use crate::config;
use crate::daemon::worker::Worker;
use crate::drive::{live, monotonic};
use crate::pipeline;
use crate::sink::Batch;
use crate::sink::control::Hello;
use crate::sink::control::client::{Connection, Received};

pub(super) fn run(args: &TailArgs, color: ColorChoice) -> Result<(), Failure> {
    show(args, color, None)
}

/// Shows events of the name `only`, or all.
pub(super) fn show(
    args: &TailArgs,
    color: ColorChoice,
    only: Option<&'static str>,
) -> Result<(), Failure> {
    let stop = signals::stop_flag()?;
    let out = stdout().context("cannot use standard output")?;
    let output = |filter| Output::new(out, shape(&args.show, color), filter, args.show.count);
    match daemon(args)? {
        Some(connection) => {
            if args.show.format == Format::Pretty {
                say_who_captures(&connection);
            }
            say_what_the_daemon_decides(args, &connection);
            let out = output(Filter { event: only, ..filter(args) });
            attached(connection, out, &Limits::from_now(&stop, args.duration))
        }
        None => alone(args, output(Filter { event: only, ..Filter::default() }), &stop),
    }
}

/// When to end.
struct Limits<'a> {
    stop: &'a AtomicBool,
    end: Option<Instant>,
}

impl<'a> Limits<'a> {
    fn from_now(stop: &'a AtomicBool, duration: Option<Duration>) -> Self {
        Self { stop, end: duration.map(|duration| monotonic() + duration) }
    }

    /// How long until the end; for ever where none was asked for.
    fn left(&self) -> Duration {
        self.end.map_or(Duration::MAX, |end| end.saturating_duration_since(monotonic()))
    }

    fn reached(&self) -> bool {
        self.stop.load(Ordering::Relaxed) || self.end.is_some_and(|end| monotonic() >= end)
    }
}

/// The daemon to attach to; `None` when none runs and none was asked for.
fn daemon(args: &TailArgs) -> Result<Option<Connection>, Failure> {
    if args.no_daemon {
        return Ok(None);
    }
    let path = args.socket.as_deref().unwrap_or(Path::new(config::DEFAULT_SOCKET));
    let attached = Connection::attach(path).and_then(|mut connection| {
        // What comes once we say that we watch is to be shown.
        connection.settle()?;
        Ok(connection)
    });
    match attached {
        Ok(connection) => Ok(Some(connection)),
        Err(err) if args.socket.is_none() && is_absent(&err) => Ok(None),
        Err(err) => {
            let advice = match err.kind() {
                io::ErrorKind::PermissionDenied => {
                    ": run with sudo, or as a member of the group observer"
                }
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                    ": no daemon listens there; start one with `observer run`, or leave --socket out"
                }
                _ => "",
            };
            Err(anyhow::anyhow!("cannot attach to {}: {err}{advice}", path.display()).into())
        }
    }
}

fn is_absent(err: &io::Error) -> bool {
    matches!(err.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused)
}

/// What the kernel would have been told, had this process captured itself.
fn filter(args: &TailArgs) -> Filter {
    let any = interfaces::is_everything(&args.capture.interfaces);
    Filter {
        event: None,
        except: args.capture.no_tls.then_some("tls.flow"),
        ports: args.capture.ports.clone(),
        hosts: args.capture.hosts.iter().map(|network| network.0).collect(),
        interfaces: if any { Vec::new() } else { args.capture.interfaces.clone() },
    }
}

/// Options that only the capturing process can honour are not passed over in silence.
fn say_what_the_daemon_decides(args: &TailArgs, connection: &Connection) {
    let hello = &connection.hello;
    let mut refused = Vec::new();
    if args.show.headers && !hello.headers {
        refused.push("--headers");
    }
    if args.show.body > hello.body_bytes {
        refused.push("--body");
    }
    if args.show.ws_messages.is_some() && !hello.ws_messages {
        refused.push("--ws-messages");
    }
    if args.capture.backend.is_some() {
        refused.push("--backend");
    }
    if !refused.is_empty() {
        complain(format_args!(
            "the daemon was started without {}: restart it with that, or use --no-daemon to \
             capture here",
            refused.join(" and ")
        ));
    }
    let all = Namespace::All.to_string();
    for namespace in args.capture.netns.iter().map(ToString::to_string) {
        if !hello.netns.contains(&namespace) && !hello.netns.contains(&all) {
            complain(format_args!(
                "the daemon does not watch network namespace {namespace}: restart it with --netns, \
                 or use --no-daemon to capture here"
            ));
        }
    }
    for name in args.capture.interfaces.iter().filter(|name| interfaces::is_plain(name)) {
        if !interfaces::includes(&hello.interfaces, name) {
            complain(format_args!(
                "the daemon does not watch {name}, only {}: use --no-daemon to capture here",
                hello.interfaces.join(", ")
            ));
        }
    }
}

/// Whose capture is shown, for somebody who expected another one.
fn say_who_captures(connection: &Connection) {
    let Hello { interfaces, backend, .. } = &connection.hello;
    let interfaces = match interfaces::is_everything(interfaces) {
        true => "all interfaces".to_owned(),
        false => interfaces.join(", "),
    };
    let backend = match backend.as_str() {
        "auto" => String::new(),
        chosen => format!(" through {chosen}"),
    };
    complain(format_args!(
        "attached to the daemon, which watches {interfaces}{backend}; Ctrl-C ends"
    ));
}

/// Shows what the daemon sends.
fn attached(
    mut connection: Connection,
    mut out: Output<File>,
    limits: &Limits<'_>,
) -> Result<(), Failure> {
    let mut own = OwnStats::default();
    let mut give_up = None;
    let lost = loop {
        if give_up.is_none() && limits.reached() {
            connection.leave();
            give_up = Some(monotonic() + PATIENCE);
        }
        match connection.receive().context("cannot read from the daemon")? {
            Received::Nothing => {
                if give_up.is_some_and(|moment| monotonic() >= moment) {
                    break false;
                }
            }
            Received::End => break give_up.is_none() && !own.ended,
            Received::Lines(lines) => {
                let lines = own.take(lines);
                // Nothing is shown after the end that the user asked for, but the statistics
                // that come last are read.
                if give_up.is_none()
                    && out.write(&lines).context("cannot write to standard output")?.is_break()
                {
                    connection.leave();
                    give_up = Some(monotonic() + PATIENCE);
                }
            }
        }
    };
    for line in summary::tail(out.n_shown(), out.what(), &own.first, &own.last) {
        complain(format_args!("{line}"));
    }
    if lost {
        return Err(anyhow::anyhow!("the daemon has gone without a word").into());
    }
    Ok(())
}

/// The statistics meant for this client: taken out of the stream, so that what is shown is what
/// every other sink gets.
#[derive(Debug, Default)]
struct OwnStats {
    first: Value,
    last: Value,
    n_dropped: u64,
    /// Totals have come a second time: the daemon has said goodbye.
    ended: bool,
}

impl OwnStats {
    fn take(&mut self, lines: &[u8]) -> Vec<u8> {
        let mut rest = Vec::with_capacity(lines.len());
        for line in lines.split_inclusive(|&byte| byte == b'\n') {
            if memchr::memmem::find(line, b"\"observer.stats\"").is_some()
                && let Ok(mut event) = serde_json::from_slice::<Value>(line)
                && event.pointer("/obs/stats/tail").is_some()
                && let Some(stats) = event.pointer_mut("/obs/stats")
            {
                self.handle(stats.take());
            } else {
                rest.extend_from_slice(line);
            }
        }
        rest
    }

    fn handle(&mut self, stats: Value) {
        let dropped = stats.pointer("/tail/dropped").and_then(Value::as_u64).unwrap_or(0);
        if dropped > self.n_dropped {
            let n = dropped - self.n_dropped;
            complain(format_args!("{n} events dropped: this end reads too slowly"));
            self.n_dropped = dropped;
        }
        // A word about drops in between carries no totals.
        if stats.pointer("/uptime_ns").is_some() {
            if self.first.is_null() {
                self.first = stats.clone();
            } else {
                self.ended = true;
            }
            self.last = stats;
        }
    }
}

/// Captures in this process and shows what comes.
fn alone(args: &TailArgs, mut out: Output<File>, stop: &AtomicBool) -> Result<(), Failure> {
    let mut capture = config::Capture::default();
    lay_over(&args.capture, &mut capture);
    let watch_dth = out.only() == Some("tcp.dth");
    capture.tls &= out.only().is_none();
    let source = live::start(&capture, args.show.body, watch_dth, 1)?;
    if args.show.format == Format::Pretty {
        let mut watched = plural(source.n_interfaces() as u64, "interface");
        if !capture.netns.is_empty() {
            let n = source.n_namespaces() as u64;
            watched = format!("{watched} and {}", plural(n, "other network namespace"));
        }
        let backend = source.backend();
        complain(format_args!("watching {watched} through {backend}; Ctrl-C ends"));
    }
    let engine =
        pipeline::Config { limits: pipeline::Config::live().limits, ..engine_config(&args.show) };
    let mut worker = Worker::new(source, engine);
    // What was asked for is time to watch; loading the programs takes some before.
    let limits = Limits::from_now(stop, args.duration);
    let mut done = ControlFlow::Continue(());
    let mut failed = Ok(());
    while done.is_continue() && !limits.reached() {
        // All at the end of a turn: it is a person who reads, or a pipe that may wait.
        failed = worker.turn(limits.left(), |_| {}).map(drop);
        if failed.is_err() {
            break;
        }
        for warning in worker.take_warnings() {
            complain(format_args!("warning: {warning}"));
        }
        done = write(&mut worker.batch, &mut out)?;
    }
    if done.is_continue() {
        worker.finish(|_| {});
        // The reader of a pipe may have gone by now; it is the end in any case.
        let _ = write(&mut worker.batch, &mut out)?;
    }
    let last = serde_json::to_value(worker.snapshot(Vec::new())).unwrap_or_default();
    for line in summary::tail(out.n_shown(), out.what(), &Value::Null, &last) {
        complain(format_args!("{line}"));
    }
    Ok(failed?)
}

/// Shows the batch and empties it.
fn write(batch: &mut Batch, out: &mut Output<File>) -> anyhow::Result<ControlFlow<()>> {
    let mut done = Ok(ControlFlow::Continue(()));
    batch.pass_on_all(|lines| {
        if matches!(done, Ok(ControlFlow::Continue(()))) {
            done = out.write(lines.bytes());
        }
    });
    done.context("cannot write to standard output")
}

/// How long the daemon may take to say goodbye.
const PATIENCE: Duration = Duration::from_secs(1);
