//! A whole capture on loopback, with real sockets, in a namespace of its own.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use observer::capture::live::{
    Backend, Capture, CaptureError, HostFilter, Interfaces, Ledger, Options, TcAttach,
};
use observer::segment::{Directive, Endpoint, FlowKey, Hook, TcpFlags};

use crate::needs::{command, missing, namespace};

/// The bytes of each half by its sender, put together by sequence number. Gaps are an error.
#[derive(Default)]
struct Halves {
    start: BTreeMap<Endpoint, u32>,
    bytes: BTreeMap<Endpoint, Vec<u8>>,
    hooks: Vec<Hook>,
    fins: usize,
    /// Payload bytes captured, retransmissions included.
    n_bytes: usize,
}

impl Halves {
    /// Polls until the capture has been quiet for a while.
    fn drain(&mut self, capture: &mut Capture) {
        let mut quiet = 0;
        while quiet < 3 {
            let n = capture.poll(Duration::from_millis(50), |segment| {
                self.hooks.push(segment.origin.hook);
                self.n_bytes += segment.payload.len();
                self.fins += usize::from(segment.flags.contains(TcpFlags::FIN));
                let bytes = self.bytes.entry(segment.source).or_default();
                let start = *self.start.entry(segment.source).or_insert(segment.seq.0);
                let at = segment.seq.0.wrapping_sub(start) as usize;
                assert_eq!(segment.payload_len as usize, segment.payload.len());
                if !segment.payload.is_empty() && at == bytes.len() {
                    bytes.extend_from_slice(segment.payload);
                }
            });
            quiet = if n.unwrap() == 0 { quiet + 1 } else { 0 };
        }
    }

    fn of_port(&self, port: u16) -> &[u8] {
        let mut found = self.bytes.iter().filter(|(end, _)| end.port == port);
        found.next().map(|(_, bytes)| bytes.as_slice()).unwrap_or_default()
    }
}

/// One connection to `address`: the client says `request`, the server `response`, both end.
/// Returns the ports of client and server.
fn converse(address: &str, request: &[u8], response: &[u8]) -> (u16, u16) {
    let listener = TcpListener::bind((address, 0)).unwrap();
    let server = listener.local_addr().unwrap().port();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (mut stream, _) = listener.accept().unwrap();
            let mut got = vec![0; request.len()];
            stream.read_exact(&mut got).unwrap();
            stream.write_all(response).unwrap();
        });
        let mut stream = TcpStream::connect((address, server)).unwrap();
        let client = stream.local_addr().unwrap().port();
        stream.write_all(request).unwrap();
        let mut got = Vec::new();
        stream.read_to_end(&mut got).unwrap();
        assert_eq!(got, response);
        (client, server)
    })
}

/// A ledger that adds up, with no segment under way.
fn balanced(capture: &Capture) -> Ledger {
    let ledger = capture.ledger().unwrap();
    assert!(ledger.is_balanced(), "{ledger:?}");
    assert_eq!(ledger.undecodable, 0);
    ledger
}

const REQUEST: &[u8] = b"GET /some/path HTTP/1.1\r\nHost: localhost\r\n\r\n";

fn every_backend() -> [Options; 3] {
    let options = Options::default();
    [
        Options { backend: Backend::Tc, tc_attach: TcAttach::Auto, ..options.clone() },
        Options { backend: Backend::Tc, tc_attach: TcAttach::Clsact, ..options.clone() },
        Options { backend: Backend::Socket, ..options },
    ]
}

