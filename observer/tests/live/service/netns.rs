//! The service with the word of its administrator for other network namespaces: one thread enters
//! them, and no other thread may.

use super::{CONFIG, exchanges, machine};
use crate::harness::machine::Machine;
use crate::harness::wait::{LONG, until};
use crate::netns::pair::Pair;

#[test]
fn the_service_enters_other_namespaces_when_it_is_allowed_to() {
    let Some(machine) = machine("service::netns") else { return };
    machine.run("dpkg -i /packages/observer_*.deb");
    machine.write("/etc/observer/observer.toml", &format!("[capture]\nnetns = ['all']\n{CONFIG}"));
    // Without the word it watches its own, and says what is missing.
    machine.run("ip netns add inner && ip -n inner link set lo up");
    machine.run("systemctl start observer");
    until("a warning", LONG, || {
        machine.journal().contains("not watching network namespace inner").then_some(())
    });
    let folder = "/etc/systemd/system/observer.service.d";
    machine.run(&format!("mkdir -p {folder} && cp /usr/share/doc/observer/netns.conf {folder}/"));
    machine.run("systemctl daemon-reload && systemctl restart observer");
    seen(&machine, "inner", "/there");
    // Mounted after the daemon has got its own view of the mounts.
    machine.run("ip netns add later && ip -n later link set lo up");
    seen(&machine, "later", "/later");
    only_one_thread_may_enter(&machine);
    machine.run("ip netns del inner && ip netns del later && systemctl stop observer");
    machine.power_off();
}

#[track_caller]
fn seen(machine: &Machine, name: &str, path: &str) {
    let namespace = machine.namespace(name);
    until(path, LONG, || {
        Pair::local(&namespace, 20_430, 18_430).exchange(path);
        (exchanges(machine, path) > 0).then_some(())
    });
}

fn only_one_thread_may_enter(machine: &Machine) {
    const CAP_SYS_ADMIN: u64 = 1 << 21;
    let pid = machine.daemon();
    let mut able = Vec::new();
    for entry in std::fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten() {
        let status = std::fs::read_to_string(entry.path().join("status")).unwrap();
        let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        let permitted = u64::from_str_radix(field("CapPrm:").trim(), 16).unwrap();
        if permitted & CAP_SYS_ADMIN != 0 {
            able.push(field("Name:").trim().to_owned());
        }
    }
    assert_eq!(able, ["observer-netns"]);
}
