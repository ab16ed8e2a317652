//! Interfaces that come and go under a running observer, and one that never was.

use crate::harness::can_run;
use crate::harness::client::{Route, curl};
use crate::harness::event::Exchange;
use crate::harness::namespace::Namespace;
use crate::harness::observer::{BACKENDS, BINARY, Observer};
use crate::harness::process::Process;
use crate::harness::server::Nginx;
use crate::harness::wait::{LONG, until};

#[test]
fn a_new_interface_is_captured_and_a_lost_one_is_no_failure() {
    if !can_run("hotplug::comes_and_goes", &["nginx", "curl"]) {
        return;
    }
    for backend in BACKENDS {
        let (near, far) = (Namespace::new(), Namespace::new());
        let nginx = Nginx::start(&near, 18234);
        let mut observer = Observer::start(&near, &["run", "--no-socket", "--backend", backend]);
        for name in ["late0", "late1"] {
            near.connect(&far, name);
            let route = Route { client: &far, host: "10.77.0.1", port: nginx.port };
            // A start line that was missed is a request that is not reported: there are others.
            let event = until("an exchange on the new interface", LONG, || {
                curl(&route, &[], &["/path/late"]);
                let events = observer.take(0);
                events.into_iter().find(|event| event.text("/obs/capture/interface") == name)
            });
            let exchange = Exchange::of(&event);
            assert_eq!(
                (exchange.target.as_str(), exchange.state.as_str()),
                ("/path/late", "complete")
            );
            near.ip(&["link", "del", name]);
        }
        assert!(observer.has_ended().is_none(), "{:?}", observer.stderr.get());
        let route = Route { client: &near, host: "127.0.0.1", port: nginx.port };
        curl(&route, &[], &["/path/still"]);
        until("an exchange on the loopback device", LONG, || {
            observer
                .take(0)
                .iter()
                .any(|event| event.text("/url/path") == "/path/still")
                .then_some(())
        });
        let end = observer.end(libc::SIGTERM);
        let complaints: Vec<_> =
            end.stderr.iter().filter(|line| line.contains("warning")).collect();
        assert!(complaints.is_empty(), "{backend}: {complaints:?}");
    }
}

#[test]
fn an_interface_that_does_not_exist_is_one_clear_line() {
    if !can_run("hotplug::nosuch", &[]) {
        return;
    }
    let near = Namespace::new();
    for args in [
        &["run", "--no-socket", "-i", "nosuch"][..],
        &["tail", "--no-daemon", "-i", "nosuch"],
        &["tail", "--no-daemon", "-i", "nosuch", "--backend", "socket"],
    ] {
        let mut observer = Process::start(near.command(BINARY).args(args));
        let status = observer.wait();
        assert!(matches!(status.code(), Some(1 | 2)), "{args:?}: {status}");
        assert_eq!(
            observer.stderr.get(),
            ["observer: no such interface: nosuch (there are: lo)"],
            "{args:?}"
        );
        assert_eq!(observer.stdout.get(), [""; 0]);
    }
}