#[test]
fn a_conversation_arrives_whole_on_every_backend() {
    if !namespace() {
        return;
    }
    // Large enough for super-segments, which loopback makes up to 64 KiB of.
    let body: Vec<u8> = (0..600_000u32).map(|i| (i % 251) as u8).collect();
    let response = [b"HTTP/1.1 200 OK\r\nContent-Length: 600000\r\n\r\n", &body[..]].concat();
    for options in every_backend() {
        for address in ["127.0.0.1", "::1"] {
            let mut capture = Capture::start(&options).unwrap();
            assert_eq!(capture.take_warnings(), [""; 0]);
            assert_eq!(capture.backend(), options.backend);
            assert_eq!(capture.interface_name(1), Some("lo"));
            let (client, server) = converse(address, REQUEST, &response);
            let mut halves = Halves::default();
            halves.drain(&mut capture);
            assert_eq!(halves.of_port(client), REQUEST);
            assert!(halves.of_port(server) == response, "the response on {options:?}");
            assert!(halves.fins >= 2);
            let hook = match options.backend {
                Backend::Socket => Hook::Socket,
                Backend::Tc | Backend::Auto => Hook::TcEgress,
            };
            assert!(halves.hooks.iter().all(|seen| *seen == hook));
            let ledger = balanced(&capture);
            assert_eq!(ledger.lost.total(), 0);
            assert_eq!(ledger.records as usize, halves.hooks.len());
            assert_eq!(ledger.bytes as usize, halves.n_bytes);
        }
    }
}

#[test]
fn segments_larger_than_a_record_become_several() {
    if !namespace() {
        return;
    }
    // BIG TCP: super-segments above 64 KiB, for IPv6 since 5.19.
    if !command("ip", "link set lo gso_max_size 400000 gro_max_size 400000") {
        missing("ip(8) cannot set gso_max_size");
        return;
    }
    let body: Vec<u8> = (0..8_000_000u32).map(|i| (i % 251) as u8).collect();
    let response = [b"HTTP/1.1 200 OK\r\n\r\n", &body[..]].concat();
    for options in every_backend() {
        let options = Options { ring_bytes: 64 << 20, ..options };
        let mut capture = Capture::start(&options).unwrap();
        let (_, server) = converse("::1", REQUEST, &response);
        let mut halves = Halves::default();
        halves.drain(&mut capture);
        assert!(halves.of_port(server) == response, "the response on {options:?}");
        let ledger = balanced(&capture);
        assert_eq!(ledger.lost.total(), 0);
        assert!(ledger.records > ledger.emitted, "{ledger:?}");
    }
}

#[test]
fn other_protocols_cost_no_record() {
    if !namespace() {
        return;
    }
    for options in every_backend() {
        let mut capture = Capture::start(&options).unwrap();
        converse("127.0.0.1", b"*1\r\n$4\r\nPING\r\n", b"+PONG\r\n");
        converse("127.0.0.1", b"SSH-2.0-client\r\n", b"SSH-2.0-server\r\n");
        let mut halves = Halves::default();
        halves.drain(&mut capture);
        let ledger = balanced(&capture);
        assert_eq!((ledger.records, ledger.bytes, ledger.flows), (0, 0, 0));
        assert_eq!(ledger.filtered.not_http, 4);
    }
}

#[test]
fn a_ring_that_is_too_small_loses_and_the_ledger_adds_up() {
    if !namespace() {
        return;
    }
    let response = [b"HTTP/1.1 200 OK\r\n\r\n", &[b'x'; 4_000_000][..]].concat();
    for options in every_backend() {
        let options = Options { ring_bytes: 64 << 10, ..options };
        let mut capture = Capture::start(&options).unwrap();
        converse("127.0.0.1", REQUEST, &response);
        let first = balanced(&capture);
        assert!(first.lost.ring_full > 0, "{first:?}");
        let mut n_records = 0;
        while capture.poll(Duration::from_millis(50), |_| n_records += 1).unwrap() > 0 {}
        assert_eq!(balanced(&capture).records, n_records);
        // Room again: another flow arrives whole.
        let (client, _) = converse("127.0.0.1", REQUEST, b"HTTP/1.1 204 No Content\r\n\r\n");
        let mut halves = Halves::default();
        halves.drain(&mut capture);
        assert_eq!(halves.of_port(client), REQUEST);
        let last = balanced(&capture);
        assert_eq!(last.lost.ring_full, first.lost.ring_full);
    }
}

