//! The control socket: how `observer tail` gets the daemon's events.
//!
//! The capture thread must never wait for a terminal. It puts each batch, shared and not copied,
//! into one queue a client and goes on; a thread of its own ([`server`]) moves the queues to the
//! sockets. A queue is bounded in bytes: what a slow client has no room for is dropped for that
//! client alone, counted, and told to it.
//!
//! The protocol is lines of JSON. The client sends `{"command":"tail"}`. The daemon answers with
//! one line about itself ([`Hello`]), then an `observer.stats` event with the totals so far, then
//! events as they come. When the client shuts its sending side down, it gets what is still queued
//! and a last `observer.stats`, so that it can say what was seen and lost while it was there.
//! Statistics meant for one client carry `obs.stats.tail`; all other lines are the same bytes that
//! every sink gets.

pub mod client;
pub mod server;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::Receiver;

use tokio::sync::mpsc::UnboundedSender;

use super::Lines;
use crate::config::Network;
use crate::event::stats::{SinkStats, Snapshot, TailStats};
use crate::segment::Timestamp;

/// What the daemon says about itself to a client that attaches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hello {
    pub headers: bool,
    pub body_bytes: u32,
    pub ws_messages: bool,
    pub interfaces: Vec<String>,
    pub ports: Vec<u16>,
    pub hosts: Vec<Network>,
    /// Other network namespaces that it watches.
    pub netns: Vec<String>,
    pub backend: String,
}

/// The clients, as the capture thread sees them.
#[derive(Debug)]
pub struct Tails {
    requests: Receiver<Request>,
    clients: Vec<Client>,
    stats: SinkStats,
}

/// What the socket's thread asks of the capture thread.
#[derive(Debug)]
enum Request {
    Attach(Client),
    /// The client wants no more; it still gets its last statistics.
    Leave(u64),
}

#[derive(Debug)]
struct Client {
    id: u64,
    queue: UnboundedSender<Arc<Lines>>,
    /// Bytes queued and not yet in the socket; the socket's thread counts them down.
    n_waiting: Arc<AtomicUsize>,
    tail: TailStats,
    /// Events were dropped since the client was last told.
    untold: bool,
}

impl Tails {
    fn new(requests: Receiver<Request>) -> Self {
        let stats = SinkStats { name: "tail".to_owned(), ..SinkStats::default() };
        Self { requests, clients: Vec::new(), stats }
    }

    /// Takes on and lets go clients; `snapshot` is only made when somebody is there to read it.
    pub fn serve(&mut self, now: Timestamp, snapshot: impl Fn() -> Snapshot) {
        while let Ok(request) = self.requests.try_recv() {
            match request {
                Request::Attach(client) => {
                    // A client that has gone again already is noticed at the next write.
                    client.tell(&snapshot(), now);
                    self.clients.push(client);
                }
                Request::Leave(id) => {
                    for client in self.clients.extract_if(.., |client| client.id == id) {
                        client.tell(&snapshot(), now);
                    }
                }
            }
        }
    }

    pub fn has_clients(&self) -> bool {
        !self.clients.is_empty()
    }

    /// Gives every client its last statistics and lets it go.
    pub fn dismiss(&mut self, now: Timestamp, snapshot: &Snapshot) {
        for client in self.clients.drain(..) {
            client.tell(snapshot, now);
        }
    }

    pub(super) fn write(&mut self, lines: &Arc<Lines>, now: Timestamp) {
        let stats = &mut self.stats;
        self.clients.retain_mut(|client| client.write(lines, now, stats));
    }

    pub(super) fn stats(&self) -> SinkStats {
        self.stats.clone()
    }
}

