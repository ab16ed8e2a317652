//! The sink's thread over targets that refuse, cut and stall.

use super::super::fake::{Fake, Inner, room};
use super::super::queue::Overflow;
use super::*;
use crate::event::stats::SinkStats;

/// A sink's thread, running.
struct Rig {
    queue: Arc<Queue>,
    fake: Fake,
    news: Receiver<Notice>,
    thread: std::thread::JoinHandle<()>,
}

impl Rig {
    fn start(inner: Inner, spool: Option<Spool>) -> Self {
        let fake = Fake(Arc::new(Mutex::new(inner)));
        let queue = Arc::new(Queue::new(64, Overflow::DropNewest));
        let (notices, news) = Notices::channel("x");
        let runner =
            Runner::new(Arc::new(Mutex::new(fake.clone())), Arc::clone(&queue), spool, notices);
        Self { queue, fake, news, thread: std::thread::spawn(move || runner.run()) }
    }

    fn push(&self, text: &str) {
        let n_events = text.matches('\n').count() as u64;
        self.queue.push(&Arc::new(Lines::of(text.into(), n_events)));
    }

    fn stats(&self) -> SinkStats {
        let stats = self.queue.stats("x");
        assert!(stats.balances(), "{stats:?}");
        stats
    }

    #[track_caller]
    fn until(&self, what: &str, done: impl Fn(&SinkStats, &Inner) -> bool) {
        for _ in 0..10_000 {
            if done(&self.stats(), &self.fake.0.lock().unwrap()) {
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        panic!("waited in vain for {what}: {:?} {:?}", self.stats(), self.fake);
    }

    /// Orders the end and waits for it.
    fn end(self) -> (String, SinkStats, Vec<String>) {
        self.queue.end();
        self.queue.wait_ended(Duration::from_secs(20));
        self.thread.join().unwrap();
        let stats = self.queue.stats("x");
        assert!(stats.balances(), "{stats:?}");
        let text = String::from_utf8(self.fake.0.lock().unwrap().held.clone()).unwrap();
        let say = |notice| match notice {
            Notice::Say(what) => what,
            Notice::Closed(name) => format!("{name} closed"),
        };
        (text, stats, self.news.try_iter().map(say).collect())
    }
}

#[test]
fn everything_is_written_and_counted() {
    let rig = Rig::start(room(1000), None);
    ["a\n", "b\nc\n", "d\n"].iter().for_each(|text| rig.push(text));
    let (text, stats, said) = rig.end();
    assert_eq!(text, "a\nb\nc\nd\n");
    assert_eq!((stats.events, stats.bytes, stats.lost), (4, 8, 0));
    assert!(said.is_empty(), "{said:?}");
}

#[test]
fn a_full_disk_is_said_once_waited_out_and_no_line_is_cut() {
    let rig = Rig::start(room(6), None);
    rig.push("one\ntwo\nthree\n");
    rig.until("three attempts", |stats, _| stats.errors >= 3);
    assert_eq!((rig.stats().events, rig.stats().waiting), (1, 2));
    rig.fake.0.lock().unwrap().room = 1000;
    rig.until("the rest", |stats, _| stats.events == 3);
    rig.push("four\n");
    let (text, stats, said) = rig.end();
    assert_eq!(text, "one\ntwo\nthree\nfour\n");
    assert_eq!((stats.events, stats.lost, stats.bytes), (4, 0, text.len() as u64));
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(said[0].contains("cannot write to x: "), "{said:?}");
    assert!(said[1].contains("works again"), "{said:?}");
}

#[test]
fn a_line_still_cut_at_the_end_is_taken_back_and_lost() {
    let rig = Rig::start(room(6), None);
    rig.push("one\ntwo\nthree\n");
    rig.until("an attempt", |stats, _| stats.errors >= 1);
    let (text, stats, _) = rig.end();
    assert_eq!(text, "one\n");
    assert_eq!((stats.events, stats.lost, stats.bytes, stats.waiting), (1, 2, 4, 0));
    assert_eq!(stats.lost_by, [("at_end", 2)].into());
}

#[test]
fn a_connection_that_broke_gets_the_cut_line_again_as_a_whole() {
    let rig = Rig::start(Inner { resends: true, ..room(6) }, None);
    rig.push("one\ntwo\n");
    rig.until("an attempt", |stats, _| stats.errors >= 1);
    rig.fake.0.lock().unwrap().room = 1000;
    let (text, stats, _) = rig.end();
    assert_eq!(text, "one\ntwtwo\n");
    assert_eq!(stats.events, 2);
}

#[test]
fn a_stalled_target_loses_what_the_queue_cannot_hold_and_ends_at_the_deadline() {
    let rig = Rig::start(Inner { slow: true, ..room(0) }, None);
    let line = format!("{}\n", "x".repeat(29));
    rig.push(&line);
    rig.until("the first in hand", |stats, _| stats.waiting_bytes == 0);
    (0..10).for_each(|_| rig.push(&line));
    let stats = rig.stats();
    assert_eq!((stats.offered, stats.waiting, stats.lost), (11, 3, 8));
    rig.queue.end();
    rig.queue.wait_ended(Duration::from_millis(50));
    let (text, stats, _) = rig.end();
    assert_eq!(text, "");
    assert_eq!(stats.lost_by, [("queue_full", 8), ("at_end", 3)].into());
}

#[test]
fn a_message_that_no_receiver_takes_is_lost_alone() {
    let rig = Rig::start(Inner { refuses: "long", ..Inner::default() }, None);
    rig.push("a\nlong long\nb\n");
    let (text, stats, _) = rig.end();
    assert_eq!(text, "a\nb\n");
    assert_eq!((stats.events, stats.bytes), (2, 4));
    assert_eq!(stats.lost_by, [("too_large", 1)].into());
}

#[test]
fn a_receiver_that_has_gone_for_good_is_told_and_all_else_is_lost() {
    let rig = Rig::start(Inner { closed: true, ..Inner::default() }, None);
    rig.push("a\n");
    rig.until("the end", |stats, _| stats.lost == 1);
    rig.push("b\n");
    let (_, stats, said) = rig.end();
    assert_eq!(stats.lost_by, [("closed", 2)].into());
    assert_eq!(said, ["x closed"]);
}

#[test]
fn a_file_is_opened_anew_between_two_lines() {
    let rig = Rig::start(room(1000), None);
    rig.push("a\n");
    rig.until("the first", |stats, _| stats.events == 1);
    rig.queue.reopen();
    rig.until("the reopening", |_, inner| inner.held.ends_with(b"--\n"));
    rig.push("b\n");
    assert_eq!(rig.end().0, "a\n--\nb\n");
}

#[test]
fn what_a_dead_target_does_not_take_is_spooled_and_comes_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let spool = || Spool::open(folder.path(), 1 << 20).unwrap();
    let rig = Rig::start(room(0), Some(spool().0));
    let lines: Vec<_> = (0..100).map(|n| format!("line {n}\n")).collect();
    for line in &lines[..50] {
        rig.push(line);
        rig.until("room", |stats, _| stats.waiting_bytes <= 32);
    }
    assert_eq!((rig.stats().lost, rig.stats().waiting), (0, 50));
    assert!(rig.stats().spooled > 0);
    // It comes back, and goes again with most of it waiting.
    rig.fake.0.lock().unwrap().room = lines[..20].concat().len() + 3;
    rig.until("twenty lines", |stats, _| stats.events == 20);
    let (text, stats, _) = rig.end();
    assert_eq!(text, lines[..20].concat());
    assert_eq!((stats.events, stats.spooled, stats.lost), (20, 30, 0));

    // The next process has them first.
    let (spool, recovered) = spool();
    assert_eq!(recovered, 30);
    let rig = Rig::start(room(1 << 20), Some(spool));
    rig.queue.recovered(recovered);
    lines[50..].iter().for_each(|line| {
        rig.push(line);
        rig.until("room", |stats, _| stats.waiting_bytes <= 32);
    });
    let (text, stats, _) = rig.end();
    assert_eq!(text, lines[20..].concat());
    assert_eq!((stats.events, stats.recovered, stats.waiting), (80, 30, 0));
}
