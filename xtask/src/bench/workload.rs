//! What is done to the server while it is watched, and what came of it.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use super::{
    lab::Lab,
    others,
    process::Process,
    server::{LOAD_CPU, LOGGING_PORT, PORT},
};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, clap::ValueEnum)]
pub(crate) enum Workload {
    /// 200 bytes on 32 connections, as fast as it goes
    Tiny,
    /// GET and POST, 200 bytes, 4 and 64 KiB, and 304, on 32 connections, as fast as it goes
    Mixed,
    /// 64 KiB on 32 connections, as fast as it goes
    #[value(name = "64k")]
    Large,
    /// A gigabyte in one response, one after the other
    Download,
    /// 200 bytes, 5,000 a second on 32 connections
    #[value(name = "paced-5k")]
    Paced5k,
    /// The same, 20,000 a second
    #[value(name = "paced-20k")]
    Paced20k,
    /// The same, 50,000 a second
    #[value(name = "paced-50k")]
    Paced50k,
    /// 200 bytes, a connection per request, as fast as it goes
    Short,
    /// 200 bytes, 20,000 a second on 1,000 connections beside 10,000 idle ones
    Many,
    /// Nothing at all
    Idle,
    /// iperf3 on one connection: no HTTP
    Iperf3,
    /// redis-benchmark on 32 connections: no HTTP
    Redis,
}

/// What the load did.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Done {
    pub(super) completed: u64,
    pub(super) bytes: u64,
    pub(super) seconds: f64,
    /// Exchanges that it took to get ready.
    pub(super) before: u64,
    /// Exchanges that may have been under way when the load stopped counting.
    pub(super) under_way: u64,
    /// Requests that could not be sent in time.
    pub(super) late: u64,
}

impl Workload {
    pub(super) const ALL: [Self; 12] = [
        Self::Tiny,
        Self::Mixed,
        Self::Large,
        Self::Download,
        Self::Paced5k,
        Self::Paced20k,
        Self::Paced50k,
        Self::Short,
        Self::Many,
        Self::Idle,
        Self::Iperf3,
        Self::Redis,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Tiny => "tiny",
            Self::Mixed => "mixed",
            Self::Large => "64k",
            Self::Download => "download",
            Self::Paced5k => "paced-5k",
            Self::Paced20k => "paced-20k",
            Self::Paced50k => "paced-50k",
            Self::Short => "short",
            Self::Many => "many",
            Self::Idle => "idle",
            Self::Iperf3 => "iperf3",
            Self::Redis => "redis",
        }
    }

    /// Requests a second, where they are fixed: then what a watcher costs is its CPU time, and the
    /// rate says nothing.
    pub(super) fn pace(self) -> Option<u64> {
        match self {
            Self::Paced5k => Some(5_000),
            Self::Paced20k | Self::Many => Some(20_000),
            Self::Paced50k => Some(50_000),
            Self::Idle => Some(0),
            Self::Tiny | Self::Mixed | Self::Large | Self::Download => None,
            Self::Short | Self::Iperf3 | Self::Redis => None,
        }
    }

    /// Whether the load is HTTP: then it asks nginx.
    pub(super) fn is_http(self) -> bool {
        !matches!(self, Self::Idle | Self::Iperf3 | Self::Redis)
    }

    fn path(self) -> &'static str {
        match self {
            Self::Large => "/64k",
            Self::Download => "/1g",
            _ => "/tiny",
        }
    }

    /// Makes the load; `measure` is called when it begins and when it has ended, with true the
    /// second time.
    pub(super) fn run(
        self,
        lab: &Lab,
        seconds: u64,
        is_logged: bool,
        measure: &mut dyn FnMut(bool) -> Result<()>,
    ) -> Result<Done> {
        let port = if is_logged { LOGGING_PORT } else { PORT };
        let time = seconds.to_string();
        let (connections, threads): (&[&str], _) = match self {
            Self::Tiny | Self::Large => {
                return around(measure, || wrk(lab, port, self.path(), seconds, &[]));
            }
            Self::Short => {
                let close = ["-H", "Connection: close"];
                return around(measure, || wrk(lab, port, self.path(), seconds, &close));
            }
            Self::Mixed => {
                let script = lab.folder().join("mixed.lua");
                std::fs::write(&script, MIX)?;
                let script = ["-s", &path_text(&script)];
                return around(measure, || wrk(lab, port, self.path(), seconds, &script));
            }
            Self::Iperf3 => return around(measure, || others::iperf3(lab, seconds)),
            Self::Redis => return around(measure, || others::redis(lab, seconds)),
            Self::Idle => {
                let nothing = Done { seconds: seconds as f64, ..Done::default() };
                let sleep = || lab.pause(Duration::from_secs(seconds)).map(|()| nothing);
                return around(measure, sleep);
            }
            Self::Download => (&["--connections", "1"], "1"),
            Self::Paced5k => (&["--connections", N_CONNECTIONS], "2"),
            Self::Paced20k | Self::Paced50k => (&["--connections", N_CONNECTIONS], "8"),
            Self::Many => (&["--connections", "1000", "--idle", "10000"], "8"),
        };
        let rate = self.pace().unwrap_or(0).to_string();
        let rest = ["--rate", &rate, "--threads", threads, "--seconds", &time];
        own(lab, port, self.path(), &[connections, &rest].concat(), measure)
    }
}

/// Looks before the load and after it.
fn around(
    measure: &mut dyn FnMut(bool) -> Result<()>,
    load: impl FnOnce() -> Result<Done>,
) -> Result<Done> {
    measure(false)?;
    let done = load()?;
    measure(true)?;
    Ok(done)
}

