//! How somebody says which network namespaces are meant.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// One thing that was said about them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Namespace {
    /// Every one there is, and those that come later.
    All,
    /// That of a process.
    Process(u32),
    /// That of a file: `/run/netns/NAME`, `/proc/PID/ns/net`.
    File(PathBuf),
}

impl FromStr for Namespace {
    type Err = String;

    /// `all`, a number for a process, a path, or a name that `ip netns` gave.
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "all" => Ok(Self::All),
            "" | "." | ".." => Err(format!("`{text}` is no network namespace: {ADVICE}")),
            path if path.starts_with('/') => Ok(Self::File(path.into())),
            path if path.contains('/') => Err(format!("`{path}` has to start with /: {ADVICE}")),
            number if number.bytes().all(|byte| byte.is_ascii_digit()) => match number.parse() {
                Ok(pid @ 1..) => Ok(Self::Process(pid)),
                _ => Err(format!("`{number}` is no process id: {ADVICE}")),
            },
            name => Ok(Self::File(PathBuf::from(NAMED).join(name))),
        }
    }
}

impl Namespace {
    /// The file that leads to it; `None` for all there are.
    pub fn path(&self) -> Option<PathBuf> {
        match self {
            Self::All => None,
            Self::Process(pid) => Some(format!("/proc/{pid}/ns/net").into()),
            Self::File(path) => Some(path.clone()),
        }
    }
}

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::Process(pid) => write!(f, "of process {pid}"),
            Self::File(path) => match path.strip_prefix(NAMED) {
                Ok(name) => write!(f, "{}", name.display()),
                Err(_) => write!(f, "{}", path.display()),
            },
        }
    }
}

/// Where `ip netns` keeps them.
pub const NAMED: &str = "/run/netns";

const ADVICE: &str = "write all, a process id, a name of `ip netns`, or a path";

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, meant: Namespace) {
        assert_eq!(text.parse(), Ok(meant));
    }

    #[test]
    fn names_numbers_and_paths_are_told_apart() {
        check("all", Namespace::All);
        check("4711", Namespace::Process(4711));
        check("blue", Namespace::File("/run/netns/blue".into()));
        check("cni-4711", Namespace::File("/run/netns/cni-4711".into()));
        check("/proc/1/ns/net", Namespace::File("/proc/1/ns/net".into()));
    }

    #[test]
    fn what_is_none_of_them_says_what_to_write() {
        for text in ["", "..", "0", "99999999999", "run/netns/blue"] {
            let error = text.parse::<Namespace>().unwrap_err();
            assert!(error.contains("a process id"), "{error}");
        }
    }
}
