//! Sockets: receivers that are not there yet, stall, go away, and come back.

use std::io::{BufRead as _, BufReader, Read};
use std::net::{TcpListener, UdpSocket};
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::time::Duration;

use crate::rig::{LONG, Rig, number, numbers, until};

#[test]
fn a_stalled_receiver_delays_nobody_else_and_its_loss_is_exact() {
    let folder = tempfile::tempdir().unwrap();
    let listener = UnixListener::bind(folder.path().join("s")).unwrap();
    let mut rig = Rig::start(
        &folder,
        "[output]\nfile = 'DIR/e'\n[[sinks]]\ntype = 'unix'\npath = 'DIR/s'\nname = 'stalled'\n\
         queue_bytes = 262144\nwhen_full = 'drop_oldest'\n",
    );
    rig.push(100, 1000);
    // Accepted and not read from.
    let (mut stalled, _) = listener.accept().unwrap();
    for _ in 0..40 {
        rig.push(500, 1000);
        rig.until("/e", "the file to go on", |stats| stats.waiting == 0);
    }
    let n_pushed = 100 + 40 * 500;
    assert_eq!(rig.stats("/e").events, n_pushed);
    let stats = rig.stats("stalled");
    assert!(stats.lost > n_pushed / 2, "{stats:?}");
    assert!(stats.waiting_bytes <= 262_144 + 200_000, "{stats:?}");
    assert_eq!(stats.lost_by.keys().collect::<Vec<_>>(), [&"queue_full"]);
    assert_eq!(rig.said.iter().filter(|said| said.contains("stalled does not keep up")).count(), 1);

    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        stalled.read_to_string(&mut text).unwrap();
        text
    });
    let (stats, _) = rig.end(LONG);
    let got = numbers(&reader.join().unwrap());
    assert_eq!(stats[1].events, got.len() as u64);
    assert_eq!(stats[1].lost_by, [("queue_full", n_pushed - stats[1].events)].into());
    assert!(got.is_sorted() && got.last() == Some(&(n_pushed - 1)), "the newest are there");
}

#[test]
fn a_receiver_that_comes_late_gets_everything_from_the_spool_in_order() {
    let folder = tempfile::tempdir().unwrap();
    // A port that nobody listens on, for a while.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let text = format!(
        "[[sinks]]\ntype = 'tcp'\naddress = '127.0.0.1:{port}'\nname = 'late'\n\
         queue_bytes = 65536\nwhen_full = 'spool'\nspool_path = 'DIR/spool'\n"
    );
    let mut rig = Rig::start(&folder, &text);
    for _ in 0..60 {
        rig.push(50, 1000);
        rig.until("late", "room", |stats| stats.waiting_bytes <= 65536 / 2);
    }
    let stats = rig.stats("late");
    assert_eq!((stats.lost, stats.events, stats.waiting), (0, 0, 3000));
    assert!(stats.spooled > 2000, "{stats:?}");
    let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    let (mut stream, _) = listener.accept().unwrap();
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    });
    rig.until("late", "all of it", |stats| stats.events == 3000);
    rig.push(5, 100);
    let (stats, said) = rig.end(LONG);
    assert_eq!(numbers(&reader.join().unwrap()), (0..3005).collect::<Vec<_>>());
    assert_eq!((stats[0].lost, stats[0].spooled), (0, 0));
    assert_eq!(said.len(), 2, "{said:?}");
    assert_eq!(std::fs::read_dir(folder.path().join("spool")).unwrap().count(), 0);
}

#[test]
fn a_connection_that_was_closed_is_made_again_and_lines_stay_whole() {
    let folder = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let text = format!("[[sinks]]\ntype = 'tcp'\naddress = '127.0.0.1:{port}'\nname = 'far'\n");
    let mut rig = Rig::start(&folder, &text);
    let mut all = Vec::new();
    for _ in 0..3 {
        rig.push(10, 300);
        let (stream, _) = listener.accept().unwrap();
        let mut lines = BufReader::new(stream);
        for _ in 0..10 {
            let mut line = String::new();
            lines.read_line(&mut line).unwrap();
            all.push(number(&line));
        }
        // Closed with nothing unread: the sink has to notice before it writes again.
    }
    assert_eq!(all, (0..30).collect::<Vec<_>>());
    let (stats, _) = rig.end(LONG);
    assert_eq!((stats[0].events, stats[0].lost), (30, 0));
}

