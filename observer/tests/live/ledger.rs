//! The account from the wire to each receiver, under deliberate overload at every stage: a ring and
//! a flow table that are too small, a receiver that stalls, a disk that fills up, a clock that is
//! set. Whatever happens, it adds up to the unit.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::harness::can_run;
use crate::harness::client::{Route, curl, wrk};
use crate::harness::event::{Account, Event};
use crate::harness::namespace::Namespace;
use crate::harness::observer::{BINARY, Observer, configuration};
use crate::harness::server::Nginx;
use crate::harness::wait::{LONG, until};

/// The events of a file, of which each line is whole.
fn events(text: &str) -> Vec<Event> {
    assert!(text.is_empty() || text.ends_with('\n'), "the last line is cut");
    text.lines().map(Event::parse).collect()
}

/// What statistics say of the sink whose name ends so.
#[track_caller]
fn sink(stats: &Event, name: &str, key: &str) -> u64 {
    let sinks = stats.0.pointer("/obs/stats/sinks").and_then(|sinks| sinks.as_array()).unwrap();
    let sink = sinks.iter().find(|sink| sink["name"].as_str().unwrap().ends_with(name)).unwrap();
    sink.get(key).and_then(serde_json::Value::as_u64).unwrap_or(0)
}

/// Every stage hands on to the next exactly what it did not lose.
#[track_caller]
fn assert_whole(stats: &Event, names: &[&str]) {
    let account = Account::of(stats);
    account.assert_balanced();
    let undecodable = stats.number("/obs/stats/capture/undecodable");
    assert_eq!(account.records, account.segments + undecodable, "{}", stats.0);
    for name in names {
        let get = |key| sink(stats, name, key);
        assert_eq!(get("offered"), stats.number("/obs/stats/events"), "{name}: {}", stats.0);
        let fates = get("events") + get("lost") + get("waiting");
        assert_eq!(get("offered") + get("recovered"), fates, "{name}: {}", stats.0);
    }
}

#[test]
fn the_account_is_whole_with_every_stage_overloaded_at_once() {
    overload("ledger::overload", 1);
}

#[test]
fn the_account_is_whole_with_four_overloaded_rings() {
    overload("ledger::four_rings", 4);
}

fn overload(name: &str, rings: u32) {
    if !can_run(name, &["nginx", "wrk"]) {
        return;
    }
    let near = Namespace::new();
    let nginx = Nginx::start(&near, 18234);
    let listener = near.inside(|| TcpListener::bind("127.0.0.1:18999").unwrap());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("events");
    let config = configuration(&format!(
        "[capture]\nring_bytes = 65536\nrings = {rings}\nports = [18234]\n[engine]\nmax_flows = 16\n\
         [output]\nfile = '{}'\n[[sinks]]\nname = 'stalled'\ntype = 'tcp'\n\
         address = '127.0.0.1:18999'\nqueue_bytes = 65536\n",
        file.display()
    ));
    let config = config.path().display().to_string();
    let mut observer = Observer::start(&near, &["run", "--no-socket", "--config", &config]);
    let route = Route { client: &near, host: "127.0.0.1", port: nginx.port };
    let load = wrk(&route, 64, 2, PATHS);
    let _stalled = listener.accept().unwrap();
    // Traffic goes on while it ends.
    let end = std::thread::scope(|scope| {
        scope.spawn(|| wrk(&route, 8, 1, PATHS));
        until("traffic", LONG, || last(&file).is_some().then_some(()));
        observer.signal(libc::SIGTERM);
        observer.ended()
    });

    let text = fs::read_to_string(&file).unwrap();
    let events = events(&text);
    let stats = events.last().unwrap();
    assert_whole(stats, &["events", "stalled"]);
    let account = Account::of(stats);
    let evicted = stats.number("/obs/stats/engine/flows_evicted");
    println!("wrk {}, {account:?}, {evicted} evicted\n{}", load.requests, end.stderr.join("\n"));
    assert!(account.lost > 0, "a ring of 64 KiB held everything");
    assert!(evicted > 0, "16 flows were enough");
    assert!(sink(stats, "stalled", "lost") > 0, "a receiver that does not read kept up");
    // The file has every line that was made, and nothing was lost on the way to it.
    assert_eq!(events.len() as u64, stats.number("/obs/stats/events") + 1);
    assert_eq!(sink(stats, "events", "events"), events.len() as u64 - 1);
    // The summary comes after the last line and counts it in.
    let name = file.display();
    let said = format!("observer: {name}: {} events written, 0 lost", grouped(events.len()));
    assert!(end.stderr.contains(&said), "{said}: {:?}", end.stderr);
    // What still waited for the stalled receiver is lost by then, and counted.
    let stalled = end.stderr.iter().find_map(|line| line.strip_prefix("observer: stalled: "));
    let stalled = stalled.and_then(|line| line.split_once(" events written, "));
    let (written, lost) = stalled.unwrap_or_else(|| panic!("{:?}", end.stderr));
    let number = |text: &str| -> usize {
        text.chars().filter(char::is_ascii_digit).collect::<String>().parse().unwrap()
    };
    assert_eq!(number(written) + number(lost), events.len(), "{:?}", end.stderr);
}

