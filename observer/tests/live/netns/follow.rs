//! Namespaces and interfaces that come, change and go.

use crate::harness::can_run;
use crate::harness::event::Event;
use crate::harness::namespace::Namespace;
use crate::harness::process::Process;
use crate::harness::wait::{LONG, until};

use super::island::Island;
use super::pair::Pair;

const PROGRAMS: [&str; 2] = ["unshare", "nsenter"];

/// Exchanges on the namespace's loopback device until one is seen; says where, by the observer.
#[track_caller]
fn seen_on_loopback(island: &mut Island, namespace: &Namespace, path: &str) -> (String, u64) {
    let event = until("an exchange on a loopback device", LONG, || {
        // A flow that begins before the programs are there is not told.
        Pair::local(namespace, 20_410, 18_410).exchange(path);
        island.take(0).into_iter().find(|event| event.text("/url/path") == path)
    });
    assert_eq!(event.text("/obs/capture/interface"), "lo");
    let at = |key| format!("/obs/capture/netns/{key}");
    (event.text(&at("name")).to_owned(), event.number(&at("inode")))
}

#[test]
fn namespaces_are_followed_as_they_come_and_let_go_of_as_they_go() {
    if !can_run("netns::follow", &PROGRAMS) {
        return;
    }
    let mut island = Island::start(&["run", "--no-socket", "--netns", "all"]);
    let n_before = island.n_descriptors();
    for name in ["first", "second"] {
        island.run(&format!("ip netns add {name} && ip -n {name} link set lo up"));
        let namespace = island.namespace(name);
        let (told, _) = seen_on_loopback(&mut island, &namespace, &format!("/{name}"));
        assert_eq!(told, name);
        drop(namespace);
        island.run(&format!("ip netns del {name}"));
        island.has_let_go(n_before);
    }
    let end = island.end();
    assert!(end.stderr.iter().all(|line| !line.contains("warning")), "{:?}", end.stderr);
}

#[test]
fn a_namespace_that_only_a_process_keeps_goes_with_it() {
    if !can_run("netns::process", &PROGRAMS) {
        return;
    }
    let mut island = Island::start(&["run", "--no-socket", "--netns", "all"]);
    let n_before = island.n_descriptors();
    island.run("ip netns add box && ip -n box link set lo up");
    let mut keeper = Process::start(&mut island.command("ip netns exec box sleep 600"));
    until("the keeper to run", LONG, || {
        island.command("ip netns pids box | grep -q .").status().unwrap().success().then_some(())
    });
    let pid = "$(ip netns pids box | head -n 1)";
    island.run(&format!("echo {pid} > /run/keeper"));
    island.run("ip link add v0 type veth peer name e0 netns box && ip netns del box");
    {
        let path = "readlink /proc/$(cat /run/keeper)/ns/net";
        let inode = String::from_utf8(island.command(path).output().unwrap().stdout).unwrap();
        let inode = inode.trim().trim_start_matches("net:[").trim_end_matches(']');
        // What a container is to others: a process, and no name.
        let namespace = namespace_of(&island);
        let event = until("an exchange without a name", LONG, || {
            Pair::local(&namespace, 20_410, 18_410).exchange("/boxed");
            let events = island.take(0);
            events.into_iter().find(|it| it.0.pointer("/obs/capture/netns/name").is_none())
        });
        assert_eq!(event.number("/obs/capture/netns/inode").to_string(), inode);
    }
    island.run("kill $(cat /run/keeper)");
    keeper.wait();
    // The kernel takes the near end away when the last reference to the far end's namespace goes.
    until("the namespace to be freed", LONG, || {
        (!island.command("ip link show v0 2>&1").output().unwrap().status.success()).then_some(())
    });
    island.has_let_go(n_before);
    island.end();
}

/// That of the process in /run/keeper.
fn namespace_of(island: &Island) -> Namespace {
    let root = format!("/proc/{}/root", island.observer_pid());
    let keeper = std::fs::read_to_string(format!("{root}/run/keeper")).unwrap();
    Namespace::at(&format!("{root}/proc/{}/ns/net", keeper.trim()))
}

