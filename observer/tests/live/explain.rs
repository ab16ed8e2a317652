//! `observer explain` beside a daemon and alone: a flow that is told, one that a filter leaves out,
//! one that is refused, one that is no HTTP, and none at all.

use std::io::Write as _;
use std::net::TcpListener;
use std::process::Output;

use serde_json::Value;

use crate::harness::can_run;
use crate::harness::namespace::Namespace;
use crate::harness::observer::{BINARY, Observer};
use crate::harness::server::Nginx;
use crate::recipe::blocks;

const RECIPE: &str = include_str!("../../../docs/recipes/why-a-flow-is-not-seen.md");

#[track_caller]
fn explain(near: &Namespace, args: &[&str]) -> Output {
    let mut command = near.command(BINARY);
    command.arg("explain").args(args).args(["--color", "never"]).output().unwrap()
}

/// Every finding as its check and state, with the first that has this check.
#[track_caller]
fn finding(output: &Output, check: &str) -> (String, String) {
    let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|err| {
        panic!("{err}: {output:?}");
    });
    let findings = report["findings"].as_array().unwrap();
    let found = findings.iter().find(|it| it["check"] == check);
    let found = found.unwrap_or_else(|| panic!("no {check}: {report:#}"));
    let text = |key: &str| found[key].as_str().unwrap().to_owned();
    (text("state"), text("message"))
}

#[test]
fn a_filter_that_leaves_a_flow_out_is_named_as_the_recipe_shows() {
    if !can_run("explain::recipe", &["nginx"]) {
        return;
    }
    let near = Namespace::new();
    let _nginx = Nginx::start(&near, 8080);
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("s").display().to_string();
    let args = ["run", "--socket", &socket, "-p", "80,443"];
    let daemon = Observer::start(&near, &args);
    let command = blocks(RECIPE, "console").remove(0);
    let command = command.trim().strip_prefix("$ sudo observer explain ").unwrap().to_owned();
    let args: Vec<_> = command.split(' ').chain(["--socket", &socket]).collect();
    let output = explain(&near, &args);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    // State and check of each line; versions and counts are not the same each time.
    let shape = |text: &str| {
        let line = |line: &str| line.chars().take(22).collect::<String>().trim_end().to_owned();
        text.lines().map(line).collect::<Vec<_>>()
    };
    let shown = String::from_utf8(output.stdout).unwrap();
    assert_eq!(shape(&shown), shape(&blocks(RECIPE, "observer")[0]), "{shown}");
    assert!(shown.contains("only ports 80, 443 are watched, not 8080"), "{shown}");
    daemon.end(libc::SIGTERM);

    let daemon = Observer::start(&near, &["run", "--socket", &socket]);
    let output = explain(&near, &["127.0.0.1:8080", "--probe", "--json", "--socket", &socket]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(finding(&output, "reported").0, "good");
    assert!(finding(&output, "engine").1.contains("HEAD / → 404 complete"), "{output:?}");
    daemon.end(libc::SIGTERM);
}

#[test]
fn what_is_refused_no_http_or_nowhere_says_so() {
    if !can_run("explain::alone", &[]) {
        return;
    }
    let near = Namespace::new();
    // No daemon that somebody may run on this machine.
    let alone = ["--json", "--socket", "/nonexistent/observer.sock"];
    let with = |more: &[&'static str]| [more, &alone].concat();

    let refused = explain(&near, &with(&["127.0.0.1:18777", "--probe", "--for", "2s"]));
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    assert!(finding(&refused, "connection").1.contains("refused"), "{refused:?}");

    let nowhere = explain(&near, &with(&["127.0.0.1:18777", "--for", "500ms"]));
    assert_eq!(nowhere.status.code(), Some(1), "{nowhere:?}");
    assert_eq!(finding(&nowhere, "packets").0, "bad");

    let listener = near.inside(|| TcpListener::bind("127.0.0.1:18778").unwrap());
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (mut stream, _) = listener.accept().unwrap();
            stream.write_all(b"SSH-2.0-\x1bthere\r\n").unwrap();
        });
        let other = explain(&near, &with(&["127.0.0.1:18778", "--probe", "--for", "2s"]));
        let report = String::from_utf8_lossy(&other.stdout).into_owned();
        assert!(report.contains("no HTTP"), "{report}");
        assert!(!report.contains('\u{1b}'), "{report}");
    });

    let usage = explain(&near, &["127.0.0.1"]);
    assert_eq!(usage.status.code(), Some(2), "{usage:?}");
}
