//! Network namespaces, and the veth pairs between them.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};

use super::find;

/// A network namespace with its loopback device up; gone when dropped, whatever happened.
pub(crate) struct Namespace {
    pub(crate) name: String,
    handle: File,
    /// It goes with this.
    is_ours: bool,
}

impl Namespace {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        static SWEEP: Once = Once::new();
        SWEEP.call_once(sweep);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{PREFIX}-{}-{n}", std::process::id());
        ip(&["netns", "add", &name]);
        let handle = File::open(format!("/run/netns/{name}")).unwrap();
        let namespace = Self { name, handle, is_ours: true };
        namespace.ip(&["link", "set", "lo", "up"]);
        namespace
    }

    /// One that somebody else has made, and removes. It stays as long as this.
    pub(crate) fn at(path: &str) -> Self {
        let name = path.rsplit('/').next().unwrap_or_default().to_owned();
        let handle = File::open(path).unwrap_or_else(|err| panic!("{path}: {err}"));
        Self { name, handle, is_ours: false }
    }

    /// Runs `ip` inside.
    #[track_caller]
    pub(crate) fn ip(&self, args: &[&str]) {
        ip(&[&["-n", &self.name], args].concat());
    }

    /// A veth pair named `name` on both sides: `10.77.0.1` and `fd77::1` here, `.2` and `::2` at
    /// the peer.
    pub(crate) fn connect(&self, peer: &Self, name: &str) {
        self.connect_in(peer, name, 77);
    }

    /// The same in another network: `net` stands for the 77.
    pub(crate) fn connect_in(&self, peer: &Self, name: &str, net: u8) {
        let (here, there) = (self.name.as_str(), peer.name.as_str());
        ip(&["-n", here, "link", "add", name, "type", "veth", "peer", name, "netns", there]);
        for (namespace, host) in [(self, 1), (peer, 2)] {
            namespace.ip(&["addr", "add", &format!("10.{net}.0.{host}/24"), "dev", name]);
            // Without duplicate address detection, which takes a second.
            namespace.ip(&["addr", "add", &format!("fd{net}::{host}/64"), "dev", name, "nodad"]);
            namespace.ip(&["link", "set", name, "up"]);
        }
    }

    /// A command that will run inside, with nothing on its standard input, and end with the
    /// thread that starts it.
    pub(crate) fn command(&self, program: &str) -> Command {
        let path = find(program).unwrap_or_else(|| program.into());
        let mut command = Command::new(path);
        command.stdin(Stdio::null());
        let handle = self.handle.as_raw_fd();
        // SAFETY: both calls are system calls without allocation, fit for a child after fork; the
        // handle is open as long as the namespace, and the closure fails when it is not.
        unsafe {
            command.pre_exec(move || {
                enter(handle)?;
                if libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) < 0 {
                    return Err(io::Error::last_os_error());
                }
                Ok(())
            });
        }
        command
    }

    /// Sets a sysctl of the network: `ipv4/ip_forward`.
    #[track_caller]
    pub(crate) fn set(&self, name: &str, value: &str) {
        let file = format!("/proc/sys/net/{name}");
        self.inside(|| std::fs::write(&file, value).unwrap());
    }

    /// Runs `work` inside, on a thread of its own: sockets that it makes stay there.
    pub(crate) fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                enter(self.handle.as_raw_fd()).unwrap();
                work()
            });
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        if !self.is_ours {
            return;
        }
        // Not `ip`, which panics: the test may be panicking already.
        let _ = Command::new("ip").args(["netns", "del", &self.name]).status();
    }
}

/// Moves the calling thread into the namespace.
pub(super) fn enter(handle: i32) -> io::Result<()> {
    // SAFETY: no pointers; the result is checked.
    match unsafe { libc::setns(handle, libc::CLONE_NEWNET) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[track_caller]
fn ip(args: &[&str]) {
    let output = Command::new("ip").args(args).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ip {}: {stderr}", args.join(" "));
}

/// Removes the namespaces of test processes that were killed: their names say whose they were.
fn sweep() {
    let names = std::fs::read_dir("/run/netns").into_iter().flatten().flatten();
    for name in names.filter_map(|entry| entry.file_name().into_string().ok()) {
        let mut parts = name.split('-');
        let pid = if parts.next() == Some(PREFIX) { parts.next() } else { None };
        let Some(pid) = pid.and_then(|pid| pid.parse::<u32>().ok()) else { continue };
        if !std::path::Path::new(&format!("/proc/{pid}")).exists() {
            let _ = Command::new("ip").args(["netns", "del", &name]).status();
        }
    }
}

const PREFIX: &str = "obs";
