//! The daemon's end of the control socket, on a thread of its own.
//!
//! It owns the socket's file: who may connect (mode 0660), that no second daemon takes it, and
//! that it is gone afterwards. It moves bytes from queues to sockets and knows nothing of events.

use std::fs;
use std::io;
use std::os::unix::fs::{
    DirBuilderExt as _, FileTypeExt as _, MetadataExt as _, PermissionsExt as _,
};
use std::os::unix::net::{UnixListener as StdListener, UnixStream as StdStream};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::super::Lines;
use super::{COMMAND, Client, Hello, Request, Tails};
use crate::event::stats::TailStats;
use crate::privileges;

/// Why the socket cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(
        "already running: another observer listens on {}; stop it, or use --socket with another \
         path or --no-socket",
        .0.display()
    )]
    Taken(PathBuf),
    #[error("{} exists and is no socket: remove it or use --socket with another path", .0.display())]
    NotASocket(PathBuf),
    #[error("cannot listen on {}", path.display())]
    Io { path: PathBuf, source: io::Error },
}

/// A running server; dropped by [`Server::stop`].
#[derive(Debug)]
pub struct Server {
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
    file: SocketFile,
}

impl Server {
    /// Takes the socket at `path` and serves it. The [`Tails`] are for the capture thread.
    pub fn start(path: &Path, hello: &Hello) -> Result<(Self, Tails), Error> {
        let io = |source| Error::Io { path: path.to_owned(), source };
        let (listener, file) = bind(path)?;
        listener.set_nonblocking(true).map_err(io)?;
        let (requests, receiver) = channel();
        let (stop, stopped) = oneshot::channel();
        let hello: Arc<[u8]> = hello.line().into_bytes().into();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build()
            .map_err(io)?;
        let listener = {
            let _inside = runtime.enter();
            UnixListener::from_std(listener).map_err(io)?
        };
        let thread = std::thread::Builder::new()
            .name("control".to_owned())
            .spawn(move || {
                privileges::keep_to(&[]);
                runtime.block_on(serve(listener, hello, requests, stopped));
            })
            .map_err(io)?;
        Ok((Self { stop, thread, file }, Tails::new(receiver)))
    }

    /// Takes no more clients, gives the present ones `FAREWELL` to read what is queued, and
    /// removes the socket. Their queues must have been closed: see [`Tails::dismiss`].
    pub fn stop(self) {
        drop(self.file);
        // Either fails only when the thread has ended already, which is what is wanted.
        let _ = self.stop.send(());
        let _ = self.thread.join();
    }
}

/// The socket in the file system, removed when dropped, if it is still ours.
#[derive(Debug)]
pub(in crate::sink) struct SocketFile {
    path: PathBuf,
    /// Device and inode.
    identity: (u64, u64),
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|found| found == self.identity) {
            // It may be gone between the look and the removal; then there is nothing to do.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Listens on `path`. The socket is made under another name, with its mode, and then moved to its
/// place in one step: nobody can connect before the mode is right, and a socket that a dead daemon
/// left is replaced without a moment in which there is none.
pub(in crate::sink) fn bind(path: &Path) -> Result<(StdListener, SocketFile), Error> {
    let io = |source| Error::Io { path: path.to_owned(), source };
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::DirBuilder::new().recursive(true).mode(0o755).create(folder).map_err(io)?;
    }
    free_or_stale(path)?;
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(format!(".{}", std::process::id()));
    let temporary = PathBuf::from(temporary);
    let listener = StdListener::bind(&temporary).map_err(io)?;
    let placed = give_to_group(&temporary)
        .and_then(|()| fs::set_permissions(&temporary, fs::Permissions::from_mode(0o660)))
        .and_then(|()| identity(&temporary))
        .and_then(|identity| fs::rename(&temporary, path).map(|()| identity));
    match placed {
        Ok(identity) => Ok((listener, SocketFile { path: path.to_owned(), identity })),
        Err(source) => {
            let _ = fs::remove_file(&temporary);
            Err(io(source))
        }
    }
}

/// Where root makes the socket and there is a group `observer`, the socket is its: its members need
/// no more for `observer tail`.
fn give_to_group(path: &Path) -> io::Result<()> {
    // SAFETY: takes nothing and cannot fail.
    let is_root = unsafe { libc::geteuid() } == 0;
    match group(&fs::read_to_string("/etc/group").unwrap_or_default()).filter(|_| is_root) {
        Some(id) => std::os::unix::fs::chown(path, None, Some(id)),
        None => Ok(()),
    }
}

/// The id of the group `observer`, from group(5).
fn group(text: &str) -> Option<u32> {
    let line = text.lines().find_map(|line| line.strip_prefix("observer:"))?;
    line.split(':').nth(1)?.parse().ok()
}

