//! A file that lines are appended to, rotated by itself or reopened for somebody who rotates it.
//!
//! It holds whole lines at every moment that matters: a line that a full disk has cut is completed
//! before anything else is written, or taken back at the end; half a line that a killed process has
//! left is cut off at the start; a rotation happens between two lines.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::rotate::Rotation;
use super::{Failure, Taken, Target, wait_writable};
use crate::config::sinks::FileSink;
use crate::sink::runner::Notices;

#[derive(Debug)]
pub(in crate::sink) struct FileTarget {
    path: PathBuf,
    file: File,
    /// For a regular file; others (a FIFO, a device) are only written to.
    rotation: Option<Rotation>,
    is_between_lines: bool,
    /// How long the file was with the line that is cut.
    len_when_cut: u64,
    /// It is a regular file on a disk of this host.
    is_local: bool,
    notices: Notices,
}

impl FileTarget {
    pub(super) fn open(config: &FileSink, notices: Notices) -> io::Result<Self> {
        let file = append(&config.path)?;
        let mut rotation = None;
        if file.metadata()?.is_file() {
            match mend(&config.path, &file) {
                Ok(None) => {}
                Ok(Some(what)) => notices.say(what),
                Err(err) => notices.say(format!(
                    "cannot tell whether {} ends in a whole line: {err}",
                    config.path.display()
                )),
            }
            rotation = Rotation::new(config, &file, &notices)?;
        }
        let path = config.path.clone();
        let is_local = is_local(&file);
        let (is_between_lines, len_when_cut) = (true, 0);
        Ok(Self { path, file, rotation, is_between_lines, len_when_cut, is_local, notices })
    }

    /// Whether somebody has made the file shorter since a line in it was cut: the rest of that line
    /// would stand there alone.
    fn has_lost_its_cut_line(&self) -> bool {
        !self.is_between_lines
            && self.file.metadata().is_ok_and(|now| now.is_file() && now.len() < self.len_when_cut)
    }

    /// Makes room: rotates when that is due. How much of `lines` may go into this file now.
    fn share(&mut self, lines: &[u8]) -> usize {
        let Some(rotation) = &mut self.rotation else { return lines.len() };
        if !self.is_between_lines {
            return first_line(lines);
        }
        if rotation.is_due(first_line(lines)) {
            match rotation.rotate(&self.path).and_then(|()| append(&self.path)) {
                Ok(file) => {
                    self.file = file;
                    rotation.begun(0);
                }
                Err(err) => {
                    rotation.postpone();
                    let path = self.path.display();
                    self.notices.say(format!("cannot rotate {path}: {err}; it grows on"));
                }
            }
        }
        rotation.share(lines)
    }
}

impl Target for FileTarget {
    fn write(&mut self, lines: &[u8]) -> Result<Taken, Failure> {
        if self.has_lost_its_cut_line() {
            self.is_between_lines = true;
            let error =
                io::Error::other("it was cut short behind half a line, which is written anew");
            return Err(Failure::Broken { error, from_line_start: true });
        }
        let share = self.share(lines);
        let lines = lines.get(..share).unwrap_or(lines);
        match self.file.write(lines) {
            Ok(0) => Err(broken(io::ErrorKind::WriteZero.into())),
            Ok(bytes) => {
                self.is_between_lines = lines.get(..bytes).is_some_and(|l| l.ends_with(b"\n"));
                if !self.is_between_lines {
                    self.len_when_cut = self.file.metadata().map_or(0, |now| now.len());
                }
                if let Some(rotation) = &mut self.rotation {
                    rotation.grown(bytes as u64);
                }
                Ok(Taken { bytes, refused: 0 })
            }
            Err(err) if err.kind() == io::ErrorKind::Interrupted => Ok(Taken::default()),
            Err(err) if err.kind() == io::ErrorKind::WouldBlock => Err(Failure::Later),
            Err(err) => Err(broken(err)),
        }
    }

    /// Rotating is for the thread: it opens, renames and removes files, and may compress them.
    fn is_prompt(&self, lines: &[u8]) -> bool {
        let has_room = |rotation: &Rotation| {
            !rotation.is_due(lines.len()) && rotation.share(lines) == lines.len()
        };
        self.is_local && self.is_between_lines && self.rotation.as_ref().is_none_or(has_room)
    }

    fn may_be_prompt(&self) -> bool {
        self.is_local
    }

    fn wait(&mut self, timeout: Duration) {
        wait_writable(self.file.as_fd(), timeout);
    }

    fn reopen(&mut self) -> io::Result<()> {
        let file = append(&self.path)?;
        if let Some(rotation) = &mut self.rotation {
            rotation.begun(file.metadata()?.len());
        }
        self.is_local = is_local(&file);
        self.file = file;
        Ok(())
    }

    fn take_back(&mut self, n: u64) -> io::Result<()> {
        self.is_between_lines = true;
        take_back(&self.file, n)
    }
}

/// Opens to append, makes it when it is not there. What events tell is not for everybody, so a new
/// file is readable by owner and group alone. A FIFO that nobody reads is an error (ENXIO, fifo(7))
/// and not waited for; a regular file takes no notice of the flag.
fn append(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.append(true).create(true).mode(0o640).custom_flags(libc::O_NONBLOCK).open(path)
}

