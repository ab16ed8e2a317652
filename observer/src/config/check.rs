//! Values that can be read and make no sense, whether they come from the file or the command line.
//! Each is refused with the key, the value, and what would be right.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::sinks::{To, WhenFull, in_range};
use super::{Backend, Capture, Config, Http, MAX_PREFIX_BYTES};

/// A value that cannot be used.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    pub(super) section: &'static str,
    pub(super) key: &'static str,
    pub(super) message: String,
}

impl Config {
    /// Looks at what no single value shows, and at what types do not refuse.
    pub(super) fn check(&self) -> Result<(), Wrong> {
        self.capture.check()?;
        let wrong = |key, message| Wrong { section: "engine", key, message };
        in_range("max_flows", self.engine.max_flows.into(), 16, 4 << 20)
            .map_err(|message| wrong("max_flows", message))?;
        in_range("buffer_bytes", self.engine.buffer_bytes.into(), 1 << 20, 1 << 30)
            .map_err(|message| wrong("buffer_bytes", message))?;
        self.governor.check()?;
        let Http { body_bytes, ws_message_bytes, .. } = self.http;
        for (key, n_bytes) in [("body_bytes", body_bytes), ("ws_message_bytes", ws_message_bytes)] {
            in_range(key, n_bytes.into(), 0, MAX_PREFIX_BYTES.into()).map_err(|message| Wrong {
                section: "http",
                key,
                message,
            })?;
        }
        in_range("max_series", self.metrics.max_series.into(), 1, 100_000)
            .map_err(|message| Wrong { section: "metrics", key: "max_series", message })?;
        if self.output.file.as_deref().is_some_and(|file| file.as_os_str().is_empty()) {
            let message = "`file = \"\"` names no file: write a path, or \"-\" for standard output";
            return Err(Wrong { section: "output", key: "file", message: message.to_owned() });
        }
        self.check_sinks().map_err(|message| Wrong { section: "sinks", key: "", message })
    }

    /// The same for options and file together; the message alone.
    pub fn check_all(&self) -> Result<(), String> {
        self.check().map_err(|wrong| wrong.message)
    }

    /// The same for a capture alone.
    pub fn check_capture(&self) -> Result<(), String> {
        self.capture.check().map_err(|wrong| wrong.message)
    }

    /// No two sinks have one name, one file or one spool.
    fn check_sinks(&self) -> Result<(), String> {
        let sinks = self.all_sinks();
        let mut names = BTreeSet::new();
        let mut places: BTreeSet<PathBuf> = BTreeSet::new();
        for sink in &sinks {
            if !names.insert(&sink.name) {
                let name = &sink.name;
                return Err(format!(
                    "two sinks are called `{name}`: give each a `name` of its own"
                ));
            }
            let file = match &sink.to {
                To::File(file) => Some(&file.path),
                _ => None,
            };
            let spool = match &sink.when_full {
                WhenFull::Spool { folder, .. } => Some(folder),
                WhenFull::DropOldest | WhenFull::DropNewest => None,
            };
            for path in file.into_iter().chain(spool) {
                if !places.insert(resolved(path)) {
                    let path = path.display();
                    return Err(format!("two sinks use {path}: each needs a path of its own"));
                }
            }
        }
        Ok(())
    }
}

impl Capture {
    fn check(&self) -> Result<(), Wrong> {
        let wrong = |key, message| Wrong { section: "capture", key, message };
        for name in &self.interfaces {
            if !is_interface_name(name.strip_prefix('!').unwrap_or(name)) {
                let message = format!(
                    "`interfaces` holds {name:?}, which is no interface's name: 1 to 15 bytes \
                     without `/`, `:` and blanks, with `*` and `?` for any text, or \"any\""
                );
                return Err(wrong("interfaces", message));
            }
        }
        if self.ports.contains(&0) {
            let message = "`ports` holds 0, which is no port: 1 to 65535, or [] for all";
            return Err(wrong("ports", message.to_owned()));
        }
        if self.hosts.len() > MAX_HOSTS {
            let n = self.hosts.len();
            let message = format!("`hosts` holds {n} networks: at most {MAX_HOSTS}");
            return Err(wrong("hosts", message));
        }
        if self.backend == Backend::Socket && !self.netns.is_empty() {
            let message = "`netns` and `backend = \"socket\"` do not go together: a packet socket \
                           would keep other network namespaces alive; use \"tc\" or \"auto\"";
            return Err(wrong("netns", message.to_owned()));
        }
        in_range("ring_bytes", self.ring_bytes.into(), 64 << 10, 1 << 30)
            .map_err(|message| wrong("ring_bytes", message))?;
        in_range("rings", self.rings.into(), 0, 64).map_err(|message| wrong("rings", message))?;
        in_range("max_flows", self.max_flows.into(), 16, 4 << 20)
            .map_err(|message| wrong("max_flows", message))
    }
}

/// The file or folder that is meant, however it is spelled; one that is not there yet by the folder
/// that it is to be in.
fn resolved(path: &Path) -> PathBuf {
    let in_folder = || {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new(".")).canonicalize().ok()?;
        Some(folder.join(path.file_name()?))
    };
    path.canonicalize().ok().or_else(in_folder).unwrap_or_else(|| path.to_owned())
}

/// dev_valid_name in net/core/dev.c.
fn is_interface_name(name: &str) -> bool {
    let is_plain = |byte: u8| !(byte == b'/' || byte == b':' || byte.is_ascii_whitespace());
    !name.is_empty() && name.len() < 16 && name != "." && name != ".." && name.bytes().all(is_plain)
}

/// What the filter in the kernel holds; see `capture::live::Options`.
const MAX_HOSTS: usize = 16;
