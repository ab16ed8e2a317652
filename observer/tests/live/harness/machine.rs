//! A booted systemd in a container, with the binary under test and its unit in it.
//!
//! The root file system is the one that `cargo xtask setup --tests` has made; an overlay in memory
//! takes what is written, so that every machine starts alike and leaves nothing.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::observer::BINARY;
use super::process::Process;
use super::wait::{LONG, until};

pub(crate) struct Machine {
    process: Process,
    /// The machine's first process, as it is called outside.
    leader: u32,
}

/// The root file system, if it is there.
pub(crate) fn root() -> Option<PathBuf> {
    // target/debug/observer, or target/TRIPLE/debug/observer.
    let target = Path::new(BINARY).ancestors().skip(2);
    let root = target.map(|folder| folder.join("booted-root")).find(|root| root.is_dir());
    root.filter(|root| root.join("usr/lib/systemd/systemd").exists())
}

impl Machine {
    #[track_caller]
    pub(crate) fn boot(root: &Path) -> Self {
        let deploy = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy");
        let mut command = Command::new("systemd-nspawn");
        command.arg("-D").arg(root).args(["--volatile=overlay", "--boot", "--quiet"]);
        command.args(["--register=no", "--keep-unit", "--private-network", "--console=pipe"]);
        command.args(["--capability=all", "--system-call-filter=bpf perf_event_open"]);
        command.arg(format!("--machine=observer-{}", std::process::id()));
        for (from, to) in [
            (BINARY.to_owned(), "/usr/bin/observer"),
            (format!("{deploy}/observer.service"), "/usr/lib/systemd/system/observer.service"),
            (format!("{deploy}/observer.sysusers"), "/usr/lib/sysusers.d/observer.conf"),
        ] {
            command.arg(format!("--bind-ro={from}:{to}"));
        }
        command.env_remove("NOTIFY_SOCKET").stdin(Stdio::null());
        let mut process = Process::start(&mut command);
        let leader = until("the machine's first process", LONG, || {
            assert!(process.has_ended().is_none(), "nspawn ended: {:?}", process.stderr.get());
            descendants(process.pid()).into_iter().find(|pid| inner_pid(*pid) == Some(1))
        });
        let machine = Self { process, leader };
        until("the machine to be up", LONG, || {
            let state = machine.try_run("systemctl is-active multi-user.target");
            (state.1.trim() == "active").then_some(())
        });
        machine
    }

    /// Runs a shell command inside; whether it went well, and all it said.
    pub(crate) fn try_run(&self, script: &str) -> (bool, String) {
        let mut command = Command::new("nsenter");
        command.args(["-a", "-t", &self.leader.to_string(), "--", "sh", "-c", script]);
        let output = command.stdin(Stdio::null()).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&said).into_owned())
    }

    #[track_caller]
    pub(crate) fn run(&self, script: &str) -> String {
        let (good, said) = self.try_run(script);
        assert!(good, "{script}: {said}\n{}", self.journal());
        said
    }

    /// Writes a file inside.
    #[track_caller]
    pub(crate) fn write(&self, path: &str, text: &str) {
        let folder = Path::new(path).parent().unwrap().display();
        self.run(&format!("mkdir -p {folder}\ncat > {path} <<'END'\n{text}\nEND"));
    }

    pub(crate) fn journal(&self) -> String {
        self.try_run("journalctl --no-pager -q -o cat -u observer").1
    }

    /// The daemon's main process, as it is called outside; `None` while there is none.
    pub(crate) fn find_daemon(&self) -> Option<u32> {
        let inner = self.run("systemctl show -P MainPID observer");
        let inner: u32 = inner.trim().parse().unwrap();
        descendants(self.leader).into_iter().find(|pid| inner_pid(*pid) == Some(inner))
    }

    #[track_caller]
    pub(crate) fn daemon(&self) -> u32 {
        self.find_daemon().expect("the daemon runs")
    }

    /// Serves HTTP on a port of the machine's loopback device, for as long as this process lives.
    pub(crate) fn serve(&self, port: u16) {
        let namespace = fs::File::open(format!("/proc/{}/ns/net", self.leader)).unwrap();
        let (ready, wait) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            super::namespace::enter(std::os::fd::AsRawFd::as_raw_fd(&namespace)).unwrap();
            let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
            ready.send(()).unwrap();
            for mut stream in listener.incoming().flatten() {
                let mut request = [0; 4096];
                if stream.read(&mut request).is_ok_and(|n| n > 0) {
                    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
                }
            }
        });
        wait.recv().unwrap();
    }

    /// Switches it off, as a user would.
    pub(crate) fn power_off(mut self) {
        // SAFETY: no pointers. systemd(1): SIGRTMIN+4 powers off.
        unsafe { libc::kill(self.leader.cast_signed(), libc::SIGRTMIN() + 4) };
        self.process.wait();
    }
}

/// All processes below this one.
fn descendants(pid: u32) -> Vec<u32> {
    let mut found = Vec::new();
    let mut left = vec![pid];
    while let Some(pid) = left.pop() {
        let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
        for task in tasks {
            let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
            let children =
                children.split_whitespace().filter_map(|child| child.parse::<u32>().ok());
            left.extend(children);
        }
        found.push(pid);
    }
    found
}

/// What a process is called in the machine, which has a namespace below ours.
fn inner_pid(pid: u32) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("NSpid:"))?;
    let mut pids = line.split_whitespace().skip(1);
    pids.next()?.parse().ok()
}
