//! A WebSocket as chisel makes it, with SSH inside.

use std::io::Read as _;
use std::net::{TcpListener, TcpStream};

use super::{frame, pass, tunnel_bytes};
use crate::harness::can_run;
use crate::harness::event::Event;
use crate::harness::namespace::Namespace;
use crate::harness::observer::{BACKENDS, Observer};

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
