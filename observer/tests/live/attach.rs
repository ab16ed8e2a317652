//! `observer tail` with a daemon and without one.

use crate::exchanges::CASES;
use crate::harness::can_run;
use crate::harness::client::{Route, curl};
use crate::harness::event::{Event, Exchange};
use crate::harness::namespace::Namespace;
use crate::harness::observer::{BACKENDS, BINARY, Observer};
use crate::harness::server::Nginx;
use crate::harness::wait::{LONG, until};

#[test]
fn an_attached_tail_shows_the_bytes_of_the_file() {
    if !can_run("attach::bytes", &["nginx", "curl", "nc"]) {
        return;
    }
    let near = Namespace::new();
    let nginx = Nginx::start(&near, 18234);
    let route = Route { client: &near, host: "127.0.0.1", port: nginx.port };
    let folder = tempfile::tempdir().unwrap();
    let [file, socket] =
        ["events", "socket"].map(|name| folder.path().join(name).display().to_string());
    let daemon = Observer::start(&near, &["run", "-o", &file, "--socket", &socket]);
    // The tail is in no namespace of the traffic: it does not capture.
    let mut command = std::process::Command::new(BINARY);
    let mut tail = Observer::spawn(command.args(["tail", "--socket", &socket, "-f", "ndjson"]));
    until("the tail to be attached", LONG, || {
        curl(&route, &[], &["/path/are-you-there"]);
        (!tail.stdout.get().is_empty()).then_some(())
    });
    let n_expected: usize = CASES.iter().map(|(_, case)| case(&route).len()).sum();
    until("the last event", LONG, || {
        let lines = tail.stdout.get();
        let of_cases = lines.iter().filter(|line| !line.contains("are-you-there"));
        (of_cases.count() >= n_expected).then_some(())
    });
    tail.signal(libc::SIGINT);
    let status = tail.wait();
    assert_eq!(status.code(), Some(0), "{:?}", tail.stderr.get());
    let shown = tail.stdout.get();
    daemon.end(libc::SIGTERM);

    let text = std::fs::read_to_string(&file).unwrap();
    let written: Vec<_> =
        text.split_terminator('\n').filter(|line| !line.contains("\"observer.stats\"")).collect();
    assert!(shown.len() > n_expected && shown.len() <= written.len());
    assert_eq!(shown, written[written.len() - shown.len()..]);
    assert!(!std::path::Path::new(&socket).exists(), "the daemon left its socket behind");
}

#[test]
fn a_tail_of_its_own_ends_after_its_count() {
    if !can_run("attach::alone", &["nginx", "curl"]) {
        return;
    }
    let near = Namespace::new();
    let nginx = Nginx::start(&near, 18234);
    let route = Route { client: &near, host: "[::1]", port: nginx.port };
    for backend in BACKENDS {
        let args = ["tail", "--no-daemon", "-n", "3", "-f", "ndjson", "--backend", backend];
        let mut tail = Observer::spawn(near.command(BINARY).args(args));
        // It says nothing until it has something to show.
        until("three events", LONG, || {
            curl(&route, &[], &["/path/tail"]);
            tail.has_ended()
        });
        let end = tail.ended();
        let targets: Vec<_> = end.events.iter().map(|event| Exchange::of(event).target).collect();
        assert_eq!(targets, ["/path/tail"; 3]);
        assert!(end.events.iter().all(is_valid), "{:?}", end.events);
        assert!(end.stderr[0].starts_with("observer: 3 exchanges shown in "), "{:?}", end.stderr);
        assert!(end.stderr[1].starts_with("observer: segments: "), "{:?}", end.stderr);
    }
}

fn is_valid(event: &Event) -> bool {
    event.number("/obs/schema") == 1 && event.text("/obs/state") == "complete"
}
