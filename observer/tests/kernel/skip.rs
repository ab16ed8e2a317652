//! Bodies that are left out: on user space's word, and by the kernel itself. Where a segment can
//! lie on a stretch is tested case by case in `observer_common::skip`, and which heads are plain
//! enough in `observer_common::head`; here the programs act on it.

use observer::segment::{Segment, SeqNumber, TcpFlags};
use observer_common::config::TC_INGRESS;
use observer_common::flow::{Flow, STATE_QUIET};
use observer_common::record::{NOTE_CUT, NOTE_SKIPS, RecordHeader};
use observer_common::stats::Outcome;

use crate::frames::*;
use crate::needs::command;
use crate::rig::{Rig, Seen, Settings};

const GET: &[u8] = b"GET /index.html HTTP/1.1\r\nHost: example.com\r\n\r\n";

/// A connection that has made its request; the server's segments are told by `at`, the offset in
/// its half, which begins at `start`.
struct Server {
    rig: Rig,
    start: u32,
}

impl Server {
    fn new(settings: &Settings, start: u32) -> Option<Self> {
        let mut rig = Rig::new(settings)?;
        rig.send(&Tcp { ack: start, ..Tcp::data(GET) }.frame()).is(Outcome::Emitted);
        Some(Self { rig, start })
    }

    #[track_caller]
    fn send(&mut self, at: u32, payload: &[u8]) -> Seen {
        self.send_with(at, payload, PSH_ACK)
    }

    #[track_caller]
    fn send_with(&mut self, at: u32, payload: &[u8], flags: u16) -> Seen {
        let seq = self.start.wrapping_add(at);
        let ack = 1000 + GET.len() as u32;
        self.rig.send(&Tcp { seq, ack, flags, ..Tcp::data(payload) }.answer())
    }

    /// A segment from inside a stretch. At the wrap it is a sign of life.
    #[track_caller]
    fn skipped(&mut self, at: u32, payload: &[u8]) {
        let first = self.start.wrapping_add(at);
        let end = first.wrapping_add(payload.len() as u32);
        let seen = self.send(at, payload);
        if first >> 28 == end >> 28 {
            seen.is(Outcome::Skipped);
        } else {
            self.check(&seen.segment(), at, payload.len(), b"");
        }
    }

    /// What `Capture::skip` does, on the half of the server, which has the higher address.
    fn skip(&mut self, until: u32) -> bool {
        let until = self.start.wrapping_add(until);
        let mut taken = false;
        self.change(|flow| taken = flow.from_high.skip_all(until));
        taken
    }

    fn change(&mut self, change: impl FnOnce(&mut Flow)) {
        let keys: Vec<_> = self.rig.flows.keys().collect::<Result<_, _>>().unwrap();
        let [key] = keys[..] else { panic!("one flow") };
        let mut flow = self.rig.flows.get(&key, 0).unwrap();
        change(&mut flow.0);
        self.rig.flows.insert(key, flow, 2).unwrap();
    }

    #[track_caller]
    fn check(&self, segment: &Segment<'_>, at: u32, payload_len: usize, payload: &[u8]) {
        assert_eq!(segment.seq, SeqNumber(self.start.wrapping_add(at)));
        assert_eq!((segment.payload_len as usize, segment.payload), (payload_len, payload));
    }

    fn until(&self, at: u32) -> Option<SeqNumber> {
        Some(SeqNumber(self.start.wrapping_add(at)))
    }
}

/// Initial numbers that put the wrap in front of, inside and behind what is skipped.
const STARTS: [u32; 4] = [0x1000_0000, u32::MAX - 2500, u32::MAX - 100, 0u32.wrapping_sub(60)];

