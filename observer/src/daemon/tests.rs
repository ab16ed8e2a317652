//! The daemon's loop over a scripted source.

use std::cell::Cell;

use super::*;
use crate::capture::live::{Bell, Loans};
use crate::config;
use crate::drive::Place;
use crate::event::stats::Ledger;
use crate::segment::{Endpoint, Origin, Segment, SeqNumber, TcpFlags, Timestamp};

/// One exchange in the first turn, then nothing; in all `turns` times. Then it sets the flag that a signal would
/// set, or fails.
struct Script<'a> {
    turns: Cell<u32>,
    sent: bool,
    stop: &'a AtomicBool,
    fails: bool,
    clock_shift: i64,
}

impl Source for Script<'_> {
    type Error = anyhow::Error;

    fn poll(&mut self, _: Duration, handle: impl FnMut(&Segment<'_>)) -> anyhow::Result<usize> {
        if !std::mem::replace(&mut self.sent, true) {
            exchange().iter().for_each(handle);
            return Ok(2);
        }
        let left = self.turns.get().saturating_sub(1);
        self.turns.set(left);
        if left == 0 {
            self.stop.store(true, Ordering::Relaxed);
            anyhow::ensure!(!self.fails, "the ring has gone");
        }
        Ok(0)
    }

    fn detach(&mut self) {}

    fn now(&self) -> Timestamp {
        now()
    }

    fn clock_shift(&self) -> i64 {
        self.clock_shift
    }

    fn apply(&mut self, _: crate::segment::Directive) {}

    fn new_names(&mut self, mut tell: impl FnMut(Place, Option<&str>)) {
        tell(Place::Interface { netns: 0, ifindex: 1 }, Some("veth7"));
    }

    fn take_warnings(&mut self) -> Vec<String> {
        Vec::new()
    }

    fn ledger(&self) -> anyhow::Result<Ledger> {
        Ok(Ledger { seen: 7, emitted: 7, ..Ledger::default() })
    }
}

fn exchange() -> [Segment<'static>; 2] {
    let (client, server) = (Endpoint::v4([10, 0, 0, 1], 999), Endpoint::v4([10, 0, 0, 2], 80));
    let request = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".as_slice();
    let response = b"HTTP/1.1 204 No Content\r\n\r\n".as_slice();
    let request = Segment {
        time: now(),
        source: client,
        destination: server,
        seq: SeqNumber(1),
        ack: SeqNumber(1),
        flags: TcpFlags::ACK,
        window: 100,
        payload_len: request.len() as u32,
        payload: request,
        origin: Origin { ifindex: 1, ..Origin::default() },
    };
    let response = Segment {
        source: server,
        destination: client,
        ack: SeqNumber(1 + request.payload_len),
        payload_len: response.len() as u32,
        payload: response,
        ..request
    };
    [request, response]
}

/// Nothing but what to stop and reload by.
fn orders<'a>(stop: &'a AtomicBool, reload: &'a AtomicBool) -> Orders<'a> {
    Orders { stop, reload, configuration: &|| Ok(Config::default()), duration: None, say: &|_| {} }
}

/// No worker beside the first.
fn alone() -> Lanes<Script<'static>> {
    lanes(Vec::new())
}

/// Such workers beside the first, with rings that nothing is on.
fn lanes<L>(workers: Vec<Worker<L>>) -> Lanes<L> {
    let loans = Loans::new().unwrap();
    let loan = |number| loans.loan(number, Bell::new().unwrap().into(), None);
    Lanes { workers: workers.into_iter().zip((1..).map(loan)).collect(), loans }
}

/// Runs the loop for `turns`, writing to a file; its lines and the result.
fn run_script(turns: u32, interval: Duration, fails: bool) -> (String, anyhow::Result<Snapshot>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events");
    let stop = AtomicBool::new(false);
    let source =
        Script { turns: Cell::new(turns), sent: false, stop: &stop, fails, clock_shift: 0 };
    let reload = AtomicBool::new(false);
    let orders = orders(&stop, &reload);
    let sinks = Sinks::open(&[config::sinks::Sink::plain(path.clone())]).unwrap();
    let worker = Worker::new(source, pipeline::Config::default());
    let config = Config { stats: config::Stats { interval }, ..Config::default() };
    let result = serve(worker, alone(), sinks, Manager::from_environment(), config, &orders);
    (std::fs::read_to_string(&path).unwrap(), result)
}