/// Whether writes go to the page cache of this host, and wait for no other host or process: a regular
/// file on one of the file systems that are known for that. Of others (NFS, FUSE and the like) one
/// cannot know.
fn is_local(file: &File) -> bool {
    let mut facts = std::mem::MaybeUninit::<libc::statfs>::uninit();
    // SAFETY: the descriptor is open and the call fills the place, or says that it did not.
    let kind = unsafe {
        if libc::fstatfs(file.as_raw_fd(), facts.as_mut_ptr()) != 0 {
            return false;
        }
        facts.assume_init().f_type
    };
    LOCAL.contains(&kind) && file.metadata().is_ok_and(|metadata| metadata.is_file())
}

/// Takes `n` bytes off the end.
pub(super) fn take_back(file: &File, n: u64) -> io::Result<()> {
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("it cannot be taken back from what is no regular file"));
    }
    file.set_len(metadata.len().saturating_sub(n))
}

/// Cuts off half a line that an earlier process left at the end. What does not begin like one of
/// our events is somebody else's: it is closed off with a line end instead.
fn mend(path: &Path, file: &File) -> io::Result<Option<String>> {
    let mut reader = File::open(path)?;
    let len = reader.metadata()?.len();
    let Some(start) = start_of_last_line(&mut reader, len)? else { return Ok(None) };
    let mut beginning = Vec::new();
    reader.seek(SeekFrom::Start(start))?;
    io::Read::take(&mut reader, OURS.len() as u64).read_to_end(&mut beginning)?;
    let (path, n) = (path.display(), len - start);
    if OURS.starts_with(&beginning) {
        file.set_len(start)?;
        return Ok(Some(format!(
            "cut off half an event ({n} bytes) that an earlier process left at the end of {path}"
        )));
    }
    (&*file).write_all(b"\n")?;
    Ok(Some(format!("closed off the last line of {path} ({n} bytes), which is no event")))
}

/// Where the last line begins; `None` when the file is empty or ends in a line end.
fn start_of_last_line(file: &mut File, len: u64) -> io::Result<Option<u64>> {
    let mut end = len;
    let mut piece = Vec::new();
    while end > 0 {
        let from = end.saturating_sub(LOOK_BACK);
        piece.clear();
        file.seek(SeekFrom::Start(from))?;
        io::Read::take(&mut *file, end - from).read_to_end(&mut piece)?;
        match memchr::memrchr(b'\n', &piece) {
            Some(at) if from + at as u64 + 1 == len => return Ok(None),
            Some(at) => return Ok(Some(from + at as u64 + 1)),
            None => end = from,
        }
    }
    Ok((len > 0).then_some(0))
}

/// The length of the first line, its end included.
pub(super) fn first_line(lines: &[u8]) -> usize {
    memchr::memchr(b'\n', lines).map_or(lines.len(), |at| at + 1)
}

fn broken(error: io::Error) -> Failure {
    Failure::Broken { error, from_line_start: false }
}

/// File systems by their number in statfs(2); that of ext4 is also that of ext2 and ext3.
const LOCAL: [libc::c_long; 6] = [
    libc::EXT4_SUPER_MAGIC,
    libc::XFS_SUPER_MAGIC,
    libc::BTRFS_SUPER_MAGIC,
    libc::F2FS_SUPER_MAGIC,
    libc::TMPFS_MAGIC,
    libc::OVERLAYFS_SUPER_MAGIC,
];
/// How each of our lines begins.
const OURS: &[u8] = b"{\"timestamp\":\"";
/// Bytes that are looked at in one go for the last line end.
const LOOK_BACK: u64 = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::sinks::Rotate;

    fn config(path: &Path) -> FileSink {
        FileSink { path: path.to_owned(), rotate: Rotate::default() }
    }

    #[track_caller]
    fn check_mended(before: &str, after: &str, said: &str) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events");
        std::fs::write(&path, before).unwrap();
        let (notices, news) = Notices::channel("file");
        drop(FileTarget::open(&config(&path), notices).unwrap());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), after);
        let said_now: Vec<_> = news.try_iter().collect();
        assert_eq!(said_now.len(), usize::from(!said.is_empty()), "{said_now:?}");
        assert!(said_now.iter().all(|notice| format!("{notice:?}").contains(said)));
    }

    #[test]
    fn half_an_event_of_an_earlier_process_is_cut_off() {
        check_mended("", "", "");
        check_mended("a\nb\n", "a\nb\n", "");
        check_mended("a\n{\"timestamp\":\"2026", "a\n", "cut off half an event (18 bytes)");
        check_mended("a\n{\"ti", "a\n", "cut off half an event (4 bytes)");
        check_mended("{", "", "cut off half an event (1 bytes)");
        let long = "x".repeat(3 * LOOK_BACK as usize);
        let cut = format!("a\n{{\"timestamp\":\"{long}");
        check_mended(&cut, "a\n", "cut off half an event");
    }

    #[test]
    fn the_rest_of_a_line_does_not_follow_into_a_file_that_was_emptied() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events");
        let (notices, _news) = Notices::channel("file");
        let mut target = FileTarget::open(&config(&path), notices).unwrap();
        // As a full disk leaves it.
        target.write(b"a\n{\"half").unwrap();
        target.write(b" and more").unwrap();
        std::fs::write(&path, "").unwrap();
        let refused = target.write(b" a line\"}\n");
        assert!(
            matches!(refused, Err(Failure::Broken { from_line_start: true, .. })),
            "{refused:?}"
        );
        target.write(b"{\"half and more a line\"}\n").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "{\"half and more a line\"}\n");
    }

    #[test]
    fn what_is_not_ours_is_closed_off_and_kept() {
        check_mended("a\nb", "a\nb\n", "closed off the last line");
        check_mended("secret plans", "secret plans\n", "closed off the last line");
    }
}
