//! What is not HTTP stays unseen, beside HTTP that is seen on a port nobody named: no event, and
//! not one byte copied, by the kernel's own counters. Of TLS the beginning is, and nothing more.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use crate::harness::can_run;
use crate::harness::client::{Route, curl};
use crate::harness::event::Exchange;
use crate::harness::namespace::Namespace;
use crate::harness::observer::{BACKENDS, Observer, configuration};
use crate::harness::server::{Nginx, Redis};
use crate::harness::tls::TlsServer;

#[test]
fn redis_and_ssh_stay_unseen_beside_http_on_any_port() {
    if !can_run("quiet::redis_and_ssh", &["nginx", "curl", "redis-server"]) {
        return;
    }
    let near = Namespace::new();
    let nginx = Nginx::start(&near, 18234);
    let _redis = Redis::start(&near, 6379);
    let config = configuration("");
    let config = config.path().display().to_string();
    for backend in BACKENDS {
        let args = ["run", "--no-socket", "--backend", backend, "--config", &config];
        let mut observer = Observer::start(&near, &args);
        let route = Route { client: &near, host: "127.0.0.1", port: nginx.port };
        curl(&route, &[], &["/path/seen"]);
        let seen: Vec<_> = observer.take(1).iter().map(Exchange::of).collect();
        assert_eq!((seen.len(), seen[0].target.as_str()), (1, "/path/seen"));

        let before = observer.settled();
        assert!(before.records > 0 && before.bytes > 0 && before.flows == 1, "{before:?}");
        let n_written = near.inside(|| speak_redis(6379) + speak_ssh());
        observer.account("the other conversations to be seen", |account| {
            (account.seen >= before.seen + n_written).then_some(())
        });
        let after = observer.settled();
        after.assert_balanced();
        let copied = |account: &crate::harness::event::Account| {
            (account.emitted, account.records, account.bytes, account.flows, account.lost)
        };
        assert_eq!(copied(&after), copied(&before), "through {backend}");

        let end = observer.end(libc::SIGTERM);
        assert!(end.events.is_empty(), "through {backend}: {:?}", end.events);
    }
}

#[test]
fn of_tls_only_the_beginning_is_copied() {
    if !can_run("quiet::tls", &["openssl"]) {
        return;
    }
    let near = Namespace::new();
    for backend in BACKENDS {
        let server = TlsServer::start(&near, 18_443);
        let mut observer = Observer::start(&near, &["run", "--no-socket", "--backend", backend]);
        let mut client = near.command("openssl");
        client.args(["s_client", "-connect", "127.0.0.1:18443", "-servername", "secret.example"]);
        client.args(["-alpn", "h2,http/1.1", "-quiet"]).stdin(std::process::Stdio::piped());
        client.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::null());
        let mut client = client.spawn().unwrap();
        // The page of `s_server -WWW`: a file of so many bytes.
        client.stdin.take().unwrap().write_all(b"GET /page HTTP/1.0\r\n\r\n").unwrap();
        let output = client.wait_with_output().unwrap();
        assert!(output.stdout.len() > TlsServer::PAGE, "{} bytes came", output.stdout.len());

        let events = observer.take(1);
        let [event] = &events[..] else { panic!("{events:?}") };
        assert_eq!(event.name(), "tls.flow", "{}", event.0);
        assert_eq!(event.text("/tls/client/server_name"), "secret.example");
        assert_eq!(event.text("/tls/protocol/version"), "1.3");
        let bytes = event.number("/obs/tls/bytes_to_client");
        let wire = TlsServer::PAGE as u64 * 101 / 100 + 10_000;
        assert!((TlsServer::PAGE as u64..wire).contains(&bytes), "{}", event.0);
        assert_eq!(event.number("/obs/tls/gap_bytes_to_client"), 0, "{}", event.0);
        let account = observer.end(libc::SIGTERM).account.expect("statistics come last");
        account.assert_balanced();
        assert!(account.bytes <= 2 * 4096 && account.flows == 1, "{account:?}");
        assert!(account.records < 40, "{account:?}");
        drop(server);
    }
}

#[test]
fn tls_to_a_port_of_plain_http_is_told_as_that() {
    if !can_run("quiet::tls_to_http", &["nginx", "curl"]) {
        return;
    }
    let near = Namespace::new();
    let nginx = Nginx::start(&near, 18234);
    for backend in BACKENDS {
        let mut observer = Observer::start(&near, &["run", "--no-socket", "--backend", backend]);
        let mut curl = near.command("curl");
        let output = curl.args(["-qsk", &format!("https://127.0.0.1:{}/", nginx.port)]).output();
        assert!(!output.unwrap().status.success(), "there is no TLS");
        let events = observer.take(1);
        let event = &events[0];
        assert_eq!(event.number("/http/response/status_code"), 400, "{}", event.0);
        assert_eq!(event.text("/obs/pairing"), "orphan_response");
        let anomalies = serde_json::json!(["malformed_request", "tls_request"]);
        assert_eq!(event.0["obs"]["anomalies"], anomalies, "{}", event.0);
        assert_eq!(observer.end(libc::SIGTERM).events.len(), 0);
    }
}

/// Commands of both of Redis's forms, with what it answers. Returns how many segments at least
/// were sent.
fn speak_redis(port: u16) -> u64 {
    let talk: [(&[u8], &[u8]); 5] = [
        // Three in one write.
        (
            b"*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$5\r\nvalue\r\n*2\r\n$3\r\nGET\r\n$3\r\nkey\r\n\
              *1\r\n$4\r\nPING\r\n",
            b"+OK\r\n$5\r\nvalue\r\n+PONG\r\n",
        ),
        (b"PING\r\n", b"+PONG\r\n"),
        (b"SET key GET\r\n", b"+OK\r\n"),
        // A method, a space, and no HTTP.
        (b"GET key\r\n", b"$3\r\nGET\r\n"),
        (b"DEL /path\r\n", b":0\r\n"),
    ];
    let mut stream = connect(port);
    for (command, answer) in talk {
        stream.write_all(command).unwrap();
        let mut got = vec![0; answer.len()];
        stream.read_exact(&mut got).unwrap();
        assert_eq!(got, answer, "{}", String::from_utf8_lossy(command));
    }
    // Another connection that begins with what looks most like HTTP.
    let mut stream = connect(port);
    stream.write_all(b"GET key\r\n").unwrap();
    stream.read_exact(&mut [0; 9]).unwrap();
    (2 * talk.len() + 2) as u64
}

/// The start of RFC 4253: both sides send a line, then packets of bytes.
fn speak_ssh() -> u64 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let packets: Vec<u8> = (0..4096_u32).map(|n| (n * 31) as u8).collect();
    let mut client = connect(port);
    let (mut server, _) = listener.accept().unwrap();
    server.set_read_timeout(Some(PATIENCE)).unwrap();
    let rounds: [(&[u8], &[u8]); 2] =
        [(b"SSH-2.0-OpenSSH_9.2p1\r\n", b"SSH-2.0-dropbear\r\n"), (&packets, &packets)];
    for (from_server, from_client) in rounds {
        server.write_all(from_server).unwrap();
        client.write_all(from_client).unwrap();
        let mut got = vec![0; from_server.len()];
        client.read_exact(&mut got).unwrap();
        assert_eq!(got, from_server);
        let mut got = vec![0; from_client.len()];
        server.read_exact(&mut got).unwrap();
        assert_eq!(got, from_client);
    }
    4
}

fn connect(port: u16) -> TcpStream {
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let stream = TcpStream::connect_timeout(&address, PATIENCE).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

const PATIENCE: Duration = Duration::from_secs(30);
