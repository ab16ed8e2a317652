//! Every kind of receiver stalls at once while traffic goes on: the file beside them has every
//! exchange, the kernel loses nothing, each receiver's account is exact, memory stays bounded.
//!
//! For OBSERVER_STALL_SECONDS, 2 unless set.

use std::fs;
use std::net::TcpListener;
use std::os::unix::net::{UnixDatagram, UnixListener};

use crate::harness::can_run;
use crate::harness::client::{Route, wrk};
use crate::harness::event::{Account, Event};
use crate::harness::namespace::Namespace;
use crate::harness::observer::{Observer, configuration};
use crate::harness::server::Nginx;
use crate::harness::wait::{LONG, until};

/// Eight hundred requests a second, of a length that fills a socket's buffer soon.
const PACED: &str = "local n = 0\n\
    request = function() n = n + 1\n\
    return wrk.format('GET', '/path/' .. string.rep('x', 1500) .. n) end\n\
    delay = function() return 10 end";

const NAMES: [&str; 4] = ["tcp", "unix", "datagram", "syslog"];

fn n_seconds() -> u32 {
    let asked = std::env::var("OBSERVER_STALL_SECONDS").ok();
    asked.map_or(2, |n| n.parse().expect("OBSERVER_STALL_SECONDS is a number of seconds"))
}

/// What the process has taken for itself, bytes (proc(5), RssAnon).
fn anonymous_bytes(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

#[test]
fn receivers_that_stall_disturb_neither_the_capture_nor_the_file_beside_them() {
    if !can_run("stalls::all", &["nginx", "wrk"]) {
        return;
    }
    let near = Namespace::new();
    let nginx = Nginx::start(&near, 18234);
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let tcp = near.inside(|| TcpListener::bind("127.0.0.1:18997").unwrap());
    let syslog = near.inside(|| TcpListener::bind("127.0.0.1:18998").unwrap());
    let unix = UnixListener::bind(path("unix")).unwrap();
    let _datagram = UnixDatagram::bind(path("datagram")).unwrap();
    let sink = |kind: &str, name: &str, to: &str| {
        format!("[[sinks]]\ntype = '{kind}'\nname = '{name}'\n{to}\nqueue_bytes = 65536\n")
    };
    let config = configuration(&format!(
        "[capture]\nports = [18234]\n[output]\nfile = '{}'\n{}{}{}{}",
        path("events").display(),
        sink("tcp", "tcp", "address = '127.0.0.1:18997'"),
        sink("unix", "unix", &format!("path = '{}'", path("unix").display())),
        sink("unix_datagram", "datagram", &format!("path = '{}'", path("datagram").display())),
        sink("syslog", "syslog", "address = 'tcp://127.0.0.1:18998'"),
    ));
    let config = config.path().display().to_string();
    let observer = Observer::start(&near, &["run", "--no-socket", "--config", &config]);
    let route = Route { client: &near, host: "127.0.0.1", port: nginx.port };
    let (load, _streams) = std::thread::scope(|scope| {
        let load = scope.spawn(|| wrk(&route, 8, n_seconds() + 1, PACED));
        // Accepted, and never read from.
        let streams = (tcp.accept().unwrap(), syslog.accept().unwrap(), unix.accept().unwrap());
        (load.join().unwrap(), streams)
    });
    let held = anonymous_bytes(observer.pid());
    let n_lines = || fs::read_to_string(path("events")).unwrap_or_default().lines().count() as u64;
    until("every exchange in the file", LONG, || (n_lines() > load.requests).then_some(()));
    observer.end(libc::SIGTERM);

    let text = fs::read_to_string(path("events")).unwrap();
    assert!(text.ends_with('\n'));
    let events: Vec<_> = text.lines().map(Event::parse).collect();
    let stats = events.last().unwrap();
    let account = Account::of(stats);
    account.assert_balanced();
    println!("{} s, wrk {}, {held} bytes held, {}", n_seconds(), load.requests, stats.0);
    assert_eq!(account.lost, 0, "{account:?}");
    let whole =
        |event: &&Event| event.name() == "http.exchange" && event.text("/obs/state") == "complete";
    let n_whole = events.iter().filter(whole).count() as u64;
    assert!((load.requests..=load.requests + 8).contains(&n_whole), "{n_whole} {load:?}");
    let sinks = stats.0.pointer("/obs/stats/sinks").and_then(|sinks| sinks.as_array()).unwrap();
    for name in NAMES {
        let sink = sinks.iter().find(|sink| sink["name"] == name).unwrap();
        let get = |key: &str| sink.get(key).and_then(serde_json::Value::as_u64).unwrap_or(0);
        assert_eq!(get("offered"), stats.number("/obs/stats/events"), "{sink}");
        assert_eq!(get("offered"), get("events") + get("lost") + get("waiting"), "{sink}");
        assert!(get("lost") > 0, "{name} kept up: {sink}");
    }
    // Four queues of 64 KiB, and what a build that is not optimised takes for itself.
    assert!(held < 64 << 20, "{held} bytes");
}
