//! Memory for the ring, and the daemon.

use std::io;
use std::path::Path;

use super::Finding;
use crate::config::Config;
use crate::sink::control::client::Connection;

pub(super) fn examine(config: &Config) -> Vec<Finding> {
    let memory = std::fs::read_to_string("/proc/meminfo").ok();
    let available = memory.as_deref().and_then(available_bytes);
    let n_cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let n_rings = u64::from(config.capture.n_rings(n_cpus));
    let wanted = n_rings * u64::from(config.capture.ring_bytes);
    vec![ring(wanted, available), daemon(&config.control.socket)]
}

/// The kernel allocates rings whole and at once (array_map_alloc).
fn ring(wanted: u64, available: Option<u64>) -> Finding {
    let check = "ring memory";
    let message = format!("{} for the ring", mebibytes(wanted));
    match available {
        None => Finding::good(check, message),
        Some(available) => {
            let message = format!("{message}, {} available", mebibytes(available));
            match available {
                _ if wanted > available => {
                    Finding::bad(check, message).remedy("set a smaller [capture] ring_bytes")
                }
                _ if wanted > available / 4 => Finding::warning(check, message)
                    .remedy("set a smaller [capture] ring_bytes, or free memory"),
                _ => Finding::good(check, message),
            }
        }
    }
}

fn mebibytes(n_bytes: u64) -> String {
    format!("{:.1} MiB", n_bytes as f64 / f64::from(1 << 20))
}

fn available_bytes(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kibibytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    kibibytes.checked_mul(1024)
}

fn daemon(socket: &Path) -> Finding {
    let check = "daemon";
    if socket.as_os_str().is_empty() {
        return Finding::good(check, "its configuration serves no socket");
    }
    let at = socket.display();
    match Connection::attach(socket) {
        Ok(connection) => {
            let backend = &connection.hello.backend;
            Finding::good(check, format!("runs and answers on {at}, backend {backend}"))
        }
        Err(error) => match error.kind() {
            io::ErrorKind::NotFound => {
                Finding::good(check, "none runs; `observer tail` captures by itself")
            }
            io::ErrorKind::ConnectionRefused => {
                Finding::warning(check, format!("none runs, and one has left {at} behind"))
                    .remedy("start it again: it takes the place; or remove the file")
            }
            io::ErrorKind::PermissionDenied => {
                Finding::warning(check, format!("{at} may not be opened by this user"))
                    .remedy("run with sudo, or join the group that owns the socket")
            }
            _ => Finding::warning(check, format!("does not answer on {at}: {error}"))
                .remedy("look at its log; restart it"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;

    #[test]
    fn a_ring_has_to_fit() {
        let mib = |n: u64| n << 20;
        assert_eq!(ring(mib(16), None).state, State::Good);
        assert_eq!(ring(mib(16), Some(mib(64))).state, State::Good);
        assert_eq!(ring(mib(16), Some(mib(63))).state, State::Warning);
        let bad = ring(mib(16), Some(mib(15)));
        assert_eq!(
            (bad.state, bad.message.as_str()),
            (State::Bad, "16.0 MiB for the ring, 15.0 MiB available")
        );
    }

    #[test]
    fn available_memory_is_read() {
        let text = "MemTotal:       24682948 kB\nMemAvailable:   23467008 kB\n";
        assert_eq!(available_bytes(text), Some(23_467_008 * 1024));
        assert_eq!(available_bytes("MemAvailable: x kB"), None);
    }

    #[test]
    fn a_daemon_that_is_not_there_and_one_that_died() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        assert_eq!(daemon(&path).state, State::Good);
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let finding = daemon(&path);
        assert_eq!(finding.state, State::Warning);
        assert!(finding.message.contains("left"), "{finding:?}");
    }
}