#[test]
fn on_request_only_the_ends_of_a_body_are_emitted() {
    for start in STARTS {
        let Some(mut server) = Server::new(&Settings::default(), start) else { return };
        let head = b"HTTP/1.1 200 OK\r\nContent-Length: 4990\r\n\r\n01234567";
        server.send(0, head).is(Outcome::Emitted);
        assert!(server.skip(5000));
        let body = [b'x'; 1000];
        let n = head.len() as u32;
        server.skipped(n, &body);
        server.skipped(n + 1000, &body);
        // A retransmission, of the head as well.
        server.skipped(n, &body);
        server.skipped(0, head);
        // What acknowledges it says nothing; what else the client says, does.
        server.rig.send(&Tcp::bare(ACK).frame()).is(Outcome::Skipped);
        server.rig.send(&Tcp::data(b"more").frame()).is(Outcome::Emitted);
        server.rig.send(&Tcp::bare(0x011).frame()).is(Outcome::Emitted);
        // The one that crosses the end.
        let seen = server.send(4900, &[&[b'x'; 100][..], b"HTTP/1.1"].concat());
        server.check(&seen.segment(), 5000, 8, b"HTTP/1.1");
        assert_eq!(seen.segment().origin.skip_until, server.until(5000));
        let seen = server.send(5008, b" 200 OK\r\n\r\n");
        server.check(&seen.segment(), 5008, 11, b" 200 OK\r\n\r\n");
        assert_eq!(seen.segment().origin.skip_until, None);
        server.rig.send(&Tcp::bare(ACK).frame()).is(Outcome::Emitted);
        assert!(server.rig.ledger().skipped >= 3);
    }
}

#[test]
fn the_segment_that_ends_where_the_skip_does_is_bare() {
    for start in STARTS {
        let Some(mut server) = Server::new(&Settings::default(), start) else { return };
        server.send(0, b"HTTP/1.1 200 OK\r\n").is(Outcome::Emitted);
        assert!(server.skip(3000));
        server.skipped(2000, &[b'x'; 999]);
        let seen = server.send(2000, &[b'x'; 1000]);
        server.check(&seen.segment(), 2000, 1000, b"");
        assert_eq!(seen.segment().origin.skip_until, server.until(3000));
        assert_eq!(notes(&seen), NOTE_SKIPS | NOTE_CUT);
        // It is over: what comes late is copied.
        let seen = server.send(1000, &[b'x'; 10]);
        server.check(&seen.segment(), 1000, 10, &[b'x'; 10]);
    }
}

#[test]
fn the_end_and_dth_are_emitted_from_inside() {
    for start in STARTS {
        for flag in [TcpFlags::FIN, TcpFlags::RST, TcpFlags::DTH] {
            let Some(mut server) = Server::new(&Settings::default(), start) else { return };
            server.send(0, b"HTTP/1.1 200 OK\r\n").is(Outcome::Emitted);
            assert!(server.skip(3000));
            let seen = server.send_with(1000, &[b'x'; 100], PSH_ACK | flag.0);
            server.check(&seen.segment(), 1000, 100, b"");
            assert!(seen.segment().flags.contains(flag));
            assert_eq!(seen.segment().origin.skip_until, server.until(3000));
            server.send_with(1100, b"", ACK | flag.0).is(Outcome::Emitted);
            server.send(1100, &[b'x'; 100]).is(Outcome::Skipped);
        }
    }
}

#[test]
fn a_skip_that_was_passed_before_it_landed_is_none() {
    for start in STARTS {
        let Some(mut server) = Server::new(&Settings::default(), start) else { return };
        server.send(0, &[b'x'; 2000]).is(Outcome::Emitted);
        assert!(!server.skip(2000));
        assert!(!server.skip(100));
        let seen = server.send(2000, b"next");
        server.check(&seen.segment(), 2000, 4, b"next");
        // Written without the check, as by a race, it ends with the next segment.
        let until = start.wrapping_add(1000);
        server.change(|flow| flow.from_high.skip(start, until));
        let seen = server.send(2004, b"more");
        server.check(&seen.segment(), 2004, 4, b"more");
    }
}

#[test]
fn a_new_connection_ends_a_skip_and_a_quiet_flow() {
    let Some(mut server) = Server::new(&Settings::default(), 9000) else { return };
    server.send(0, b"HTTP/1.1 200 OK\r\n").is(Outcome::Emitted);
    assert!(server.skip(1 << 30));
    server.skipped(5000, b"x");
    server.send_with(2000, b"", SYN | ACK).is(Outcome::Emitted);
    server.send(2001, b"HTTP/1.1 200 OK\r\n").is(Outcome::Emitted);

    server.change(|flow| flow.state = STATE_QUIET);
    server.rig.send(&Tcp::data(b"frame").frame()).is(Outcome::Skipped);
    let syn = Tcp { seq: 1 << 31, ..Tcp::bare(SYN) };
    server.rig.send(&syn.frame()).is(Outcome::Emitted);
    let get = Tcp { seq: (1 << 31) + 1, ..Tcp::data(GET) };
    assert_eq!(server.rig.send(&get.frame()).segment().payload, GET);
}

