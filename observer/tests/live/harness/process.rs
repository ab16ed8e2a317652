//! A process that a test started: its lines as they come, its end, and that it does end.

use std::io::{BufRead as _, BufReader, Read};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use super::wait::{LONG, until};

/// A child process whose output is collected; killed when dropped.
pub(crate) struct Process {
    name: String,
    child: Child,
    status: Option<ExitStatus>,
    pub(crate) stdout: Lines,
    pub(crate) stderr: Lines,
}

impl Process {
    #[track_caller]
    pub(crate) fn start(command: &mut Command) -> Self {
        let name = command.get_program().to_string_lossy().into_owned();
        // Ctrl-C at the terminal is for the test, which then takes its children along.
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let mut child = command.spawn().unwrap_or_else(|err| panic!("cannot start {name}: {err}"));
        let stdout = Lines::collect(child.stdout.take().unwrap());
        let stderr = Lines::collect(child.stderr.take().unwrap());
        Self { name, child, status: None, stdout, stderr }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// CPU time of all its threads so far.
    #[track_caller]
    pub(crate) fn cpu_ms(&self) -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap();
        // The name, in parentheses, may hold anything; user and system time are 12 and 13 fields
        // behind it, in ticks (proc_pid_stat(5)).
        let (_, fields) = stat.rsplit_once(')').unwrap();
        let ticks = fields.split_whitespace().skip(11).take(2).map(|n| n.parse::<u64>().unwrap());
        // SAFETY: no pointers.
        let per_second = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
        ticks.sum::<u64>() * 1000 / u64::try_from(per_second).unwrap()
    }

    pub(crate) fn has_ended(&mut self) -> Option<ExitStatus> {
        if self.status.is_none() {
            self.status = self.child.try_wait().unwrap();
        }
        self.status
    }

    /// Sends a signal, if the process is still there.
    pub(crate) fn signal(&mut self, signal: i32) {
        if self.has_ended().is_none() {
            // SAFETY: the child has not been waited for, so its id is still its own.
            unsafe { libc::kill(self.child.id().cast_signed(), signal) };
        }
    }

    /// Waits for the end, and for all that was written before it.
    #[track_caller]
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let what = format!("{} to end; it said {:?}", self.name, self.stderr.get());
        let status = until(&what, LONG, || self.has_ended());
        self.stdout.finish();
        self.stderr.finish();
        status
    }

    /// Waits for a line on standard error that has `text` in it.
    #[track_caller]
    pub(crate) fn wait_for_message(&mut self, text: &str) -> String {
        let found = super::wait::within(LONG, || {
            let has_ended = self.has_ended().is_some();
            if has_ended {
                // Its last words may still be in the pipe.
                self.stderr.finish();
            }
            let line = self.stderr.get().into_iter().find(|line| line.contains(text));
            line.map(Some).or(has_ended.then_some(None))
        });
        match found.flatten() {
            Some(line) => line,
            None => panic!("{} did not say `{text}` but {:?}", self.name, self.stderr.get()),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.has_ended().is_none() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        if std::thread::panicking() {
            for line in self.stderr.get() {
                eprintln!("{}[{}]: {line}", self.name, self.child.id());
            }
        }
    }
}

/// Lines that another process writes.
pub(crate) struct Lines {
    lines: Arc<Mutex<Vec<String>>>,
    reader: Option<JoinHandle<()>>,
}

impl Lines {
    fn collect(pipe: impl Read + Send + 'static) -> Self {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&lines);
        let reader = std::thread::spawn(move || {
            // Not `lines`, which would take a carriage return for part of the line's end.
            for line in BufReader::new(pipe).split(b'\n').map_while(Result::ok) {
                sink.lock().unwrap().push(String::from_utf8_lossy(&line).into_owned());
            }
        });
        Self { lines, reader: Some(reader) }
    }

    /// All lines so far.
    pub(crate) fn get(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }

    pub(crate) fn count(&self) -> usize {
        self.lines.lock().unwrap().len()
    }

    /// The lines after the first `n`.
    pub(crate) fn after(&self, n: usize) -> Vec<String> {
        self.lines.lock().unwrap().get(n..).unwrap_or_default().to_vec()
    }

    fn finish(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
    }
}
