//! `observer doctor` on hosts that were made so that there is something to find.

use std::os::unix::process::CommandExt as _;
use std::process::Output;

use serde_json::Value;

use crate::harness::can_run;
use crate::harness::client::{Route, curl};
use crate::harness::foreign::{Counter, FILTER_NAME, NAME, Way};
use crate::harness::namespace::Namespace;
use crate::harness::observer::{BINARY, Observer};
use crate::harness::server::Nginx;
use crate::privileges::binary_for_all;

/// Runs it in the namespace and takes its findings.
#[track_caller]
fn examine(namespace: &Namespace) -> (Output, Value) {
    let mut command = namespace.command(BINARY);
    let output = command.args(["doctor", "--json", "--socket", "/nonexistent"]).output().unwrap();
    let report = serde_json::from_slice(&output.stdout).unwrap();
    (output, report)
}

/// The finding of a check: its state and message.
#[track_caller]
fn finding<'a>(report: &'a Value, check: &str) -> (&'a str, &'a str) {
    let findings = report["findings"].as_array().unwrap();
    let found = findings.iter().find(|finding| finding["check"] == check);
    let found = found.unwrap_or_else(|| panic!("no {check} in {report}"));
    (found["state"].as_str().unwrap(), found["message"].as_str().unwrap())
}

#[test]
fn foreign_programs_are_named_with_the_order_in_which_they_see_a_packet() {
    if !can_run("doctor::foreign", &["tc"]) {
        return;
    }
    let (near, far) = (Namespace::new(), Namespace::new());
    near.connect(&far, "doc0");
    near.connect(&far, "doc1");
    let tcx = match examine(&near).1 {
        report if finding(&report, "tc").1.starts_with("TCX") => {
            Some(Counter::attach(&near, "doc0", Way::Tcx))
        }
        _ => None,
    };
    let _clsact = Counter::attach(&near, "doc1", Way::Clsact);
    let (output, report) = examine(&near);
    assert_eq!(output.status.code(), Some(0), "{report}");
    for check in ["kernel", "capabilities", "programs", "tc", "ring memory", "daemon"] {
        assert_eq!(finding(&report, check).0, "good", "{report}");
    }
    assert_eq!(finding(&report, "interface lo"), ("good", "nobody else at tc"));
    let before = |who| format!("ingress: {who}; observer will go before");
    if tcx.is_some() {
        let want = before(format!("{NAME} (tcx)"));
        assert_eq!(finding(&report, "interface doc0"), ("good", want.as_str()));
    }
    // tc shows the name that a filter was given, which need not be its program's.
    let want = before(format!("{FILTER_NAME} (filter)"));
    assert_eq!(finding(&report, "interface doc1"), ("good", want.as_str()));

    let observer = Observer::start(&near, &["run", "--no-socket"]);
    let (_, report) = examine(&near);
    for device in ["interface doc0", "interface doc1"] {
        let (state, message) = finding(&report, device);
        assert_eq!(state, "good", "{message}");
        if device == "interface doc1" || tcx.is_some() {
            let ours = message.find("observer's observe_ingress").expect(message);
            assert!(ours < message.find(FILTER_NAME).expect(message), "{message}");
        }
    }
    if tcx.is_some() {
        // Whoever goes to the head after us is before us.
        let _first = Counter::attach(&near, "doc0", Way::TcxFirst);
        let (output, report) = examine(&near);
        let (state, message) = finding(&report, "interface doc0");
        assert_eq!(state, "warning");
        let want = format!("{NAME} comes before observer at ingress and may hide packets; ");
        assert!(message.starts_with(&want), "{message}");
        assert_eq!(output.status.code(), Some(0), "a warning is no failure");
    }
    observer.end(libc::SIGTERM);
}

#[test]
fn beside_a_program_that_ends_the_chain_nothing_is_missed() {
    if !can_run("doctor::ends", &["nginx", "curl"]) {
        return;
    }
    let (near, far) = (Namespace::new(), Namespace::new());
    near.connect(&far, "doc2");
    if !finding(&examine(&near).1, "tc").1.starts_with("TCX") {
        return;
    }
    let nginx = Nginx::start(&near, 18238);
    let foreign = Counter::attach(&near, "doc2", Way::TcxEnds);
    let mut observer = Observer::start(&near, &["run", "--no-socket", "-i", "doc2"]);
    let route = Route { client: &far, host: "10.77.0.1", port: nginx.port };
    curl(&route, &[], &["/path/ends"]);
    let event = &observer.take(1)[0];
    assert_eq!(event.text("/url/path"), "/path/ends");
    assert_eq!(event.text("/obs/capture/backend"), "tc");
    assert!(foreign.count() > 0, "the foreign program has seen nothing");
    observer.end(libc::SIGTERM);
    let (_, report) = examine(&near);
    let want = format!("ingress: {NAME} (tcx); observer will go before");
    assert_eq!(finding(&report, "interface doc2"), ("good", want.as_str()), "only ours has gone");
}

#[test]
fn servers_with_a_tls_library_are_named() {
    if !can_run("doctor::servers", &["nginx"]) {
        return;
    }
    let near = Namespace::new();
    let nginx = Nginx::start(&near, 18235);
    let (_, report) = examine(&near);
    let (state, message) = finding(&report, "tls");
    assert_eq!(state, "good");
    let want = format!("nginx on :{} uses OpenSSL (libssl.so.", nginx.port);
    assert!(message.starts_with(&want), "{message}");
}

#[test]
fn a_host_that_cannot_capture_is_an_exit_of_one() {
    if !can_run("doctor::nobody", &["setpriv", "nginx"]) {
        return;
    }
    let near = Namespace::new();
    // Root's processes may not be looked into by nobody: no finding, and no failure either.
    let _nginx = Nginx::start(&near, 18234);
    let (_folder, binary) = binary_for_all();
    let mut command = near.command("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
    command.arg(&binary).args(["doctor", "--socket", "/nonexistent"]);
    let output = command.env_remove("NO_COLOR").current_dir("/").arg0("setpriv").output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(output.stderr.is_empty(), "{:?}", String::from_utf8_lossy(&output.stderr));
    let line =
        text.lines().find(|line| line.starts_with("bad ")).unwrap_or_else(|| panic!("{text}"));
    let words: Vec<_> = line.split_whitespace().collect();
    let missing = "CAP_BPF and CAP_PERFMON and CAP_NET_ADMIN missing";
    assert_eq!(words[..2].join(" ") + " " + missing, words.join(" "));
    let remedy = text.lines().skip_while(|other| *other != line).nth(1).unwrap_or_default();
    assert!(remedy.trim_start().starts_with("→ run as root"), "{remedy}");
}
