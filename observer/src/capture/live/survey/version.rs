//! Which Linux this is, and the oldest that takes the programs.

/// Since then the verifier takes pointers as arguments of global functions
/// (`btf_prepare_func_args`).
pub(crate) const OLDEST: (u32, u32) = (5, 13);

/// As `uname -r` says it: `6.1.0-56-cloud-amd64`.
pub(crate) fn release() -> String {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    release.trim().to_owned()
}

/// Major and minor version: `6.1.0-56-cloud-amd64` is (6, 1).
pub(crate) fn numbers(release: &str) -> Option<(u32, u32)> {
    let mut parts = release.split(|c: char| !c.is_ascii_digit());
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// The release, where it is known to be too old.
pub(in crate::capture::live) fn too_old() -> Option<String> {
    Some(release()).filter(|release| numbers(release).is_some_and(|version| version < OLDEST))
}