#[test]
fn what_a_full_device_takes_nothing_of_is_all_lost_and_the_summary_says_so() {
    if !can_run("ledger::dev_full", &["nginx", "curl"]) {
        return;
    }
    let near = Namespace::new();
    let nginx = Nginx::start(&near, 18234);
    let mut observer = Observer::start(&near, &["run", "--no-socket", "-o", "/dev/full"]);
    let route = Route { client: &near, host: "127.0.0.1", port: nginx.port };
    curl(&route, &[], &["/path/a", "/path/b"]);
    observer.wait_for_message("cannot write to /dev/full: No space left on device");
    let end = observer.end(libc::SIGTERM);
    let said = "observer: /dev/full: 0 events written, 3 lost";
    assert!(end.stderr.iter().any(|line| line == said), "{:?}", end.stderr);
}

#[test]
fn a_disk_that_fills_up_and_a_kill_leave_no_half_line() {
    if !can_run("ledger::disk_full", &["nginx", "curl", "wrk", "unshare", "mount"]) {
        return;
    }
    let near = Namespace::new();
    let nginx = Nginx::start(&near, 18234);
    let route = Route { client: &near, host: "127.0.0.1", port: nginx.port };
    let folder = tempfile::tempdir().unwrap();
    // A disk of its own, in a mount namespace of its own: gone with the process.
    let script = "mount -t tmpfs -o size=256k tmpfs \"$1\" && cd \"$1\" && shift && exec \"$@\"";
    let disk = folder.path().display().to_string();
    let mut command = near.command("unshare");
    command.args(["-m", "--propagation", "private", "sh", "-c", script, "sh", &disk, BINARY]);
    command.args(["run", "--no-socket", "-p", "18234", "-o", "events", "--config"]);
    let config = configuration("[[sinks]]\ntype = 'file'\nname = 'beside'\npath = '/dev/null'\n");
    let mut observer = Observer::spawn(command.arg(config.path()));
    observer.wait_for_message("observer: watching ");
    let inside = PathBuf::from(format!("/proc/{}/root{disk}", observer.pid()));
    let file = inside.join("events");

    fs::write(inside.join("ballast"), vec![0; 128 << 10]).unwrap();
    wrk(&route, 4, 1, PATHS);
    observer.wait_for_message("cannot write to events: No space left on device");
    fs::remove_file(inside.join("ballast")).unwrap();
    observer.wait_for_message("writing to events works again");
    // Full again at once: killed with the disk full and, most likely, a line cut.
    observer.wait_for_message("cannot write to events: No space left on device");
    let before = fs::read(&file).unwrap();
    // The file system vanishes with the process, so what it left goes to where the next one starts.
    let left = folder.path().join("left");
    observer.signal(libc::SIGKILL);
    observer.wait();
    fs::write(&left, &before).unwrap();

    let left = left.display().to_string();
    let mut observer = Observer::start(&near, &["run", "--no-socket", "-o", &left]);
    if !before.ends_with(b"\n") {
        observer.wait_for_message("cut off half an event");
    }
    curl(&route, &[], &["/path/after"]);
    until("the event", LONG, || {
        let text = fs::read_to_string(&left).ok()?;
        text.contains("/path/after").then_some(())
    });
    observer.end(libc::SIGTERM);
    let events = events(&fs::read_to_string(&left).unwrap());
    assert_whole(events.last().unwrap(), &["left"]);
    let n_before = before.iter().filter(|byte| **byte == b'\n').count();
    assert!(n_before > 10 && events.len() > n_before, "{n_before} {}", events.len());
}

