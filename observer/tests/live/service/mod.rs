//! The .deb in a booted systemd, from its installation to its purge: ready when it is, told by its
//! group alone, reloaded, killed, stuck, stopped, upgraded, gone; hardened as it says.

mod netns;
mod package;

use serde_json::Value;

use crate::harness::can_run;
use crate::harness::machine::{Machine, packages, root};
use crate::harness::wait::{LONG, until};

const CONFIG: &str = "
[stats]
interval = '200ms'
[[sinks]]
type = 'file'
path = '/var/log/observer/events.ndjson'
[[sinks]]
type = 'journald'
";

/// The events in the file, of which every line is whole.
fn events(machine: &Machine) -> Vec<Value> {
    let text = machine.run("cat /var/log/observer/events.ndjson");
    let parse = |line| serde_json::from_str(line).unwrap_or_else(|err| panic!("{err}: {line}"));
    text.lines().map(parse).collect()
}

fn exchanges(machine: &Machine, path: &str) -> usize {
    let is_it = |event: &&Value| event.pointer("/url/path").is_some_and(|found| found == path);
    events(machine).iter().filter(is_it).count()
}

#[track_caller]
fn fetch(machine: &Machine, path: &str) {
    machine.run(&format!("curl -s -o /dev/null --noproxy '*' http://127.0.0.1:8080{path}"));
    until(path, LONG, || (exchanges(machine, path) == 1).then_some(()));
}

/// Boots a machine, where one can be booted here.
fn machine(name: &str) -> Option<Machine> {
    let programs = ["systemd-nspawn", "nsenter", "cargo-deb", "cargo-generate-rpm"];
    if !can_run(name, &programs) {
        return None;
    }
    let Some(root) = root() else {
        // Says it, or fails when it must not be left out.
        can_run(name, &["a root file system to boot"]);
        return None;
    };
    Some(Machine::boot(&root, packages()))
}

#[test]
fn the_service_lives_in_a_booted_systemd() {
    let Some(machine) = machine("service") else { return };
    machine.run("useradd friend && useradd stranger");
    let before = package::Remains::of(&machine);

    package::it_is_installed_and_not_started(&machine);
    machine.run("usermod -a -G observer friend");
    machine.write("/etc/observer/observer.toml", CONFIG);
    // Not thirty seconds, for the sake of those who wait.
    machine.write("/run/systemd/system/observer.service.d/test.conf", "[Service]\nWatchdogSec=3s");
    machine.run("systemctl daemon-reload && systemctl enable --now observer");
    machine.serve(8080);

    it_is_ready_and_tells_its_group_alone(&machine);
    it_has_given_up_what_it_does_not_need(&machine);
    it_reloads(&machine);
    it_comes_back_when_it_is_killed(&machine);
    it_is_ended_when_its_work_loop_is_stuck(&machine);
    it_is_hardened(&machine);
    it_stops(&machine);
    package::an_upgrade_keeps_the_configuration_and_goes_on(&machine);
    package::a_purge_leaves_nothing(&machine, &before);
    machine.power_off();
}

fn it_is_ready_and_tells_its_group_alone(machine: &Machine) {
    // `systemctl start` has waited for READY=1; what comes now is seen.
    fetch(machine, "/first");
    let tail = "timeout 20 observer tail -n 1 -f ndjson --for 10s & sleep 1; \
                curl -s -o /dev/null http://127.0.0.1:8080/tailed; wait $!";
    let said = machine.run(&format!("su friend -s /bin/sh -c '{tail}'"));
    assert!(said.contains("\"path\":\"/tailed\""), "{said}");
    let (_, said) = machine.try_run("su stranger -s /bin/sh -c 'observer tail -n 1'");
    assert!(said.contains("Permission denied"), "{said}");
    let modes = machine.run(
        "stat -c '%U:%G %a' /run/observer/observer.sock /var/log/observer \
         /var/log/observer/events.ndjson",
    );
    assert_eq!(
        modes.lines().collect::<Vec<_>>(),
        ["observer:observer 660", "observer:observer 750", "observer:observer 640"]
    );
    let entry = "journalctl -q -o cat OBSERVER_EVENT=http.exchange | grep -c '\"path\":\"/first\"'";
    until("the event in the journal", LONG, || {
        (machine.try_run(entry).1.trim() == "1").then_some(())
    });
    until("a status line", LONG, || {
        let status = machine.run("systemctl show -P StatusText observer");
        status.contains(" exchanges/s, ").then_some(())
    });
}

