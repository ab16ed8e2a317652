//! When to look again: everything that the kernel tells of its own accord. None of it is read for
//! what it says; a look finds what there is.
//!
//! A socket in our own namespace hears of interfaces in every namespace that ours has a number for
//! (netlink(7), `NETLINK_LISTEN_ALL_NSID`), which is each that a veth pair or the like ties to it,
//! and of the numbers themselves as namespaces come and go. The folders where namespaces are kept
//! by files are watched with inotify(7). What is left, a namespace that nothing ties to ours and no
//! file keeps, waits for the slow look.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use netlink_sys::{Socket, SocketAddr};

use super::super::netlink::{self, NetlinkError, failed};
use crate::capture::namespaces::Namespace;

use super::find::FOLDERS;

pub(super) struct News {
    links: Socket,
    files: OwnedFd,
    /// Folders that are, or should be, watched, and the number of the watch.
    folders: BTreeMap<PathBuf, Option<i32>>,
}

/// What ended a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Woken {
    News,
    Time,
    /// The other end of the pipe was closed.
    Stop,
}

impl News {
    pub(super) fn open(wanted: &[Namespace]) -> Result<Self, NetlinkError> {
        let mut links = netlink::socket()?;
        links.bind(&SocketAddr::new(0, 0)).map_err(failed("bind"))?;
        links.set_non_blocking(true).map_err(failed("stop blocking"))?;
        // Takes CAP_NET_BROADCAST. Without it there is news of our own namespace alone, which is
        // of the coming and going of others, and the slow look finds what changes in them.
        let _ = links.set_listen_all_namespaces(true);
        for group in [RTNLGRP_LINK, RTNLGRP_NSID] {
            links.add_membership(group).map_err(failed("join a group with"))?;
        }
        // SAFETY: no pointers; the result is checked.
        let fd = unsafe { libc::inotify_init1(libc::IN_NONBLOCK | libc::IN_CLOEXEC) };
        if fd < 0 {
            let source = io::Error::last_os_error();
            return Err(NetlinkError::Socket { action: "watch folders beside", source });
        }
        // SAFETY: the descriptor is new and nobody else's.
        let files = unsafe { OwnedFd::from_raw_fd(fd) };
        let named = wanted.iter().filter_map(|namespace| match namespace {
            Namespace::File(path) => path.parent().map(Path::to_owned),
            Namespace::All | Namespace::Process(_) => None,
        });
        // What is below /proc tells of nothing.
        let named = named.filter(|folder| !folder.starts_with("/proc"));
        let folders = FOLDERS.iter().map(PathBuf::from).chain(named);
        let folders = folders.map(|folder| (folder, None)).collect();
        let mut news = Self { links, files, folders };
        news.watch_folders();
        Ok(news)
    }

    /// Watches the folders that have come since the last call. The first of them comes with the
    /// first namespace: of one that is not there, the folder that it will be in is watched.
    pub(super) fn watch_folders(&mut self) {
        for (folder, watch) in &mut self.folders {
            if watch.is_none() || !folder.exists() {
                let number = add_watch(&self.files, folder);
                if number.is_none()
                    && let Some(parent) = folder.parent()
                {
                    // When nothing is there either, the slow look finds it.
                    let _ = add_watch(&self.files, parent);
                }
                *watch = number;
            }
        }
    }

    /// Waits until something may have changed, for `patience` at most.
    pub(super) fn wait(&self, stop: &impl AsRawFd, patience: Duration) -> Woken {
        let mut fds = [stop.as_raw_fd(), self.links.as_raw_fd(), self.files.as_raw_fd()]
            .map(|fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 });
        let millis = i32::try_from(patience.as_millis()).unwrap_or(i32::MAX);
        // SAFETY: the array has as many entries as the call is told.
        unsafe { libc::poll(fds.as_mut_ptr(), 3, millis) };
        let [stop, links, files] = fds.map(|fd| fd.revents != 0);
        match (stop, links || files) {
            (true, _) => Woken::Stop,
            (false, true) => Woken::News,
            // A signal that another thread handles ends the wait early, and no harm is done.
            (false, false) => Woken::Time,
        }
    }

    /// Waits in any case, unless it is to stop.
    pub(super) fn rest(&self, stop: &impl AsRawFd, time: Duration) -> Woken {
        let mut fd = libc::pollfd { fd: stop.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        let millis = i32::try_from(time.as_millis()).unwrap_or(i32::MAX);
        // SAFETY: there is one entry, as the call is told.
        unsafe { libc::poll(&raw mut fd, 1, millis) };
        if fd.revents != 0 { Woken::Stop } else { Woken::Time }
    }

    /// Forgets what has come so far.
    pub(super) fn clear(&mut self) {
        loop {
            match self.links.recv_from_full() {
                Ok(_) => {}
                // More than the socket could hold: news all the same.
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {}
                Err(_) => break,
            }
        }
        let mut bytes = [0u8; 4096];
        loop {
            // SAFETY: the array has as many bytes as the call is told.
            let n = unsafe {
                libc::read(self.files.as_raw_fd(), bytes.as_mut_ptr().cast(), bytes.len())
            };
            if n <= 0 {
                break;
            }
        }
    }
}

fn add_watch(files: &OwnedFd, folder: &Path) -> Option<i32> {
    let path = CString::new(folder.as_os_str().as_bytes()).ok()?;
    // SAFETY: the path ends with a zero byte and outlives the call.
    let number = unsafe { libc::inotify_add_watch(files.as_raw_fd(), path.as_ptr(), CHANGES) };
    (number >= 0).then_some(number)
}

/// A mount on a file tells nothing; that the file has come does (`find` looks again until it is a
/// namespace).
const CHANGES: u32 = libc::IN_CREATE
    | libc::IN_DELETE
    | libc::IN_MOVED_FROM
    | libc::IN_MOVED_TO
    | libc::IN_DELETE_SELF
    | libc::IN_MOVE_SELF
    | libc::IN_ONLYDIR;
/// include/uapi/linux/rtnetlink.h
const RTNLGRP_LINK: u32 = 1;
const RTNLGRP_NSID: u32 = 28;