#[test]
fn setting_the_clock_times_nothing_out_and_changes_no_duration() {
    if !can_run("ledger::clock", &["nginx", "nc", "faketime"]) {
        return;
    }
    let near = Namespace::new();
    let nginx = Nginx::start(&near, 18234);
    let folder = tempfile::tempdir().unwrap();
    let clock = folder.path().join("clock");
    fs::write(&clock, "+0").unwrap();
    let library =
        format!("/usr/lib/{}-linux-gnu/faketime/libfaketime.so.1", std::env::consts::ARCH);
    let mut command = near.command(BINARY);
    command.env("LD_PRELOAD", library).env("FAKETIME_TIMESTAMP_FILE", &clock);
    command.env("FAKETIME_NO_CACHE", "1").env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    let config = configuration("");
    command.args(["run", "--no-socket", "-p", "18234", "--config"]).arg(config.path());
    let mut observer = Observer::spawn(&mut command);
    observer.wait_for_message("observer: watching ");

    // A request that is under way while the clock is set by a year and a half, both ways.
    let mut shifted = Vec::new();
    for jump in ["+560d", "-560d"] {
        use std::io::Write as _;
        let mut client = near.command("nc");
        client.args(["127.0.0.1", &nginx.port.to_string()]);
        let mut client = client.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let input = client.stdin.as_mut().unwrap();
        input
            .write_all(b"POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nab")
            .unwrap();
        observer
            .account("the request", |account| (account.flows > shifted.len() as u64).then_some(()));
        observer.settled();
        fs::write(&clock, jump).unwrap();
        // The clocks are compared once a turn of a second, and told by in the next; a turn may have begun before.
        std::thread::sleep(std::time::Duration::from_millis(2200));
        input.write_all(b"cd").unwrap();
        shifted.extend(observer.take(1));
        let _ = (client.kill(), client.wait());
        fs::write(&clock, "+0").unwrap();
    }
    for event in &shifted {
        assert_eq!(event.text("/obs/state"), "complete", "{}", event.0);
        assert_eq!(event.number("/http/response/status_code"), 200, "{}", event.0);
        let total = event.number("/obs/timing/total_ns");
        assert!(total < LONG.as_nanos() as u64, "{total}: {}", event.0);
    }
    let year = |event: &Event| event.text("/timestamp")[..4].parse::<i32>().unwrap();
    assert!(year(&shifted[0]) - year(&shifted[1]) >= 3, "told by the clock that was set");
    let end = observer.end(libc::SIGTERM);
    end.account.expect("statistics come last").assert_balanced();
}

/// The last statistics of a file, if it has any by now.
fn last(file: &Path) -> Option<crate::harness::event::Account> {
    crate::harness::event::last_account(file)
}

/// As the summary writes numbers.
fn grouped(n: usize) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(' ');
        }
        out.push(digit);
    }
    out
}

/// Neighbours on a connection have targets of different length.
const PATHS: &str = "
local n = 0
request = function()
  n = n + 1
  return wrk.format('GET', '/path/' .. string.rep('x', n % 211))
end
";
