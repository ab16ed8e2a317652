//! NDJSON to a file or standard output.
//!
//! A batch is one `write`; nothing is buffered here. When the disk is full, a line may be cut in
//! the middle: its rest is kept and written before anything else, so that the file never holds
//! half a line between two whole ones, and at the end a line still cut is taken back.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write};
use std::os::fd::AsFd as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Duration;

use super::{Batch, Outcome};
use crate::event::stats::SinkStats;

/// Appends batches to one file.
#[derive(Debug)]
pub struct Writer<F = File> {
    file: F,
    /// What is still to be written of the line that was cut, and how much of it is in the file.
    torn: Vec<u8>,
    n_torn_written: u64,
    /// The last write failed, and that was said.
    failing: bool,
    stats: SinkStats,
}

/// What a writer needs of its file; `File` in earnest, a full disk in tests.
pub trait Appendable: Write {
    /// Takes `n` bytes off the end, where that is possible.
    fn take_back(&mut self, n: u64) -> io::Result<()>;
}

impl Writer<File> {
    /// Standard output.
    pub fn stdout() -> io::Result<Self> {
        let file = File::from(io::stdout().as_fd().try_clone_to_owned()?);
        Ok(Self::new(file, "stdout".to_owned()))
    }

    /// Opens `path` to append, makes it when it is not there. What events tell is not for
    /// everybody, so a new file is readable by owner and group alone. Half a line that an earlier
    /// process left at the end is closed off, so that it spoils itself and not our first event.
    pub fn append(path: &Path) -> io::Result<Self> {
        let mut file = OpenOptions::new().append(true).create(true).mode(0o640).open(path)?;
        if file.metadata()?.is_file() && ends_in_half_a_line(path) {
            file.write_all(b"\n")?;
        }
        Ok(Self::new(file, path.display().to_string()))
    }
}

impl<F: Appendable> Writer<F> {
    fn new(file: F, name: String) -> Self {
        let stats = SinkStats { name, ..SinkStats::default() };
        Self { file, torn: Vec::new(), n_torn_written: 0, failing: false, stats }
    }

    pub(super) fn write(&mut self, batch: &Batch) -> Outcome {
        let result = self.mend().and_then(|()| self.lines(batch.bytes()));
        let n_whole = match &result {
            Ok(()) => batch.n_events(),
            Err((_, n_whole)) => *n_whole,
        };
        self.stats.events += n_whole;
        self.stats.lost += batch.n_events() - n_whole;
        match result {
            Ok(()) if self.failing => {
                self.failing = false;
                let SinkStats { name, lost, .. } = &self.stats;
                Outcome::Say(format!("writing to {name} works again; {lost} events were lost"))
            }
            Ok(()) => Outcome::Done,
            Err((err, _)) if err.kind() == io::ErrorKind::BrokenPipe => Outcome::Closed,
            Err((err, _)) => {
                self.stats.errors += 1;
                if std::mem::replace(&mut self.failing, true) {
                    return Outcome::Done;
                }
                let name = &self.stats.name;
                Outcome::Say(format!(
                    "cannot write to {name}: {err}; capture goes on, events are lost and counted \
                     until it works again"
                ))
            }
        }
    }

    pub(super) fn stats(&self) -> SinkStats {
        self.stats.clone()
    }

    /// Completes the line that was cut, or takes back its beginning.
    pub(super) fn finish(&mut self) -> Outcome {
        if self.mend().is_ok() {
            return Outcome::Done;
        }
        self.stats.events = self.stats.events.saturating_sub(1);
        self.stats.lost += 1;
        match self.file.take_back(self.n_torn_written) {
            Ok(()) => Outcome::Done,
            Err(err) => {
                let name = &self.stats.name;
                Outcome::Say(format!("the last line in {name} is cut: {err}"))
            }
        }
    }

    /// Writes the rest of the line that was cut. The error comes with 0: no line of the batch at
    /// hand was written.
    fn mend(&mut self) -> Result<(), (io::Error, u64)> {
        let torn = std::mem::take(&mut self.torn);
        let (n, result) = write_all(&mut self.file, &torn);
        self.stats.bytes += n as u64;
        match result {
            Ok(()) => {
                self.n_torn_written = 0;
                Ok(())
            }
            Err(err) => {
                self.torn = torn.get(n..).unwrap_or_default().to_vec();
                self.n_torn_written += n as u64;
                Err((err, 0))
            }
        }
    }

    /// Writes whole lines. The error comes with the number of lines that are, or by [`mend`] will
    /// be, in the file.
    ///
    /// [`mend`]: Self::mend
    fn lines(&mut self, bytes: &[u8]) -> Result<(), (io::Error, u64)> {
        let (n, result) = write_all(&mut self.file, bytes);
        self.stats.bytes += n as u64;
        let Err(err) = result else { return Ok(()) };
        let (written, rest) = bytes.split_at(n);
        let mut n_whole = written.iter().filter(|byte| **byte == b'\n').count() as u64;
        let n_cut = written.iter().rev().take_while(|byte| **byte != b'\n').count();
        if n_cut > 0 {
            let end = memchr::memchr(b'\n', rest).map_or(rest.len(), |at| at + 1);
            self.torn = rest.get(..end).unwrap_or_default().to_vec();
            self.n_torn_written = n_cut as u64;
            n_whole += 1;
        }
        Err((err, n_whole))
    }
}

