//! What becomes of files that were rotated: compressed, and removed when there are too many.
//!
//! Compressing takes seconds, so it has a thread of its own with the lowest priority. It looks at
//! what is there, so that what an earlier process left undone is done too; when the process ends in
//! the middle, the original is still there and the next start compresses it again.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};

use super::rotate::with_suffix;
use crate::config::sinks::Rotate;
use crate::sink::runner::Notices;

/// The thread's other end; it ends when this is dropped and its work is done.
#[derive(Debug)]
pub(super) struct Archive(Sender<()>);

impl Archive {
    pub(super) fn start(path: &Path, rule: &Rotate, notices: Notices) -> Self {
        let (orders, received) = channel();
        let files = Files { path: path.to_owned(), compress: rule.compress, keep: rule.keep };
        let failed = notices.clone();
        let thread = std::thread::Builder::new().name("archive".to_owned());
        if let Err(err) = thread.spawn(move || work(&files, &received, &notices)) {
            failed.say(format!("rotated files are neither compressed nor removed: {err}"));
        }
        let archive = Self(orders);
        archive.look();
        archive
    }

    /// Something was rotated.
    pub(super) fn look(&self) {
        // Fails when the thread could not be started, which was said.
        let _ = self.0.send(());
    }
}

fn work(files: &Files, orders: &Receiver<()>, notices: &Notices) {
    crate::privileges::keep_to(&[files.folder().to_owned()]);
    // SAFETY: no pointers. On Linux it concerns the calling thread alone, and failing to be polite
    // is no reason not to work.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, 19) };
    while orders.recv().is_ok() {
        if let Err(err) = files.tidy() {
            let path = files.path.display();
            notices.say(format!("cannot tidy up the rotated files of {path}: {err}"));
        }
    }
}

/// The rotated files of one path.
struct Files {
    path: PathBuf,
    compress: bool,
    keep: u32,
}

impl Files {
    fn tidy(&self) -> io::Result<()> {
        // First what is too many: it need not be compressed any more.
        let rotated = self.rotated()?;
        let n_over = match self.keep {
            0 => 0,
            keep => rotated.len().saturating_sub(keep as usize),
        };
        let (over, kept) = rotated.split_at_checked(n_over).unwrap_or_default();
        for path in over {
            fs::remove_file(path)?;
        }
        for path in kept.iter().filter(|_| self.compress) {
            if path.extension().is_none_or(|extension| extension != "gz") {
                compress(path)?;
            }
        }
        Ok(())
    }

    fn folder(&self) -> &Path {
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        folder.unwrap_or(Path::new("."))
    }

    /// From the oldest to the newest, by the time in their names.
    fn rotated(&self) -> io::Result<Vec<PathBuf>> {
        let Some(name) = self.path.file_name().and_then(|name| name.to_str()) else {
            return Ok(Vec::new());
        };
        let mut found = Vec::new();
        for entry in fs::read_dir(self.folder())? {
            let entry = entry?;
            let other = entry.file_name();
            let Some(suffix) = other.to_str().and_then(|other| other.strip_prefix(name)) else {
                continue;
            };
            if suffix.ends_with(PARTIAL) && is_time(suffix) {
                fs::remove_file(entry.path())?;
            } else if is_time(suffix) {
                found.push(entry.path());
            }
        }
        found.sort_unstable();
        Ok(found)
    }
}

/// `.20261121T130322.118Z`, and what may come behind it.
fn is_time(suffix: &str) -> bool {
    let shape = b".dddddddd\x54dddddd.ddd\x5a";
    let bytes = suffix.as_bytes();
    let fits = |(want, got): (&u8, &u8)| match want {
        b'd' => got.is_ascii_digit(),
        _ => want == got,
    };
    let rest = suffix.get(shape.len()..).unwrap_or("?");
    let is_known = rest.is_empty() || rest.starts_with('-') || rest == ".gz" || rest == PARTIAL;
    bytes.len() >= shape.len() && shape.iter().zip(bytes).all(fits) && is_known
}

fn compress(path: &Path) -> io::Result<()> {
    let partial = with_suffix(path, PARTIAL);
    let mut from = File::open(path)?;
    let to = File::create(&partial)?;
    to.set_permissions(from.metadata()?.permissions())?;
    let mut encoder = flate2::write::GzEncoder::new(to, flate2::Compression::default());
    io::copy(&mut from, &mut encoder)?;
    encoder.finish()?.sync_all()?;
    fs::rename(&partial, with_suffix(path, ".gz"))?;
    fs::remove_file(path)
}

/// What is still being compressed.
const PARTIAL: &str = ".gz.partial";

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn rotated_files_are_compressed_and_the_oldest_go() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("e.ndjson");
        let at = |suffix: &str| with_suffix(&path, suffix);
        let times = [".20261121T130322.118Z", ".20261121T130322.118Z-001", ".20261122T000000.000Z"];
        for time in times {
            fs::write(at(time), time).unwrap();
        }
        let others = [".bak", ".20261121", ".20261121T130322.118Zfoo", ""];
        others.iter().for_each(|other| fs::write(at(other), "keep").unwrap());
        fs::write(at(".20261120T130322.118Z.gz"), "old").unwrap();
        fs::write(at(".20261120T130322.118Z.gz.partial"), "half").unwrap();
        Files { path: path.clone(), compress: true, keep: 2 }.tidy().unwrap();
        let mut names: Vec<_> = fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        let mut want: Vec<_> = others.iter().map(|other| format!("e.ndjson{other}")).collect();
        want.extend(times[1..].iter().map(|time| format!("e.ndjson{time}.gz")));
        want.sort();
        assert_eq!(names, want);
        let mut text = String::new();
        let gz = File::open(at(".20261122T000000.000Z.gz")).unwrap();
        flate2::read::GzDecoder::new(gz).read_to_string(&mut text).unwrap();
        assert_eq!(text, times[2]);
    }
}
