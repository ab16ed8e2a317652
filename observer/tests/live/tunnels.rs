//! Takeovers of real connections: a WebSocket with SSH in it, a proxy with HTTP and TLS through it.
//! What the event counts is what the endpoints counted.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

use crate::harness::can_run;
use crate::harness::event::Event;
use crate::harness::namespace::Namespace;
use crate::harness::observer::{BACKENDS, Observer};
use crate::harness::process::Process;
use crate::harness::server::{Nginx, wait_for};
use crate::harness::tls::TlsServer;

#[test]
fn a_chisel_connection_is_seen_through_all_its_layers() {
    if !can_run("tunnels::chisel", &[]) {
        return;
    }
    for backend in BACKENDS {
        let namespace = Namespace::new();
        let mut observer =
            Observer::start(&namespace, &["run", "--no-socket", "--backend", backend]);
        let counted = namespace.inside(chisel);
        let events = observer.take(3);
        let names: Vec<_> = events.iter().map(Event::name).collect();
        assert_eq!(names, ["http.exchange", "http.tunnel", "http.tunnel"], "{backend}");
        assert_eq!(events[0].number("/http/response/status_code"), 101);
        let (open, close) = (&events[1], &events[2]);
        assert_eq!(open.text("/obs/tunnel/phase"), "open");
        assert_eq!(open.text("/obs/exchange/id"), events[0].text("/obs/exchange/id"));
        for (key, value) in [
            ("phase", "close"),
            ("kind", "upgrade"),
            ("protocol", "websocket"),
            ("subprotocol", "chisel-v3"),
            ("inner", "ssh"),
            ("ssh/client", "SSH-chisel-v3-client"),
            ("ssh/server", "SSH-chisel-v3-server"),
            ("closed/how", "fin"),
            ("closed/by", "client"),
        ] {
            assert_eq!(close.text(&format!("/obs/tunnel/{key}")), value, "{backend}: {}", close.0);
        }
        assert_eq!(tunnel_bytes(close), counted, "{backend}: {}", close.0);
        assert_eq!(close.number("/obs/tunnel/websocket/ping/client/answered"), 1, "{}", close.0);
        assert_eq!(close.number("/obs/tunnel/frames/to_server/messages"), 2, "{}", close.0);
        assert_eq!(close.0.pointer("/obs/anomalies"), None, "{}", close.0);
    }
}

/// Both ends of a WebSocket with chisel's sub-protocol; what each sent behind its head, in bytes.
fn chisel() -> (u64, u64) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let mut client = TcpStream::connect(address).unwrap();
    let (mut server, _) = listener.accept().unwrap();
    let request = "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
        Sec-WebSocket-Protocol: chisel-v3\r\n\r\n";
    pass(&mut client, &mut server, request.as_bytes());
    // The server's banner comes in the segment that carries the answer's head.
    let head = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
        Connection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\
        Sec-WebSocket-Protocol: chisel-v3\r\n\r\n";
    let banner = frame(2, b"SSH-chisel-v3-server\r\n", false);
    pass(&mut server, &mut client, &[head.as_bytes(), &banner].concat());
    let mut counted = (0, banner.len() as u64);
    for (opcode, content) in
        [(2, &b"SSH-chisel-v3-client\r\n"[..]), (9, b"alive?"), (2, &[7; 3000][..])]
    {
        let bytes = frame(opcode, content, true);
        pass(&mut client, &mut server, &bytes);
        counted.0 += bytes.len() as u64;
        let answer = if opcode == 9 { frame(10, content, false) } else { frame(2, content, false) };
        pass(&mut server, &mut client, &answer);
        counted.1 += answer.len() as u64;
    }
    drop(client);
    assert_eq!(server.read(&mut [0]).unwrap(), 0);
    counted
}

/// Sends, and does not return before it has arrived.
fn pass(from: &mut TcpStream, to: &mut TcpStream, bytes: &[u8]) {
    from.write_all(bytes).unwrap();
    to.read_exact(&mut vec![0; bytes.len()]).unwrap();
}

