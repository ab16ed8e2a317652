//! Gathers the evidence: a packet socket beside the programs, a set of programs of its own that sees
//! nothing but the target, and the daemon's events where there is one. It judges nothing.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use observer_common::config::LOOPBACK_IFINDEX;
use serde_json::Value;

use super::{Daemon, Evidence, Handshake};
use crate::capture::live::CaptureError;
use crate::capture::live::sniff::{Glimpse, Sniffer};
use crate::config::{self, Backend, Capture};
use crate::doctor::{devices, servers};
use crate::drive::{Drive, live, monotonic};
use crate::pipeline;
use crate::segment::{Endpoint, FlowKey, TcpFlags};
use crate::sink::control::client::{Connection, Received};

/// What to look for, and how.
#[derive(Debug)]
pub struct Question<'a> {
    pub target: SocketAddr,
    pub wanted: Capture,
    pub socket: Option<&'a Path>,
    pub duration: Duration,
    /// Open a connection and ask for something harmless.
    pub probe: bool,
    pub stop: &'a AtomicBool,
}

/// Looks until an exchange was told, and a moment longer, or until the time is over.
pub fn watch(question: &Question<'_>) -> Result<Evidence, CaptureError> {
    let Question { target, duration, .. } = question;
    let mut seen = Seen::new(*target);
    let mut sniffer = Sniffer::open(target.port())?;
    let own = Capture {
        ports: vec![target.port()],
        hosts: vec![config::Network(target.ip().into())],
        // On sockets of its own: nothing is attached anywhere, so nothing comes between the daemon's
        // programs and the traffic.
        backend: match question.wanted.backend {
            Backend::Tc => Backend::Tc,
            Backend::Auto | Backend::Socket => Backend::Socket,
        },
        ..Capture::default()
    };
    let source = live::start(&own, 0, false, 1)?;
    let mut drive = Drive::new(source, pipeline::Config::live());
    let mut daemon = attach(question.socket);
    let mut wanted = question.wanted.clone();
    if let Ok(Some(connection)) = &daemon {
        wanted.interfaces.clone_from(&connection.hello.interfaces);
        wanted.ports.clone_from(&connection.hello.ports);
        wanted.hosts.clone_from(&connection.hello.hosts);
    }
    let start = monotonic();
    let probing = question.probe.then(|| {
        let target = *target;
        std::thread::spawn(move || probe(target))
    });
    let (mut told, mut n_exchanges, mut n_events) = (Vec::new(), 0, 0);
    let mut end = start + *duration;
    while monotonic() < end && !question.stop.load(Ordering::Relaxed) {
        let mut handle = |event: crate::event::Event| {
            let mut line = Vec::new();
            event.write_json(&mut line);
            let event = serde_json::from_slice(&line).unwrap_or_default();
            n_exchanges += u64::from(name(&event) == "http.exchange");
            if told.len() < MAX_TOLD {
                told.push(sentence(&event));
            }
        };
        drive.turn(Sniffer::TICK, &mut handle)?;
        let look = sniffer.poll(|glimpse| seen.take(&glimpse));
        look.map_err(CaptureError::system("read a packet socket"))?;
        if let Ok(Some(connection)) = &mut daemon
            && let Ok(Received::Lines(lines)) = connection.receive()
        {
            n_events += lines.split(|b| *b == b'\n').filter(|l| is_of(l, *target)).count() as u64;
        }
        if n_exchanges > 0 {
            end = end.min(monotonic() + LINGER);
        }
    }
    let flow = seen.flow;
    let entry = flow.and_then(|flow| drive.source().entry(&flow));
    let sights = seen.sights.iter().map(|(ifindex, n)| {
        let name = drive.source().interface_name(*ifindex);
        (name.map_or(format!("interface {ifindex}"), str::to_owned), *n)
    });
    let sights: Vec<_> = sights.collect();
    drive.finish(|event| {
        let mut line = Vec::new();
        event.write_json(&mut line);
        if told.len() < MAX_TOLD {
            told.push(sentence(&serde_json::from_slice(&line).unwrap_or_default()));
        }
    });
    let ledger = drive.snapshot().capture.unwrap_or_default();
    let is_seen = |check: &str| {
        sights.is_empty() || sights.iter().any(|(name, _)| *check == format!("interface {name}"))
    };
    Ok(Evidence {
        target: *target,
        n_seconds: (monotonic() - start).as_secs(),
        probe: probing.and_then(|probing| probing.join().ok()),
        wanted,
        daemon: match daemon {
            Ok(None) => Daemon::None,
            Ok(Some(_)) => Daemon::Attached { n_events },
            Err(error) => Daemon::Closed(error),
        },
        devices: devices::examine().into_iter().filter(|finding| is_seen(&finding.check)).collect(),
        sights,
        is_local: is_local(*target),
        listens: servers::listening_ports().contains(&target.port()),
        handshake: seen.handshake,
        first: seen.first,
        ledger,
        entry,
        told,
    })
}

/// What the packet socket has shown.
struct Seen {
    target: Endpoint,
    sights: BTreeMap<u32, u64>,
    handshake: Handshake,
    first: [Vec<u8>; 2],
    /// The first that had payload.
    flow: Option<FlowKey>,
}

impl Seen {
    fn new(target: SocketAddr) -> Self {
        let addr = match target.ip() {
            std::net::IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
            std::net::IpAddr::V6(v6) => v6.octets(),
        };
        let target = Endpoint { addr, port: target.port() };
        Self {
            target,
            sights: BTreeMap::new(),
            handshake: Handshake::default(),
            first: [Vec::new(), Vec::new()],
            flow: None,
        }
    }