fn it_has_given_up_what_it_does_not_need(machine: &Machine) {
    let pid = machine.daemon();
    let status =
        |tid: u64| std::fs::read_to_string(format!("/proc/{pid}/task/{tid}/status")).unwrap();
    let field = |tid, name: &str| {
        let status = status(tid);
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().to_owned()
    };
    for entry in std::fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten() {
        let tid: u64 = entry.file_name().to_str().unwrap().parse().unwrap();
        let name = field(tid, "Name:");
        // The capture thread attaches to interfaces that come later: NET_ADMIN and NET_RAW.
        let want = if tid == u64::from(pid) { "0000000000003000" } else { "0000000000000000" };
        for set in ["CapInh:", "CapPrm:", "CapEff:", "CapAmb:"] {
            assert_eq!(field(tid, set), want, "{name} {set}");
        }
        assert_eq!(field(tid, "NoNewPrivs:"), "1", "{name}");
        assert_eq!(field(tid, "Seccomp:"), "2", "{name}");
    }
}

fn it_reloads(machine: &Machine) {
    let pid = machine.daemon();
    machine.write("/etc/observer/observer.toml", &format!("[http]\nheaders = true\n{CONFIG}"));
    machine.run("systemctl reload observer");
    until("the word", LONG, || {
        machine.journal().contains("reloaded: [http] headers is true").then_some(())
    });
    assert_eq!(machine.daemon(), pid);
    fetch(machine, "/reloaded");
    let shown = events(machine).into_iter().any(|event| {
        event.pointer("/http/request/header/host").is_some()
            && event.pointer("/url/path").is_some_and(|path| path == "/reloaded")
    });
    assert!(shown, "no header fields after the reload");
}

fn it_comes_back_when_it_is_killed(machine: &Machine) {
    // Events come thick while it dies: the last may be half written.
    let url = "http://127.0.0.1:8080/load/[1-3000]";
    machine.run(&format!("(curl -s -o /dev/null '{url}' || true) > /dev/null 2>&1 &"));
    until("events", LONG, || {
        let count = "grep -c /load/ /var/log/observer/events.ndjson";
        machine.try_run(count).1.trim().parse::<u32>().is_ok_and(|n| n > 50).then_some(())
    });
    let pid = machine.daemon();
    machine.run("systemctl kill -s KILL --kill-who=main observer");
    until("another process", LONG, || {
        let active = machine.try_run("systemctl is-active observer").1.trim() == "active";
        (active && machine.find_daemon().is_some_and(|now| now != pid)).then_some(())
    });
    // Each line of the file is whole, those from before and those from after.
    fetch(machine, "/after-kill");
}

fn it_is_ended_when_its_work_loop_is_stuck(machine: &Machine) {
    let pid = machine.daemon().cast_signed();
    // Only its first thread stops; every other one goes on.
    for request in [libc::PTRACE_SEIZE, libc::PTRACE_INTERRUPT] {
        // SAFETY: neither request takes a pointer.
        let result = unsafe { libc::ptrace(request, pid, 0, 0) };
        assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
    }
    // Whoever traces a process hears of its end first.
    until("its end", LONG, || {
        let mut status = 0;
        // SAFETY: the pointer is valid for the call.
        let waited = unsafe { libc::waitpid(pid, &raw mut status, libc::WNOHANG | libc::__WALL) };
        (waited == pid && libc::WIFSIGNALED(status) || waited < 0).then_some(())
    });
    until("the word of systemd", LONG, || {
        let log = machine.run("journalctl --no-pager -q -o cat _PID=1");
        log.contains("observer.service: Watchdog timeout").then_some(())
    });
    until("another process", LONG, || {
        (machine.try_run("systemctl is-active observer").1.trim() == "active").then_some(())
    });
    fetch(machine, "/after-watchdog");
}

fn it_is_hardened(machine: &Machine) {
    let said = machine.run("systemd-analyze security --no-pager observer | tail -1");
    let exposure = said.split_whitespace().find_map(|word| word.parse::<f64>().ok());
    println!("{}", said.trim());
    assert!(exposure.is_some_and(|exposure| exposure <= 2.0), "{said}");
}

fn it_stops(machine: &Machine) {
    let before = machine.journal().lines().count();
    machine.run("systemctl stop observer");
    let state = machine.run("systemctl show -P Result observer");
    assert_eq!(state.trim(), "success");
    let journal = machine.journal();
    let last: Vec<_> = journal.lines().skip(before).collect();
    let has = |text: &str| last.iter().any(|line| line.contains(text));
    assert!(has("events written, 0 lost") && has(" + 0 lost"), "{last:#?}");
    // Whole lines to the end, and the account last.
    let events = events(machine);
    assert_eq!(events.last().unwrap().pointer("/event/name").unwrap(), "observer.stats");
    assert!(!machine.try_run("test -e /run/observer").0, "the socket's directory is still there");
}
