//! Where events wait on disk while their sink's target does not take them.
//!
//! A folder of numbered files with whole lines in them, filled at the newest and emptied at the
//! oldest. What is there when the process ends is delivered by the next one; a file that was
//! partly delivered when the process was killed is delivered again from its beginning.

use std::collections::VecDeque;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::Lines;

#[derive(Debug)]
pub(super) struct Spool {
    folder: PathBuf,
    max_bytes: u64,
    files: VecDeque<Part>,
    /// The newest file, open to append.
    newest: Option<File>,
    /// Bytes of the oldest file that were handed out.
    n_read: u64,
}

/// One file.
#[derive(Debug)]
struct Part {
    number: u64,
    len: u64,
    n_events: u64,
}

impl Spool {
    /// Opens the folder, makes it when it is not there. Says how many events were in it.
    pub(super) fn open(folder: &Path, max_bytes: u64) -> io::Result<(Self, u64)> {
        DirBuilder::new().recursive(true).mode(0o750).create(folder)?;
        let mut numbers = Vec::new();
        for entry in fs::read_dir(folder)? {
            let name = entry?.file_name();
            let number = name.to_str().and_then(|name| name.strip_suffix(SUFFIX));
            numbers.extend(number.and_then(|number| number.parse::<u64>().ok()));
        }
        numbers.sort_unstable();
        let folder = folder.to_owned();
        let mut spool = Self { folder, max_bytes, files: VecDeque::new(), newest: None, n_read: 0 };
        let mut n_events = 0;
        for number in numbers {
            let (len, events) = whole_lines(&spool.path(number))?;
            n_events += events;
            spool.files.push_back(Part { number, len, n_events: events });
        }
        Ok((spool, n_events))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Appends all of `lines` or, with an error, nothing.
    pub(super) fn append(&mut self, lines: &Lines) -> io::Result<()> {
        let n = lines.bytes().len() as u64;
        let held: u64 = self.files.iter().map(|part| part.len).sum();
        if held + n > self.max_bytes {
            return Err(io::Error::new(io::ErrorKind::QuotaExceeded, "the spool is full"));
        }
        let is_full = self.files.back().is_none_or(|part| part.len >= PART);
        if is_full || self.newest.is_none() {
            let number = self.files.back().map_or(FIRST, |part| part.number + 1);
            let mut options = OpenOptions::new();
            options.append(true).create_new(true).mode(0o640);
            self.newest = Some(options.open(self.path(number))?);
            self.files.push_back(Part { number, len: 0, n_events: 0 });
        }
        let (Some(file), Some(part)) = (&mut self.newest, self.files.back_mut()) else {
            return Err(io::ErrorKind::NotFound.into());
        };
        if let Err(err) = file.write_all(lines.bytes()) {
            // What was written of it is cut off again: lines are whole, and in here once.
            file.set_len(part.len)?;
            return Err(err);
        }
        part.len += n;
        part.n_events += lines.n_events();
        Ok(())
    }

    /// The oldest lines. What was handed out before has been delivered by now.
    pub(super) fn next(&mut self) -> io::Result<Option<Lines>> {
        while let Some(part) = self.files.front() {
            if self.n_read < part.len {
                let (path, left) = (self.path(part.number), part.len - self.n_read);
                let bytes = read(&path, self.n_read, left)?;
                self.n_read += bytes.len() as u64;
                let n_events = memchr::memchr_iter(b'\n', &bytes).count() as u64;
                if let Some(part) = self.files.front_mut() {
                    part.n_events = part.n_events.saturating_sub(n_events);
                }
                return Ok(Some(Lines::of(bytes, n_events)));
            }
            let path = self.path(part.number);
            self.files.pop_front();
            self.n_read = 0;
            if self.files.is_empty() {
                self.newest = None;
            }
            fs::remove_file(path)?;
        }
        Ok(None)
    }

    /// Gives up the oldest file, which cannot be read. Says how many events were still in it.
    pub(super) fn discard(&mut self) -> u64 {
        self.n_read = 0;
        let Some(part) = self.files.pop_front() else { return 0 };
        if self.files.is_empty() {
            self.newest = None;
        }
        // It may be what cannot be read because it is gone.
        let _ = fs::remove_file(self.path(part.number));
        part.n_events
    }

    /// Leaves the spool to the next process: before everything else `undelivered`, whole lines that
    /// were handed out or never were in here, and of the oldest file only what was not handed out.
    pub(super) fn leave(mut self, undelivered: &[u8]) -> io::Result<()> {
        self.trim()?;
        if undelivered.is_empty() {
            return Ok(());
        }
        let oldest = self.files.front().map_or(FIRST, |part| part.number);
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o640);
        options.open(self.path(oldest.saturating_sub(1)))?.write_all(undelivered)
    }

