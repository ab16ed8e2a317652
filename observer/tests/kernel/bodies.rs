//! Bodies that are left out of real connections: how little is copied, and that what is left adds
//! up to all of it.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use observer::capture::live::{Backend, Capture, Options};
use observer::segment::{Directive, Endpoint, FlowKey, SeqNumber, TcpFlags};

use crate::needs::namespace;

const REQUEST: &[u8] = b"GET /big HTTP/1.1\r\nHost: localhost\r\n\r\n";
const BODY: usize = 50_000_000;

/// What the capture saw of the server's half.
#[derive(Default)]
struct Half {
    records: usize,
    bytes: Vec<u8>,
    first: Option<SeqNumber>,
    end: SeqNumber,
    fin: bool,
}

impl Half {
    fn poll(&mut self, capture: &mut Capture, port: u16) -> usize {
        let sink = |segment: &observer::segment::Segment<'_>| {
            if segment.source.port != port || segment.flags.contains(TcpFlags::SYN) {
                return;
            }
            let end = segment.seq.0.wrapping_add(segment.payload_len);
            // A busy machine sends the tail again, and behind its body nothing is left out.
            let is_old = end.wrapping_sub(self.end.0).cast_signed() <= 0;
            if self.first.is_some() && segment.payload_len > 0 && is_old {
                return;
            }
            self.records += 1;
            self.bytes.extend_from_slice(segment.payload);
            if segment.payload_len > 0 {
                self.first.get_or_insert(segment.seq);
            }
            // What comes behind the FIN stands one number further on.
            if !self.fin {
                self.end = SeqNumber(end);
            }
            self.fin |= segment.flags.contains(TcpFlags::FIN);
        };
        capture.poll(Duration::from_millis(100), sink).unwrap()
    }

    fn drain(&mut self, capture: &mut Capture, port: u16) {
        while self.poll(capture, port) > 0 {}
    }

    #[track_caller]
    fn is_all_there(&self, n_bytes: usize) {
        assert!(self.fin);
        let n = self.end.0.wrapping_sub(self.first.unwrap().0);
        assert_eq!(n as usize, n_bytes, "bytes that the records stand for");
    }
}

#[test]
fn a_download_costs_a_handful_of_records_and_the_kernel_needs_no_telling() {
    if !namespace() {
        return;
    }
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {BODY}\r\n\r\n");
    let response = [head.as_bytes(), &vec![b'x'; BODY]].concat();
    let options = Options { backend: Backend::Tc, body_prefix: Some(10), ..Options::default() };
    let mut capture = Capture::start(&options).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (mut stream, _) = listener.accept().unwrap();
            stream.read_exact(&mut [0; REQUEST.len()]).unwrap();
            stream.write_all(&response).unwrap();
        });
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.write_all(REQUEST).unwrap();
        let mut got = Vec::new();
        stream.read_to_end(&mut got).unwrap();
        assert!(got == response);
    });
    let mut half = Half::default();
    half.drain(&mut capture, port);
    half.is_all_there(response.len());
    assert!(half.records < 20, "{}", half.records);
    assert_eq!(half.bytes, [head.as_bytes(), &[b'x'; 10]].concat());
    let ledger = capture.ledger().unwrap();
    assert!(ledger.is_balanced() && ledger.skipped > 100, "{ledger:?}");
    assert_eq!(ledger.lost.total(), 0);
}

#[test]
fn user_space_leaves_out_a_body_and_quiets_a_tunnel_on_every_backend() {
    if !namespace() {
        return;
    }
    for (backend, quiet) in [
        (Backend::Tc, false),
        (Backend::Socket, false),
        (Backend::Tc, true),
        (Backend::Socket, true),
    ] {
        let mut capture = Capture::start(&Options { backend, ..Options::default() }).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = listener.local_addr().unwrap();
        let mut client = TcpStream::connect(server).unwrap();
        let (mut accepted, _) = listener.accept().unwrap();
        client.write_all(REQUEST).unwrap();
        accepted.read_exact(&mut [0; REQUEST.len()]).unwrap();
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {BODY}\r\n\r\n");
        accepted.write_all(head.as_bytes()).unwrap();
        let mut half = Half::default();
        half.drain(&mut capture, server.port());
        assert_eq!(half.bytes, head.as_bytes());

        let end = |port| Endpoint::v4([127, 0, 0, 1], port);
        let (here, there) = (end(server.port()), end(client.local_addr().unwrap().port()));
        let flow = FlowKey::new(here, there);
        if quiet {
            capture.apply(Directive::Quiet(flow)).unwrap();
        } else {
            let until = SeqNumber(half.end.0.wrapping_add(BODY as u32));
            let from_high = flow.high == here;
            capture.apply(Directive::Skip { flow, from_high, until }).unwrap();
        }
        // One that the kernel does not know is no error.
        let flow = FlowKey::new(end(1), end(2));
        let until = SeqNumber(9);
        capture.apply(Directive::Skip { flow, from_high: true, until }).unwrap();
        capture.apply(Directive::Quiet(flow)).unwrap();

        let reader = std::thread::spawn(move || std::io::copy(&mut client, &mut std::io::sink()));
        accepted.write_all(&vec![b'x'; BODY]).unwrap();
        accepted.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap();
        drop(accepted);
        reader.join().unwrap().unwrap();
        half.drain(&mut capture, server.port());
        half.is_all_there(head.len() + BODY + 27);
        assert!(half.records < 30, "{}", half.records);
        let next: &[u8] = if quiet { b"" } else { b"HTTP/1.1 204 No Content\r\n\r\n" };
        assert_eq!(half.bytes, [head.as_bytes(), next].concat());
        assert!(capture.ledger().unwrap().is_balanced());
    }
}
