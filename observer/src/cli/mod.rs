//! The command line. clap lives here and nowhere else; the other modules are told what to do in
//! their own words. Messages go to standard error as `observer: ...`, events to standard output.

mod args;
mod documents;
#[cfg(feature = "live")]
mod doctor;
#[cfg(feature = "live")]
mod dth;
#[cfg(feature = "live")]
mod explain;
mod filter;
mod output;
mod pretty;
mod read;
#[cfg(feature = "live")]
mod run;
#[cfg(feature = "live")]
mod signals;
#[cfg(feature = "live")]
mod summary;
#[cfg(feature = "live")]
mod tail;

use std::fmt;
use std::io::{self, IsTerminal as _, Write as _};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{ColorChoice, Parser as _};
use jiff::Zoned;
use jiff::tz::TimeZone;

use self::args::{Cli, Command, Format, ShowArgs};
use self::output::Shape;
use self::pretty::{Look, Printer};

/// Runs the command that was typed. Exit codes: 0 good, 1 failure at run time, 2 usage or
/// configuration (clap's own errors exit with 2 as well).
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match &cli.command {
        #[cfg(feature = "live")]
        Command::Tail(args) => tail::run(args, cli.color),
        #[cfg(feature = "live")]
        Command::Run(args) => run::run(args),
        #[cfg(feature = "live")]
        Command::Dth(command) => dth::run(command, cli.color),
        #[cfg(feature = "live")]
        Command::Doctor(args) => doctor::run(args, cli.color),
        #[cfg(feature = "live")]
        Command::Explain(args) => explain::run(args, cli.color),
        Command::Read(args) => read::run(args, cli.color),
        Command::Schema => schema(),
        Command::Man { out } => documents::man(out.as_deref()),
        Command::Completions { shell } => documents::completions(*shell),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Config(err)) => {
            complain(format_args!("{}", with_causes(&err)));
            ExitCode::from(2)
        }
        Err(Failure::Run(err)) => {
            complain(format_args!("{}", with_causes(&err)));
            ExitCode::from(1)
        }
        Err(Failure::Said) => ExitCode::from(1),
    }
}

/// Why a command ended badly: what decides the exit code.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The configuration or the combination of options cannot be meant.
    #[cfg_attr(not(feature = "live"), expect(dead_code, reason = "only the daemon is configured"))]
    Config(anyhow::Error),
    Run(anyhow::Error),
    /// Something failed at run time, and every message has been given already.
    Said,
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(err: E) -> Self {
        Self::Run(err.into())
    }
}

/// One line on standard error. That it may be closed is no reason to end.
pub(crate) fn complain(message: fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr().lock(), "observer: {message}");
}

/// The error and its causes in one line. A cause that the message above it tells already is not
/// told twice.
pub(crate) fn with_causes(err: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in err.chain().map(ToString::to_string) {
        if !text.contains(&cause) {
            if !text.is_empty() {
                text.push_str(": ");
            }
            text.push_str(&cause);
        }
    }
    text
}

/// `1 event`, `1 204 events`.
fn plural(n: u64, what: &str) -> String {
    let s = if n == 1 { "" } else { "s" };
    format!("{} {what}{s}", pretty::text::count(n))
}

fn schema() -> Result<(), Failure> {
    print(crate::event::JSON_SCHEMA.as_bytes())
}

/// To standard output; that nobody reads it is a quiet end.
fn print(bytes: &[u8]) -> Result<(), Failure> {
    match io::stdout().lock().write_all(bytes) {
        Err(err) if err.kind() != io::ErrorKind::BrokenPipe => {
            Err(err).context("cannot write to standard output")?
        }
        _ => Ok(()),
    }
}

/// Whether standard output gets colours.
fn wants_colour(color: ColorChoice) -> bool {
    let no_color = || std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    match color {
        ColorChoice::Auto => io::stdout().is_terminal() && !no_color(),
        ColorChoice::Always => true,
        ColorChoice::Never => false,
    }
}

/// How standard output wants its events.
fn shape(show: &ShowArgs, color: ColorChoice) -> Shape {
    match show.format {
        Format::Ndjson => Shape::Ndjson,
        Format::Pretty => {
            let terminal = io::stdout().is_terminal();
            let width = terminal.then(terminal_size::terminal_size).flatten();
            Shape::Pretty(Box::new(Printer::new(Look {
                colour: wants_colour(color),
                width: width.map(|(width, _)| usize::from(width.0)),
                zone: TimeZone::system(),
                today: Zoned::now().date(),
                headers: show.headers,
                body: show.body > 0,
            })))
        }
    }
}

/// What the engine is asked to report.
fn engine_config(show: &ShowArgs) -> crate::pipeline::Config {
    crate::pipeline::Config {
        headers: show.headers,
        body_prefix: show.body as usize,
        messages: show.ws_messages.map(|n| n as usize),
        ..crate::pipeline::Config::default()
    }
}
