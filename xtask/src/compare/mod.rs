//! Owns `cargo xtask compare`: our exchanges of a capture beside tshark's, and the differences by
//! name, so that anyone can check us on a capture of their own.
//!
//! Neither side is taken for the truth: after a loss, or on a port that it does not expect, tshark
//! sees less. HTTP/1 only, as that is where both number messages alike.

mod difference;
mod ours;
mod tshark;

use std::{collections::BTreeMap, fmt, path::PathBuf};

use anyhow::{Result, bail};

use self::difference::Difference;
use crate::offline;

/// Differences shown unless all are asked for.
const N_SHOWN: usize = 20;

#[derive(clap::Args)]
pub(crate) struct Options {
    /// The capture: pcap or pcapng
    #[arg(value_name = "FILE.pcap")]
    capture: PathBuf,
    /// Show every difference, not only the first 20
    #[arg(long)]
    all_differences: bool,
    /// The observer to compare, instead of building one
    #[arg(long, value_name = "FILE")]
    observer: Option<PathBuf>,
}

/// Who talks to whom: `client → server`, by address and port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Connection {
    client: String,
    server: String,
}

impl fmt::Display for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} → {}", self.client, self.server)
    }
}

/// What both tools say of an exchange. Absent: that side was not seen.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Exchange {
    /// Method and target.
    request: Option<(String, String)>,
    status: Option<u16>,
}

impl fmt::Display for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.request {
            Some((method, target)) => write!(f, "{method} {target}")?,
            None => write!(f, "(no request)")?,
        }
        match self.status {
            Some(status) => write!(f, " → {status}"),
            None => write!(f, " → (no status)"),
        }
    }
}

/// The exchanges of a capture, by connection.
type Exchanges = BTreeMap<Connection, Vec<Exchange>>;

pub(crate) fn compare(options: &Options) -> Result<()> {
    tshark::require()?;
    if !options.capture.is_file() {
        bail!("{} is no file", options.capture.display());
    }
    let observer = offline::binary(options.observer.as_deref())?;
    let ours = ours::read(&observer, &options.capture)?;
    let theirs = tshark::read(&options.capture)?;
    let differences = difference::between(&ours, &theirs);
    let count = |exchanges: &Exchanges| exchanges.values().map(Vec::len).sum::<usize>();
    println!("ours: {} exchanges, tshark's: {}", count(&ours), count(&theirs));
    let n_shown = if options.all_differences { usize::MAX } else { N_SHOWN };
    show(&differences, n_shown);
    if !differences.is_empty() {
        bail!("{} differences", differences.len());
    }
    println!("no difference");
    Ok(())
}

fn show(differences: &[(Connection, Difference)], n_shown: usize) {
    let mut last = None;
    for (connection, difference) in differences.iter().take(n_shown) {
        if last != Some(connection) {
            println!("{connection}");
            last = Some(connection);
        }
        println!("  {difference}");
    }
    if differences.len() > n_shown {
        println!("… {} more: --all-differences shows them", differences.len() - n_shown);
    }
}