#[test]
fn a_quiet_flow_shows_its_end_alone() {
    let Some(mut server) = Server::new(&Settings::default(), 9000) else { return };
    server.change(|flow| flow.state = STATE_QUIET);
    // Nothing was ever emitted of this half, so its sign of life is due.
    server.send(0, b"SSH-2.0-server\r\n").is(Outcome::Emitted);
    server.send(16, &[b'x'; 3000]).is(Outcome::Skipped);
    server.send_with(16, b"", ACK).is(Outcome::Skipped);
    server.rig.send(&Tcp::data(GET).frame()).is(Outcome::Skipped);
    for flags in [0x811, 0x818, 0x011, 0x014] {
        let seen = server.send_with(3016, b"bye", flags);
        server.check(&seen.segment(), 3016, 3, b"");
        assert_eq!(seen.segment().flags, TcpFlags(flags));
    }
}

#[test]
fn a_long_skip_gives_a_sign_of_life() {
    let Some(mut server) = Server::new(&Settings::default(), 0x0fff_f000) else { return };
    server.send(0, b"HTTP/1.1 200 OK\r\n").is(Outcome::Emitted);
    assert!(server.skip(0x7000_0000));
    server.send(0x800, &[b'x'; 0x700]).is(Outcome::Skipped);
    let seen = server.send(0xf00, &[b'x'; 0x700]);
    server.check(&seen.segment(), 0xf00, 0x700, b"");
    server.send(0x1600, &[b'x'; 0x700]).is(Outcome::Skipped);
    // A second later, as the entry has it.
    server
        .change(|flow| flow.from_high.record_time = flow.from_high.record_time.wrapping_sub(1000));
    let seen = server.send(0x1d00, &[b'x'; 100]);
    server.check(&seen.segment(), 0x1d00, 100, b"");
    server.send(0x1e00, &[b'x'; 100]).is(Outcome::Skipped);
}

fn with_prefix(body_prefix: u32) -> Settings {
    Settings { body_prefix: Some(body_prefix), ..Settings::default() }
}

/// A head and what follows it, `n_bytes` in all.
fn message(head: &str, n_bytes: usize) -> Vec<u8> {
    let mut bytes = head.as_bytes().to_vec();
    bytes.resize(n_bytes, b'x');
    bytes
}

const HEAD: &str = "HTTP/1.1 200 OK\r\nServer: nginx\r\nContent-Length: 10000\r\n\r\n";

#[test]
fn the_kernel_leaves_out_a_body_by_itself_but_for_its_prefix() {
    for start in STARTS {
        for prefix in [0, 1, 100] {
            let Some(mut server) = Server::new(&with_prefix(prefix), start) else { return };
            let end = (HEAD.len() + 10_000) as u32;
            let first = message(HEAD, 3000);
            let seen = server.send(0, &first);
            server.check(&seen.segment(), 0, 3000, &first[..HEAD.len() + prefix as usize]);
            assert_eq!(seen.segment().origin.skip_until, server.until(end));
            assert_eq!(notes(&seen), NOTE_SKIPS | NOTE_CUT);
            server.send(3000, &[b'x'; 3000]).is(Outcome::Skipped);
            // The head again, alone and with its body.
            server.send(0, &first[..30]).is(Outcome::Emitted);
            let seen = server.send(0, &first);
            server.check(&seen.segment(), 0, 3000, &first[..HEAD.len() + prefix as usize]);
            server.send(6000, &[b'x'; 3000]).is(Outcome::Skipped);
            let seen = server.send(9000, &[b'x'; 2000]);
            let tail = 11_000 - end as usize;
            server.check(&seen.segment(), end, tail, &[b'x'; 2000][..tail]);
        }
    }
}

#[test]
fn a_message_that_fills_one_segment_is_over_with_it() {
    let head = "HTTP/1.1 200 OK\r\ncontent-length: 2500\r\n\r\n";
    let Some(mut server) = Server::new(&with_prefix(0), 7) else { return };
    let whole = message(head, head.len() + 2500);
    let seen = server.send(0, &whole);
    server.check(&seen.segment(), 0, whole.len(), head.as_bytes());
    let seen = server.send(whole.len() as u32, b"HTTP/1.1 204 No Content\r\n\r\n");
    assert_eq!(seen.segment().payload, b"HTTP/1.1 204 No Content\r\n\r\n");
    assert_eq!(seen.segment().origin.skip_until, None);
}

