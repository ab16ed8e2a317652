//! A program that runs beside the load: what it wrote, what it costs, and its end.
//!
//! Costs are the kernel's own figures: run time in nanoseconds from `/proc/PID/task/*/schedstat`
//! (`stat` counts in ticks of 10 ms), memory and context switches from `status`.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};

use super::lab::{Lab, quiet};
use crate::runner;

pub(crate) struct Process {
    name: String,
    child: Child,
    stderr: PathBuf,
}

/// What a process and its children have used so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    pub(crate) cpu_ns: u64,
    /// Times a thread of it was put on a CPU.
    pub(crate) switches: u64,
    pub(crate) rss_kib: u64,
    pub(crate) peak_rss_kib: u64,
}

impl Process {
    /// Starts it; what it prints goes to `NAME.out` and `NAME.err` in the lab's folder.
    pub(crate) fn start(lab: &Lab, name: &str, command: &mut Command) -> Result<Self> {
        let stderr = lab.folder().join(format!("{name}.err"));
        let stdout = File::create(lab.folder().join(format!("{name}.out")))?;
        command.stdout(stdout).stderr(File::create(&stderr)?);
        let child = command
            .spawn()
            .with_context(|| format!("could not start `{}`", runner::describe(command)))?;
        Ok(Self { name: name.to_owned(), child, stderr })
    }

    /// Starts it with pipes to its standard input and output.
    pub(crate) fn start_with_pipes(lab: &Lab, name: &str, command: &mut Command) -> Result<Self> {
        let stderr = lab.folder().join(format!("{name}.err"));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(File::create(&stderr)?);
        let child = command
            .spawn()
            .with_context(|| format!("could not start `{}`", runner::describe(command)))?;
        Ok(Self { name: name.to_owned(), child, stderr })
    }

    pub(crate) fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it said on standard error so far.
    pub(crate) fn said(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.stderr).unwrap_or_default()).into_owned()
    }

    /// An error when it has ended by itself.
    pub(crate) fn is_alive(&mut self) -> Result<()> {
        if let Some(status) = self.child.try_wait()? {
            bail!("{} ended early ({status}): {}", self.name, self.said().trim());
        }
        Ok(())
    }

    /// Waits until something in its namespace listens on a port.
    pub(crate) fn listens(&mut self, lab: &Lab, port: u16) -> Result<()> {
        // Local address, remote address, and 0A for LISTEN (proc(5), include/net/tcp_states.h).
        let socket = format!(":{port:04X} ");
        lab.wait(&format!("{} to listen", self.name), Duration::from_secs(10), || {
            self.child.try_wait()?.map_or(Ok(()), |status| {
                bail!("it ended early: {status}");
            })?;
            let tables = ["tcp", "tcp6"].map(|table| format!("/proc/{}/net/{table}", self.id()));
            let sockets: String =
                tables.iter().filter_map(|table| fs::read_to_string(table).ok()).collect();
            Ok(sockets.lines().any(|line| line.contains(&socket) && line.contains(" 0A ")))
        })
    }

    /// Waits for the end by itself, at most for `limit`.
    pub(crate) fn wait(&mut self, lab: &Lab, limit: Duration) -> Result<()> {
        let what = format!("{} to end", self.name);
        let child = &mut self.child;
        lab.wait(&what, limit, || Ok(child.try_wait()?.is_some()))
    }

    /// Asks it to end, and waits until it has.
    pub(crate) fn stop(&mut self, lab: &Lab, signal: &str) -> Result<()> {
        if self.child.try_wait()?.is_none() {
            quiet(runner::command("kill").args([signal, &self.id().to_string()]))?;
        }
        self.wait(lab, Duration::from_secs(20))
    }

    /// What it and its children have used so far.
    pub(crate) fn usage(&self) -> Usage {
        let mut sum = Usage::default();
        for id in family(self.id()) {
            let usage = usage_of(&Path::new("/proc").join(id.to_string()));
            sum.cpu_ns += usage.cpu_ns;
            sum.switches += usage.switches;
            sum.rss_kib += usage.rss_kib;
            sum.peak_rss_kib += usage.peak_rss_kib;
        }
        sum
    }

    /// What it has used when it has nothing left to do: some tools work off a backlog after the
    /// load has ended, and that is their cost as well.
    pub(crate) fn settled_usage(&self, lab: &Lab) -> Result<Usage> {
        let mut usage = self.usage();
        for _ in 0..SETTLING_MAX {
            lab.pause(SETTLING)?;
            let next = self.usage();
            let is_settled = next.cpu_ns - usage.cpu_ns < SETTLED_NS;
            usage = next;
            if is_settled {
                break;
            }
        }
        Ok(usage)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// A process and its descendants.
fn family(root: u32) -> Vec<u32> {
    let mut parents = Vec::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(id) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        parents.extend(parent(&stat).map(|parent| (id, parent)));
    }
    let mut family = vec![root];
    let mut at = 0;
    while let Some(&member) = family.get(at) {
        family.extend(parents.iter().filter(|(_, parent)| *parent == member).map(|(id, _)| *id));
        at += 1;
    }
    family
}

/// The parent in a line of `/proc/PID/stat`. The name before it is in parentheses, and may hold
/// parentheses itself (proc(5)).
fn parent(stat: &str) -> Option<u32> {
    stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()
}

fn usage_of(process: &Path) -> Usage {
    let mut usage = Usage::default();
    for task in fs::read_dir(process.join("task")).into_iter().flatten().flatten() {
        let schedstat = fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
        let mut numbers = schedstat.split_whitespace().map(|number| number.parse().unwrap_or(0));
        usage.cpu_ns += numbers.next().unwrap_or(0);
        usage.switches += numbers.nth(1).unwrap_or(0);
    }
    let status = fs::read_to_string(process.join("status")).unwrap_or_default();
    usage.rss_kib = field(&status, "VmRSS:");
    usage.peak_rss_kib = field(&status, "VmHWM:");
    usage
}

pub(crate) fn field(status: &str, name: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

const SETTLING: Duration = Duration::from_millis(200);
const SETTLING_MAX: u32 = 100;
/// A hundredth of [`SETTLING`].
const SETTLED_NS: u64 = 2_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parent_is_found_behind_any_name() {
        assert_eq!(parent("12 (a) b) S 7 12 12 0"), Some(7));
        assert_eq!(parent(""), None);
    }

    #[test]
    fn a_field_of_status_is_a_number() {
        assert_eq!(field("VmHWM:\t  512 kB\nVmRSS:\t 400 kB\n", "VmRSS:"), 400);
        assert_eq!(field("", "VmRSS:"), 0);
    }

    #[test]
    fn this_process_has_used_something() {
        let usage = usage_of(Path::new("/proc/self"));
        assert!(usage.cpu_ns > 0 && usage.rss_kib > 0 && usage.switches > 0, "{usage:?}");
        assert_eq!(family(std::process::id())[0], std::process::id());
    }
}
