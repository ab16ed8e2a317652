//! What a tool has written: how many lines tell of something, observer's own account, and how long
//! after the last byte of a response its line was there to be read.

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader, Read as _, Seek as _, SeekFrom},
    path::{Path, PathBuf},
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, SystemTime},
};

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::runner;

/// Lines of the file that hold `text`. grep goes through a gigabyte in a second, also when xtask
/// was built without optimisation.
pub(super) fn count(file: &Path, text: &str) -> Result<u64> {
    let mut grep = runner::command("grep");
    grep.env("LC_ALL", "C").args(["-a", "-c", "-F", "-e", text]).arg(file);
    let output = grep.stdin(Stdio::null()).output().context("cannot start grep")?;
    let said = String::from_utf8_lossy(&output.stdout);
    said.trim().parse().with_context(|| format!("grep cannot read {}", file.display()))
}

/// The last `observer.stats` of the file, its numbers under `obs.stats`.
pub(super) fn last_stats(file: &Path) -> Result<Value> {
    let mut file = File::open(file)?;
    let size = file.metadata()?.len();
    file.seek(SeekFrom::Start(size.saturating_sub(64 << 10)))?;
    let mut end = Vec::new();
    file.read_to_end(&mut end)?;
    let end = String::from_utf8_lossy(&end);
    let line = end.lines().rfind(|line| line.contains(r#""name":"observer.stats""#));
    let line = line.context("observer wrote no account of what it saw")?;
    let mut event: Value = serde_json::from_str(line)?;
    Ok(event["obs"]["stats"].take())
}

/// Looks at the size of a file all the time, on a thread of its own.
pub(super) struct Watch {
    file: PathBuf,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Vec<(u64, u64)>>,
}

impl Watch {
    pub(super) fn start(file: &Path) -> Self {
        let (file, stop) = (file.to_owned(), Arc::new(AtomicBool::new(false)));
        let thread = {
            let (file, stop) = (file.clone(), Arc::clone(&stop));
            thread::spawn(move || sizes(&file, &stop))
        };
        Self { file, stop, thread }
    }

    /// Ends the watch. Sorted delays in nanoseconds, of one line in [`SAMPLE`].
    pub(super) fn delays(self) -> Result<Vec<u64>> {
        self.stop.store(true, Ordering::Relaxed);
        let sizes = self.thread.join().ok().context("the watch on the file failed")?;
        let mut reader = BufReader::with_capacity(1 << 20, File::open(&self.file)?);
        let (mut line, mut end, mut n_lines) = (Vec::new(), 0, 0_usize);
        let mut delays = Vec::new();
        loop {
            line.clear();
            let n_bytes = reader.read_until(b'\n', &mut line)?;
            if n_bytes == 0 {
                break;
            }
            end += n_bytes as u64;
            n_lines += 1;
            if !n_lines.is_multiple_of(SAMPLE) {
                continue;
            }
            let seen = sizes.partition_point(|(_, size)| *size < end);
            let ended = std::str::from_utf8(&line).ok().and_then(last_byte);
            if let (Some((seen, _)), Some(ended)) = (sizes.get(seen), ended) {
                delays.push(seen.saturating_sub(ended));
            }
        }
        delays.sort_unstable();
        Ok(delays)
    }
}

/// Each new size of the file, behind the time at which it was seen.
fn sizes(file: &Path, stop: &AtomicBool) -> Vec<(u64, u64)> {
    let (mut sizes, mut last) = (Vec::new(), 0);
    while !stop.load(Ordering::Relaxed) {
        let size = fs::metadata(file).map_or(0, |metadata| metadata.len());
        if size != last {
            last = size;
            sizes.push((wall_clock(), size));
        }
        thread::sleep(LOOK);
    }
    sizes
}

/// When the last byte of a complete exchange passed, in nanoseconds since 1970.
fn last_byte(line: &str) -> Option<u64> {
    let stamp = between(line, r#"{"timestamp":""#, "Z\"")?;
    let total: u64 = between(line, r#""total_ns":"#, ",")?.parse().ok()?;
    let (date, time) = stamp.split_once('T')?;
    let (time, fraction) = time.split_once('.')?;
    let mut date = date.split('-').map(|part| part.parse::<u64>().ok());
    let days = days(date.next()??, date.next()??, date.next()??);
    let mut time = time.split(':').map(|part| part.parse::<u64>().ok());
    let (hours, minutes, seconds) = (time.next()??, time.next()??, time.next()??);
    let seconds = ((days * 24 + hours) * 60 + minutes) * 60 + seconds;
    let nanoseconds: u64 = format!("{fraction:0<9}").parse().ok()?;
    Some(seconds * 1_000_000_000 + nanoseconds + total)
}

fn between<'a>(text: &'a str, front: &str, back: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(front)?;
    rest.split_once(back).map(|(value, _)| value)
}

/// Days from 1970 to a day of the Gregorian calendar, later than 1970: years run from March, so that
/// the leap day is their last.
fn days(year: u64, month: u64, day: u64) -> u64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let before = year * 365 + year / 4 - year / 100 + year / 400;
    before + (153 * month + 2) / 5 + day - 719_469
}

#[expect(clippy::disallowed_methods, reason = "xtask is no part of the engine")]
fn wall_clock() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// One line in so many is looked at for its delay.
const SAMPLE: usize = 7;
/// How often the file is looked at, which is how exact a delay is.
const LOOK: Duration = Duration::from_micros(300);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_byte_is_the_first_one_and_the_time_it_took() {
        let line = r#"{"timestamp":"2026-11-21T03:53:34.787907201Z","obs":{"total_ns":52788,"#;
        assert_eq!(last_byte(line), Some(1_795_233_214_787_907_201 + 52_788));
        assert_eq!(last_byte("{}"), None);
        assert_eq!((days(1970, 1, 1), days(2000, 2, 29), days(2000, 3, 1)), (0, 11_016, 11_017));
    }

    #[test]
    fn lines_are_counted_and_the_last_account_is_found() {
        let file = std::env::temp_dir().join(format!("xtask-lines-{}", std::process::id()));
        let stats = |n| format!(r#"{{"event":{{"name":"observer.stats"}},"obs":{{"stats":{n}}}}}"#);
        fs::write(&file, format!("a\n{}\nb\n{}\nab\n", stats(1), stats(2))).unwrap();
        let outcome =
            (count(&file, "observer.stats").ok(), count(&file, "ab").ok(), last_stats(&file).ok());
        fs::remove_file(&file).unwrap();
        assert_eq!(outcome, (Some(2), Some(1), Some(Value::from(2))));
        assert!(count(&file, "b").is_err());
    }
}
