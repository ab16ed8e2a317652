//! `observer read`: capture files through the same engine, to the same lines.

use std::io;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use anyhow::Context as _;
use clap::ColorChoice;

use super::args::ReadArgs;
use super::filter::Filter;
use super::output::{Output, stdout};
use super::{Failure, complain, engine_config, plural, shape, with_causes};
use crate::capture::file::{FileError, Reader};
use crate::drive::file::FileEvents;
use crate::drive::spread::{Spread, spread};
use crate::event::{Event, Room, Writer};
use crate::pipeline::{Config, Stats};

type Out = Mutex<Output<std::fs::File>>;

/// Reads every file even when one of them is bad, then fails if one was.
pub(super) fn run(args: &ReadArgs, color: ColorChoice) -> Result<(), Failure> {
    let filter = Filter {
        event: None,
        except: None,
        ports: args.ports.clone(),
        hosts: args.hosts.iter().map(|network| network.0).collect(),
        interfaces: Vec::new(),
    };
    let out = stdout().context("cannot use standard output")?;
    let out = Output::new(out, shape(&args.show, color), filter, args.show.count);
    let out = Mutex::new(out);
    // Files are independent of each other; only a single one has to be dealt out.
    let n_threads = args.jobs.min(args.files.len());
    let jobs_each = if n_threads > 1 { 1 } else { args.jobs };
    let files = Mutex::new(args.files.iter());
    let failed = AtomicBool::new(false);
    let work = || -> Result<(), anyhow::Error> {
        loop {
            let Some(file) = lock(&files).next() else { return Ok(()) };
            match read(file, args, jobs_each, &out) {
                Ok(ControlFlow::Continue(())) => {}
                Ok(ControlFlow::Break(())) => return Ok(()),
                Err(Stop::Output(err)) => return Err(err),
                Err(Stop::File(err)) => {
                    complain(format_args!("{}", with_causes(&err)));
                    failed.store(true, Relaxed);
                }
            }
        }
    };
    thread::scope(|scope| {
        let others: Vec<_> = (1..n_threads).map(|_| scope.spawn(work)).collect();
        let first = work();
        others.into_iter().fold(first, |done, other| done.and(joined(other.join())))
    })?;
    if args.verbose {
        complain(format_args!("{} shown", plural(lock(&out).n_shown(), "exchange")));
    }
    if failed.into_inner() { Err(Failure::Said) } else { Ok(()) }
}

/// One file through engines of its own. A file that breaks off gives what it holds first.
fn read(path: &Path, args: &ReadArgs, jobs: usize, out: &Out) -> Result<ControlFlow<()>, Stop> {
    let stdin = path == Path::new("-");
    let name = if stdin { "standard input".to_owned() } else { path.display().to_string() };
    let reader = if stdin { Reader::new(io::stdin(), name.as_str()) } else { Reader::open(path) }
        .map_err(|err| Stop::File(err.into()))?;
    let config = engine_config(&args.show);
    let Done { written, broke, stats, n_packets } = match jobs {
        1 => in_order(FileEvents::new(reader, config), out),
        _ => spread_out(reader, &config, jobs, out),
    };
    let written = written.context("cannot write to standard output").map_err(Stop::Output)?;
    if args.verbose && written.is_continue() {
        complain(format_args!(
            "{}: {} in {}, {}",
            name,
            plural(stats.iter().map(|stats| stats.exchanges).sum(), "exchange"),
            plural(stats.iter().map(|stats| stats.table.segments).sum(), "segment"),
            plural(n_packets, "packet"),
        ));
    }
    match broke {
        Some(err) if written.is_continue() => Err(Stop::File(err.into())),
        _ => Ok(written),
    }
}

/// What became of a file.
struct Done {
    /// `Break` when nobody wants more.
    written: io::Result<ControlFlow<()>>,
    /// Why the file ended, when that was not its end.
    broke: Option<FileError>,
    stats: Vec<Stats>,
    n_packets: u64,
}

fn in_order(mut events: FileEvents, out: &Out) -> Done {
    let mut lines = Lines::to(out);
    let broke = loop {
        match events.next_event() {
            Ok(Some(event)) => {
                if lines.push(event).is_break() {
                    break None;
                }
            }
            Ok(None) => break None,
            Err(err) => break Some(err),
        }
    };
    let n_packets = events.counters().packets;
    Done { written: lines.finish(), broke, stats: vec![events.stats()], n_packets }
}

fn spread_out(mut reader: Reader, config: &Config, jobs: usize, out: &Out) -> Done {
    let mut lines: Vec<_> = (0..jobs).map(|_| Lines::to(out)).collect();
    let handlers = lines.iter_mut().map(|lines| |event| lines.push(event)).collect();
    let Spread { stats, broke, .. } = spread(&mut reader, config, handlers);
    let written =
        lines.into_iter().map(Lines::finish).try_fold(ControlFlow::Continue(()), |all, one| {
            Ok(if all.is_continue() { one? } else { all })
        });
    Done { written, broke, stats, n_packets: reader.counters().packets }
}

/// Lines on their way out, and how many of them are exchanges.
struct Lines<'a> {
    out: &'a Out,
    writer: Writer,
    lines: Room,
    n_exchanges: u64,
    written: io::Result<ControlFlow<()>>,
}

impl<'a> Lines<'a> {
    fn to(out: &'a Out) -> Self {
        let written = Ok(ControlFlow::Continue(()));
        let lines = Room::of(BATCH + BATCH / 4);
        Self { out, writer: Writer::default(), lines, n_exchanges: 0, written }
    }

    /// `Break` when the lines have nowhere to go.
    fn push(&mut self, event: Event) -> ControlFlow<()> {
        self.writer.write(&event, &mut self.lines);
        self.n_exchanges += u64::from(matches!(event, Event::Exchange(_)));
        event.give_back();
        if self.lines.len() < BATCH { ControlFlow::Continue(()) } else { self.write() }
    }

    fn write(&mut self) -> ControlFlow<()> {
        self.written = lock(self.out).write_counted(self.lines.written(), self.n_exchanges);
        self.lines.clear();
        self.n_exchanges = 0;
        match self.written {
            Ok(wants) => wants,
            Err(_) => ControlFlow::Break(()),
        }
    }

    fn finish(mut self) -> io::Result<ControlFlow<()>> {
        if matches!(self.written, Ok(ControlFlow::Continue(()))) {
            let _ = self.write();
        }
        self.written
    }
}

/// A thread that panicked has said so; what it held is whole lines.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn joined<T>(result: thread::Result<T>) -> T {
    result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// What ended a file early: its own fault, or that its events have nowhere to go.
enum Stop {
    File(anyhow::Error),
    Output(anyhow::Error),
}

/// Lines are written in batches of about this many bytes; small enough that `read - | head` ends
/// soon, large enough that the system call does not show.
const BATCH: usize = 64 * 1024;
