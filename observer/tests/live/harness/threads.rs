//! The threads of a process that a test started: how often each has waited, and one of them held up
//! while the others go on.

use std::fs;
use std::io;

/// How often the threads of that name have waited for something, together (proc_pid_status(5)).
#[track_caller]
pub(crate) fn n_waits(pid: u32, name: &str) -> u64 {
    let folder = format!("/proc/{pid}/task");
    let threads = fs::read_dir(&folder).unwrap().flatten().map(|entry| entry.path());
    let of_name = threads.filter(|thread| {
        fs::read_to_string(thread.join("comm")).is_ok_and(|comm| comm.trim() == name)
    });
    of_name.map(|thread| waits(&fs::read_to_string(thread.join("status")).unwrap())).sum()
}

fn waits(status: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
    line.unwrap().trim().parse().unwrap()
}

/// A thread that does nothing until this is dropped, by whoever made it (ptrace(2)).
pub(crate) struct Held(libc::pid_t);

impl Held {
    pub(crate) fn new(thread: u32) -> io::Result<Self> {
        let thread = thread.cast_signed();
        let ask = |request| {
            // SAFETY: neither request reads what its last two arguments point to.
            match unsafe { libc::ptrace(request, thread, 0_usize, 0_usize) } {
                0 => Ok(()),
                _ => Err(io::Error::last_os_error()),
            }
        };
        ask(libc::PTRACE_SEIZE)?;
        let held = Self(thread);
        ask(libc::PTRACE_INTERRUPT)?;
        let mut status = 0;
        // SAFETY: the status outlives the call.
        match unsafe { libc::waitpid(thread, &raw mut status, libc::__WALL) } {
            -1 => Err(io::Error::last_os_error()),
            _ => Ok(held),
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // SAFETY: it reads nothing. A thread that has ended is held by nobody.
        unsafe { libc::ptrace(libc::PTRACE_DETACH, self.0, 0_usize, 0_usize) };
    }
}
