//! Owns `cargo xtask soak`: the daemon under moderate traffic for a long time, with connections,
//! interfaces, namespaces, receivers and files that come and go. What is asked is not how fast it
//! is but whether anything grows, and whether the account is exact at the end.

mod churn;
mod ledger;
mod receiver;
mod samples;
mod traffic;

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    sync::PoisonError,
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};

pub(crate) use self::traffic::{Options as TrafficOptions, traffic};
use self::{
    ledger::Segments,
    samples::{Sample, Trend},
};
use crate::{
    bench::{Lab, Process, now},
    runner::{self, Runner},
    workspace,
};

#[derive(clap::Args)]
pub(crate) struct Options {
    /// For how long
    #[arg(long, value_name = "N", default_value_t = 30.0)]
    minutes: f64,
    /// Rounds of traffic a second; a round is nine connections
    #[arg(long, value_name = "N", default_value_t = 10)]
    rate: u32,
    /// The observer to watch, instead of building one
    #[arg(long, value_name = "FILE")]
    observer: Option<PathBuf>,
}

pub(crate) fn soak(options: &Options) -> Result<()> {
    ensure!(runner::is_root(), "needs root: it makes network namespaces and loads BPF programs");
    ensure!(options.minutes >= 0.2, "less than 12 seconds tell nothing");
    let observer = match &options.observer {
        Some(file) => fs::canonicalize(file)?,
        None => workspace::build(&Runner::new())?,
    };
    let lab = Lab::new()?;
    let received = receiver::all(&lab.folder().join("all.sock"))?;
    receiver::fickle(&lab.folder().join("fickle.sock"))?;
    let mut observer = start(&lab, &observer)?;
    let mut load = lab.command(&own_program()?, None);
    load.args(["soak-traffic", "--rate", &options.rate.to_string()]);
    let mut load = Process::start_with_pipes(&lab, "traffic", &mut load)?;
    let stdout = load.child().stdout.take().context("a pipe was asked for")?;
    let mut told = BufReader::new(stdout).lines();
    ensure!(told.next().transpose()?.as_deref() == Some("ready"), "{}", load.said());

    let length = Duration::from_secs_f64(options.minutes * 60.0);
    let samples = watch(&lab, &mut observer, &mut load, length, || {
        let received = received.lock().unwrap_or_else(PoisonError::into_inner);
        Segments::of(&received.stats)
    })?;

    // The load finishes its round; then the daemon, which tells its last account when all is written.
    drop(load.child().stdin.take());
    load.wait(&lab, Duration::from_secs(60))?;
    let completed = told.next().transpose()?.with_context(|| load.said())?;
    let completed: std::collections::BTreeMap<String, u64> = serde_json::from_str(&completed)?;
    // Closing connections have their last segments after that.
    lab.pause(Duration::from_secs(1))?;
    let cpu_ns = observer.usage().cpu_ns;
    observer.stop(&lab, "-TERM")?;
    let received = received.lock().unwrap_or_else(PoisonError::into_inner);

    let mut faults = received.faults.clone();
    let segments = Segments::of(&received.stats);
    println!("soak: {segments:?}");
    if !segments.balances() || segments.seen == 0 {
        faults.push("the kernel's account does not add up".to_owned());
    }
    if segments.lost > 0 {
        faults.push(format!("{} segments were lost", segments.lost));
    }
    for (path, completed) in &completed {
        let told = received.complete.get(path).copied().unwrap_or(0);
        println!("soak: {path}: {completed} exchanges were completed, {told} told");
        if told != *completed {
            faults.push(format!("{path}: {told} of {completed} exchanges were told"));
        }
    }
    let over_veth = received.complete.get("veth").copied().unwrap_or(0);
    println!("soak: {over_veth} exchanges over links that came and went");
    if over_veth == 0 {
        faults.push("nothing was told of links that came and went".to_owned());
    }
    for sink in received.stats["sinks"].as_array().into_iter().flatten() {
        println!("soak: sink {sink}");
    }
    if ledger::lost_by(&received.stats, "all") > 0 {
        faults.push("the receiver that takes everything did not get everything".to_owned());
    }
    faults.extend(files(lab.folder())?);
    println!("soak: CPU: {:.2} % of one core", cpu_ns as f64 / 1e7 / (length.as_secs_f64() + 1.0));
    let trend = Trend::of(&samples, length).context("too few samples")?;
    println!("soak: second quarter and last: {trend:?}");
    faults.extend(trend.faults(length));
    if !faults.is_empty() {
        faults.truncate(20);
        bail!("after {} min: {}\n{}", options.minutes, faults.join("; "), observer.said());
    }
    println!("soak: good after {} min", options.minutes);
    Ok(())
}