fn wrk(lab: &Lab, port: u16, path: &str, seconds: u64, arguments: &[&str]) -> Result<Done> {
    let mut command = lab.command("wrk", Some(LOAD_CPU));
    command.args(["-t1", "-c", N_CONNECTIONS, "-d", &format!("{seconds}s")]);
    command.args(arguments);
    command.arg(format!("http://127.0.0.1:{port}{path}"));
    let mut wrk = Process::start(lab, "wrk", &mut command)?;
    wrk.wait(lab, Duration::from_secs(seconds + 30))?;
    let output = std::fs::read_to_string(lab.folder().join("wrk.out"))?;
    read_wrk(&output).with_context(|| format!("wrk said {output:?} {:?}", wrk.said()))
}

/// The line `  661414 requests in 3.10s, 210.05MB read`, which is there also after errors; those
/// have a line of their own.
fn read_wrk(output: &str) -> Result<Done> {
    let errors = ["Socket errors", "Non-2xx"];
    if let Some(line) = output.lines().find(|line| errors.iter().any(|e| line.contains(e))) {
        bail!("the load had errors: {}", line.trim());
    }
    let line = output.lines().find(|line| line.contains(" requests in "));
    let line = line.context("wrk did not say what it did")?.trim();
    let (completed, rest) = line.split_once(" requests in ").context("wrk")?;
    let (_, bytes) = rest.split_once(", ").context("wrk says no bytes")?;
    let rate = output.lines().find_map(|line| line.strip_prefix("Requests/sec:"));
    let rate: f64 = rate.context("wrk says no rate")?.trim().parse()?;
    let completed: u64 = completed.parse()?;
    Ok(Done {
        completed,
        bytes: size(bytes.trim_end_matches(" read")).context("wrk says no size")?,
        seconds: completed as f64 / rate,
        before: 0,
        under_way: N_CONNECTIONS.parse()?,
        late: 0,
    })
}

/// wrk's sizes: `210.05MB`, with units of 1024.
fn size(text: &str) -> Option<u64> {
    let units = [("GB", 1_u64 << 30), ("MB", 1 << 20), ("KB", 1 << 10), ("B", 1)];
    let (unit, factor) = units.into_iter().find(|(unit, _)| text.ends_with(unit))?;
    let number: f64 = text.strip_suffix(unit)?.parse().ok()?;
    Some((number * factor as f64) as u64)
}

/// Our own load (`load`), as a process of its own.
fn own(
    lab: &Lab,
    port: u16,
    path: &str,
    arguments: &[&str],
    measure: &mut dyn FnMut(bool) -> Result<()>,
) -> Result<Done> {
    let xtask = std::env::current_exe().context("cannot find xtask itself")?;
    let mut command = lab.command(&path_text(&xtask), Some(LOAD_CPU));
    command.args(["bench-load", "--address", &format!("127.0.0.1:{port}"), "--path", path]);
    command.args(arguments);
    let mut load = Process::start_with_pipes(lab, "load", &mut command)?;
    let stdin = load.child().stdin.take().context("a pipe was asked for")?;
    let stdout = load.child().stdout.take().context("a pipe was asked for")?;
    let (mut stdin, mut stdout) = (stdin, BufReader::new(stdout));
    let mut line = String::new();
    stdout.read_line(&mut line)?;
    if line.trim() != "ready" {
        bail!("the load did not get ready: {}", load.said().trim());
    }
    measure(false)?;
    stdin.write_all(b"go\n")?;
    line.clear();
    stdout.read_line(&mut line)?;
    let done: Value = serde_json::from_str(&line)
        .with_context(|| format!("the load failed: {}", load.said().trim()))?;
    measure(true)?;
    drop(stdin);
    load.wait(lab, Duration::from_secs(20))?;
    let number = |key: &str| done[key].as_u64().unwrap_or(0);
    Ok(Done {
        completed: number("completed"),
        bytes: number("bytes"),
        seconds: done["seconds"].as_f64().unwrap_or(0.0),
        before: number("before"),
        under_way: 0,
        late: number("late"),
    })
}

fn path_text(path: &Path) -> String {
    path.display().to_string()
}

const N_CONNECTIONS: &str = "32";

/// Twenty requests in turn, made before the load begins: making them would cost as much as sending.
const MIX: &str = r#"
local made, n = {}, 0
local kinds = {
  {"GET", "/tiny", 9}, {"GET", "/4k", 4}, {"POST", "/tiny", 3},
  {"GET", "/4k", 3, {["If-Modified-Since"] = "Fri, 01 Jan 2100 00:00:00 GMT"}}, {"GET", "/64k", 1},
}
function init()
  for _, kind in ipairs(kinds) do
    local body = kind[1] == "POST" and string.rep("x", 2000) or nil
    local request = wrk.format(kind[1], kind[2], kind[4], body)
    for _ = 1, kind[3] do table.insert(made, (7 * #made) % (#made + 1) + 1, request) end
  end
end
function request()
  n = n % #made + 1
  return made[n]
end
"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_of_wrk_is_read() {
        let output = "Running 3s test\n  661414 requests in 3.10s, 210.05MB read\nRequests/sec: \
                      213359.35\nTransfer/sec:     67.76MB\n";
        let done = read_wrk(output).unwrap();
        assert_eq!((done.completed, done.bytes >> 20), (661_414, 210));
        assert!((done.seconds - 3.1).abs() < 0.01, "{done:?}");
        assert!(read_wrk(&output.replace("Running", "Non-2xx or 3xx responses: 7\n")).is_err());
        assert!(read_wrk("").is_err());
    }
}
