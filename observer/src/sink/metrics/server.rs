//! Answers scrapes, on a thread of its own: one request a connection, on a loopback port or a Unix
//! socket.
//!
//! Whoever connects may be anybody on this host: requests are bounded in bytes and time, and so is
//! the number of connections.

use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context as _;
use prometheus_client::encoding::text;
use prometheus_client::registry::Registry;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{Semaphore, oneshot};
use tokio::time::timeout;

use crate::config::metrics::Listen;
use crate::privileges;
use crate::sink::control::server::{self, SocketFile};

/// A running server; ends when stopped.
#[derive(Debug)]
pub struct Server {
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
    /// Where it listens on a port.
    pub address: Option<SocketAddr>,
    _file: Option<SocketFile>,
}

enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Server {
    pub fn start(listen: &Listen, registry: Registry) -> anyhow::Result<Self> {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
        let inside = runtime.enter();
        let (listener, address, file) = match listen {
            Listen::Port(address) => {
                let listener = StdListener::bind(address)
                    .with_context(|| format!("cannot serve metrics on {address}"))?;
                listener.set_nonblocking(true)?;
                let address = listener.local_addr()?;
                (Listener::Tcp(TcpListener::from_std(listener)?), Some(address), None)
            }
            Listen::Unix(path) => {
                let (listener, file) = server::bind(path)?;
                listener.set_nonblocking(true)?;
                (Listener::Unix(UnixListener::from_std(listener)?), None, Some(file))
            }
        };
        drop(inside);
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new().name("metrics".to_owned()).spawn(move || {
            privileges::keep_to(&[]);
            runtime.block_on(async {
                tokio::select! {
                    () = serve(listener, Arc::new(registry)) => {}
                    _ = stopped => {}
                }
            });
        })?;
        Ok(Self { stop, thread, address, _file: file })
    }

    pub fn stop(self) {
        // Either fails only when the thread has ended already, which is what is wanted.
        let _ = self.stop.send(());
        let _ = self.thread.join();
    }
}

async fn serve(listener: Listener, registry: Arc<Registry>) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let registry = Arc::clone(&registry);
        let accepted: std::io::Result<Box<dyn Stream>> = match &listener {
            Listener::Tcp(listener) => listener.accept().await.map(|(s, _)| Box::new(s) as _),
            Listener::Unix(listener) => listener.accept().await.map(|(s, _)| Box::new(s) as _),
        };
        match accepted {
            Ok(mut stream) => drop(tokio::spawn(async move {
                let _ = timeout(PATIENCE, answer(&mut stream, &registry)).await;
                drop(place);
            })),
            // Out of file descriptors, most likely: accept would fail again at once.
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

async fn answer(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    registry: &Registry,
) -> Option<()> {
    let mut request = Vec::new();
    loop {
        let n = stream.read_buf(&mut request).await.ok()?;
        if memchr::memmem::find(&request, b"\r\n\r\n").is_some() {
            break;
        }
        if n == 0 || request.len() > MAX_REQUEST {
            return None;
        }
    }
    let response = respond(&request, registry);
    stream.write_all(response.as_bytes()).await.ok()?;
    stream.shutdown().await.ok()
}

/// The response to a request whose head is complete.
fn respond(request: &[u8], registry: &Registry) -> String {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut parsed = httparse::Request::new(&mut headers);
    let is_complete = parsed.parse(request).is_ok_and(|status| status.is_complete());
    let path = parsed.path.map(|path| path.split('?').next().unwrap_or(path));
    match (is_complete, parsed.method, path) {
        (true, Some("GET" | "HEAD"), Some("/metrics")) => {
            let mut body = String::new();
            if text::encode(&mut body, registry).is_err() {
                return plain("500 Internal Server Error", "cannot be rendered\n");
            }
            let length = body.len();
            let body = if parsed.method == Some("HEAD") { String::new() } else { body };
            format!(
                "HTTP/1.1 200 OK\r\nContent-Type: application/openmetrics-text; version=1.0.0; \
                 charset=utf-8\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
            )
        }
        (true, Some("GET" | "HEAD"), _) => plain("404 Not Found", "see /metrics\n"),
        (true, ..) => plain("405 Method Not Allowed", "GET /metrics\n"),
        (false, ..) => plain("400 Bad Request", "no HTTP\n"),
    }
}

fn plain(status: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n{body}"
    )
}

const MAX_CONNECTIONS: usize = 16;
const MAX_REQUEST: usize = 8 * 1024;
/// How long a scrape may take in all.
const PATIENCE: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(request: &str, status: &str) {
        let response = respond(request.as_bytes(), &Registry::default());
        assert!(response.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{response}");
    }

    #[test]
    fn only_a_get_of_metrics_is_answered() {
        check("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", "200 OK");
        check("GET /metrics?a=b HTTP/1.0\r\n\r\n", "200 OK");
        check("GET / HTTP/1.1\r\n\r\n", "404 Not Found");
        check("POST /metrics HTTP/1.1\r\n\r\n", "405 Method Not Allowed");
        check("\u{0}\u{1}\r\n\r\n", "400 Bad Request");
        let head = respond(b"HEAD /metrics HTTP/1.1\r\n\r\n", &Registry::default());
        assert!(head.contains("Content-Length: 6\r\n") && head.ends_with("\r\n\r\n"), "{head}");
    }

    #[test]
    fn whatever_is_asked_there_is_an_answer() {
        let request = b"GET /metrics HTTP/1.1\r\nHost: x\r\nAccept: */*\r\n\r\n";
        let registry = Registry::default();
        let mut state = 0x6f62_7365_7276_6572_u64;
        for _ in 0..10_000 {
            let mut bytes = request.to_vec();
            for _ in 0..3 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let at = (state >> 33) as usize % (bytes.len() - 4);
                bytes[at] = (state >> 24) as u8;
            }
            let response = respond(&bytes, &registry);
            assert!(response.starts_with("HTTP/1.1 ") && response.contains("\r\n\r\n"));
        }
    }
}