/// Whether `path` may be taken: nothing is there, or a socket that nobody listens on (connect
/// fails with ECONNREFUSED, unix(7)).
fn free_or_stale(path: &Path) -> Result<(), Error> {
    let io = |source| Error::Io { path: path.to_owned(), source };
    match fs::symlink_metadata(path) {
        Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(err) => return Err(io(err)),
        Ok(found) if !found.file_type().is_socket() => {
            return Err(Error::NotASocket(path.to_owned()));
        }
        Ok(_) => {}
    }
    match StdStream::connect(path) {
        Ok(_) => Err(Error::Taken(path.to_owned())),
        Err(err) if err.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
        Err(err) if err.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(err) => Err(io(err)),
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let found = fs::symlink_metadata(path)?;
    Ok((found.dev(), found.ino()))
}

async fn serve(
    listener: UnixListener,
    hello: Arc<[u8]>,
    requests: Sender<Request>,
    mut stopped: oneshot::Receiver<()>,
) {
    let mut clients = JoinSet::new();
    let mut next_id = 0;
    loop {
        tokio::select! {
            _ = &mut stopped => break,
            Some(_) = clients.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) if clients.len() >= MAX_CLIENTS => {
                    // It is told if it reads at once; it is not waited for.
                    let _ = stream.try_write(b"{\"error\":\"too many clients are attached\"}\n");
                }
                Ok((stream, _)) => {
                    next_id += 1;
                    clients.spawn(client(next_id, stream, Arc::clone(&hello), requests.clone()));
                }
                // Out of file descriptors, most likely: accept would fail again at once.
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    }
    drop(listener);
    drop(requests);
    let _ = timeout(FAREWELL, async { while clients.join_next().await.is_some() {} }).await;
}

/// One client, from its command to its end. An error of the socket is the client's end and nobody
/// else's business.
async fn client(
    id: u64,
    stream: UnixStream,
    hello: Arc<[u8]>,
    requests: Sender<Request>,
) -> Option<()> {
    let (read, mut write) = stream.into_split();
    let mut read = BufReader::new(read);
    if !command(&mut read).await {
        write.write_all(b"{\"error\":\"unknown command\"}\n").await.ok()?;
        return None;
    }
    write.write_all(&hello).await.ok()?;
    let (queue, receiver) = mpsc::unbounded_channel();
    let n_waiting = Arc::new(AtomicUsize::new(0));
    let attach = Client {
        id,
        queue,
        n_waiting: Arc::clone(&n_waiting),
        tail: TailStats::default(),
        untold: false,
    };
    requests.send(Request::Attach(attach)).ok()?;
    let mut forward = pin!(forward(receiver, &mut write, &n_waiting));
    tokio::select! {
        done = &mut forward => return done,
        () = leave(id, &mut read, &requests) => {}
    }
    forward.await
}

/// Whether the first line is the command that there is.
async fn command(read: &mut BufReader<OwnedReadHalf>) -> bool {
    let mut line = Vec::new();
    let mut limited = read.take(4096);
    let line_read = timeout(PATIENCE, limited.read_until(b'\n', &mut line)).await;
    matches!(line_read, Ok(Ok(_))) && line == COMMAND.as_bytes()
}

/// Waits until the client sends no more, and has it let go.
async fn leave(id: u64, read: &mut BufReader<OwnedReadHalf>, requests: &Sender<Request>) {
    let mut ignored = [0; 256];
    while matches!(read.read(&mut ignored).await, Ok(1..)) {}
    // Fails when the daemon is ending, and then all clients are let go anyway.
    let _ = requests.send(Request::Leave(id));
}

/// Moves the queue into the socket until the capture thread closes it.
async fn forward(
    mut queue: mpsc::UnboundedReceiver<Arc<Lines>>,
    write: &mut OwnedWriteHalf,
    n_waiting: &AtomicUsize,
) -> Option<()> {
    while let Some(lines) = queue.recv().await {
        write.write_all(lines.bytes()).await.ok()?;
        n_waiting.fetch_sub(lines.bytes().len(), Ordering::Relaxed);
    }
    write.shutdown().await.ok()
}

/// Each may hold `MAX_QUEUED` bytes.
pub const MAX_CLIENTS: usize = 16;
/// How long a client may take to say what it wants.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long the daemon waits at its end for clients to read.
const FAREWELL: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::group;

    #[test]
    fn the_group_is_found_by_its_name() {
        let text = "root:x:0:\nobservers:x:7:\nobserver:x:998:jo,kim\n";
        assert_eq!(group(text), Some(998));
        assert_eq!(group("root:x:0:\nobserver:x\n"), None);
    }
}
