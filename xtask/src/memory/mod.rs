//! Owns `cargo xtask memory`: how much `observer read` holds while it reads a capture larger than
//! any machine's idea of a small file, and while it reads the whole corpus.
//!
//! The large capture is made on the way and goes through a pipe: nothing lies on the disk. The peak
//! is the kernel's own figure, VmHWM in /proc/PID/status.

mod traffic;

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};

use self::traffic::Traffic;
use crate::{offline, runner, workspace};

/// The peak that a reader may reach, whatever the size of the capture.
const MOST_KB: u64 = 256 << 10;

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Size of the capture that is made
    #[arg(long, value_name = "MIB", default_value_t = 2048)]
    mebibytes: u64,
    /// Connections open at once in it
    #[arg(long, value_name = "N", default_value_t = 1000)]
    connections: usize,
    /// The captures to read in one go afterwards
    #[arg(long, value_name = "FOLDER")]
    corpus: Option<PathBuf>,
    /// The observer to measure, instead of building one
    #[arg(long, value_name = "FILE")]
    observer: Option<PathBuf>,
}

pub(crate) fn memory(options: &Options) -> Result<()> {
    let observer = offline::binary(options.observer.as_deref())?;
    let large = read_made(&observer, options)?;
    let corpus = match &options.corpus {
        Some(folder) => folder.clone(),
        None => workspace::root().join("../shared/corpus"),
    };
    let small = if corpus.is_dir() {
        Some(read_corpus(&observer, &corpus)?)
    } else {
        eprintln!("memory: NOT MEASURED: there is no corpus in {}", corpus.display());
        None
    };
    for peak in [Some(large), small].into_iter().flatten() {
        if peak > MOST_KB {
            bail!("observer held {} MiB at its peak, more than {} MiB", peak >> 10, MOST_KB >> 10);
        }
    }
    Ok(())
}

/// Reads made traffic; returns the peak in KiB.
fn read_made(observer: &Path, options: &Options) -> Result<u64> {
    let mut command = runner::command(observer);
    command.args(["read", "-", "-f", "ndjson"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = start(&mut command)?;
    let stdin = child.stdin.take().context("a pipe was asked for")?;
    let stdout = child.stdout.take().context("a pipe was asked for")?;
    let events = thread::spawn(move || BufReader::new(stdout).split(b'\n').count());

    let mut stdin = stdin;
    let mut traffic = Traffic::new(options.connections);
    let total = options.mebibytes << 20;
    let (mut written, mut buffer) = (0u64, traffic::file_header());
    let mut next_report = total / 8;
    let mut peak = 0;
    while written < total {
        while buffer.len() < 1 << 20 {
            traffic.write_packet(&mut buffer);
        }
        stdin.write_all(&buffer).context("observer stopped reading")?;
        written += buffer.len() as u64;
        buffer.clear();
        if written >= next_report {
            next_report += total / 8;
            peak = high_water(child.id()).unwrap_or(peak);
            eprintln!("  after {:5} MiB: peak {:6} KiB", written >> 20, peak);
        }
    }
    drop(stdin);
    let peak = watch(&mut child, peak)?;
    let n_events = events.join().unwrap_or_default();
    println!(
        "memory: {} MiB, {} packets, {} connections, {} requests of which observer told {}: peak \
         {} KiB",
        written >> 20,
        traffic.n_packets,
        traffic.n_connections,
        traffic.n_requests,
        n_events,
        peak
    );
    Ok(peak)
}

/// Reads every capture of the corpus in one process; returns the peak in KiB.
fn read_corpus(observer: &Path, folder: &Path) -> Result<u64> {
    let mut captures = Vec::new();
    collect(folder, &mut captures)?;
    captures.sort();
    let mut command = runner::command(observer);
    command.arg("read").args(&captures).args(["-f", "ndjson"]);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = start(&mut command)?;
    let peak = watch(&mut child, 0)?;
    println!("memory: {} captures of the corpus in one process: peak {peak} KiB", captures.len());
    Ok(peak)
}

fn start(command: &mut Command) -> Result<Child> {
    command.spawn().with_context(|| format!("cannot start {}", command.get_program().display()))
}

/// Waits for the end and looks at the peak on the way. The peak only rises, so what is missed is
/// what happens in the last milliseconds.
fn watch(child: &mut Child, mut peak: u64) -> Result<u64> {
    while child.try_wait()?.is_none() {
        peak = high_water(child.id()).unwrap_or(peak).max(peak);
        thread::sleep(Duration::from_millis(2));
    }
    if peak == 0 {
        bail!("observer ended before it could be looked at");
    }
    Ok(peak)
}

/// The most memory the process held so far, in KiB.
fn high_water(pid: u32) -> Option<u64> {
    parse_high_water(&fs::read_to_string(format!("/proc/{pid}/status")).ok()?)
}

fn parse_high_water(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse().ok()
}

fn collect(folder: &Path, captures: &mut Vec<PathBuf>) -> Result<()> {
    for entry in
        fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?
    {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, captures)?;
        } else if path.extension().is_some_and(|e| e == "pcap" || e == "pcapng" || e == "cap") {
            captures.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peak_is_read_from_the_kernels_text() {
        assert_eq!(parse_high_water("Name:\tx\nVmHWM:\t    6144 kB\nVmRSS:\t 1 kB\n"), Some(6144));
        assert_eq!(parse_high_water("Name:\tx\n"), None);
    }
}
