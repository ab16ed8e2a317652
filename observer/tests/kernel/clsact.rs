//! What a capture leaves behind: nothing, whether it ends or is killed; and what it leaves alone:
//! everything that is not its own.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use aya::programs::{ProgramInfo, SchedClassifier, TcAttachType};
use observer::capture::live::{Backend, Capture, Options, TcAttach};
use observer_common::config::TC_EGRESS;

use crate::needs::{command, namespace, namespace_with_tcx, output};

fn options(tc_attach: TcAttach) -> Options {
    Options { backend: Backend::Tc, tc_attach, ..Options::default() }
}

fn filters() -> String {
    output("tc", "filter show dev lo egress")
}

fn has_clsact() -> bool {
    output("tc", "qdisc show dev lo").contains("clsact")
}

/// A classic BPF filter that matches nothing.
fn add_foreign_filter() {
    let arguments = "filter add dev lo egress prio 7 protocol ip bpf bytecode";
    let mut tc = Command::new("tc");
    tc.args(arguments.split_whitespace()).arg("1,6 0 0 0");
    assert!(tc.status().unwrap().success());
}

/// Names of the programs at the TCX hook, in the order in which they run.
fn tcx() -> Vec<String> {
    let (_, programs) = SchedClassifier::query_tcx("lo", TcAttachType::Egress).unwrap();
    programs.iter().filter_map(ProgramInfo::name_as_str).map(str::to_owned).collect()
}

/// The kernel keeps 15 bytes of a name.
fn ours() -> &'static str {
    &TC_EGRESS[..TC_EGRESS.len().min(15)]
}

#[test]
fn clsact_is_gone_with_the_capture() {
    if !namespace() {
        return;
    }
    let capture = Capture::start(&options(TcAttach::Clsact)).unwrap();
    assert!(has_clsact());
    assert!(filters().contains(TC_EGRESS));
    drop(capture);
    assert!(!has_clsact());
}

#[test]
fn filters_and_qdiscs_of_others_stay() {
    if !namespace() {
        return;
    }
    assert!(command("tc", "qdisc add dev lo clsact"));
    let before = filters();
    drop(Capture::start(&options(TcAttach::Clsact)).unwrap());
    assert!(has_clsact());
    add_foreign_filter();
    let capture = Capture::start(&options(TcAttach::Clsact)).unwrap();
    assert!(filters().contains("bytecode") && filters().contains(TC_EGRESS));
    drop(capture);
    assert!(filters().contains("bytecode") && !filters().contains(TC_EGRESS));
    assert!(before.is_empty());
}

#[test]
fn a_second_capture_on_clsact_does_not_disturb_the_first() {
    if !namespace() {
        return;
    }
    let first = Capture::start(&options(TcAttach::Clsact)).unwrap();
    let second = Capture::start(&options(TcAttach::Clsact)).unwrap();
    assert_eq!(filters().matches("direct-action").count(), 2);
    drop(second);
    assert_eq!(filters().matches("direct-action").count(), 1);
    drop(first);
    assert!(!has_clsact());
}

#[test]
fn with_tcx_we_are_first_and_others_stay() {
    if !namespace_with_tcx() {
        return;
    }
    let other = Capture::start(&options(TcAttach::Tcx)).unwrap();
    let [theirs] = &ids()[..] else { panic!("one program") };
    let capture = Capture::start(&options(TcAttach::Tcx)).unwrap();
    let both = ids();
    assert_eq!(both.len(), 2);
    assert_eq!(&both[1], theirs, "the later capture is at the head");
    drop(capture);
    eventually(ids, &[*theirs]);
    drop(other);
    eventually(ids, &[]);
}

/// Waits until `state` is as expected. A link goes with the last descriptor of it, and a test that
/// starts a process at this moment holds a copy of all descriptors until its exec.
#[track_caller]
fn eventually<T: PartialEq + std::fmt::Debug>(state: impl Fn() -> Vec<T>, expected: &[T]) {
    for _ in 0..200 {
        if state() == expected {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    assert_eq!(state(), expected);
}

fn ids() -> Vec<u32> {
    let (_, programs) = SchedClassifier::query_tcx("lo", TcAttachType::Egress).unwrap();
    programs.iter().map(ProgramInfo::id).collect()
}

#[test]
fn nothing_of_ours_survives_a_kill_on_tcx() {
    if !namespace_with_tcx() {
        return;
    }
    let victim = Victim::start("tcx");
    assert_eq!(tcx(), [ours()]);
    victim.kill();
    eventually(tcx, &[]);
    assert!(!has_clsact());
}

#[test]
fn the_next_start_clears_away_what_a_killed_one_left_on_clsact() {
    if !namespace() {
        return;
    }
    Victim::start("clsact").kill();
    assert!(filters().contains(TC_EGRESS), "a filter outlives its process");
    // Whatever way the next one attaches.
    drop(Capture::start(&options(TcAttach::Auto)).unwrap());
    assert!(!filters().contains(TC_EGRESS));
    assert!(!has_clsact(), "the killed run had made the qdisc");

    assert!(command("tc", "qdisc add dev lo clsact"));
    add_foreign_filter();
    Victim::start("clsact").kill();
    drop(Capture::start(&options(TcAttach::Clsact)).unwrap());
    assert!(filters().contains("bytecode") && !filters().contains(TC_EGRESS));
}

/// A capture in a process of its own, in this network namespace.
struct Victim(Child);

impl Victim {
    fn start(way: &str) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "clsact::victim", "--nocapture"])
            .env(VICTIM, way)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let ready = lines.map_while(Result::ok).any(|line| line.contains(READY));
        assert!(ready, "the victim did not start");
        Self(child)
    }

    fn kill(mut self) {
        // SIGKILL, which leaves no time to tidy up.
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// The other process: a test that does nothing unless it is asked to.
#[test]
fn victim() {
    let Ok(way) = std::env::var(VICTIM) else { return };
    let way = if way == "tcx" { TcAttach::Tcx } else { TcAttach::Clsact };
    let _capture = Capture::start(&options(way)).unwrap();
    println!("{READY}");
    loop {
        std::thread::park();
    }
}

const VICTIM: &str = "OBSERVER_TEST_VICTIM";
const READY: &str = "victim is ready";
