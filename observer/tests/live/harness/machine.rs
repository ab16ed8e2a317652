//! A booted systemd in a container, and the packages of the binary under test to install in it.
//!
//! The root file system is the one that `cargo xtask setup --tests` has made; an overlay in memory
//! takes what is written, so that every machine starts alike and leaves nothing.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::fd::AsRawFd as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Once, OnceLock};

use aya::programs::{SchedClassifier, TcAttachType};

use super::namespace::Namespace;
use super::observer::BINARY;
use super::process::Process;
use super::wait::{LONG, until, within};

pub(crate) struct Machine {
    process: Process,
    /// The machine's first process, as it is called outside.
    leader: u32,
    /// Its control group, below each hierarchy's root.
    group: String,
}

/// Puts the shell into a control group of its own and becomes nspawn: two machines in one group
/// would have their services in the same ones, with processes that the other cannot name.
const IN_A_GROUP: &str = "for root in /sys/fs/cgroup/systemd /sys/fs/cgroup/unified; do \
    [ -d $root ] && mkdir $root/$0 && echo $$ > $root/$0/cgroup.procs; done; \
    exec systemd-nspawn \"$@\"";

/// The root file system, if it is there.
pub(crate) fn root() -> Option<PathBuf> {
    // target/debug/observer, or target/TRIPLE/debug/observer.
    let target = Path::new(BINARY).ancestors().skip(2);
    let root = target.map(|folder| folder.join("booted-root")).find(|root| root.is_dir());
    root.filter(|root| root.join("usr/lib/systemd/systemd").exists())
}

/// A folder with a .deb and an .rpm of the binary under test, as `cargo xtask dist` makes them.
#[track_caller]
pub(crate) fn packages() -> &'static Path {
    static PACKAGES: OnceLock<PathBuf> = OnceLock::new();
    PACKAGES.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("packages");
        let _ = fs::remove_dir_all(&folder);
        let mut dist = Command::new(env!("CARGO"));
        dist.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
        dist.args(["xtask", "dist", "--fast", "--only", "deb,rpm", "--observer", BINARY]);
        let output = dist.arg("--into").arg(&folder).stdin(Stdio::null()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "cargo xtask dist: {said}");
        folder
    })
}

impl Machine {
    /// Boots it with the packages in `/packages`. None of them is installed.
    #[track_caller]
    pub(crate) fn boot(root: &Path, packages: &Path) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let group = format!("{PREFIX}{}-{n}", std::process::id());
        let mut command = Command::new("sh");
        command.args(["-c", IN_A_GROUP, &group]);
        command.arg("-D").arg(root).args(["--volatile=overlay", "--boot", "--quiet"]);
        command.args(["--register=no", "--keep-unit", "--private-network", "--console=pipe"]);
        command.args(["--capability=all", "--system-call-filter=bpf perf_event_open"]);
        command.arg(format!("--machine={group}"));
        command.arg(format!("--bind-ro={}:/packages", packages.display()));
        command.env_remove("NOTIFY_SOCKET").stdin(Stdio::null());
        // SAFETY: prctl is a system call without allocation, fit for a child after fork.
        unsafe {
            command.pre_exec(|| {
                // Should the tests be killed: nspawn then switches the machine off (systemd-nspawn(1),
                // --kill-signal). It outlives the shell that becomes nspawn.
                match libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM) {
                    0 => Ok(()),
                    _ => Err(std::io::Error::last_os_error()),
                }
            });
        }
        static SWEEP: Once = Once::new();
        SWEEP.call_once(sweep);
        let mut process = Process::start(&mut command);
        let leader = until("the machine's first process", LONG, || {
            assert!(process.has_ended().is_none(), "nspawn ended: {:?}", process.stderr.get());
            descendants(process.pid()).into_iter().find(|pid| inner_pid(*pid) == Some(1))
        });
        let machine = Self { process, leader, group };
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

    /// The daemon's main process, as it is called outside.
    #[track_caller]
    pub(crate) fn daemon(&self) -> u32 {
        self.find_daemon().expect("the daemon is there")
    }

    /// The same; `None` while there is none.
    pub(crate) fn find_daemon(&self) -> Option<u32> {
        let inner = self.run("systemctl show -P MainPID observer");
        let inner: u32 = inner.trim().parse().unwrap();
        descendants(self.leader).into_iter().find(|pid| inner_pid(*pid) == Some(inner))
    }

    /// How many programs hang on the machine's loopback device, whosever they are.
    pub(crate) fn attached(&self) -> usize {
        let namespace = self.network();
        let count = || {
            super::namespace::enter(namespace.as_raw_fd()).unwrap();
            let programs = [TcAttachType::Ingress, TcAttachType::Egress].map(|hook| {
                let (_, programs) = SchedClassifier::query_tcx("lo", hook).unwrap();
                programs.len()
            });
            programs.iter().sum()
        };
        // On a thread of its own, which then is in that namespace.
        std::thread::scope(|scope| scope.spawn(count).join().unwrap())
    }

    /// A network namespace that `ip netns add` made inside.
    pub(crate) fn namespace(&self, name: &str) -> Namespace {
        Namespace::at(&format!("/proc/{}/root/run/netns/{name}", self.leader))
    }

    fn network(&self) -> fs::File {
        fs::File::open(format!("/proc/{}/ns/net", self.leader)).unwrap()
    }

    /// Serves HTTP on a port of the machine's loopback device, for as long as this process lives.
    pub(crate) fn serve(&self, port: u16) {
        let namespace = self.network();
        let (ready, wait) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            super::namespace::enter(namespace.as_raw_fd()).unwrap();
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

impl Drop for Machine {
    fn drop(&mut self) {
        if self.process.has_ended().is_none() {
            // A test has failed. nspawn would leave the machine behind; its first process takes all
            // others with it.
            // SAFETY: no pointers.
            unsafe { libc::kill(self.leader.cast_signed(), libc::SIGKILL) };
            let _ = within(LONG, || self.process.has_ended());
        }
        remove_group(&self.group);
    }
}

/// Removes a control group with all groups below, and ends what is still in them.
fn remove_group(group: &str) {
    for root in HIERARCHIES {
        let group = format!("{root}/{group}");
        // cgroup v2 alone has it, and every process of a machine is in a group there.
        let _ = fs::write(format!("{group}/cgroup.kill"), "1");
        let is_gone = || {
            let remove = ["-depth", "-type", "d", "-exec", "rmdir", "{}", ";"];
            let _ = Command::new("find").arg(&group).args(remove).stderr(Stdio::null()).status();
            (!Path::new(&group).exists()).then_some(())
        };
        // A group stays busy until the last of its processes has been waited for.
        let _ = within(LONG, is_gone);
    }
}

/// Removes the machines of test processes that were killed: the names of their groups say whose
/// they were.
fn sweep() {
    let entries = HIERARCHIES.iter().filter_map(|root| fs::read_dir(root).ok());
    for entry in entries.flatten().flatten() {
        let Ok(group) = entry.file_name().into_string() else { continue };
        let Some(rest) = group.strip_prefix(PREFIX) else { continue };
        let pid = rest.split('-').next().and_then(|pid| pid.parse::<u32>().ok());
        if pid.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists()) {
            remove_group(&group);
        }
    }
}

/// Of systemd in a hybrid hierarchy, as here; the first has `cgroup.kill`.
const HIERARCHIES: [&str; 2] = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup/systemd"];
const PREFIX: &str = "observer-test-";

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