    fn take(&mut self, glimpse: &Glimpse) {
        let tcp = &glimpse.tcp;
        let to_server = tcp.destination == self.target;
        if !to_server && tcp.source != self.target {
            return;
        }
        // What passes the loopback device is shown on its way out and on its way in again.
        if glimpse.ifindex == LOOPBACK_IFINDEX && !glimpse.is_outgoing {
            return;
        }
        *self.sights.entry(glimpse.ifindex).or_default() += 1;
        let has = |flag| tcp.flags.contains(flag);
        self.handshake.syn |= has(TcpFlags::SYN) && to_server;
        self.handshake.syn_ack |= has(TcpFlags::SYN) && !to_server;
        self.handshake.reset |= has(TcpFlags::RST) && !to_server;
        let flow = FlowKey::new(tcp.source, tcp.destination);
        if glimpse.payload.is_empty() || self.flow.is_some_and(|known| known != flow) {
            return;
        }
        self.flow = Some(flow);
        let [request, response] = &mut self.first;
        let first = if to_server { request } else { response };
        if first.is_empty() {
            first.clone_from(&glimpse.payload);
        }
    }
}

/// The daemon, if one is there; an error where it is and does not answer.
fn attach(socket: Option<&Path>) -> Result<Option<Connection>, String> {
    let path = socket.unwrap_or(Path::new(config::DEFAULT_SOCKET));
    match Connection::attach(path) {
        Ok(mut connection) => match connection.settle() {
            Ok(()) => Ok(Some(connection)),
            Err(err) => Err(err.to_string()),
        },
        Err(err) if err.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(err) if err.kind() == std::io::ErrorKind::ConnectionRefused => Ok(None),
        Err(err) => Err(err.to_string()),
    }
}

/// A request that changes nothing (RFC 9110 §9.2.1); its first line, or why there is none.
fn probe(target: SocketAddr) -> Result<String, String> {
    let text = |err: std::io::Error| err.to_string();
    // The programs have been watching for a moment when it starts.
    let mut stream = TcpStream::connect_timeout(&target, PATIENCE).map_err(text)?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(text)?;
    let request = format!(
        "HEAD / HTTP/1.1\r\nHost: {target}\r\nUser-Agent: observer-explain/{}\r\n\
         Connection: close\r\n\r\n",
        env!("CARGO_PKG_VERSION")
    );
    stream.write_all(request.as_bytes()).map_err(text)?;
    let mut answer = vec![0; 512];
    let n = stream.read(&mut answer).map_err(text)?;
    let first = answer.get(..n).unwrap_or_default().split(|b| *b == b'\r').next();
    match first.filter(|line| !line.is_empty()) {
        Some(line) => Ok(line.escape_ascii().to_string()),
        None => Err("closed without an answer".to_owned()),
    }
}

/// Whether the address is one of this network namespace: only those can be bound to.
fn is_local(target: SocketAddr) -> bool {
    UdpSocket::bind(SocketAddr::new(target.ip(), 0)).is_ok()
}

fn name(event: &Value) -> &str {
    event.pointer("/event/name").and_then(Value::as_str).unwrap_or("")
}

/// Whether a line of the daemon's tells of a flow of the target.
fn is_of(line: &[u8], target: SocketAddr) -> bool {
    let Ok(event) = serde_json::from_slice::<Value>(line) else { return false };
    ["server", "client", "source", "destination"].iter().any(|end| {
        let address = event.pointer(&format!("/{end}/address")).and_then(Value::as_str);
        let port = event.pointer(&format!("/{end}/port")).and_then(Value::as_u64);
        address.and_then(|it| it.parse().ok()) == Some(target.ip())
            && port == Some(u64::from(target.port()))
    })
}

/// An event in a few words; bytes from the wire are escaped.
fn sentence(event: &Value) -> String {
    let text = |pointer: &str| match event.pointer(pointer) {
        Some(Value::String(text)) => text.as_bytes().escape_ascii().to_string(),
        Some(value @ (Value::Number(_) | Value::Array(_))) => value.to_string(),
        _ => String::new(),
    };
    let mut parts = vec![name(event).to_owned()];
    for (before, pointer) in [
        ("", "/http/request/method"),
        ("", "/url/path"),
        ("→ ", "/http/response/status_code"),
        ("for ", "/tls/client/server_name"),
        ("", "/obs/state"),
        ("paired: ", "/obs/pairing"),
        ("error: ", "/error/type"),
        ("anomalies: ", "/obs/anomalies"),
    ] {
        let text = text(pointer);
        if !text.is_empty() {
            parts.push(format!("{before}{text}"));
        }
    }
    for (what, pointer) in [
        ("bytes lost on the ring", "/obs/integrity/ring_loss"),
        ("bytes missing of the request", "/obs/integrity/request_gap_bytes"),
        ("bytes missing of the response", "/obs/integrity/response_gap_bytes"),
    ] {
        if let Some(n) = event.pointer(pointer).and_then(Value::as_u64) {
            parts.push(format!("{n} {what}"));
        }
    }
    parts.join(" ")
}

/// Events that are spelled out.
const MAX_TOLD: usize = 5;
/// How long the daemon may take to tell of what was told here.
const LINGER: Duration = Duration::from_millis(1200);
/// How long the server may take to answer.
const PATIENCE: Duration = Duration::from_secs(3);
