//! What a test needs of the machine, and what happens when it is not there.

use std::process::Command;

use aya::programs::{SchedClassifier, TcAttachType};

/// True when the test can go on: root, in a network namespace of its own with loopback up. Threads
/// that the test starts share it, and it is gone with the last of them.
pub(crate) fn namespace() -> bool {
    // SAFETY: no pointers, and only this thread changes its namespace.
    if unsafe { libc::geteuid() } != 0 {
        return missing("not root");
    }
    // SAFETY: as above.
    if unsafe { libc::unshare(libc::CLONE_NEWNET) } != 0 {
        return missing("cannot make a network namespace");
    }
    if !command("ip", "link set lo up") {
        return missing("no ip(8)");
    }
    true
}

/// The same, on a kernel that has TCX.
pub(crate) fn namespace_with_tcx() -> bool {
    if !namespace() {
        return false;
    }
    match SchedClassifier::query_tcx("lo", TcAttachType::Egress) {
        Ok(_) => true,
        Err(_) => missing("the kernel has no TCX"),
    }
}

/// Says why a test does not run. False, for use in a condition.
pub(crate) fn missing(what: &str) -> bool {
    let required = std::env::var_os("OBSERVER_REQUIRE_LIVE").is_some_and(|value| value == "1");
    assert!(!required, "OBSERVER_REQUIRE_LIVE=1, and {what}");
    eprintln!("SKIPPED: {what}");
    false
}

/// Runs a command with arguments that are separated by spaces; true when it succeeded.
pub(crate) fn command(program: &str, arguments: &str) -> bool {
    Command::new(program)
        .args(arguments.split_whitespace())
        .status()
        .is_ok_and(|status| status.success())
}

/// What a command prints.
pub(crate) fn output(program: &str, arguments: &str) -> String {
    let output = Command::new(program).args(arguments.split_whitespace()).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}