    /// Takes out of the oldest file what was handed out.
    fn trim(&mut self) -> io::Result<()> {
        let Some(part) = self.files.front() else { return Ok(()) };
        let path = self.path(part.number);
        if self.n_read == 0 {
            return Ok(());
        }
        if self.n_read >= part.len {
            self.files.pop_front();
            return fs::remove_file(path);
        }
        let partial = path.with_extension("partial");
        let mut rest = File::open(&path)?;
        rest.seek(SeekFrom::Start(self.n_read))?;
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o640);
        io::copy(&mut rest, &mut options.open(&partial)?)?;
        fs::rename(partial, path)
    }

    fn path(&self, number: u64) -> PathBuf {
        self.folder.join(format!("{number:012}{SUFFIX}"))
    }
}

/// Cuts a file down to its whole lines; its length then, and how many they are.
fn whole_lines(path: &Path) -> io::Result<(u64, u64)> {
    let mut file = OpenOptions::new().read(true).write(true).open(path)?;
    let (mut len, mut whole, mut n_lines) = (0, 0, 0);
    let mut piece = vec![0; READ as usize];
    loop {
        let n = file.read(&mut piece)?;
        if n == 0 {
            break;
        }
        for at in memchr::memchr_iter(b'\n', piece.get(..n).unwrap_or_default()) {
            whole = len + at as u64 + 1;
            n_lines += 1;
        }
        len += n as u64;
    }
    if whole < len {
        file.set_len(whole)?;
    }
    Ok((whole, n_lines))
}

/// Whole lines from `at` on: about [`READ`] bytes, or one line that is longer.
fn read(path: &Path, at: u64, left: u64) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let mut wanted = READ;
    loop {
        file.seek(SeekFrom::Start(at))?;
        let mut bytes = Vec::new();
        io::Read::take(&mut file, wanted.min(left)).read_to_end(&mut bytes)?;
        match memchr::memrchr(b'\n', &bytes) {
            Some(end) => {
                bytes.truncate(end + 1);
                return Ok(bytes);
            }
            None if wanted >= left => {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "it was changed by somebody else",
                ));
            }
            None => wanted *= 2,
        }
    }
}

const SUFFIX: &str = ".ndjson";
/// Where the numbers begin: in the middle of what twelve digits hold, because files are added at
/// both ends.
const FIRST: u64 = 500_000_000_000;
/// A file is removed when all of it was delivered, so this is what may be delivered twice.
const PART: u64 = 4 << 20;
/// Bytes that are read in one go.
const READ: u64 = 128 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Lines {
        Lines::of(text.into(), text.lines().count() as u64)
    }

    fn all(spool: &mut Spool) -> (String, u64) {
        let (mut text, mut n) = (String::new(), 0);
        while let Some(lines) = spool.next().unwrap() {
            text.push_str(std::str::from_utf8(lines.bytes()).unwrap());
            n += lines.n_events();
        }
        (text, n)
    }

    #[test]
    fn lines_come_back_in_order_and_files_go() {
        let folder = tempfile::tempdir().unwrap();
        let (mut spool, found) = Spool::open(folder.path(), u64::MAX).unwrap();
        assert_eq!(found, 0);
        let each: Vec<_> = (0..60_000).map(|i| format!("{i} {}\n", "y".repeat(i % 200))).collect();
        let text = each.concat();
        for piece in each.chunks(1000) {
            spool.append(&lines(&piece.concat())).unwrap();
        }
        assert!(fs::read_dir(folder.path()).unwrap().count() > 1);
        let (got, _) = all(&mut spool);
        assert!(got == text);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        spool.append(&lines("again\n")).unwrap();
        assert_eq!(all(&mut spool), ("again\n".to_owned(), 1));
    }

    #[test]
    fn the_limit_holds() {
        let folder = tempfile::tempdir().unwrap();
        let (mut spool, _) = Spool::open(folder.path(), 10).unwrap();
        spool.append(&lines("12345\n")).unwrap();
        assert!(spool.append(&lines("12345\n")).is_err());
        spool.append(&lines("123\n")).unwrap();
        assert_eq!(all(&mut spool), ("12345\n123\n".to_owned(), 2));
    }

    #[test]
    fn the_next_process_takes_up_what_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let (mut spool, _) = Spool::open(folder.path(), 1000).unwrap();
        spool.append(&lines("one\ntwo\nthree\n")).unwrap();
        spool.next().unwrap();
        spool.append(&lines("four\n")).unwrap();
        let path = spool.path(FIRST);
        spool.leave(b"two\nthree\n").unwrap();
        // And then one that was killed while it wrote.
        fs::OpenOptions::new().append(true).open(path).unwrap().write_all(b"fo").unwrap();
        let (mut spool, found) = Spool::open(folder.path(), 1000).unwrap();
        assert_eq!(found, 3);
        spool.append(&lines("five\n")).unwrap();
        assert_eq!(all(&mut spool), ("two\nthree\nfour\nfive\n".to_owned(), 4));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
