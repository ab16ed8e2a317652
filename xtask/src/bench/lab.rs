//! The place where a measurement happens: a network namespace with nothing in it but loopback, a
//! folder for what is written, and commands that run inside and on a chosen CPU.
//!
//! Everything is gone when the lab is dropped, and what a killed run left is swept by the next one:
//! names carry the process id. Commands die with xtask (`setpriv --pdeathsig`), whatever ends it.

use std::{
    fs,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

use crate::{runner, workspace};

pub(crate) struct Lab {
    name: String,
    folder: PathBuf,
    stop: Arc<AtomicBool>,
}

impl Lab {
    pub(crate) fn new() -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
            signal_hook::flag::register(signal, Arc::clone(&stop))
                .context("cannot watch for signals")?;
        }
        let place = workspace::target().join("bench");
        fs::create_dir_all(&place).with_context(|| format!("cannot make {}", place.display()))?;
        sweep(&place);
        let name = format!("{PREFIX}{}", std::process::id());
        let folder = place.join(std::process::id().to_string());
        fs::create_dir_all(&folder)?;
        let lab = Self { name, folder, stop };
        ip(&["netns", "add", &lab.name])?;
        ip(&["-n", &lab.name, "link", "set", "lo", "up"])?;
        // A connection per request uses up the usual 28,000 ports while some still wait.
        let mut ports = lab.command("sh", None);
        ports.args(["-c", "echo 1024 65535 > /proc/sys/net/ipv4/ip_local_port_range"]);
        quiet(&mut ports)?;
        Ok(lab)
    }

    /// Of its network namespace; those that belong to it have more behind a `-`.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Where files may be written; removed with the lab.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// A command that will run inside, on one CPU if that is said. Each of the wrappers replaces
    /// itself with the next, so the child's process id is the program's. It has a process group of
    /// its own: Ctrl-C at the terminal is for xtask, which then ends its children in order.
    pub(crate) fn command(&self, program: &str, cpu: Option<usize>) -> Command {
        let mut command = runner::command("nsenter");
        command.arg(format!("--net=/run/netns/{}", self.name));
        // The usual 1024 descriptors end at 1000 connections.
        command.args(["sh", "-c", r#"ulimit -n "$(ulimit -Hn)"; exec "$@""#, "sh"]);
        if let Some(cpu) = cpu {
            command.args(["taskset", "-c", &cpu.to_string()]);
        }
        command.args(["setpriv", "--pdeathsig", "KILL"]);
        let found = runner::find_program(program);
        command.arg(found.unwrap_or_else(|| program.into()));
        command.stdin(Stdio::null()).process_group(0);
        command
    }

    /// Waits for `ready`, at most for `limit`; an error when it does not come, or on Ctrl-C.
    pub(crate) fn wait(
        &self,
        what: &str,
        limit: Duration,
        mut ready: impl FnMut() -> Result<bool>,
    ) -> Result<()> {
        let start = now();
        while !ready()? {
            if start.elapsed() > limit {
                bail!("waited {} s for {what}", limit.as_secs());
            }
            self.pause(Duration::from_millis(5))?;
        }
        Ok(())
    }

    /// Sleeps; an error on Ctrl-C.
    pub(crate) fn pause(&self, duration: Duration) -> Result<()> {
        let end = now() + duration;
        loop {
            if self.stop.load(Ordering::Relaxed) {
                bail!("interrupted");
            }
            let left = end.saturating_duration_since(now());
            if left.is_zero() {
                return Ok(());
            }
            thread::sleep(left.min(Duration::from_millis(50)));
        }
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let _ = quiet(runner::command("ip").args(["netns", "del", &self.name]));
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Removes the namespaces and folders of runs that were killed.
fn sweep(place: &Path) {
    let is_gone = |id: &str| id.parse::<u32>().is_ok() && !Path::new("/proc").join(id).exists();
    for name in names_in(Path::new("/run/netns")) {
        let id = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next());
        if id.is_some_and(is_gone) {
            let _ = quiet(runner::command("ip").args(["netns", "del", &name]));
        }
    }
    for name in names_in(place).into_iter().filter(|name| is_gone(name)) {
        let _ = fs::remove_dir_all(place.join(name));
    }
}

fn names_in(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

fn ip(args: &[&str]) -> Result<()> {
    quiet(runner::command("ip").args(args))
}

/// Runs a command whose output matters only when it fails.
pub(crate) fn quiet(command: &mut Command) -> Result<()> {
    let output = command
        .output()
        .with_context(|| format!("could not start `{}`", runner::describe(command)))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("`{}` failed: {}", runner::describe(command), said.trim());
    }
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "xtask is no part of the engine")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

const PREFIX: &str = "observer-bench-";
