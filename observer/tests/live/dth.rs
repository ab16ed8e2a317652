//! `observer dth watch` beside `observer dth mark`: what the one announces, the other tells.

use crate::harness::can_run;
use crate::harness::client::{Route, curl};
use crate::harness::namespace::Namespace;
use crate::harness::observer::Observer;
use crate::harness::server::Nginx;
use crate::harness::wait::{LONG, until};

#[test]
fn an_announced_death_is_told_with_what_became_of_it() {
    if !can_run("dth::watch", &["nginx", "curl"]) {
        return;
    }
    let namespace = Namespace::new();
    let nginx = Nginx::start(&namespace, 18_234);
    let route = Route { client: &namespace, host: "127.0.0.1", port: nginx.port };
    let mut watch = Observer::start(&namespace, &["dth", "watch", "--no-daemon"]);
    assert_eq!(curl(&route, &[], &["/path/unmarked"])[0].status, 200);

    let port = nginx.port.to_string();
    let mut mark = Observer::spawn(namespace.command(crate::harness::observer::BINARY).args([
        "dth",
        "mark",
        "-i",
        "lo",
        "-p",
        &port,
        "--when",
        "/path/last",
        "-n",
        "1",
    ]));
    mark.wait_for_message("marking on lo");
    assert_eq!(curl(&route, &[], &["/path/last"])[0].status, 200, "curl is not disturbed");
    let lines = until("both halves of the story", LONG, || {
        let lines = watch.stdout.get();
        (lines.len() >= 2).then_some(lines)
    });
    assert_eq!(lines.len(), 2, "only what was marked: {lines:?}");
    assert!(
        lines[0].contains("☠ the client (127.0.0.1) has announced its death with exchange 1"),
        "{lines:?}"
    );
    assert!(
        lines[1].contains("☠ the client (127.0.0.1) announced its death and died (fin)"),
        "{lines:?}"
    );
    watch.signal(libc::SIGINT);
    watch.wait_for_message("2 events shown");
}
