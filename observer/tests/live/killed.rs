//! `kill -9`: what the daemon leaves behind in the kernel, and that nobody else is harmed by it.

use std::process::Command;

use aya::programs::{SchedClassifier, TcAttachType};
use observer::capture::live::{Backend, Capture, Interfaces, Options, TcAttach};

use crate::harness::can_run;
use crate::harness::client::{Route, curl};
use crate::harness::event::Exchange;
use crate::harness::foreign::{Counter, NAME, Way};
use crate::harness::namespace::Namespace;
use crate::harness::observer::{BACKENDS, Observer};
use crate::harness::process::Process;
use crate::harness::server::Nginx;
use crate::harness::wait::{LONG, until};

#[test]
fn nothing_of_a_killed_daemon_remains_and_others_work_on() {
    if !can_run("killed::nothing_remains", &["nginx", "curl", "bpftool"]) {
        return;
    }
    let near = Namespace::new();
    let nginx = Nginx::start(&near, 18234);
    let route = Route { client: &near, host: "127.0.0.1", port: nginx.port };
    let foreign = Counter::attach(&near, "lo", Way::Tcx);
    for backend in BACKENDS {
        let start = || Observer::start(&near, &["run", "--no-socket", "--backend", backend]);
        let (mut killed, mut other) = (start(), start());
        let programs = programs_of(killed.pid());
        assert!(!programs.is_empty() && programs.iter().all(|id| is_loaded(*id)), "{programs:?}");
        if backend == "tc" {
            let ours = "observe_egress";
            assert_eq!(chains(&near), [vec![NAME], vec![ours, ours]]);
        }
        curl(&route, &[], &["/path/before"]);
        killed.take(1);
        other.take(1);

        killed.signal(libc::SIGKILL);
        killed.wait();
        // The kernel frees programs when the last reader of them is done.
        until("the programs to be gone", LONG, || {
            programs.iter().all(|id| !is_loaded(*id)).then_some(())
        });
        let count = foreign.count();
        curl(&route, &[], &["/path/after"]);
        let events: Vec<_> = other.take(1).iter().map(Exchange::of).collect();
        assert_eq!((events.len(), events[0].target.as_str()), (1, "/path/after"));
        assert!(foreign.count() > count, "the foreign program counts no more");
        other.end(libc::SIGTERM);

        // The foreign program, and nothing of ours.
        assert_eq!(chains(&near), [vec![NAME], vec![]], "through {backend}");
        let qdiscs = text(near.command("tc").args(["qdisc", "show"]));
        assert!(!qdiscs.contains("clsact"), "{qdiscs}");
        let sockets = text(near.command("cat").arg("/proc/net/packet"));
        assert_eq!(sockets.lines().count(), 1, "only the heading: {sockets}");
    }
}

#[test]
fn the_next_start_clears_away_what_a_killed_one_left_in_a_clsact_qdisc() {
    if !can_run("killed::clsact", &["nginx", "curl", "tc"]) {
        return;
    }
    // A qdisc of our own making goes; one that somebody else uses stays, with the foreign filter.
    for has_foreign in [false, true] {
        let near = Namespace::new();
        let nginx = Nginx::start(&near, 18234);
        let route = Route { client: &near, host: "127.0.0.1", port: nginx.port };
        let foreign = has_foreign.then(|| Counter::attach(&near, "lo", Way::Clsact));

        let mut command = near.command(std::env::current_exe().unwrap().to_str().unwrap());
        command.args(["--exact", "killed::victim", "--nocapture"]).env(VICTIM, "1");
        let mut victim = Process::start(&mut command);
        victim.wait_for_message("victim: attached");
        let left = filters(&near);
        assert!(left.contains("observe_egress"), "{left}");
        victim.signal(libc::SIGKILL);
        victim.wait();
        // Filters are the qdisc's: they outlive the process that made them.
        let left = filters(&near);
        assert!(left.contains("observe_egress"), "{left}");

        let mut next = Observer::start(&near, &["run", "--no-socket"]);
        let rest = filters(&near);
        assert!(!rest.contains("observe_"), "{rest}");
        let qdiscs = text(near.command("tc").args(["qdisc", "show", "dev", "lo"]));
        assert_eq!(qdiscs.contains("clsact"), has_foreign, "{qdiscs}");
        let count = foreign.as_ref().map(Counter::count);
        curl(&route, &[], &["/path/next"]);
        assert_eq!(next.take(1).len(), 1);
        assert!(!has_foreign || foreign.as_ref().map(Counter::count) > count);
        next.end(libc::SIGTERM);
        assert_eq!(filters(&near).contains("foreign"), has_foreign);
    }
}

/// Not a test by itself: the process that the test above kills. It captures through clsact, which
/// the binary does only where the kernel has no TCX.
#[test]
fn victim() {
    if std::env::var_os(VICTIM).is_none() {
        return;
    }
    let mut capture = Capture::start(&Options {
        interfaces: Interfaces::Any,
        backend: Backend::Tc,
        tc_attach: TcAttach::Clsact,
        ..Options::default()
    })
    .unwrap();
    eprintln!("victim: attached");
    loop {
        capture.poll(LONG, |_| {}).unwrap();
    }
}

/// Names of the programs in the TCX chains of the loopback device, on the way in and out.
fn chains(namespace: &Namespace) -> [Vec<String>; 2] {
    namespace.inside(|| {
        [TcAttachType::Ingress, TcAttachType::Egress].map(|hook| {
            let (_, programs) = SchedClassifier::query_tcx("lo", hook).unwrap();
            programs.iter().map(|program| program.name_as_str().unwrap().to_owned()).collect()
        })
    })
}

/// Filters on both hooks of the loopback device, as tc shows them.
fn filters(namespace: &Namespace) -> String {
    let show = |hook| text(namespace.command("tc").args(["filter", "show", "dev", "lo", hook]));
    show("ingress") + &show("egress")
}

/// Ids of the programs that a process holds.
fn programs_of(pid: u32) -> Vec<u32> {
    let entries = std::fs::read_dir(format!("/proc/{pid}/fdinfo")).unwrap().flatten();
    let infos = entries.filter_map(|entry| std::fs::read_to_string(entry.path()).ok());
    let id = |info: String| {
        let id = info.lines().find_map(|line| line.strip_prefix("prog_id:"))?;
        id.trim().parse().ok()
    };
    infos.filter_map(id).collect()
}

fn is_loaded(id: u32) -> bool {
    let mut command = Command::new("bpftool");
    command.args(["prog", "show", "id", &id.to_string()]).output().unwrap().status.success()
}

#[track_caller]
fn text(command: &mut Command) -> String {
    let output = command.output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

const VICTIM: &str = "OBSERVER_TEST_VICTIM";