#[test]
fn a_datagram_is_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let text = "[[sinks]]\ntype = 'unix_datagram'\npath = 'DIR/d'\nname = 'grams'\n";
    let mut rig = Rig::start(&folder, text);
    rig.push(2, 300);
    rig.until("grams", "an attempt", |stats| stats.errors > 0);
    let receiver = UnixDatagram::bind(folder.path().join("d")).unwrap();
    // More than the receiver's queue holds (net.unix.max_dgram_qlen).
    rig.push(2000, 300);
    let mut buffer = vec![0; 1 << 20];
    for want in 0..2002 {
        let n = receiver.recv(&mut buffer).unwrap();
        assert_eq!(numbers(std::str::from_utf8(&buffer[..n]).unwrap()), [want]);
    }
    // Larger than any datagram on this socket can be.
    rig.push(1, 4 << 20);
    rig.push(1, 300);
    let n = receiver.recv(&mut buffer).unwrap();
    assert_eq!(number(std::str::from_utf8(&buffer[..n]).unwrap()), 2003);
    let (stats, _) = rig.end(LONG);
    assert_eq!(stats[0].lost_by, [("too_large", 1)].into());
    assert_eq!(stats[0].events, 2003);
}

/// The parts of an RFC 5424 message.
fn syslog(message: &str) -> (Vec<&str>, u64) {
    let mut parts = message.splitn(8, ' ').collect::<Vec<_>>();
    let event = number(parts.pop().unwrap());
    (parts, event)
}

#[test]
fn syslog_goes_over_udp_one_message_a_datagram() {
    let folder = tempfile::tempdir().unwrap();
    let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
    receiver.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let address = receiver.local_addr().unwrap();
    let text =
        format!("[[sinks]]\ntype = 'syslog'\naddress = 'udp://{address}'\nfacility = 'local0'\n");
    let mut rig = Rig::start(&folder, &text);
    rig.push(3, 300);
    let mut buffer = vec![0; 1 << 16];
    for want in 0..3 {
        let n = receiver.recv(&mut buffer).unwrap();
        let (parts, event) = syslog(std::str::from_utf8(&buffer[..n]).unwrap());
        assert_eq!(event, want);
        assert_eq!(parts[0], "<134>1");
        assert_eq!(parts[1], "2026-11-21T13:03:22.118000Z");
        assert_eq!((parts[3], parts[5], parts[6]), ("observer", "observer.stats", "-"));
    }
    let (stats, _) = rig.end(LONG);
    assert_eq!((stats[0].events, stats[0].lost), (3, 0));
}

#[test]
fn syslog_over_tcp_counts_its_bytes_and_survives_a_break() {
    let folder = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let text = format!("[[sinks]]\ntype = 'syslog'\naddress = 'tcp://{address}'\n");
    let mut rig = Rig::start(&folder, &text);
    let mut want = 0;
    for n in [1000, 1000] {
        rig.push(n, 500);
        let (stream, _) = listener.accept().unwrap();
        let mut stream = BufReader::new(stream);
        for _ in 0..n {
            let mut length = Vec::new();
            stream.read_until(b' ', &mut length).unwrap();
            let length = std::str::from_utf8(&length).unwrap().trim().parse().unwrap();
            let mut message = vec![0; length];
            stream.read_exact(&mut message).unwrap();
            assert_eq!(syslog(std::str::from_utf8(&message).unwrap()).1, want);
            want += 1;
        }
    }
    until("everything to be counted", || (rig.stats("syslog").events == 2000).then_some(()));
    let (stats, _) = rig.end(LONG);
    assert_eq!((stats[0].events, stats[0].lost), (2000, 0));
}