fn own_program() -> Result<String> {
    Ok(std::env::current_exe()?.display().to_string())
}

fn start(lab: &Lab, observer: &Path) -> Result<Process> {
    let folder = lab.folder().display().to_string();
    let config = lab.folder().join("observer.toml");
    fs::write(&config, CONFIG.replace("FOLDER", &folder))?;
    let mut command = lab.command(&observer.display().to_string(), None);
    command.args(["run", "--config"]).arg(config);
    let mut process = Process::start(lab, "observer", &mut command)?;
    lab.wait("observer to watch", Duration::from_secs(30), || {
        process.is_alive()?;
        Ok(process.said().contains("observer: watching "))
    })?;
    Ok(process)
}

/// Lets time pass: interfaces and readers come and go, and the observer is looked at.
fn watch(
    lab: &Lab,
    observer: &mut Process,
    load: &mut Process,
    length: Duration,
    account: impl Fn() -> Segments,
) -> Result<Vec<Sample>> {
    // Some hundred samples, and some thirty lines of them.
    let pause = (length / 300).clamp(Duration::from_millis(500), Duration::from_secs(5));
    let row = (length / 30).max(Duration::from_secs(1));
    let (start, mut samples, mut n_turns, mut next_row) = (now(), Vec::new(), 0, Duration::ZERO);
    println!(
        "   time  memory KiB  of it own  descriptors  threads  CPU %  links        seen      lost"
    );
    let mut cpu_before = (Duration::ZERO, observer.usage().cpu_ns);
    while start.elapsed() < length {
        observer.is_alive()?;
        load.is_alive()?;
        churn::turn(lab, n_turns)?;
        n_turns += 1;
        readers(lab.folder())?;
        lab.pause(pause)?;
        let (at, usage, segments) = (start.elapsed(), observer.usage(), account());
        let sample = Sample::take(at, observer.id());
        samples.push(sample);
        if at < next_row {
            continue;
        }
        next_row = at + row;
        let cpu_ns = usage.cpu_ns.saturating_sub(cpu_before.1) as f64;
        let percent = cpu_ns / (at - cpu_before.0).as_nanos().max(1) as f64 * 100.0;
        cpu_before = (at, usage.cpu_ns);
        println!(
            "{:>5} s  {:>10}  {:>9}  {:>11}  {:>7}  {percent:>5.1}  {n_turns:>5}  {:>10}  {:>8}",
            at.as_secs(),
            sample.rss_kib,
            sample.anon_kib,
            sample.n_descriptors,
            sample.n_threads,
            segments.seen,
            segments.lost
        );
    }
    Ok(samples)
}

/// Somebody scrapes, and somebody looks at events for a moment.
fn readers(folder: &Path) -> Result<()> {
    let mut scrape = UnixStream::connect(folder.join("metrics.sock"))?;
    scrape.set_read_timeout(Some(Duration::from_secs(10)))?;
    scrape.write_all(b"GET /metrics HTTP/1.1\r\nHost: soak\r\n\r\n")?;
    let mut text = String::new();
    scrape.read_to_string(&mut text)?;
    ensure!(text.ends_with("# EOF\n"), "a scrape was cut: {text}");
    drop(UnixStream::connect(folder.join("control.sock"))?);
    Ok(())
}

/// The files that have been rotated: as many as were asked for, and the current one with whole lines.
fn files(folder: &Path) -> Result<Vec<String>> {
    let mut faults = Vec::new();
    let entries = fs::read_dir(folder)?.flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let aside: Vec<_> = names.filter(|name| name.starts_with("events.ndjson.")).collect();
    if aside.is_empty() || aside.len() > KEPT {
        faults.push(format!("files put aside: {aside:?}"));
    }
    let current = fs::read(folder.join("events.ndjson"))?;
    if current.last().is_some_and(|last| *last != b'\n') {
        faults.push("the file's last line is cut".to_owned());
    }
    Ok(faults)
}

const KEPT: usize = 3;
const CONFIG: &str = "
[control]
socket = 'FOLDER/control.sock'
[metrics]
listen = 'unix:FOLDER/metrics.sock'
[stats]
interval = '1s'
[[sinks]]
type = 'file'
name = 'file'
path = 'FOLDER/events.ndjson'
rotate_bytes = 524288
keep = 3
compress = true
[[sinks]]
type = 'unix'
name = 'all'
path = 'FOLDER/all.sock'
[[sinks]]
type = 'unix'
name = 'fickle'
path = 'FOLDER/fickle.sock'
queue_bytes = 65536
";