impl Appendable for File {
    fn take_back(&mut self, n: u64) -> io::Result<()> {
        let metadata = self.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::other("it cannot be taken back from what is no regular file"));
        }
        self.set_len(metadata.len().saturating_sub(n))
    }
}

/// Writes as much as can be written, and says how much that was.
fn write_all(file: &mut impl Write, bytes: &[u8]) -> (usize, io::Result<()>) {
    let mut n = 0;
    while let Some(rest) = bytes.get(n..).filter(|rest| !rest.is_empty()) {
        match file.write(rest) {
            Ok(0) => return (n, Err(io::ErrorKind::WriteZero.into())),
            Ok(written) => n += written,
            Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
            // Standard output can be a pipe that somebody else has set to O_NONBLOCK. Waiting is
            // what a blocking pipe would have done.
            Err(err) if err.kind() == io::ErrorKind::WouldBlock => {
                std::thread::sleep(Duration::from_millis(1));
            }
            Err(err) => return (n, Err(err)),
        }
    }
    (n, Ok(()))
}

/// Whether the last byte is no line end. What cannot be read is taken as whole.
fn ends_in_half_a_line(path: &Path) -> bool {
    let last = || -> io::Result<u8> {
        let mut file = File::open(path)?;
        file.seek(SeekFrom::End(-1))?;
        let mut last = [b'\n'];
        file.read_exact(&mut last)?;
        Ok(last[0])
    };
    last().is_ok_and(|last| last != b'\n')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file on a disk with `room` bytes left.
    #[derive(Debug, Default)]
    struct Disk {
        held: Vec<u8>,
        room: usize,
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let n = bytes.len().min(self.room);
            if n == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.room -= n;
            self.held.extend_from_slice(&bytes[..n]);
            Ok(n)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Appendable for Disk {
        fn take_back(&mut self, n: u64) -> io::Result<()> {
            self.held.truncate(self.held.len() - n as usize);
            Ok(())
        }
    }

    fn batch(lines: &[&str]) -> Batch {
        let bytes = lines.iter().flat_map(|line| [line.as_bytes(), b"\n"].concat()).collect();
        Batch { bytes, n_events: lines.len() as u64 }
    }

    fn writer(room: usize) -> Writer<Disk> {
        Writer::new(Disk { room, ..Disk::default() }, "disk".to_owned())
    }

    #[track_caller]
    fn check(writer: &Writer<Disk>, held: &str, events: u64, lost: u64, errors: u64) {
        assert_eq!(String::from_utf8_lossy(&writer.file.held), held);
        let stats = writer.stats();
        assert_eq!((stats.events, stats.lost, stats.errors), (events, lost, errors));
    }

    #[test]
    fn a_full_disk_is_said_once_and_every_lost_event_counted() {
        let mut writer = writer(8);
        assert!(matches!(writer.write(&batch(&["one", "two", "three"])), Outcome::Say(_)));
        assert_eq!(writer.write(&batch(&["four"])), Outcome::Done);
        check(&writer, "one\ntwo\n", 2, 2, 2);
    }

    #[test]
    fn a_line_that_was_cut_is_completed_before_the_next() {
        let mut writer = writer(6);
        assert!(matches!(writer.write(&batch(&["one", "two", "three"])), Outcome::Say(_)));
        check(&writer, "one\ntw", 2, 1, 1);
        writer.file.room = 100;
        let Outcome::Say(message) = writer.write(&batch(&["four"])) else { panic!("said nothing") };
        assert_eq!(message, "writing to disk works again; 1 events were lost");
        check(&writer, "one\ntwo\nfour\n", 3, 1, 1);
        assert_eq!(writer.stats().bytes, 13);
    }

    #[test]
    fn a_line_still_cut_at_the_end_is_taken_back() {
        let mut writer = writer(6);
        writer.write(&batch(&["one", "two"]));
        assert_eq!(writer.finish(), Outcome::Done);
        check(&writer, "one\n", 1, 1, 1);
    }

    #[test]
    fn a_line_cut_twice_is_still_one_line() {
        let mut writer = writer(1);
        writer.write(&batch(&["one"]));
        writer.file.room = 1;
        writer.write(&batch(&["two"]));
        check(&writer, "on", 1, 1, 2);
        assert_eq!(writer.finish(), Outcome::Done);
        check(&writer, "", 0, 2, 2);
    }

    #[test]
    fn half_a_line_of_an_earlier_process_is_closed_off() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events");
        for (before, after) in [("", "x\n"), ("a\n", "a\nx\n"), ("a\nb", "a\nb\nx\n")] {
            std::fs::write(&path, before).unwrap();
            let mut writer = Writer::append(&path).unwrap();
            assert_eq!(writer.write(&batch(&["x"])), Outcome::Done);
            assert_eq!(std::fs::read_to_string(&path).unwrap(), after);
        }
    }
}
