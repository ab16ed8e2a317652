//! Traffic that is not HTTP: what it costs those whom observer has nothing to say about.

use std::{fs, time::Duration};

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::{
    lab::{Lab, now},
    process::Process,
    server::{LOAD_CPU, SERVER_CPU},
    workload::Done,
};

/// Bytes as fast as they go, on one connection.
pub(super) fn iperf3(lab: &Lab, seconds: u64) -> Result<Done> {
    let mut command = lab.command("iperf3", Some(SERVER_CPU));
    // It ends after one client.
    command.args(["-s", "-1", "-p", &IPERF3_PORT.to_string()]);
    let mut server = Process::start(lab, "iperf3-server", &mut command)?;
    server.listens(lab, IPERF3_PORT)?;
    let mut command = lab.command("iperf3", Some(LOAD_CPU));
    command.args(["-c", "127.0.0.1", "-J", "-p", &IPERF3_PORT.to_string()]);
    command.args(["-t", &seconds.to_string()]);
    let mut client = Process::start(lab, "iperf3", &mut command)?;
    client.wait(lab, Duration::from_secs(seconds + 30))?;
    server.wait(lab, Duration::from_secs(10))?;
    read_iperf3(&fs::read_to_string(lab.folder().join("iperf3.out"))?)
}

fn read_iperf3(output: &str) -> Result<Done> {
    let said: Value = serde_json::from_str(output).context("iperf3 said nothing of use")?;
    let received = &said["end"]["sum_received"];
    Ok(Done {
        bytes: received["bytes"].as_u64().context("iperf3 received nothing")?,
        seconds: received["seconds"].as_f64().context("iperf3 says no time")?,
        completed: 1,
        ..Done::default()
    })
}

/// GETs on 32 connections. redis-benchmark counts requests and not time, so their number is what a
/// machine does in about so many seconds.
pub(super) fn redis(lab: &Lab, seconds: u64) -> Result<Done> {
    let port = REDIS_PORT.to_string();
    let mut command = lab.command("redis-server", Some(SERVER_CPU));
    command.args(["--port", &port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
    let mut server = Process::start(lab, "redis-server", command.current_dir(lab.folder()))?;
    server.listens(lab, REDIS_PORT)?;
    let completed = seconds * 70_000;
    let mut command = lab.command("redis-benchmark", Some(LOAD_CPU));
    command.args(["-p", &port, "-c", "32", "-t", "get", "-q", "-n", &completed.to_string()]);
    let start = now();
    let mut client = Process::start(lab, "redis", &mut command)?;
    client.wait(lab, Duration::from_secs(seconds * 10 + 30))?;
    let seconds = start.elapsed().as_secs_f64();
    server.stop(lab, "-TERM")?;
    let said = fs::read_to_string(lab.folder().join("redis.out"))?;
    said.contains("requests per second").then_some(()).context("redis-benchmark failed")?;
    Ok(Done { completed, seconds, ..Done::default() })
}

const IPERF3_PORT: u16 = 5201;
const REDIS_PORT: u16 = 6379;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_iperf3_received_counts() {
        let said = r#"{"end":{"sum_received":{"seconds":2.0,"bytes":4000}}}"#;
        let done = read_iperf3(said).unwrap();
        assert_eq!((done.bytes, done.seconds), (4000, 2.0));
        assert!(read_iperf3("{}").is_err());
    }
}
