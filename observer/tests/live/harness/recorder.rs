//! tcpdump, which records what passes, and what it and tshark say of a recording.

use std::path::Path;
use std::process::Command;

use super::namespace::Namespace;
use super::process::Process;

/// Records an interface, and is ready when this returns.
pub(crate) fn tcpdump(namespace: &Namespace, interface: &str, file: &Path) -> Process {
    let mut command = namespace.command("tcpdump");
    // As root throughout, for the temporary folder is root's; and with a buffer of 64 MiB.
    command.args(["-Z", "root", "-i", interface, "-U", "-B", "65536", "-w"]);
    let mut tcpdump = Process::start(command.arg(file).arg("tcp"));
    tcpdump.wait_for_message(&format!("listening on {interface}"));
    tcpdump
}

/// How many packets of a recording fit a filter.
#[track_caller]
pub(crate) fn count(file: &Path, filter: &str) -> usize {
    let output = Command::new("tcpdump").arg("-nr").arg(file).arg(filter).output().unwrap();
    // While it is written, the last packet may be there in part.
    String::from_utf8_lossy(&output.stdout).lines().count()
}

/// Fields of each packet, as tshark has them, with the checksums of TCP looked at.
#[track_caller]
pub(crate) fn tshark(file: &Path, fields: &[&str]) -> Vec<Vec<String>> {
    let mut command = Command::new("tshark");
    command.args(["-o", "tcp.check_checksum:TRUE", "-T", "fields", "-r"]).arg(file);
    for field in fields {
        command.args(["-e", field]);
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout).unwrap();
    lines.lines().map(|line| line.split('\t').map(str::to_owned).collect()).collect()
}
