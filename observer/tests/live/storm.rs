//! Interfaces by the hundred: they come, are renamed, move away and go, and nothing of them stays.

use crate::harness::can_run;
use crate::harness::client::{Route, curl};
use crate::harness::namespace::Namespace;
use crate::harness::observer::{BACKENDS, Observer};
use crate::harness::server::Nginx;
use crate::harness::wait::{LONG, until};

#[test]
fn a_storm_of_interfaces_leaves_nothing_behind() {
    if !can_run("storm::storm", &["nginx", "curl"]) {
        return;
    }
    for backend in BACKENDS {
        let (near, far) = (Namespace::new(), Namespace::new());
        let nginx = Nginx::start(&near, 18236);
        let args = ["run", "--no-socket", "--backend", backend, "-i", "st*,!st7"];
        let mut observer = Observer::start(&near, &args);
        let n_before = descriptors(observer.pid());
        for round in 0..N_LINKS {
            let name = format!("st1{round}");
            near.ip(&["link", "add", &name, "type", "veth", "peer", "name", "peer0"]);
            match round % 10 {
                // Out of the pattern, and gone under a name that nobody watched.
                3 => {
                    near.ip(&["link", "set", &name, "name", "other0"]);
                    near.ip(&["link", "del", "other0"]);
                }
                // Into another namespace.
                6 => {
                    near.ip(&["link", "set", &name, "netns", &far.name]);
                    far.ip(&["link", "del", &name]);
                }
                _ => near.ip(&["link", "del", &name]),
            }
        }
        until("all descriptors to be released", LONG, || {
            (descriptors(observer.pid()) == n_before).then_some(())
        });
        // It follows interfaces as before, and only those that were meant.
        near.connect(&far, "st7");
        let route = Route { client: &far, host: "10.77.0.1", port: nginx.port };
        curl(&route, &[], &["/path/denied"]);
        near.ip(&["link", "set", "st7", "down"]);
        near.ip(&["link", "set", "st7", "name", "st8"]);
        near.ip(&["link", "set", "st8", "up"]);
        let event = until("an exchange on the renamed interface", LONG, || {
            curl(&route, &[], &["/path/meant"]);
            // A request that went by before the interface was watched leaves a response alone.
            observer.take(0).into_iter().find(|event| event.text("/obs/state") == "complete")
        });
        assert_eq!(event.text("/url/path"), "/path/meant", "{backend}");
        assert_eq!(event.text("/obs/capture/interface"), "st8", "{backend}");
        let end = observer.end(libc::SIGTERM);
        let complaints: Vec<_> =
            end.stderr.iter().filter(|line| line.contains("warning")).collect();
        assert!(complaints.is_empty(), "{backend}: {complaints:?}");
    }
}

fn descriptors(pid: u32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count()
}

const N_LINKS: u32 = 100;
