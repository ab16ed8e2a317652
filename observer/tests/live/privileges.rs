//! Without the privileges it needs, the observer says which, and what to do. With just those it
//! works.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};

use crate::harness::can_run;
use crate::harness::client::{Route, curl};
use crate::harness::namespace::Namespace;
use crate::harness::observer::{BACKENDS, BINARY, Observer};
use crate::harness::process::Process;
use crate::harness::server::Nginx;

#[test]
fn nobody_is_told_which_capability_is_missing() {
    if !can_run("privileges::nobody", &["setpriv"]) {
        return;
    }
    let near = Namespace::new();
    let (_folder, binary) = binary_for_all();
    for (args, capabilities) in [
        (&["run", "--no-socket"][..], "CAP_BPF and CAP_PERFMON and CAP_NET_ADMIN"),
        (&["tail", "--no-daemon"], "CAP_BPF and CAP_PERFMON and CAP_NET_ADMIN"),
        (
            &["tail", "--no-daemon", "-f", "ndjson", "--backend", "tc"],
            "CAP_BPF and CAP_PERFMON and CAP_NET_ADMIN",
        ),
        (&["run", "--no-socket", "--backend", "socket"], "CAP_BPF and CAP_PERFMON and CAP_NET_RAW"),
    ] {
        // setuid after the namespace is entered, which takes root.
        let mut command = near.command("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(&binary).args(args);
        command.env("RUST_BACKTRACE", "1").current_dir("/").arg0("setpriv");
        let mut observer = Process::start(&mut command);
        let status = observer.wait();
        assert_eq!(status.code(), Some(1), "{args:?}: {:?}", observer.stderr.get());
        let want = format!("observer: needs {capabilities}: run as root or with sudo");
        assert_eq!(observer.stderr.get(), [want], "{args:?}");
        assert_eq!(observer.stdout.get(), [""; 0]);
    }
}

#[test]
fn the_capabilities_that_are_named_are_enough() {
    if !can_run("privileges::enough", &["setpriv"]) {
        return;
    }
    let near = Namespace::new();
    let (_folder, binary) = binary_for_all();
    for backend in BACKENDS {
        let third = if backend == "tc" { "net_admin" } else { "net_raw" };
        let some = format!("+bpf,+perfmon,+{third}");
        let mut command = near.command("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
        command.args([format!("--inh-caps=-all,{some}"), format!("--ambient-caps=-all,{some}")]);
        command.arg(&binary).args(["run", "--no-socket", "--backend", backend]);
        command.current_dir("/");
        let mut observer = Observer::spawn(&mut command);
        observer.wait_for_message("observer: watching ");
        observer.end(libc::SIGTERM);
    }
}

#[test]
fn without_tc_the_packet_socket_takes_its_place_and_says_so() {
    if !can_run("privileges::fallback", &["setpriv", "nginx", "curl"]) {
        return;
    }
    let near = Namespace::new();
    let nginx = Nginx::start(&near, 18237);
    let (_folder, binary) = binary_for_all();
    let mut command = near.command("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
    let some = "-all,+bpf,+perfmon,+net_raw";
    command.args([format!("--inh-caps={some}"), format!("--ambient-caps={some}")]);
    command.arg(&binary).args(["run", "--no-socket"]).current_dir("/");
    let mut observer = Observer::spawn(&mut command);
    observer.wait_for_message("observer: watching through socket");
    observer
        .wait_for_message("warning: tc cannot be had, using a packet socket: needs CAP_NET_ADMIN");
    let route = Route { client: &near, host: "127.0.0.1", port: nginx.port };
    curl(&route, &[], &["/path/fallback"]);
    let event = &observer.take(1)[0];
    assert_eq!(event.text("/url/path"), "/path/fallback");
    assert_eq!(event.text("/obs/capture/backend"), "socket");
    observer.end(libc::SIGTERM);
}

/// The binary where everybody can reach it: a build folder may be root's alone.
pub(crate) fn binary_for_all() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let binary = folder.path().join("observer");
    fs::copy(Path::new(BINARY), &binary).unwrap();
    fs::set_permissions(&binary, fs::Permissions::from_mode(0o755)).unwrap();
    (folder, binary)
}