#[test]
fn every_event_is_in_the_file_and_the_last_line_is_the_account() {
    let (lines, result) = run_script(3, Duration::from_secs(60), false);
    let last = result.unwrap();
    assert_eq!(last.capture.unwrap().seen, 7);
    assert_eq!(last.engine.unwrap()["exchanges"], 1);
    // The account says what was before it; the last numbers count it in.
    assert_eq!((last.sinks[0].events, last.sinks[0].offered), (2, 2));
    let lines: Vec<_> = lines.lines().collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].contains(r#""status_code":204"#), "{}", lines[0]);
    assert!(lines[0].contains(r#""interface":"veth7""#), "{}", lines[0]);
    assert!(lines[1].contains(r#""capture":{"seen":7,"emitted":7,"#), "{}", lines[1]);
    assert!(lines[1].contains(r#""offered":1,"waiting":0,"#), "{}", lines[1]);
}

#[test]
fn a_reload_that_changes_no_budget_leaves_the_governor_measuring() {
    let mut config = Config::default();
    config.governor.memory_bytes = 1 << 40;
    let stop = AtomicBool::new(false);
    let source =
        Script { turns: Cell::new(1), sent: true, stop: &stop, fails: false, clock_shift: 0 };
    let mut worker = Worker::new(source, engine(&config, 1));
    let (mut govern, start) = (Govern::new(&config), monotonic());
    assert_eq!(govern.turned(start, &mut worker), None);
    assert_eq!(govern.reconfigure(&config, &mut worker), None);
    assert_eq!(govern.turned(start + Duration::from_secs(1), &mut worker), None);
    let stats = worker.governor.expect("one interval was measured");
    assert!(stats.memory_bytes > 0, "{stats:?}");
}

#[test]
fn a_budget_is_applied_by_a_reload_unless_there_are_several_rings() {
    let stop = AtomicBool::new(false);
    let source =
        Script { turns: Cell::new(1), sent: true, stop: &stop, fails: false, clock_shift: 0 };
    let mut worker = Worker::new(source, engine(&Config::default(), 1));
    let mut sinks = Sinks::open(&[]).unwrap();
    let mut new = Config::default();
    new.governor.memory_bytes = 1 << 40;
    for (can_govern, after) in [(false, 0), (true, 1 << 40)] {
        let mut running = Config::default();
        let done = reload::apply(new.clone(), &mut running, &mut worker, &mut sinks, can_govern);
        assert_eq!(running.governor.memory_bytes, after);
        let said = done.said(sinks.changed().unwrap());
        assert_eq!(said[0].contains("[governor]"), can_govern, "{said:?}");
        assert_eq!(said.last().unwrap().contains("needs a restart"), !can_govern, "{said:?}");
    }
}

#[test]
fn statistics_come_at_their_interval() {
    let (lines, _) = run_script(4, Duration::from_nanos(1), false);
    // One in each of five turns, and one at the end.
    assert_eq!(lines.matches(r#""name":"observer.stats""#).count(), 6, "{lines}");
}

#[test]
fn a_source_that_fails_still_leaves_its_events_and_its_account() {
    let (lines, result) = run_script(1, Duration::from_secs(60), true);
    assert_eq!(result.unwrap_err().to_string(), "the ring has gone");
    assert_eq!(lines.lines().count(), 2, "{lines}");
}

#[test]
fn an_attached_client_gets_the_bytes_of_the_file() {
    use crate::sink::control::client::{Connection, Received};
    let folder = tempfile::tempdir().unwrap();
    let (path, socket) = (folder.path().join("events"), folder.path().join("s"));
    let stop = AtomicBool::new(false);
    let reload = AtomicBool::new(false);
    let orders = orders(&stop, &reload);
    let (server, mut tails) = Server::start(&socket, &control::Hello::default()).unwrap();
    let mut client = Connection::attach(&socket).unwrap();
    // The hello comes before the capture thread is asked; wait until it has been.
    while !tails.has_clients() {
        tails.serve(now(), Snapshot::default);
        std::thread::yield_now();
    }
    let mut sinks = Sinks::open(&[config::sinks::Sink::plain(path.clone())]).unwrap();
    sinks.attach_tails(tails);
    let source =
        Script { turns: Cell::new(2), sent: false, stop: &stop, fails: false, clock_shift: 0 };
    let worker = Worker::new(source, pipeline::Config::default());
    let manager = Manager::from_environment();
    serve(worker, alone(), sinks, manager, Config::default(), &orders).unwrap();
    server.stop();
    let mut received = Vec::new();
    loop {
        match client.receive().unwrap() {
            Received::Lines(lines) => received.extend_from_slice(lines),
            Received::Nothing => {}
            Received::End => break,
        }
    }
    let received = String::from_utf8(received).unwrap();
    let others: String =
        received.split_inclusive('\n').filter(|line| !line.contains(r#""tail":{"#)).collect();
    assert_eq!(others, std::fs::read_to_string(&path).unwrap());
}

#[test]
fn the_workers_beside_the_first_write_to_the_same_file_and_count_in_the_same_account() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events");
    let stop = AtomicBool::new(false);
    let reload = AtomicBool::new(false);
    let orders = orders(&stop, &reload);
    let script = |turns| {
        let source = Script {
            turns: Cell::new(turns),
            sent: false,
            stop: &stop,
            fails: false,
            clock_shift: 0,
        };
        Worker::new(source, pipeline::Config::default())
    };
    // They go on until they are told to end.
    let lanes = lanes((0..3).map(|_| script(u32::MAX)).collect());
    let sinks = Sinks::open(&[config::sinks::Sink::plain(path.clone())]).unwrap();
    let manager = Manager::from_environment();
    let last = serve(script(2), lanes, sinks, manager, Config::default(), &orders).unwrap();
    assert_eq!(last.engine.unwrap()["exchanges"], 4);
    assert_eq!(last.events, Some(5));
    assert_eq!((last.sinks[0].events, last.sinks[0].lost), (5, 0));
    let lines = std::fs::read_to_string(&path).unwrap();
    assert_eq!(lines.matches(r#""status_code":204"#).count(), 4, "{lines}");
    assert_eq!(lines.matches(r#""interface":"veth7""#).count(), 4, "{lines}");
    let account = lines.lines().last().unwrap();
    assert!(account.contains(r#""exchanges":4,"#), "{account}");
    assert!(account.contains(r#""offered":4,"waiting":0,"#), "{account}");
}

#[test]
fn a_worker_that_fails_ends_the_daemon_with_its_error() {
    let stop = AtomicBool::new(false);
    let reload = AtomicBool::new(false);
    let orders = orders(&stop, &reload);
    let beside = AtomicBool::new(false);
    let script = |turns, stop, fails| {
        let source = Script { turns: Cell::new(turns), sent: false, stop, fails, clock_shift: 0 };
        Worker::new(source, pipeline::Config::default())
    };
    let lanes = lanes(vec![script(3, &beside, true)]);
    let sinks = Sinks::open(&[]).unwrap();
    let manager = Manager::from_environment();
    let first = script(u32::MAX, &stop, false);
    let result = serve(first, lanes, sinks, manager, Config::default(), &orders);
    assert_eq!(result.unwrap_err().to_string(), "the ring has gone");
}

/// Much, for as long as the first worker takes it; nothing for the ring's own; and then the end.
struct Passed<'a> {
    is_back: &'a AtomicBool,
    stop: &'a AtomicBool,
    times_passed: u32,
}

impl Source for Passed<'_> {
    type Error = anyhow::Error;

    fn take(&mut self, mut handle: impl FnMut(&Segment<'_>)) -> anyhow::Result<usize> {
        if self.times_passed > 0 {
            self.is_back.store(true, Ordering::Relaxed);
            self.stop.store(true, Ordering::Relaxed);
            return Ok(0);
        }
        (0..500).for_each(|_| exchange().iter().for_each(&mut handle));
        Ok(1000)
    }

    fn poll(&mut self, _: Duration, _: impl FnMut(&Segment<'_>)) -> anyhow::Result<usize> {
        std::thread::sleep(Duration::from_millis(1));
        Ok(0)
    }

    fn come_back(&mut self) {
        self.times_passed += 1;
    }

    fn detach(&mut self) {}

    fn now(&self) -> Timestamp {
        now()
    }

    fn clock_shift(&self) -> i64 {
        0
    }

    fn apply(&mut self, _: crate::segment::Directive) {}

    fn new_names(&mut self, _: impl FnMut(Place, Option<&str>)) {}

    fn take_warnings(&mut self) -> Vec<String> {
        Vec::new()
    }

    fn ledger(&self) -> anyhow::Result<Ledger> {
        Ok(Ledger::default())
    }
}

#[test]
fn a_ring_goes_to_its_own_worker_while_much_comes_and_back_when_it_is_little() {
    let (stop, reload, is_back) = (AtomicBool::new(false), AtomicBool::new(false), false.into());
    // Should nobody pass it on.
    let orders = Orders { duration: Some(Duration::from_secs(30)), ..orders(&stop, &reload) };
    let passed = Passed { is_back: &is_back, stop: &stop, times_passed: 0 };
    let lanes = lanes(vec![Worker::new(passed, pipeline::Config::default())]);
    let first = Script {
        turns: Cell::new(u32::MAX),
        sent: true,
        stop: &stop,
        fails: false,
        clock_shift: 0,
    };
    let first = Worker::new(first, pipeline::Config::default());
    let manager = Manager::from_environment();
    let sinks = Sinks::open(&[]).unwrap();
    let last = serve(first, lanes, sinks, manager, Config::default(), &orders).unwrap();
    assert!(is_back.load(Ordering::Relaxed), "it was never passed on, or never came back");
    let engine = last.engine.unwrap();
    assert!(engine["segments"] >= 1000 && engine["exchanges"] == 1, "{engine:?}");
}
