//! Why a capture did not start or stopped.

use std::error::Error;
use std::io;
use std::path::PathBuf;

use aya::EbpfError;
use aya::maps::MapError;
use aya::programs::ProgramError;

use super::netlink::NetlinkError;

/// Each message ends with what to do, where something can be done.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    #[error("needs {}: run as root or with sudo", .missing.join(" and "))]
    MissingPrivileges { missing: Vec<&'static str> },

    #[error(
        "the kernel refuses BPF to this process although it has the capabilities; a container or a lock-down policy forbids the bpf system call: allow it there"
    )]
    Forbidden(#[source] io::Error),

    #[error("Linux {release} is too old for observer's programs: use Linux 5.13 or later")]
    TooOld { release: String },

    #[error("no such interface: {} (there are: {})", .missing.join(", "), .present.join(", "))]
    NoSuchInterface { missing: Vec<String>, present: Vec<String> },

    #[error(
        "other network namespaces can be watched through tc alone: a packet socket would keep them alive"
    )]
    NamespacesNeedTc,

    #[error("there is no process {pid} whose network namespace could be watched")]
    NoSuchProcess { pid: u32 },

    #[error("{n_hosts} host filters are more than {max}: name fewer, or wider networks")]
    TooManyHosts { n_hosts: usize, max: usize },

    #[error(
        "the kernel's verifier refused program {program}: {source}; please report it with this log:\n{log}"
    )]
    Refused { program: &'static str, source: io::Error, log: String },

    #[error("cannot load the eBPF programs")]
    Load(#[from] EbpfError),

    #[error("cannot use a BPF map")]
    Map(#[from] MapError),

    #[error("cannot load or attach program {program}")]
    Program { program: &'static str, source: ProgramError },

    #[error("the eBPF object has no {0}: it was built from other sources")]
    Incomplete(&'static str),

    #[error("cannot follow the interfaces")]
    Links(#[from] NetlinkError),

    #[error("{} is no cgroup: name a directory below the mount of cgroup2", .path.display())]
    NoCgroup { path: PathBuf },

    #[error("a text to mark has 1 to {max} bytes, and this one {n_bytes}")]
    TextLength { n_bytes: usize, max: usize },

    #[error("cannot {action}")]
    System { action: &'static str, source: io::Error },
}

/// The error and its causes in one line.
pub(crate) fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

impl CaptureError {
    /// For use with `map_err`.
    pub(crate) fn system(action: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::System { action, source }
    }
}