#[test]
fn the_body_of_a_request_is_left_out_too() {
    let Some(mut rig) = Rig::new(&with_prefix(0)) else { return };
    let head = "POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 9000\r\n\r\n";
    let first = Tcp::data(&message(head, 3000));
    let seen = rig.send(&first.frame());
    assert_eq!(seen.segment().payload, head.as_bytes());
    let next = Tcp { seq: 4000, ..Tcp::data(&[b'x'; 3000]) };
    rig.send(&next.frame()).is(Outcome::Skipped);
    // The first sign of the server, and its second.
    rig.send(&Tcp::bare(ACK).answer()).is(Outcome::Emitted);
    rig.send(&Tcp::bare(ACK).answer()).is(Outcome::Skipped);
}

#[test]
fn a_bare_acknowledgement_is_emitted_where_it_tells_something() {
    let Some(mut rig) = Rig::new(&Settings::default()) else { return };
    let request = Tcp::data(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let ack = |n| Tcp { ack: n, ..Tcp::bare(ACK) };
    let end = 1000 + request.payload.len() as u32;
    rig.send(&request.frame()).is(Outcome::Emitted);
    rig.send(&ack(end).answer()).is(Outcome::Emitted);
    rig.send(&ack(end).answer()).is(Outcome::Skipped);
    // Of bytes that nobody has seen here; and again, when later ones show that there were some.
    rig.send(&ack(end + 1).answer()).is(Outcome::Emitted);
    let later = Tcp { seq: end + 1, ..request.clone() };
    rig.send(&later.frame()).is(Outcome::Emitted);
    rig.send(&ack(end + 1).answer()).is(Outcome::Emitted);
    assert!(rig.ledger().is_balanced());
}

/// The kernel copies the whole segment.
#[track_caller]
fn copied(settings: &Settings, segment: &[u8]) {
    let Some(mut server) = Server::new(settings, 7) else { return };
    let seen = server.send(0, segment);
    server.check(&seen.segment(), 0, segment.len(), segment);
    assert_eq!(notes(&seen), 0);
    let at = segment.len() as u32;
    let seen = server.send(at, &[b'x'; 3000]);
    server.check(&seen.segment(), at, 3000, &[b'x'; 3000]);
}

#[test]
fn what_the_kernel_cannot_decide_is_copied_whole() {
    let on = with_prefix(0);
    // Not asked for, or the whole body is.
    copied(&Settings::default(), &message(HEAD, 3000));
    copied(&with_prefix(10_000), &message(HEAD, 3000));
    // A short segment with a part of the body.
    copied(&on, &message(HEAD, 2047));
    // A body that is small, behind its head and apart from it.
    let small = "HTTP/1.1 200 OK\r\nContent-Length: 2047\r\n\r\n";
    copied(&on, &message(small, 2000));
    copied(&on, small.as_bytes());
    // Several messages: the body ends inside the segment.
    let two = "HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n";
    copied(&on, &message(two, two.len() + 2001));
    // A response to HEAD, and the next one behind it.
    copied(&on, &message(&[HEAD, "HTTP/1.1 200 OK\r\n\r\n"].concat(), 3000));
    // Other framing.
    copied(&on, &message("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfff\r\n", 3000));
    copied(&on, &message("HTTP/1.1 200 OK\r\nServer: x\r\n\r\n", 3000));
    copied(&on, &message(&HEAD.replace("200 OK", "304 Not Modified"), 3000));
    copied(&on, &message(&HEAD.replace("\r\n", "\n"), 3000));
    // A head that is longer than what is looked at.
    let field = format!("X: {}\r\n\r\n", "y".repeat(1100));
    copied(&on, &message(&HEAD.replace("\r\n\r\n", &format!("\r\n{field}")), 3000));
}

#[test]
fn a_body_that_reads_like_a_head_does_not_fool_the_kernel() {
    let Some(mut server) = Server::new(&with_prefix(0), 7) else { return };
    server.send(0, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").is(Outcome::Emitted);
    // The client has said nothing in between, so this is no new message.
    let inner = message(HEAD, 3000);
    let seen = server.send(47, &inner);
    server.check(&seen.segment(), 47, 3000, &inner);
    // Nor is what stands where the half has not come to yet.
    let far = Tcp { seq: 500_000, ack: 2000, ..Tcp::data(&inner) };
    assert_eq!(server.rig.send(&far.answer()).segment().payload, inner);
}

#[test]
fn the_next_response_of_a_connection_is_cut_as_well() {
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 2500\r\n\r\n";
    let whole = message(head, head.len() + 2500);
    let Some(mut server) = Server::new(&with_prefix(0), 7) else { return };
    let mut seq = 1000;
    for i in 0..3u32 {
        let get = Tcp { seq, ..Tcp::data(GET) };
        server.rig.send(&get.frame()).is(Outcome::Emitted);
        seq += GET.len() as u32;
        let at = 7 + i * whole.len() as u32;
        let response = Tcp { seq: at, ack: seq, ..Tcp::data(&whole) };
        assert_eq!(server.rig.send(&response.answer()).segment().payload, head.as_bytes());
    }
}

#[test]
fn a_body_is_left_out_behind_a_head_that_comes_alone() {
    for start in STARTS {
        for prefix in [0, 1, 100] {
            let Some(mut server) = Server::new(&with_prefix(prefix), start) else { return };
            let n = HEAD.len() as u32;
            let seen = server.send(0, HEAD.as_bytes());
            server.check(&seen.segment(), 0, HEAD.len(), HEAD.as_bytes());
            assert_eq!(seen.segment().origin.skip_until, None);
            let body = [b'x'; 2500];
            let seen = server.send(n, &body);
            server.check(&seen.segment(), n, 2500, &body[..prefix as usize]);
            assert_eq!(seen.segment().origin.skip_until, server.until(n + 10_000));
            server.skipped(n + 2500, &body);
            server.skipped(n + 5000, &body);
            let seen = server.send(n + 7500, &body);
            server.check(&seen.segment(), n + 7500, 2500, b"");
            assert_eq!(seen.segment().origin.skip_until, server.until(n + 10_000));
            assert!(server.rig.ledger().is_balanced());
        }
    }
}

/// A response to HEAD looks as if a body followed.
#[test]
fn what_follows_a_response_to_head_is_copied() {
    let Some(mut server) = Server::new(&with_prefix(0), 7) else { return };
    let n = HEAD.len() as u32;
    server.send(0, HEAD.as_bytes()).is(Outcome::Emitted);
    // The answer to a second request that came with the first.
    let next = message("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", 3000);
    let seen = server.send(n, &next);
    server.check(&seen.segment(), n, 3000, &next);
    assert_eq!(notes(&seen), 0);

    // And to one that came later, which need not begin like a response where it is a piece of one.
    let Some(mut server) = Server::new(&with_prefix(0), 7) else { return };
    server.send(0, HEAD.as_bytes()).is(Outcome::Emitted);
    let later = Tcp { seq: 7 + n, ack: 2001, ..Tcp::data(&[b'x'; 3000]) };
    let seen = server.rig.send(&later.answer());
    assert_eq!((seen.segment().payload.len(), notes(&seen)), (3000, 0));
}

#[test]
fn heads_that_come_alone_are_looked_at_where_they_have_large_bodies() {
    let Some(mut server) = Server::new(&with_prefix(0), 7) else { return };
    let (mut at, mut ack) = (7, 2000);
    let mut send = |payload: &[u8], is_new: bool| {
        ack += u32::from(is_new);
        let segment = Tcp { seq: at, ack, ..Tcp::data(payload) };
        at += payload.len() as u32;
        let seen = server.rig.send(&segment.answer());
        (seen.segment().payload.len(), notes(&seen) & NOTE_SKIPS != 0)
    };
    let small = message("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n", 49);
    assert_eq!(send(&small, true), (49, false));
    // Nothing large has come so far: copied, and noticed.
    assert_eq!(send(HEAD.as_bytes(), true), (HEAD.len(), false));
    assert_eq!(send(&[b'x'; 3000], false), (3000, false));
    assert_eq!(send(&[b'x'; 3000], false), (3000, false));
    assert_eq!(send(HEAD.as_bytes(), true), (HEAD.len(), false));
    assert_eq!(send(&[b'x'; 3000], false), (0, true));
}

#[test]
fn the_way_in_leaves_bodies_out_too() {
    let Some(mut server) = Server::new(&with_prefix(0), 7) else { return };
    assert!(command("ip", "link add one index 7 type veth peer name two"));
    let response = Tcp { seq: 7, ack: 2000, ..Tcp::data(&message(HEAD, 3000)) };
    let seen = server.rig.run(TC_INGRESS, 7, &response.answer());
    assert_eq!(seen.segment().payload, HEAD.as_bytes());
}

fn notes(seen: &Seen) -> u8 {
    seen.records[0][std::mem::offset_of!(RecordHeader, notes)]
}
