//! Server and client over real sockets, with the test as the capture thread.

use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;

use super::client::{Connection, Received};
use super::server::{Error, Server};
use super::*;

const NOW: Timestamp = Timestamp(1_795_266_202_118_000_123);

struct Daemon {
    folder: tempfile::TempDir,
    server: Server,
    tails: Tails,
}

fn hello() -> Hello {
    Hello {
        headers: true,
        body_bytes: 7,
        ws_messages: true,
        interfaces: vec!["lo".into()],
        ports: vec![80, 443],
        hosts: vec!["10.0.0.0/8".parse().unwrap(), "::1".parse().unwrap()],
        netns: vec!["all".into()],
        backend: "tc".into(),
    }
}

fn daemon() -> Daemon {
    let folder = tempfile::tempdir().unwrap();
    let (server, tails) = Server::start(&folder.path().join("s"), &hello()).unwrap();
    Daemon { folder, server, tails }
}

fn seen(n: u64) -> Snapshot {
    Snapshot { uptime_ns: Some(n), ..Snapshot::default() }
}

impl Daemon {
    fn path(&self) -> PathBuf {
        self.folder.path().join("s")
    }

    /// Attaches a client and serves until the capture thread knows of it.
    fn attach(&mut self) -> Connection {
        let client = Connection::attach(&self.path()).unwrap();
        let before = self.tails.clients.len();
        while self.tails.clients.len() == before {
            self.tails.serve(NOW, || seen(1));
            std::thread::yield_now();
        }
        client
    }

    fn write(&mut self, lines: &str) {
        let n_events = lines.lines().count() as u64;
        self.tails.write(&Arc::new(Lines::of(lines.into(), n_events)), NOW);
    }

    fn stop(mut self) {
        self.tails.dismiss(NOW, &seen(9));
        self.server.stop();
    }
}

/// Everything until the daemon closes.
fn read_all(client: &mut Connection) -> String {
    let mut all = Vec::new();
    loop {
        match client.receive().unwrap() {
            Received::Lines(lines) => all.extend_from_slice(lines),
            Received::Nothing => {}
            Received::End => return String::from_utf8(all).unwrap(),
        }
    }
}

fn stats(uptime: &str, sent: u64, dropped: u64) -> String {
    format!(
        "{{\"timestamp\":\"2026-11-21T13:03:22.118000123Z\",\"event\":{{\"name\":\
         \"observer.stats\"}},\"obs\":{{\"schema\":1,\"stats\":{{{uptime}\"tail\":\
         {{\"sent\":{sent},\"dropped\":{dropped}}}}}}}}}\n"
    )
}

#[test]
fn a_client_gets_totals_then_events_then_totals() {
    let mut daemon = daemon();
    let mut client = daemon.attach();
    assert_eq!(client.hello, hello());
    daemon.write("{\"a\":1}\n{\"a\":2}\n");
    client.leave();
    while !daemon.tails.clients.is_empty() {
        daemon.tails.serve(NOW, || seen(5));
        std::thread::yield_now();
    }
    assert_eq!(
        read_all(&mut client),
        stats("\"uptime_ns\":1,", 0, 0)
            + "{\"a\":1}\n{\"a\":2}\n"
            + &stats("\"uptime_ns\":5,", 2, 0)
    );
    daemon.stop();
}

#[test]
fn clients_get_what_is_queued_when_the_daemon_ends() {
    let mut daemon = daemon();
    let mut client = daemon.attach();
    let path = daemon.path();
    daemon.write("{\"a\":1}\n");
    daemon.stop();
    let all = read_all(&mut client);
    assert!(all.ends_with(&("{\"a\":1}\n".to_owned() + &stats("\"uptime_ns\":9,", 1, 0))), "{all}");
    assert!(!path.exists());
}

#[test]
fn a_slow_client_loses_and_is_told_while_the_writer_never_waits() {
    let mut daemon = daemon();
    let mut slow = daemon.attach();
    let line = format!("{{\"x\":\"{}\"}}\n", "x".repeat(1 << 20));
    // The socket's buffer takes well under a line, the queue four MiB; the rest has no room.
    for _ in 0..20 {
        daemon.write(&line);
    }
    let dropped = daemon.tails.clients[0].tail.dropped;
    assert!((14..=17).contains(&dropped), "{dropped}");
    assert_eq!(daemon.tails.stats().lost, dropped);

    let reader = std::thread::spawn(move || read_all(&mut slow));
    while daemon.tails.clients[0].n_waiting.load(Ordering::Relaxed) > 0 {
        std::thread::yield_now();
    }
    daemon.write("{\"after\":1}\n");
    daemon.stop();
    let all = reader.join().unwrap();
    let told = stats("", 20 - dropped, dropped) + "{\"after\":1}\n";
    assert!(all.contains(&told), "{}", &all[all.len().saturating_sub(600)..]);
    assert_eq!(all.matches("{\"x\":").count() as u64, 20 - dropped);
}