impl Client {
    /// Queues a batch, or drops it when the queue is full. False when the client has gone.
    fn write(&mut self, lines: &Arc<Lines>, now: Timestamp, stats: &mut SinkStats) -> bool {
        let (n_events, n_bytes) = (lines.n_events(), lines.bytes().len());
        stats.offered += n_events;
        if self.n_waiting.load(Ordering::Relaxed) + n_bytes > MAX_QUEUED {
            self.tail.dropped += n_events;
            self.untold = true;
            stats.lost += n_events;
            return !self.queue.is_closed();
        }
        if std::mem::take(&mut self.untold) {
            self.tell(&Snapshot::default(), now);
        }
        self.tail.sent += n_events;
        stats.events += n_events;
        stats.bytes += n_bytes as u64;
        self.queue(Arc::clone(lines))
    }

    /// Queues statistics for this client alone, whether or not there is room: they are short.
    fn tell(&self, snapshot: &Snapshot, now: Timestamp) {
        let mut line = Vec::new();
        Snapshot { tail: Some(self.tail), ..snapshot.clone() }.write_json(now, &mut line);
        line.push(b'\n');
        self.queue(Arc::new(Lines::of(line, 1)));
    }

    fn queue(&self, lines: Arc<Lines>) -> bool {
        self.n_waiting.fetch_add(lines.bytes().len(), Ordering::Relaxed);
        self.queue.send(lines).is_ok()
    }
}

impl Hello {
    fn line(&self) -> String {
        let hello = serde_json::json!({"observer": {
            "protocol": PROTOCOL,
            "version": env!("CARGO_PKG_VERSION"),
            "headers": self.headers,
            "body_bytes": self.body_bytes,
            "ws_messages": self.ws_messages,
            "interfaces": self.interfaces,
            "ports": self.ports,
            "hosts": self.hosts.iter().map(|network| network.0.to_string()).collect::<Vec<_>>(),
            "netns": self.netns,
            "backend": self.backend,
        }});
        format!("{hello}\n")
    }

    /// Reads the daemon's first line.
    fn parse(line: &[u8]) -> Result<Self, String> {
        let value: serde_json::Value = serde_json::from_slice(line).unwrap_or_default();
        if let Some(error) = value.pointer("/error").and_then(serde_json::Value::as_str) {
            return Err(error.to_owned());
        }
        let field = |name: &str| value.pointer(&format!("/observer/{name}"));
        let flag = |name: &str| field(name).and_then(serde_json::Value::as_bool).unwrap_or(false);
        match field("protocol").and_then(serde_json::Value::as_u64) {
            Some(PROTOCOL) => {}
            Some(other) => {
                return Err(format!(
                    "it speaks version {other} of the protocol, this observer version {PROTOCOL}: \
                     restart the daemon after an update, or use --no-daemon"
                ));
            }
            None => return Err("what listens there is no observer daemon".to_owned()),
        }
        let names = |key: &str| {
            let list = field(key).and_then(serde_json::Value::as_array).into_iter().flatten();
            list.filter_map(serde_json::Value::as_str).map(str::to_owned).collect()
        };
        let body_bytes = field("body_bytes").and_then(serde_json::Value::as_u64).unwrap_or(0);
        let list =
            |name: &str| field(name).and_then(serde_json::Value::as_array).into_iter().flatten();
        let ports = list("ports").filter_map(|port| u16::try_from(port.as_u64()?).ok());
        let hosts = list("hosts").filter_map(|host| host.as_str()?.parse().ok());
        Ok(Self {
            ports: ports.collect(),
            hosts: hosts.collect(),
            headers: flag("headers"),
            ws_messages: flag("ws_messages"),
            body_bytes: u32::try_from(body_bytes).unwrap_or(u32::MAX),
            interfaces: names("interfaces"),
            netns: names("netns"),
            backend: field("backend").and_then(serde_json::Value::as_str).unwrap_or("").to_owned(),
        })
    }
}

/// Grows by one when an old client could no longer make sense of what a daemon sends.
const PROTOCOL: u64 = 1;

/// Bytes that wait for one client: some seconds of a busy server, and with [`server::MAX_CLIENTS`]
/// of them an amount of memory that the daemon can be given.
const MAX_QUEUED: usize = 4 << 20;

/// What a client sends.
const COMMAND: &str = "{\"command\":\"tail\"}\n";

#[cfg(test)]
mod tests;
#[cfg(test)]
mod mutations;
