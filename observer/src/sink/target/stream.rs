//! A stream socket, Unix or TCP, that is connected again whenever it is lost.
//!
//! What counts as written is what the kernel has taken: of a connection that breaks, what lay in
//! its buffers may not have arrived. A line that was cut by the break is sent again as a whole.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use super::syslog::Message;
use super::{Failure, Taken, Target, wait_writable};

#[derive(Debug)]
pub(in crate::sink) struct Stream {
    peer: Peer,
    framing: Framing,
    connection: Option<Connection>,
    framed: Framed,
}

#[derive(Debug)]
enum Peer {
    Unix(PathBuf),
    Tcp(String),
}

#[derive(Debug)]
enum Connection {
    Unix(UnixStream),
    Tcp(TcpStream),
}

/// How lines are told apart on the stream.
#[derive(Debug)]
pub(in crate::sink) enum Framing {
    /// As they are, each with its line end.
    Lines,
    /// RFC 6587 §3.4.1: each message behind its length.
    Counted(Message),
}

/// Messages made for the stream and not yet taken by it.
#[derive(Debug, Default)]
struct Framed {
    bytes: Vec<u8>,
    n_sent: usize,
    /// Where in `bytes` each message ends, and how long its line was.
    ends: VecDeque<(usize, usize)>,
}

impl Stream {
    pub(super) fn unix(path: PathBuf) -> Self {
        Self::new(Peer::Unix(path), Framing::Lines)
    }

    pub(super) fn tcp(address: String, framing: Framing) -> Self {
        Self::new(Peer::Tcp(address), framing)
    }

    fn new(peer: Peer, framing: Framing) -> Self {
        Self { peer, framing, connection: None, framed: Framed::default() }
    }

    /// The connection, made when there is none.
    fn connected(&mut self) -> io::Result<&mut Connection> {
        // An end of the peer shows by itself only at the second write after it; what the first one
        // wrote would be lost.
        if self.connection.as_ref().is_some_and(Connection::was_closed) {
            self.disconnect();
        }
        if self.connection.is_none() {
            self.connection = Some(self.peer.connect()?);
        }
        self.connection.as_mut().ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    fn disconnect(&mut self) {
        self.connection = None;
        self.framed = Framed::default();
    }

    fn send(&mut self, lines: &[u8]) -> io::Result<usize> {
        if matches!(self.framing, Framing::Lines) {
            return self.connected()?.as_write().write(lines);
        }
        self.connected()?;
        if let (Framing::Counted(message), true) = (&self.framing, self.framed.is_empty()) {
            self.framed.fill(message, lines);
        }
        let Self { connection: Some(connection), framed, .. } = self else { return Ok(0) };
        let rest = framed.bytes.get(framed.n_sent..).unwrap_or_default();
        framed.n_sent += connection.as_write().write(rest)?;
        Ok(framed.take_sent())
    }
}

impl Target for Stream {
    fn write(&mut self, lines: &[u8]) -> Result<Taken, Failure> {
        match self.send(lines) {
            Ok(bytes) => Ok(Taken { bytes, refused: 0 }),
            Err(err) if err.kind() == io::ErrorKind::Interrupted => Ok(Taken::default()),
            Err(err) if err.kind() == io::ErrorKind::WouldBlock => Err(Failure::Later),
            Err(error) => {
                self.disconnect();
                Err(Failure::Broken { error, from_line_start: true })
            }
        }
    }

    fn wait(&mut self, timeout: Duration) {
        if let Some(connection) = &self.connection {
            wait_writable(connection.as_fd(), timeout);
        }
    }

    fn reopen(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn take_back(&mut self, _: u64) -> io::Result<()> {
        // The other end sees half a line and then the end of the stream.
        self.disconnect();
        Ok(())
    }
}

impl Peer {
    fn connect(&self) -> io::Result<Connection> {
        match self {
            Self::Unix(path) => {
                let stream = UnixStream::connect(path)?;
                stream.set_nonblocking(true)?;
                Ok(Connection::Unix(stream))
            }
            Self::Tcp(address) => {
                let mut last = io::Error::other("the name has no address");
                for address in address.to_socket_addrs()? {
                    match TcpStream::connect_timeout(&address, CONNECT) {
                        Ok(stream) => {
                            let socket = socket2::SockRef::from(&stream);
                            socket.set_keepalive(true)?;
                            socket.set_tcp_user_timeout(Some(SILENCE))?;
                            stream.set_nonblocking(true)?;
                            return Ok(Connection::Tcp(stream));
                        }
                        Err(err) => last = err,
                    }
                }
                Err(last)
            }
        }
    }
}

impl Connection {
    fn as_write(&mut self) -> &mut dyn Write {
        match self {
            Self::Unix(stream) => stream,
            Self::Tcp(stream) => stream,
        }
    }

    /// The peer has closed. What it says otherwise is thrown away: nothing is expected from it.
    fn was_closed(&self) -> bool {
        let socket = socket2::SockRef::from(self);
        let mut ignored = [std::mem::MaybeUninit::uninit(); 512];
        loop {
            match socket.recv_with_flags(&mut ignored, libc::MSG_DONTWAIT) {
                Ok(0) => return true,
                Ok(_) => {}
                Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
                Err(err) => return err.kind() != io::ErrorKind::WouldBlock,
            }
        }
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Unix(stream) => stream.as_fd(),
            Self::Tcp(stream) => stream.as_fd(),
        }
    }
}

impl Framed {
    fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    fn fill(&mut self, message: &Message, lines: &[u8]) {
        self.bytes.clear();
        self.n_sent = 0;
        let mut one = Vec::new();
        for line in lines.split_inclusive(|byte| *byte == b'\n') {
            one.clear();
            message.write(line, &mut one);
            self.bytes.extend_from_slice(one.len().to_string().as_bytes());
            self.bytes.push(b' ');
            self.bytes.extend_from_slice(&one);
            self.ends.push_back((self.bytes.len(), line.len()));
            if self.bytes.len() >= AT_ONCE {
                break;
            }
        }
    }

    /// The length of the lines whose messages have gone out as a whole since the last call.
    fn take_sent(&mut self) -> usize {
        let mut n = 0;
        while let Some((end, len)) = self.ends.front() {
            if *end > self.n_sent {
                break;
            }
            n += len;
            self.ends.pop_front();
        }
        n
    }
}

/// How long one attempt to connect may take: the queue is not looked after meanwhile.
const CONNECT: Duration = Duration::from_secs(1);
/// How long the peer may leave what was sent unacknowledged (RFC 5482) before it counts as dead.
const SILENCE: Duration = Duration::from_secs(20);
/// Bytes of messages that are made in one go.
const AT_ONCE: usize = 64 * 1024;