#[test]
fn the_socket_is_for_owner_and_group() {
    let daemon = daemon();
    let found = std::fs::symlink_metadata(daemon.path()).unwrap();
    assert!(found.file_type().is_socket());
    assert_eq!(found.permissions().mode() & 0o777, 0o660);
    let left: Vec<_> = std::fs::read_dir(daemon.folder.path()).unwrap().collect();
    assert_eq!(left.len(), 1, "{left:?}");
    daemon.stop();
}

#[test]
fn a_second_daemon_is_refused() {
    let daemon = daemon();
    let err = Server::start(&daemon.path(), &hello()).unwrap_err();
    assert!(matches!(err, Error::Taken(_)), "{err}");
    assert!(err.to_string().starts_with("already running: "), "{err}");
    assert!(daemon.path().exists());
    daemon.stop();
}

#[test]
fn the_socket_of_a_dead_daemon_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    drop(UnixListener::bind(&path).unwrap());
    let (server, tails) = Server::start(&path, &hello()).unwrap();
    Connection::attach(&path).unwrap();
    drop(tails);
    server.stop();
}

#[test]
fn what_is_no_socket_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    std::fs::write(&path, "precious").unwrap();
    let err = Server::start(&path, &hello()).unwrap_err();
    assert!(matches!(err, Error::NotASocket(_)), "{err}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
}

#[test]
fn a_successors_socket_is_not_removed() {
    let daemon = daemon();
    std::fs::remove_file(daemon.path()).unwrap();
    let successor = UnixListener::bind(daemon.path()).unwrap();
    let path = daemon.path();
    let Daemon { folder, server, tails } = daemon;
    drop(tails);
    server.stop();
    assert!(path.exists());
    drop((successor, folder));
}

#[test]
fn an_unknown_command_gets_an_answer() {
    use std::io::{Read as _, Write as _};
    let daemon = daemon();
    let mut stream = UnixStream::connect(daemon.path()).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "{\"error\":\"unknown command\"}\n");
    daemon.stop();
}

#[test]
fn what_is_no_daemon_is_not_taken_for_one() {
    let refused = |line: &str| Hello::parse(line.as_bytes()).unwrap_err();
    assert_eq!(refused("220 smtp\r\n"), "what listens there is no observer daemon");
    assert_eq!(refused("{\"error\":\"too many clients\"}\n"), "too many clients");
    assert!(refused("{\"observer\":{\"protocol\":2}}").contains("version 2"));
}

#[test]
fn ten_thousand_wrong_messages_are_answered_and_the_next_client_is_served() {
    use std::io::{Read as _, Write as _};
    let mut daemon = daemon();
    let path = daemon.path();
    let mut state = 0x6f62_7365_7276_6572_u64;
    let mut next = move |below: usize| {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        (state.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % below
    };
    let mut n_errors = 0;
    for _ in 0..10_000 {
        let mut message = COMMAND.as_bytes().to_vec();
        for _ in 0..=next(3) {
            let at = next(message.len());
            match next(4) {
                0 => message[at] = next(256) as u8,
                1 => drop(message.drain(at..)),
                2 => drop(message.splice(at..at, (0..next(200)).map(|i| i as u8))),
                // Longer than a command may be.
                _ => drop(message.splice(at..at, std::iter::repeat_n(b'x', next(6000)))),
            }
            if message.is_empty() {
                message.push(b'\n');
            }
        }
        if message.starts_with(COMMAND.as_bytes()) {
            continue;
        }
        let mut stream = UnixStream::connect(&path).unwrap();
        stream.set_read_timeout(Some(std::time::Duration::from_secs(20))).unwrap();
        // The daemon may have answered and closed before it has read all of it.
        let _ =
            stream.write_all(&message).and_then(|()| stream.shutdown(std::net::Shutdown::Write));
        let mut answer = Vec::new();
        match stream.read_to_end(&mut answer) {
            Ok(_) => n_errors += usize::from(answer == b"{\"error\":\"unknown command\"}\n"),
            Err(err) => assert_eq!(err.kind(), std::io::ErrorKind::ConnectionReset, "{message:?}"),
        }
        daemon.tails.serve(NOW, || seen(1));
        assert!(daemon.tails.clients.is_empty(), "{message:?} was taken for a command");
    }
    assert!(n_errors > 5000, "{n_errors}");
    let mut client = daemon.attach();
    daemon.write("{\"a\":1}\n");
    daemon.stop();
    assert!(read_all(&mut client).contains("{\"a\":1}\n"));
}