fn frame(opcode: u8, content: &[u8], masked: bool) -> Vec<u8> {
    const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
    let mask_bit = if masked { 0x80 } else { 0 };
    let mut frame = vec![0x80 | opcode];
    match u8::try_from(content.len()) {
        Ok(n) if n < 126 => frame.push(mask_bit | n),
        _ => {
            frame.push(mask_bit | 126);
            frame.extend(u16::try_from(content.len()).unwrap().to_be_bytes());
        }
    }
    if masked {
        frame.extend(MASK);
        frame.extend(content.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    } else {
        frame.extend(content);
    }
    frame
}

fn tunnel_bytes(event: &Event) -> (u64, u64) {
    let number = |key: &str| event.number(&format!("/obs/tunnel/{key}"));
    (number("bytes_to_server"), number("bytes_to_client"))
}

const PROXY_PORT: u16 = 18_888;
const TLS_PORT: u16 = 18_443;

#[test]
fn http_and_tls_are_seen_inside_a_proxys_tunnels() {
    if !can_run("tunnels::proxy", &["tinyproxy", "nginx", "curl", "openssl"]) {
        return;
    }
    let namespace = Namespace::new();
    let nginx = Nginx::start(&namespace, 18_234);
    let (_proxy, _folder) = tinyproxy(&namespace);
    // The leg between the client and the proxy.
    let port = PROXY_PORT.to_string();
    let mut observer = Observer::start(&namespace, &["run", "--no-socket", "-p", &port]);

    let proxy = format!("http://127.0.0.1:{PROXY_PORT}");
    let mut curl = namespace.command("curl");
    curl.args(["-q", "-sS", "--max-time", "30", "--proxytunnel", "-x", &proxy, "-o", "/dev/null"]);
    let output = curl.arg(format!("http://127.0.0.1:{}/path/in", nginx.port)).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let events = observer.take(4);
    let names: Vec<_> = events.iter().map(Event::name).collect();
    assert_eq!(names, ["http.exchange", "http.tunnel", "http.exchange", "http.tunnel"]);
    assert_eq!(events[0].text("/obs/takeover"), "connect");
    assert_eq!(events[2].text("/url/path"), "/path/in");
    assert_eq!(events[2].number("/http/response/status_code"), 200);
    assert_eq!(events[2].text("/obs/tunnel/inside"), events[0].text("/obs/exchange/id"));
    assert_eq!(events[3].text("/obs/tunnel/inner"), "http/1");
    let inside = ["request", "response"].map(|m| events[2].number(&format!("/http/{m}/size")));
    assert_eq!(tunnel_bytes(&events[3]), (inside[0], inside[1]), "{}", events[3].0);

    let _server = TlsServer::start(&namespace, TLS_PORT);
    let mut client = namespace.command("openssl");
    client.args(["s_client", "-proxy", &format!("127.0.0.1:{PROXY_PORT}"), "-connect"]);
    client.args([&format!("127.0.0.1:{TLS_PORT}"), "-servername", "secret.example"]);
    client.args(["-alpn", "h2,http/1.1", "-tls1_2"]);
    let output = client.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let events = observer.take(3);
    let close = &events[2];
    assert_eq!(close.text("/obs/tunnel/inner"), "tls", "{}", close.0);
    assert_eq!(close.text("/tls/client/server_name"), "secret.example");
    assert_eq!(
        close.0["tls"]["client"]["offered_protocols"],
        serde_json::json!(["h2", "http/1.1"])
    );
    assert_eq!(close.text("/tls/protocol/version"), "1.2");
    assert_eq!(close.text("/tls/next_protocol"), "http/1.1");
    let (up, down) = tunnel_bytes(close);
    assert!(up > 200 && down > 1000, "{}", close.0);
}

fn tinyproxy(namespace: &Namespace) -> (Process, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("tinyproxy.conf");
    std::fs::write(&config, format!("Port {PROXY_PORT}\nListen 127.0.0.1\nMaxClients 10\n"))
        .unwrap();
    let mut process =
        Process::start(namespace.command("tinyproxy").arg("-d").arg("-c").arg(config));
    wait_for(namespace, PROXY_PORT, &mut process);
    (process, folder)
}

#[test]
fn a_large_transfer_through_a_tunnel_is_counted_and_mostly_not_copied() {
    const SIZE: u64 = 256 << 20;
    if !can_run("tunnels::bulk", &[]) {
        return;
    }
    let namespace = Namespace::new();
    let mut observer = Observer::start(&namespace, &["run", "--no-socket"]);
    namespace.inside(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        pass(&mut client, &mut server, b"CONNECT far:1 HTTP/1.1\r\nHost: far:1\r\n\r\n");
        pass(&mut server, &mut client, b"HTTP/1.1 200 OK\r\n\r\n");
        pass(&mut client, &mut server, b"\0send");
        std::thread::scope(|scope| {
            scope.spawn(move || {
                let piece = vec![1; 1 << 20];
                for _ in 0..SIZE >> 20 {
                    server.write_all(&piece).unwrap();
                }
            });
            let n = std::io::copy(&mut client, &mut std::io::sink()).unwrap();
            assert_eq!(n, SIZE);
        });
    });
    let close = &observer.take(3)[2];
    assert_eq!(tunnel_bytes(close), (5, SIZE), "{}", close.0);
    assert_eq!(close.number("/obs/tunnel/gap_bytes_to_client"), 0, "{}", close.0);
    let account = observer.end(libc::SIGINT).account.expect("statistics come last");
    account.assert_balanced();
    assert_eq!(account.lost, 0, "{account:?}");
    assert!(account.bytes < SIZE / 8, "copied {} of {SIZE} bytes", account.bytes);
}
