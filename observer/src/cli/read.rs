//! `observer read`: capture files through the same engine, to the same lines.

use std::io;
use std::ops::ControlFlow;
use std::path::Path;

use anyhow::Context as _;
use clap::ColorChoice;

use super::args::ReadArgs;
use super::filter::Filter;
use super::output::{Output, stdout};
use super::{Failure, complain, engine_config, plural, shape, with_causes};
use crate::capture::file::Reader;
use crate::drive::file::FileEvents;
use crate::event::Event;

type Out = Output<std::fs::File>;

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
    let mut out = Output::new(out, shape(&args.show, color), filter, args.show.count);
    let mut failed = 0;
    for file in &args.files {
        match read(file, args, &mut out) {
            Ok(ControlFlow::Continue(())) => {}
            Ok(ControlFlow::Break(())) => break,
            Err(Stop::Output(err)) => return Err(err.into()),
            Err(Stop::File(err)) => {
                complain(format_args!("{}", with_causes(&err)));
                failed += 1;
            }
        }
    }
    if args.verbose {
        complain(format_args!("{} shown", plural(out.n_shown(), "exchange")));
    }
    if failed > 0 { Err(Failure::Said) } else { Ok(()) }
}

/// One file through an engine of its own. A file that breaks off gives what it holds first.
fn read(path: &Path, args: &ReadArgs, out: &mut Out) -> Result<ControlFlow<()>, Stop> {
    let stdin = path == Path::new("-");
    let name = if stdin { "standard input".to_owned() } else { path.display().to_string() };
    let reader = if stdin { Reader::new(io::stdin(), name.as_str()) } else { Reader::open(path) }
        .map_err(|err| Stop::File(err.into()))?;
    let mut events = FileEvents::new(reader, engine_config(&args.show));
    let mut lines = Lines::default();
    let broke = loop {
        match events.next_event() {
            Ok(Some(event)) => lines.push(&event),
            Ok(None) => break None,
            Err(err) => break Some(err),
        }
        if lines.bytes.len() >= BATCH && write(&mut lines, out)?.is_break() {
            return Ok(ControlFlow::Break(()));
        }
    };
    let done = write(&mut lines, out)?;
    if args.verbose {
        let stats = events.stats();
        complain(format_args!(
            "{}: {} in {}, {}",
            name,
            plural(stats.exchanges, "exchange"),
            plural(stats.table.segments, "segment"),
            plural(events.counters().packets, "packet"),
        ));
    }
    match broke {
        Some(err) => Err(Stop::File(err.into())),
        None => Ok(done),
    }
}

/// Lines on their way out, and how many of them are exchanges.
#[derive(Default)]
struct Lines {
    bytes: Vec<u8>,
    n_exchanges: u64,
}

impl Lines {
    fn push(&mut self, event: &Event) {
        event.write_json(&mut self.bytes);
        self.bytes.push(b'\n');
        self.n_exchanges += u64::from(matches!(event, Event::Exchange(_)));
    }
}

fn write(lines: &mut Lines, out: &mut Out) -> Result<ControlFlow<()>, Stop> {
    let done = out.write_counted(&lines.bytes, lines.n_exchanges);
    lines.bytes.clear();
    lines.n_exchanges = 0;
    done.context("cannot write to standard output").map_err(Stop::Output)
}

/// What ended a file early: its own fault, or that its events have nowhere to go.
enum Stop {
    File(anyhow::Error),
    Output(anyhow::Error),
}

/// Lines are written in batches of about this many bytes; small enough that `read - | head` ends
/// soon, large enough that the system call does not show.
const BATCH: usize = 64 * 1024;
