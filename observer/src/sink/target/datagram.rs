//! A datagram socket, Unix or UDP: one message a line, whole or not at all.

use std::io;
use std::net::{ToSocketAddrs as _, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::time::Duration;

use super::file::first_line;
use super::journald;
use super::syslog::Message;
use super::{Failure, Taken, Target, wait_writable};

#[derive(Debug)]
pub(in crate::sink) struct Datagrams {
    peer: Peer,
    format: Format,
    socket: Option<Socket>,
    /// The present line as a message.
    message: Vec<u8>,
}

#[derive(Debug)]
enum Peer {
    Unix(PathBuf),
    Udp(String),
}

#[derive(Debug)]
enum Socket {
    Unix(UnixDatagram),
    Udp(UdpSocket),
}

#[derive(Debug)]
enum Format {
    Line,
    Journal,
    Syslog(Message),
}

impl Datagrams {
    pub(super) fn unix(path: PathBuf) -> Self {
        Self::new(Peer::Unix(path), Format::Line)
    }

    pub(super) fn journald() -> Self {
        Self::new(Peer::Unix(journald::SOCKET.into()), Format::Journal)
    }

    pub(super) fn syslog_unix(path: PathBuf, message: Message) -> Self {
        Self::new(Peer::Unix(path), Format::Syslog(message))
    }

    pub(super) fn syslog_udp(address: String, message: Message) -> Self {
        Self::new(Peer::Udp(address), Format::Syslog(message))
    }

    fn new(peer: Peer, format: Format) -> Self {
        Self { peer, format, socket: None, message: Vec::new() }
    }

    fn send(&mut self, line: &[u8]) -> io::Result<()> {
        let socket = match &mut self.socket {
            Some(socket) => socket,
            none => none.insert(self.peer.connect()?),
        };
        let message = match &self.format {
            Format::Line => line,
            Format::Journal => {
                self.message.clear();
                journald::write(line, &mut self.message);
                &self.message
            }
            Format::Syslog(header) => {
                self.message.clear();
                header.write(line, &mut self.message);
                &self.message
            }
        };
        match (socket.send(message), &self.format, &*socket) {
            (Err(err), Format::Journal, Socket::Unix(socket)) if is_too_large(&err) => {
                journald::send_large(socket, message)
            }
            (result, ..) => result,
        }
    }
}

impl Target for Datagrams {
    fn write(&mut self, lines: &[u8]) -> Result<Taken, Failure> {
        let line = lines.get(..first_line(lines)).unwrap_or(lines);
        let taken = Taken { bytes: line.len(), refused: 0 };
        match self.send(line) {
            Ok(()) => Ok(taken),
            Err(err) if err.kind() == io::ErrorKind::Interrupted => Ok(Taken::default()),
            Err(err) if err.kind() == io::ErrorKind::WouldBlock => Err(Failure::Later),
            // The interface's queue is full; it will not be for long.
            Err(err) if err.raw_os_error() == Some(libc::ENOBUFS) => Err(Failure::Later),
            Err(err) if is_too_large(&err) => Ok(Taken { refused: 1, ..taken }),
            Err(error) => {
                self.socket = None;
                Err(Failure::Broken { error, from_line_start: true })
            }
        }
    }

    fn wait(&mut self, timeout: Duration) {
        if let Some(socket) = &self.socket {
            wait_writable(socket.as_fd(), timeout);
        }
    }

    fn reopen(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn take_back(&mut self, _: u64) -> io::Result<()> {
        Ok(())
    }
}

impl Peer {
    fn connect(&self) -> io::Result<Socket> {
        match self {
            Self::Unix(path) => {
                let socket = UnixDatagram::unbound()?;
                socket.connect(path)?;
                socket.set_nonblocking(true)?;
                Ok(Socket::Unix(socket))
            }
            Self::Udp(address) => {
                let mut last = io::Error::other("the name has no address");
                for address in address.to_socket_addrs()? {
                    let any = if address.is_ipv6() { "[::]:0" } else { "0.0.0.0:0" };
                    let socket = UdpSocket::bind(any)?;
                    match socket.connect(address) {
                        Ok(()) => {
                            socket.set_nonblocking(true)?;
                            return Ok(Socket::Udp(socket));
                        }
                        Err(err) => last = err,
                    }
                }
                Err(last)
            }
        }
    }
}

impl Socket {
    fn send(&self, message: &[u8]) -> io::Result<()> {
        match self {
            Self::Unix(socket) => socket.send(message).map(drop),
            Self::Udp(socket) => socket.send(message).map(drop),
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Unix(socket) => socket.as_fd(),
            Self::Udp(socket) => socket.as_fd(),
        }
    }
}

fn is_too_large(err: &io::Error) -> bool {
    err.raw_os_error() == Some(libc::EMSGSIZE)
}
