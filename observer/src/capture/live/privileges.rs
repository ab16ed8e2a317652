//! Whether this process may do what a backend does, asked before the kernel says a bare EPERM.

use caps::{CapSet, Capability, CapsHashSet};

use super::{Backend, CaptureError};

/// Fails with the capabilities that are missing (capabilities(7)).
pub(super) fn check(backend: Backend) -> Result<(), CaptureError> {
    match caps::read(None, CapSet::Effective) {
        Ok(held) => verdict(backend, &held),
        // Then the kernel has to answer.
        Err(_) => Ok(()),
    }
}

fn verdict(backend: Backend, held: &CapsHashSet) -> Result<(), CaptureError> {
    let has = |capability| held.contains(&capability);
    // CAP_SYS_ADMIN includes CAP_BPF and CAP_PERFMON (bpf_capable, perfmon_capable).
    let has_or_admin = |capability| has(capability) || has(Capability::CAP_SYS_ADMIN);
    let mut missing = Vec::new();
    if !has_or_admin(Capability::CAP_BPF) {
        missing.push("CAP_BPF");
    }
    if !has_or_admin(Capability::CAP_PERFMON) {
        missing.push("CAP_PERFMON");
    }
    match backend {
        Backend::Socket if !has(Capability::CAP_NET_RAW) => missing.push("CAP_NET_RAW"),
        Backend::Tc | Backend::Auto if !has(Capability::CAP_NET_ADMIN) => {
            missing.push("CAP_NET_ADMIN");
        }
        Backend::Socket | Backend::Tc | Backend::Auto => {}
    }
    if missing.is_empty() { Ok(()) } else { Err(CaptureError::MissingPrivileges { missing }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(backend: Backend, held: &[Capability], message: Option<&str>) {
        let held = held.iter().copied().collect();
        let error = verdict(backend, &held).err().map(|error| error.to_string());
        assert_eq!(error.as_deref(), message);
    }

    #[test]
    fn what_is_missing_is_named() {
        let tc = [Capability::CAP_BPF, Capability::CAP_PERFMON, Capability::CAP_NET_ADMIN];
        check(Backend::Tc, &tc, None);
        check(Backend::Socket, &[Capability::CAP_SYS_ADMIN, Capability::CAP_NET_RAW], None);
        check(Backend::Tc, &tc[..2], Some("needs CAP_NET_ADMIN: run as root or with sudo"));
        let all = "needs CAP_BPF and CAP_PERFMON and CAP_NET_RAW: run as root or with sudo";
        check(Backend::Socket, &[], Some(all));
    }
}
