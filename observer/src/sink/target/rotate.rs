//! When a file is full or old enough, and what it is called then.
//!
//! `events.ndjson` becomes `events.ndjson.20261121T130322.118Z`, compressed to `….gz` when that is
//! wanted. The name says when it ended, in UTC, and sorts by it; what is too many by that order goes.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use jiff::tz::TimeZone;

use super::archive::Archive;
use super::file::first_line;
use crate::config::sinks::{FileSink, Rotate};
use crate::sink::clock::{monotonic, now};
use crate::sink::runner::Notices;

/// The rule for one file, and how far the present one is.
#[derive(Debug)]
pub(super) struct Rotation {
    rule: Rotate,
    size: u64,
    /// Which stretch of `rule.every` the file belongs to, counted from the epoch.
    period: u64,
    not_before: Option<Instant>,
    archive: Archive,
}

impl Rotation {
    /// `None` when the file is never rotated.
    pub(super) fn new(
        config: &FileSink,
        file: &File,
        notices: &Notices,
    ) -> io::Result<Option<Self>> {
        let rule = config.rotate.clone();
        if rule.bytes == 0 && rule.every.is_none() {
            return Ok(None);
        }
        let metadata = file.metadata()?;
        let modified = metadata.modified().unwrap_or_else(|_| now());
        let archive = Archive::start(&config.path, &rule, notices.clone());
        let period = period(modified, rule.every);
        Ok(Some(Self { rule, size: metadata.len(), period, not_before: None, archive }))
    }

    /// Whether the file must make room before a line of `n` bytes. An empty file never is.
    pub(super) fn is_due(&self, n: usize) -> bool {
        let is_full = self.rule.bytes > 0 && self.size.saturating_add(n as u64) > self.rule.bytes;
        let is_old = period(now(), self.rule.every) != self.period;
        let may = self.not_before.is_none_or(|moment| monotonic() >= moment);
        self.size > 0 && (is_full || is_old) && may
    }

    /// How much of `lines` fits: whole lines, and one of them in any case.
    pub(super) fn share(&self, lines: &[u8]) -> usize {
        let room = self.rule.bytes.saturating_sub(self.size);
        if self.rule.bytes == 0 || self.not_before.is_some() || lines.len() as u64 <= room {
            return lines.len();
        }
        let fits = lines.get(..usize::try_from(room).unwrap_or(usize::MAX)).unwrap_or(lines);
        memchr::memrchr(b'\n', fits).map_or_else(|| first_line(lines), |at| at + 1)
    }

    pub(super) fn grown(&mut self, n: u64) {
        self.size += n;
    }

    /// A file of `size` bytes is the present one now.
    pub(super) fn begun(&mut self, size: u64) {
        self.size = size;
        self.period = period(now(), self.rule.every);
        self.not_before = None;
    }

    /// It did not work; the next attempt comes after a while.
    pub(super) fn postpone(&mut self) {
        self.not_before = Some(monotonic() + PAUSE);
    }

    /// Moves the file aside.
    pub(super) fn rotate(&mut self, path: &Path) -> io::Result<()> {
        fs::rename(path, free_name(path, now())?)?;
        self.archive.look();
        Ok(())
    }
}

/// The number of the stretch that `time` lies in; 0 when there are none.
fn period(time: SystemTime, every: Option<Duration>) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    every.map_or(0, |every| since.as_secs() / every.as_secs().max(1))
}

/// A name that nobody has: two rotations may come in one millisecond, or the clock may go back.
fn free_name(path: &Path, time: SystemTime) -> io::Result<PathBuf> {
    let time = jiff::Timestamp::try_from(time).map_err(io::Error::other)?;
    let time = time.to_zoned(TimeZone::UTC).strftime("%Y%m%dT%H%M%S%.3fZ").to_string();
    for n in 0..1000 {
        let suffix = if n == 0 { format!(".{time}") } else { format!(".{time}-{n:03}") };
        let name = with_suffix(path, &suffix);
        if !name.exists() && !with_suffix(&name, ".gz").exists() {
            return Ok(name);
        }
    }
    Err(io::Error::other("there are a thousand files of this millisecond"))
}

pub(super) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Between two attempts to rotate.
const PAUSE: Duration = Duration::from_secs(60);
