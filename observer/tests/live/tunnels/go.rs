//! Takeovers as Go's standard library makes them: a hijacked connection, and `net/rpc` over HTTP.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use super::tunnel_bytes;
use crate::harness::can_run;
use crate::harness::event::Event;
use crate::harness::go::{Sample, build};
use crate::harness::namespace::Namespace;
use crate::harness::observer::{BACKENDS, Observer};
use crate::harness::process::Process;
use crate::harness::wait::{LONG, until};

#[test]
fn a_hijacked_connection_of_a_go_server_is_no_parse_error() {
    if !can_run("tunnels::go_hijack", &["go"]) {
        return;
    }
    for backend in BACKENDS {
        let namespace = Namespace::new();
        let _server = Sample::start(&namespace, PORT);
        let args = ["run", "--no-socket", "--backend", backend];
        let mut observer = Observer::start(&namespace, &args);
        let said = namespace.inside(|| {
            let mut stream = TcpStream::connect(("127.0.0.1", PORT)).unwrap();
            stream.write_all(b"GET /hijack HTTP/1.1\r\nHost: go.example\r\n\r\n").unwrap();
            let mut hello = vec![0; HELLO.len()];
            stream.read_exact(&mut hello).unwrap();
            assert_eq!(hello, HELLO.as_bytes());
            stream.write_all(b"hi\n").unwrap();
            let mut said = String::new();
            stream.read_to_string(&mut said).unwrap();
            said
        });
        assert_eq!(said, "You said: \"hi\\n\"\nBye.\n");

        let events = observer.take(3);
        let names: Vec<_> = events.iter().map(Event::name).collect();
        assert_eq!(names, ["http.exchange", "http.tunnel", "http.tunnel"], "{backend}");
        let exchange = &events[0];
        assert_eq!(exchange.text("/url/path"), "/hijack");
        assert_eq!(exchange.text("/obs/takeover"), "hijack");
        assert_eq!(exchange.0.pointer("/http/response/status_code"), None, "{}", exchange.0);
        assert_eq!(exchange.0.pointer("/error"), None, "{}", exchange.0);
        assert_eq!(exchange.0.pointer("/obs/anomalies"), None, "{}", exchange.0);
        assert!(exchange.number("/obs/timing/ttfb_ns") > 0, "{}", exchange.0);
        let close = &events[2];
        assert_eq!(close.text("/obs/tunnel/kind"), "hijack");
        assert_eq!(close.text("/obs/tunnel/closed/by"), "server");
        assert_eq!(close.text("/obs/tunnel/closed/how"), "fin");
        assert_eq!(tunnel_bytes(close), (3, (HELLO.len() + said.len()) as u64), "{}", close.0);
    }
}

#[test]
fn calls_of_net_rpc_go_through_a_tunnel() {
    if !can_run("tunnels::go_rpc", &["go"]) {
        return;
    }
    for backend in BACKENDS {
        let namespace = Namespace::new();
        let (_server, address) = serve(&namespace);
        let args = ["run", "--no-socket", "--backend", backend];
        let mut observer = Observer::start(&namespace, &args);
        let mut command = namespace.command(&build("rpc").display().to_string());
        let output = command.args(["call", &address.to_string()]).output().unwrap();
        let printed = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let counted: Vec<u64> =
            printed.split_whitespace().map(|number| number.parse().unwrap()).collect();

        let events = observer.take(3);
        let names: Vec<_> = events.iter().map(Event::name).collect();
        assert_eq!(names, ["http.exchange", "http.tunnel", "http.tunnel"], "{backend}");
        let exchange = &events[0];
        assert_eq!(exchange.text("/http/request/method"), "CONNECT");
        assert_eq!(exchange.text("/url/original"), "/_goRPC_");
        assert_eq!(exchange.number("/http/response/status_code"), 200);
        assert_eq!(exchange.text("/obs/http/reason_phrase"), "Connected to Go RPC");
        assert_eq!(exchange.text("/obs/takeover"), "connect");
        assert_eq!(exchange.0["obs"]["anomalies"], serde_json::json!(["lf_only"]));
        let close = &events[2];
        assert_eq!(close.text("/obs/tunnel/closed/by"), "client");
        let (up, down) = tunnel_bytes(close);
        assert_eq!([up, down], counted[..], "{backend}: {}", close.0);
        assert!(down > 100_000, "{}", close.0);
    }
}

const PORT: u16 = 18_612;

const HELLO: &str = "Now we're speaking raw TCP. Say hi: ";

/// The server, and where it listens.
fn serve(namespace: &Namespace) -> (Process, SocketAddr) {
    let mut command = namespace.command(&build("rpc").display().to_string());
    let mut process = Process::start(command.arg("serve"));
    let address = until("the Go server to listen", LONG, || {
        assert!(process.has_ended().is_none(), "it ended: {:?}", process.stderr.get());
        process.stdout.get().first().map(|line| line.parse().unwrap())
    });
    (process, address)
}
