//! Giving up capabilities (capabilities(7)). They belong to threads: each thread gives up what it
//! does not need, so that whoever takes one over through what it reads or writes gets no more.
//!
//! Threads that only move bytes are confined by Landlock as well, where the kernel has it. The capture
//! thread is not: Landlock would also keep it from looking at other processes (ptrace(2)).
//!
//! Loading programs takes CAP_BPF and CAP_PERFMON, and afterwards nothing does, on kernels that let
//! everybody use the maps they hold (5.19 and later; `unprivileged_bpf_disabled` forbade it before).

use std::path::PathBuf;

use caps::{CapSet, Capability, CapsHashSet};
use landlock::{
    ABI, AccessFs, RestrictionStatus, Ruleset, RulesetAttr as _, RulesetCreatedAttr as _,
    RulesetError, path_beneath_rules,
};

/// A thread that only moves bytes to files and sockets. Root keeps its way with other people's
/// files, for the sake of `sudo observer run -o FILE`; under an account of its own nothing is left.
pub(crate) fn keep_files_alone() {
    // A thread that cannot give up what it has goes on as it was.
    let _ = keep_only(&FILES);
}

/// A thread that writes below these folders alone and executes nothing: keeps file capabilities, and
/// is confined by Landlock where the kernel has that.
pub(crate) fn keep_to(folders: &[PathBuf]) {
    keep_files_alone();
    // Without Landlock it goes on as it was.
    let _ = confine(folders);
}

fn confine(folders: &[PathBuf]) -> Result<RestrictionStatus, RulesetError> {
    let write = AccessFs::from_write(ABI::V3);
    // A folder that does not exist gets no rule; nothing can be written there anyway.
    Ruleset::default()
        .handle_access(write | AccessFs::Execute)?
        .create()?
        .add_rules(path_beneath_rules(folders, write))?
        .restrict_self()
}

/// The capture thread once the programs are loaded: it attaches to interfaces that come later.
/// `works` tells whether it can still do its work; when not, it gets back what it gave up. Says
/// whether it gave up loading.
pub(crate) fn give_up_loading(works: impl Fn() -> bool) -> bool {
    let Ok(before) = caps::read(None, CapSet::Effective) else { return false };
    let keep: CapsHashSet = FILES.iter().chain(&ATTACH).copied().collect();
    let after: CapsHashSet = before.intersection(&keep).copied().collect();
    if caps::set(None, CapSet::Effective, &after).is_err() {
        return false;
    }
    if !works() {
        let _ = caps::set(None, CapSet::Effective, &before);
        return false;
    }
    keep_only(&[&FILES[..], &ATTACH[..]].concat()).is_ok()
}

/// The thread that enters other network namespaces and attaches there.
pub(crate) fn keep_to_enter() {
    // A thread that cannot give up what it has goes on as it was.
    let _ = keep_only(&[&FILES[..], &ATTACH[..], &ENTER[..]].concat());
}

/// Gives up all others, for good.
fn keep_only(list: &[Capability]) -> Result<(), caps::errors::CapsError> {
    let list: CapsHashSet = list.iter().copied().collect();
    // Ambient first: it must be a part of permitted and inheritable.
    for set in [CapSet::Ambient, CapSet::Inheritable, CapSet::Effective, CapSet::Permitted] {
        let kept = caps::read(None, set)?.intersection(&list).copied().collect();
        caps::set(None, set, &kept)?;
    }
    Ok(())
}

const FILES: [Capability; 4] = [
    Capability::CAP_CHOWN,
    Capability::CAP_DAC_OVERRIDE,
    Capability::CAP_DAC_READ_SEARCH,
    Capability::CAP_FOWNER,
];

/// For classifiers at interfaces, for packet sockets, and to look at other processes.
const ATTACH: [Capability; 3] =
    [Capability::CAP_NET_ADMIN, Capability::CAP_NET_RAW, Capability::CAP_SYS_PTRACE];

/// To enter, to load the programs that say where they are, and to hear of interfaces elsewhere.
const ENTER: [Capability; 4] = [
    Capability::CAP_SYS_ADMIN,
    Capability::CAP_BPF,
    Capability::CAP_PERFMON,
    Capability::CAP_NET_BROADCAST,
];

#[cfg(test)]
mod tests {
    use super::*;

    /// The effective capabilities of the calling thread.
    fn effective() -> CapsHashSet {
        caps::read(None, CapSet::Effective).unwrap()
    }

    #[test]
    fn a_thread_gives_up_its_own_and_nobody_elses() {
        let before = effective();
        let after = std::thread::spawn(|| {
            keep_files_alone();
            effective()
        });
        let after = after.join().unwrap();
        assert!(after.iter().all(|kept| FILES.contains(kept)), "{after:?}");
        assert_eq!(effective(), before);
    }

    #[test]
    fn a_thread_writes_where_it_may_and_nowhere_else() {
        let (mine, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (here, there) = (mine.path().join("x"), other.path().join("x"));
        std::thread::scope(|scope| {
            let confined = scope.spawn(|| {
                let status = confine(&[mine.path().to_owned()]).unwrap();
                if status.ruleset == landlock::RulesetStatus::NotEnforced {
                    println!("SKIP privileges::confined: this kernel has no Landlock");
                    return;
                }
                std::fs::write(&here, "x").unwrap();
                std::fs::rename(&here, mine.path().join("y")).unwrap();
                let denied = std::fs::write(&there, "x").unwrap_err();
                assert_eq!(denied.kind(), std::io::ErrorKind::PermissionDenied);
                assert!(std::process::Command::new("/bin/true").status().is_err());
                // Reading stays as it was.
                std::fs::read("/proc/self/stat").unwrap();
            });
            confined.join().unwrap();
        });
        // It holds for that thread alone.
        std::fs::write(&there, "x").unwrap();
    }

    #[test]
    fn what_is_still_needed_comes_back() {
        let thread = std::thread::spawn(|| {
            let before = effective();
            assert!(!give_up_loading(|| false));
            assert_eq!(effective(), before);
            // Without /proc or with a filter on capset it says no, and that is all.
            give_up_loading(|| true).then(effective)
        });
        if let Some(after) = thread.join().unwrap() {
            assert!(!after.contains(&Capability::CAP_BPF), "{after:?}");
        }
    }
}
