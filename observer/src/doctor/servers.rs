//! The servers of this host: which of them hold a TLS library, so that it is known beforehand whose
//! traffic is ciphertext on the wire, and from which library.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read as _;

use super::Finding;

pub(super) fn examine() -> Vec<Finding> {
    let mut inodes = BTreeMap::new();
    for file in ["/proc/self/net/tcp", "/proc/self/net/tcp6"] {
        // Without IPv6 there is one file.
        inodes.extend(listening(&fs::read_to_string(file).unwrap_or_default()));
    }
    let mut findings: Vec<_> = servers(&inodes).iter().filter_map(judge).collect();
    findings.dedup();
    findings
}

/// Ports that somebody in this network namespace listens on, whatever the address.
pub(crate) fn listening_ports() -> BTreeSet<u16> {
    let tables = ["/proc/self/net/tcp", "/proc/self/net/tcp6"];
    let text = |file| fs::read_to_string(file).unwrap_or_default();
    tables.into_iter().flat_map(|file| listening(&text(file))).map(|(_, port)| port).collect()
}

/// A process that listens.
struct Server {
    name: String,
    ports: BTreeSet<u16>,
    libraries: BTreeSet<String>,
}

fn judge(server: &Server) -> Option<Finding> {
    if server.libraries.is_empty() {
        return None;
    }
    let Server { name, ports, libraries } = server;
    let ports: Vec<_> = ports.iter().map(|port| format!(":{port}")).collect();
    let libraries: Vec<_> = libraries.iter().map(String::as_str).collect();
    let message = format!("{} on {} uses {}", name, ports.join(" "), libraries.join(" and "));
    Some(Finding::good("tls", message))
}

/// Sockets that listen: inode and port. A line of /proc/net/tcp (tcp4_seq_show) is
/// `sl local remote st queues tr retrnsmt uid timeout inode`; state 0A is TCP_LISTEN.
fn listening(table: &str) -> Vec<(u64, u16)> {
    let entry = |line: &str| {
        let words: Vec<_> = line.split_whitespace().collect();
        let (_, port) = words.get(1)?.rsplit_once(':')?;
        let port = u16::from_str_radix(port, 16).ok()?;
        let inode = words.get(9)?.parse().ok()?;
        (*words.get(3)? == "0A").then_some((inode, port))
    };
    table.lines().skip(1).filter_map(entry).collect()
}

/// One entry a name and set of ports: the workers of a server say the same as their master.
/// Processes that may not be looked into are left out.
fn servers(inodes: &BTreeMap<u64, u16>) -> Vec<Server> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse::<u32>() else { continue };
        let ports = ports_of(pid, inodes);
        if ports.is_empty() {
            continue;
        }
        let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        let libraries = libraries_of(pid);
        found.insert((name.trim().to_owned(), ports), libraries);
    }
    let server = |((name, ports), libraries)| Server { name, ports, libraries };
    found.into_iter().map(server).collect()
}

fn ports_of(pid: u32, inodes: &BTreeMap<u64, u16>) -> BTreeSet<u16> {
    let mut ports = BTreeSet::new();
    for entry in fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten() {
        let Ok(target) = fs::read_link(entry.path()) else { continue };
        let target = target.to_string_lossy();
        let inode = target.strip_prefix("socket:[").and_then(|rest| rest.strip_suffix(']'));
        let port = inode.and_then(|inode| inodes.get(&inode.parse().ok()?));
        ports.extend(port);
    }
    ports
}

fn libraries_of(pid: u32) -> BTreeSet<String> {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap_or_default();
    let mut found = mapped(&maps);
    let mut start = Vec::new();
    if let Ok(file) = fs::File::open(format!("/proc/{pid}/exe")) {
        // A file that cannot be read is no Go program as far as we know.
        let _ = file.take(START_MAX).read_to_end(&mut start);
    }
    if is_go(&start) {
        found.insert("Go's crypto/tls, if it speaks TLS".to_owned());
    }
    found
}

/// The TLS libraries in a /proc/PID/maps, each as the name of its file and of its project.
fn mapped(maps: &str) -> BTreeSet<String> {
    let files = maps.lines().filter_map(|line| line.rsplit_once('/')).map(|(_, file)| file);
    let known = |file: &str| {
        let file = file.split_whitespace().next()?;
        let (_, project) = LIBRARIES.iter().find(|(start, _)| file.starts_with(start))?;
        Some(format!("{project} ({file})"))
    };
    files.filter_map(known).collect()
}

/// Go's linker leaves a note of its own near the start of an ELF file: name size 4, a description,
/// type 4, the name "Go" (cmd/link/internal/ld, elfbuildinfo and elfgobuildid).
fn is_go(start: &[u8]) -> bool {
    start.windows(16).any(|note| {
        note.starts_with(&4u32.to_ne_bytes())
            && note.get(8..12) == Some(&4u32.to_ne_bytes())
            && note.ends_with(b"Go\0\0")
    })
}

const LIBRARIES: &[(&str, &str)] = &[
    ("libssl.so", "OpenSSL"),
    ("libgnutls.so", "GnuTLS"),
    ("libssl3.so", "NSS"),
    ("libmbedtls.so", "Mbed TLS"),
    ("libwolfssl.so", "wolfSSL"),
    ("libnetty_tcnative", "BoringSSL of netty"),
    ("libconscrypt", "BoringSSL of Conscrypt"),
];
/// The notes stand in the first page or two of a Go program.
const START_MAX: u64 = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_listening_sockets_count() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
            \x20  0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0 100 0 0 10 0\n\
            \x20  1: 0100007F:1F91 0100007F:A000 01 00000000:00000000 00:00000000 00000000     0        0 4712 1 0 100 0 0 10 0\n\
            torn";
        assert_eq!(listening(table), [(4711, 8080)]);
    }

    #[test]
    fn libraries_are_known_by_their_files() {
        let maps = "7f00-7f01 r-xp 00000000 fe:00 12 /usr/lib/x86_64-linux-gnu/libssl.so.3\n\
                    7f01-7f02 r--p 00000000 fe:00 12 /usr/lib/x86_64-linux-gnu/libssl.so.3\n\
                    7f03-7f04 r-xp 00000000 fe:00 13 /opt/libgnutls.so.30.34.3 (deleted)\n\
                    7f05-7f06 r-xp 00000000 fe:00 13 /usr/lib/libc.so.6\n7f07-7f08 rw-p 0 0:0 0 [heap]";
        let found: Vec<_> = mapped(maps).into_iter().collect();
        assert_eq!(found, ["GnuTLS (libgnutls.so.30.34.3)", "OpenSSL (libssl.so.3)"]);
    }

    #[test]
    fn a_go_program_is_known_by_its_note() {
        let note = [&4u32.to_ne_bytes()[..], &83u32.to_ne_bytes(), &4u32.to_ne_bytes(), b"Go\0\0x"];
        assert!(is_go(&[b"\x7fELF....", &note.concat()[..]].concat()));
        assert!(!is_go(b"\x7fELF Go\0\0"));
    }
}
