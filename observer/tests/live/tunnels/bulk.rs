//! Large transfers through tunnels: counted to the byte, mostly not copied.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

use super::{frame, pass, tunnel_bytes};
use crate::harness::can_run;
use crate::harness::event::Account;
use crate::harness::namespace::Namespace;
use crate::harness::observer::{BACKENDS, Observer, configuration};

/// Bytes to the client; a quarter of it goes to the server. `OBSERVER_TUNNEL_MIB` has another
/// number, and shows what it cost.
fn size(mib: u64) -> u64 {
    let asked = std::env::var("OBSERVER_TUNNEL_MIB").ok().and_then(|mib| mib.parse().ok());
    asked.unwrap_or(mib) << 20
}

#[test]
fn a_large_transfer_through_a_tunnel_is_counted_and_hardly_copied() {
    if !can_run("tunnels::bulk", &[]) {
        return;
    }
    let size = size(256);
    for backend in BACKENDS {
        let namespace = Namespace::new();
        // Until the kernel is told to be quiet everything is copied, for as long as a busy machine
        // lets the observer wait: nothing may be lost meanwhile.
        let config = configuration("[capture]\nring_bytes = 134217728\n");
        let config = config.path().display().to_string();
        let args = ["run", "--no-socket", "--backend", backend, "--config", &config];
        let mut observer = Observer::start(&namespace, &args);
        let before = observer.cpu_ms();
        let counted = namespace.inside(|| {
            let (mut client, mut server) = connect();
            pass(&mut client, &mut server, b"CONNECT far:1 HTTP/1.1\r\nHost: far:1\r\n\r\n");
            pass(&mut server, &mut client, b"HTTP/1.1 200 OK\r\n\r\n");
            pass(&mut client, &mut server, b"\0up");
            pass(&mut server, &mut client, b"\0down");
            let (up, down) = exchange(client, server, vec![1; 1 << 20], size);
            (up + 3, down + 5)
        });
        assert_eq!(counted, (size / 4 + 3, size + 5), "what was read is what was written");
        let close = &observer.take(3)[2];
        let cpu_ms = observer.cpu_ms() - before;
        assert_eq!(tunnel_bytes(close), counted, "{backend}: {}", close.0);
        for direction in ["client", "server"] {
            let lost = close.number(&format!("/obs/tunnel/gap_bytes_to_{direction}"));
            assert_eq!(lost, 0, "{}", close.0);
        }
        let account = observer.end(libc::SIGINT).account.expect("statistics come last");
        account.assert_balanced();
        assert_eq!(account.lost, 0, "{account:?}");
        assert!(account.bytes < size / 2, "copied {} of {size} bytes", account.bytes);
        report(&format!("tunnel through {backend}"), size, &account, cpu_ms);
    }
}

#[test]
fn each_frame_of_a_busy_websocket_is_counted() {
    const FRAME: usize = 32 << 10;
    if !can_run("tunnels::frames", &[]) {
        return;
    }
    let namespace = Namespace::new();
    // Everything is copied, and here nothing may be lost: the ring has room for all of it.
    let size = size(64);
    let config = configuration("[capture]\nring_bytes = 134217728\n");
    let config = config.path().display().to_string();
    let mut observer = Observer::start(&namespace, &["run", "--no-socket", "--config", &config]);
    let before = observer.cpu_ms();
    let counted = namespace.inside(|| {
        let (mut client, mut server) = connect();
        let request = "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n\
            Upgrade: websocket\r\n\r\n";
        pass(&mut client, &mut server, request.as_bytes());
        let head = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
            Connection: Upgrade\r\n\r\n";
        pass(&mut server, &mut client, head.as_bytes());
        exchange(client, server, frame(2, &[1; FRAME], false), size)
    });
    let close = &observer.take(3)[2];
    let cpu_ms = observer.cpu_ms() - before;
    assert_eq!(tunnel_bytes(close), counted, "{}", close.0);
    for (direction, n_bytes) in [("server", counted.0), ("client", counted.1)] {
        let frames = |key| close.number(&format!("/obs/tunnel/frames/to_{direction}/{key}"));
        let n_frames = n_bytes / (FRAME as u64 + 4);
        assert_eq!(frames("binary/count"), n_frames, "{}", close.0);
        assert_eq!(frames("binary/bytes"), n_frames * FRAME as u64);
        assert_eq!(frames("messages"), n_frames);
    }
    let account = observer.end(libc::SIGINT).account.expect("statistics come last");
    account.assert_balanced();
    assert_eq!(account.lost, 0, "{account:?}");
    report("WebSocket", size, &account, cpu_ms);
}

fn connect() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (client, listener.accept().unwrap().0)
}

/// Both ends send their share in pieces at the same time, and close. What the server has read, and
/// the client.
fn exchange(client: TcpStream, server: TcpStream, piece: Vec<u8>, size: u64) -> (u64, u64) {
    let n_pieces = size / piece.len() as u64;
    let send = |mut stream: &TcpStream, n| {
        for _ in 0..n {
            stream.write_all(&piece).unwrap();
        }
        stream.shutdown(std::net::Shutdown::Write).unwrap();
    };
    let count = |stream: &TcpStream| {
        let (mut stream, mut n) = (stream, 0);
        let mut buffer = vec![0; 1 << 18];
        loop {
            match stream.read(&mut buffer).unwrap() {
                0 => return n,
                read => n += read as u64,
            }
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(|| send(&client, n_pieces / 4));
        scope.spawn(|| send(&server, n_pieces));
        let up = scope.spawn(|| count(&server));
        let down = count(&client);
        (up.join().unwrap(), down)
    })
}

/// For who asked for a size.
fn report(what: &str, size: u64, account: &Account, cpu_ms: u64) {
    if std::env::var_os("OBSERVER_TUNNEL_MIB").is_none() {
        return;
    }
    let mib = (size * 5 / 4) >> 20;
    let _ = writeln!(
        std::io::stdout().lock(),
        "{what}: {mib} MiB, {} segments seen, {} records, {} bytes copied, {cpu_ms} ms CPU of observer",
        account.seen,
        account.records,
        account.bytes,
    );
}