#[test]
fn an_interface_is_followed_under_another_name_and_into_another_namespace() {
    if !can_run("netns::moved", &PROGRAMS) {
        return;
    }
    // Only the far end of the pair, which is elsewhere.
    let mut island = Island::start(&["run", "--no-socket", "--netns", "all", "-i", "m*"]);
    let n_before = island.n_descriptors();
    island.run(
        "ip netns add red && ip netns add blue && ip link add h0 type veth peer name m0 netns red \
         && ip addr add 10.88.0.1/24 dev h0 && ip link set h0 up",
    );
    for (change, place, name) in [
        ("true", "red", "m0"),
        ("ip -n red link set m0 down && ip -n red link set m0 name m1", "red", "m1"),
        ("ip -n red link set m1 netns blue", "blue", "m1"),
    ] {
        island.run(change);
        let up = format!("ip -n {place} link set {name} up");
        let address = format!("ip -n {place} addr replace 10.88.0.2/24 dev {name}");
        island.run(&format!("{address} && {up}"));
        let (home, far) = (island.home(), island.namespace(place));
        until(&format!("an exchange at {name} in {place}"), LONG, || {
            Pair::new((&home, "10.88.0.1:20411"), (&far, "10.88.0.2:18411")).exchange("/far");
            let at = |key: &str| format!("/obs/capture/{key}");
            let is_there = |it: &Event| {
                it.text(&at("interface")) == name && it.text(&at("netns/name")) == place
            };
            // Those of the place before may still come.
            island.take(0).iter().any(is_there).then_some(())
        });
    }
    island.run("ip link del h0");
    island.run("ip netns del red && ip netns del blue");
    island.has_let_go(n_before);
    island.end();
}

#[test]
fn what_passes_both_ends_of_a_pair_is_told_once() {
    if !can_run("netns::once", &PROGRAMS) {
        return;
    }
    // By default the far end is left out; asked for by name both are watched.
    for interfaces in ["any", "lo,h0,m0"] {
        let mut island = Island::start(&["run", "--no-socket", "--netns", "all", "-i", interfaces]);
        island.run(
            "ip netns add red && ip -n red link set lo up \
             && ip link add h0 type veth peer name m0 netns red \
             && ip addr add 10.88.0.1/24 dev h0 && ip link set h0 up \
             && ip -n red addr add 10.88.0.2/24 dev m0 && ip -n red link set m0 up",
        );
        let (home, red) = (island.home(), island.namespace("red"));
        // By then the pair is watched as well.
        seen_on_loopback(&mut island, &red, "/ready");
        until("an exchange over the pair", LONG, || {
            let mut pair = Pair::new((&home, "10.88.0.1:20411"), (&red, "10.88.0.2:18411"));
            pair.exchange("/settle");
            island.take(0).into_iter().find(|event| event.text("/url/path") == "/settle")
        });
        for port in [20_412, 20_413] {
            let here = format!("10.88.0.1:{port}");
            let mut pair = Pair::new((&home, &here), (&red, "10.88.0.2:18412"));
            (0..5).for_each(|n| pair.exchange(&format!("/once/{port}/{n}")));
            // The other way round.
            let mut pair = Pair::new((&red, "10.88.0.2:20414"), (&home, "10.88.0.1:18413"));
            pair.exchange(&format!("/once/{port}/back"));
        }
        let end = island.end();
        let mut paths: Vec<_> = end.events.iter().map(|event| event.text("/url/path")).collect();
        paths.retain(|path| path.starts_with("/once"));
        let n_told = paths.len();
        paths.sort_unstable();
        paths.dedup();
        assert_eq!((n_told, paths.len()), (12, 12), "{interfaces}: {paths:?}");
        end.account.unwrap().assert_balanced();
    }
}

#[test]
fn a_storm_in_two_namespaces_leaves_nothing_behind() {
    if !can_run("netns::storm", &PROGRAMS) {
        return;
    }
    let mut island = Island::start(&["run", "--no-socket", "--netns", "all"]);
    island.run("ip netns add red && ip -n red link set lo up");
    let red = island.namespace("red");
    seen_on_loopback(&mut island, &red, "/before");
    let n_before = island.n_descriptors();
    // One half of the pairs is at home with both ends, the other has one end elsewhere.
    let mut batch = String::new();
    for i in 0..N_PAIRS {
        let place = if i % 2 == 0 { "netns red" } else { "" };
        batch += &format!("link add st{i} type veth peer name sp{i} {place}\nlink del st{i}\n");
    }
    island.run(&format!("cat > /run/batch <<'END'\n{batch}END\nip -batch /run/batch"));
    island.has_let_go(n_before);
    seen_on_loopback(&mut island, &red, "/after");
    let end = island.end();
    assert!(end.stderr.iter().all(|line| !line.contains("warning")), "{:?}", end.stderr);
}

const N_PAIRS: u32 = 500;
