//! An observer for which the machine is empty: its own processes, its own /run, its own network
//! namespace as the first. So `all` means what the test makes, and nothing of anybody else's.

use std::ops::{Deref, DerefMut};
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::time::Duration;

use crate::harness::namespace::Namespace;
use crate::harness::observer::{BINARY, End, Observer};
use crate::harness::wait::{LONG, until};

pub(crate) struct Island {
    observer: Observer,
    /// The observer's process id outside.
    pid: u32,
}

impl Island {
    /// Starts `observer ARGS`, and waits until it watches.
    #[track_caller]
    pub(crate) fn start(args: &[&str]) -> Self {
        let mut command = Command::new("unshare");
        command.args(["--mount", "--pid", "--net", "--fork", "--mount-proc"]);
        command.args(["--kill-child=SIGTERM", "sh", "-c", SETTLE, BINARY]).args(args);
        // SAFETY: a system call without allocation, fit for a child after fork.
        unsafe {
            command.pre_exec(|| match libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) {
                0 => Ok(()),
                _ => Err(std::io::Error::last_os_error()),
            });
        }
        let mut observer = Observer::spawn(&mut command);
        observer.wait_for_message("observer: watching ");
        let unshare = observer.pid();
        let children = format!("/proc/{unshare}/task/{unshare}/children");
        let children = std::fs::read_to_string(children).unwrap();
        Self { observer, pid: children.trim().parse().unwrap() }
    }

    /// A command that will run here.
    pub(crate) fn command(&self, script: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.args([
            "-t",
            &self.pid.to_string(),
            "--mount",
            "--pid",
            "--net",
            "sh",
            "-c",
            script,
        ]);
        command
    }

    /// Runs commands of the shell here.
    #[track_caller]
    pub(crate) fn run(&self, script: &str) {
        let output = self.command(script).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{script}: {stderr}");
    }

    /// A namespace that `ip netns add` made here.
    pub(crate) fn namespace(&self, name: &str) -> Namespace {
        Namespace::at(&format!("/proc/{}/root/run/netns/{name}", self.pid))
    }

    /// The observer's own.
    pub(crate) fn home(&self) -> Namespace {
        Namespace::at(&format!("/proc/{}/ns/net", self.pid))
    }

    /// As seen from outside.
    pub(crate) fn observer_pid(&self) -> u32 {
        self.pid
    }

    /// At rest: while the observer looks into a namespace it holds more for a moment, and a count
    /// taken then is never seen again.
    #[track_caller]
    pub(crate) fn n_descriptors(&self) -> usize {
        until("the descriptors to stay as they are", LONG, || {
            let n = self.n_descriptors_now();
            let stays = (0..20).all(|_| {
                std::thread::sleep(Duration::from_millis(25));
                self.n_descriptors_now() == n
            });
            stays.then_some(n)
        })
    }

    fn n_descriptors_now(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.pid)).unwrap().count()
    }

    /// Waits until the observer holds nothing that it did not hold before.
    #[track_caller]
    pub(crate) fn has_let_go(&self, n_before: usize) {
        until("all descriptors to be released", LONG, || {
            (self.n_descriptors_now() == n_before).then_some(())
        });
    }

    /// Ends the observer, and expects that it ends well.
    #[track_caller]
    pub(crate) fn end(self) -> End {
        // SAFETY: no pointers. `unshare` has not been waited for, and it waits for this one.
        unsafe { libc::kill(self.pid.cast_signed(), libc::SIGTERM) };
        self.observer.ended()
    }
}

impl Deref for Island {
    type Target = Observer;
    fn deref(&self) -> &Observer {
        &self.observer
    }
}

impl DerefMut for Island {
    fn deref_mut(&mut self) -> &mut Observer {
        &mut self.observer
    }
}

const SETTLE: &str = "mount -t tmpfs island /run && ip link set lo up && exec \"$0\" \"$@\"";
