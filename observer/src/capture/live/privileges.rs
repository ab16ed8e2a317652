//! Whether this process may do what a backend does, asked before the kernel says a bare EPERM.

use super::{Backend, CaptureError};

/// Fails with the capabilities that are missing (capabilities(7)).
pub(super) fn check(backend: Backend) -> Result<(), CaptureError> {
    match effective() {
        Some(held) => verdict(backend, held),
        // Without /proc the kernel has to answer.
        None => Ok(()),
    }
}

fn verdict(backend: Backend, held: u64) -> Result<(), CaptureError> {
    let has = |capability: u32| held >> capability & 1 != 0;
    // CAP_SYS_ADMIN includes CAP_BPF and CAP_PERFMON (bpf_capable, perfmon_capable).
    let has_or_admin = |capability| has(capability) || has(CAP_SYS_ADMIN);
    let mut missing = Vec::new();
    if !has_or_admin(CAP_BPF) {
        missing.push("CAP_BPF");
    }
    if !has_or_admin(CAP_PERFMON) {
        missing.push("CAP_PERFMON");
    }
    match backend {
        Backend::Socket if !has(CAP_NET_RAW) => missing.push("CAP_NET_RAW"),
        Backend::Tc | Backend::Auto if !has(CAP_NET_ADMIN) => missing.push("CAP_NET_ADMIN"),
        Backend::Socket | Backend::Tc | Backend::Auto => {}
    }
    if missing.is_empty() { Ok(()) } else { Err(CaptureError::MissingPrivileges { missing }) }
}

/// The effective set of this thread.
fn effective() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/thread-self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

// include/uapi/linux/capability.h
const CAP_NET_ADMIN: u32 = 12;
const CAP_NET_RAW: u32 = 13;
const CAP_SYS_ADMIN: u32 = 21;
const CAP_PERFMON: u32 = 38;
const CAP_BPF: u32 = 39;

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(backend: Backend, held: &[u32], message: Option<&str>) {
        let held = held.iter().fold(0, |set, capability| set | 1 << capability);
        let error = verdict(backend, held).err().map(|error| error.to_string());
        assert_eq!(error.as_deref(), message);
    }

    #[test]
    fn what_is_missing_is_named() {
        let tc = [CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN];
        check(Backend::Tc, &tc, None);
        check(Backend::Socket, &[CAP_SYS_ADMIN, CAP_NET_RAW], None);
        check(Backend::Tc, &tc[..2], Some("needs CAP_NET_ADMIN: run as root or with sudo"));
        let all = "needs CAP_BPF and CAP_PERFMON and CAP_NET_RAW: run as root or with sudo";
        check(Backend::Socket, &[], Some(all));
    }
}