#[test]
fn a_flow_that_user_space_forgets_is_emitted_no_more() {
    if !namespace() {
        return;
    }
    let mut capture = Capture::start(&Options::default()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = listener.local_addr().unwrap().port();
    let mut client = TcpStream::connect(("127.0.0.1", server)).unwrap();
    let (mut accepted, _) = listener.accept().unwrap();
    client.write_all(REQUEST).unwrap();
    Halves::default().drain(&mut capture);
    let before = balanced(&capture);
    assert_eq!(before.flows, 1);
    let port = client.local_addr().unwrap().port();
    let end = |port| Endpoint::v4([127, 0, 0, 1], port);
    capture.apply(Directive::Forget(FlowKey::new(end(port), end(server)))).unwrap();
    client.write_all(b"more").unwrap();
    accepted.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
    Halves::default().drain(&mut capture);
    let after = balanced(&capture);
    assert_eq!(after.emitted, before.emitted);
    assert!(after.filtered.turned_off >= 2);
}

#[test]
fn ports_and_hosts_narrow_a_capture() {
    if !namespace() {
        return;
    }
    let options = Options { ports: vec![1], ..Options::default() };
    let capture = Capture::start(&options).unwrap();
    converse("127.0.0.1", REQUEST, b"HTTP/1.1 204 No Content\r\n\r\n");
    let ledger = balanced(&capture);
    assert_eq!(ledger.filtered.port, ledger.seen);
    drop(capture);
    let host = |address: &str, prefix| HostFilter { address: address.parse().unwrap(), prefix };
    let options = Options { hosts: vec![host("127.0.0.0", 8)], ..Options::default() };
    let capture = Capture::start(&options).unwrap();
    converse("127.0.0.1", REQUEST, b"HTTP/1.1 204 No Content\r\n\r\n");
    assert!(balanced(&capture).emitted > 0);
    let emitted = balanced(&capture).emitted;
    converse("::1", REQUEST, b"HTTP/1.1 204 No Content\r\n\r\n");
    let ledger = balanced(&capture);
    assert_eq!(ledger.emitted, emitted);
    assert!(ledger.filtered.host > 0);
}

#[test]
fn interfaces_that_come_and_go_are_followed() {
    if !namespace() {
        return;
    }
    for options in every_backend() {
        let mut capture = Capture::start(&options).unwrap();
        assert!(command("ip", "link add later type veth peer name other"));
        capture.poll(Duration::from_millis(500), |_| {}).unwrap();
        let names = |capture: &Capture| -> Vec<_> {
            capture.interfaces().map(|link| link.name.clone()).collect()
        };
        assert!(names(&capture).contains(&"later".to_owned()), "{:?}", names(&capture));
        assert!(command("ip", "link del later"));
        capture.poll(Duration::from_millis(500), |_| {}).unwrap();
        assert_eq!(names(&capture), ["lo"]);
        assert_eq!(capture.take_warnings(), [""; 0]);
    }
}

#[test]
fn an_interface_that_does_not_exist_is_an_error_alone_and_a_warning_in_company() {
    if !namespace() {
        return;
    }
    let named = |names: &[&str]| Options {
        interfaces: Interfaces::Named(names.iter().map(|name| (*name).to_owned()).collect()),
        ..Options::default()
    };
    let error = Capture::start(&named(&["nope0"])).err().unwrap();
    assert!(matches!(error, CaptureError::NoSuchInterface { .. }));
    assert_eq!(error.to_string(), "no such interface: nope0 (there are: lo)");
    let mut capture = Capture::start(&named(&["nope0", "lo"])).unwrap();
    let warnings = capture.take_warnings();
    assert_eq!(warnings, ["interface nope0 does not exist; watching for it to appear"]);
    assert!(command("ip", "link add nope0 type veth peer name other"));
    capture.poll(Duration::from_millis(500), |_| {}).unwrap();
    let names: Vec<_> = capture.interfaces().map(|link| link.name.as_str()).collect();
    assert_eq!(names, ["lo", "nope0"]);
}
