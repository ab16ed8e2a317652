//! Workers and the sink's thread over one target: who writes, in which order, and what is counted.

use std::thread;

use super::super::fake::{Fake, Inner, room};
use super::super::queue::Overflow;
use super::super::runner::{Notice, Runner};
use super::*;
use crate::event::stats::SinkStats;

/// An outlet, the target behind it, and the sink's thread.
struct Rig {
    outlet: Arc<Outlet>,
    fake: Fake,
    thread: thread::JoinHandle<()>,
    news: std::sync::mpsc::Receiver<Notice>,
}

impl Rig {
    fn start(inner: Inner, calm: Duration) -> Self {
        let fake = Fake(Arc::new(Mutex::new(Inner { prompt: true, ..inner })));
        let queue = Arc::new(Queue::new(1 << 20, Overflow::DropNewest).with_calm(calm));
        let target: Arc<Mutex<dyn Target>> = Arc::new(Mutex::new(fake.clone()));
        let (notices, news) = Notices::channel("x");
        let lent = Some(Arc::clone(&target));
        let outlet = Outlet::new(Arc::clone(&queue), lent, notices.clone(), "full".to_owned());
        let runner = Runner::new(target, queue, None, notices);
        let thread = thread::spawn(move || runner.run());
        Self { outlet: Arc::new(outlet), fake, thread, news }
    }

    fn give(&self, text: &str) {
        give(&self.outlet, text);
    }

    fn stats(&self) -> SinkStats {
        let stats = self.outlet.queue.stats("x");
        assert!(stats.balances(), "{stats:?}");
        stats
    }

    fn set(&self, change: impl FnOnce(&mut Inner)) {
        change(&mut self.fake.0.lock().unwrap());
    }

    /// How many of the writes were this thread's, and how many there were.
    fn writes(&self) -> (usize, usize) {
        let me = thread::current().id();
        let writers = self.fake.0.lock().unwrap().writers.clone();
        (writers.iter().filter(|writer| **writer == me).count(), writers.len())
    }

    #[track_caller]
    fn until(&self, what: &str, done: impl Fn(&SinkStats) -> bool) {
        for _ in 0..10_000 {
            if done(&self.stats()) {
                return;
            }
            thread::sleep(Duration::from_millis(1));
        }
        panic!("waited in vain for {what}: {:?} {:?}", self.stats(), self.fake);
    }

    /// Orders the end and waits for it.
    fn end(self) -> (String, SinkStats, Vec<Notice>) {
        self.outlet.queue.end();
        self.outlet.queue.wait_ended(Duration::from_secs(20));
        self.thread.join().unwrap();
        let stats = self.outlet.queue.stats("x");
        assert!(stats.balances(), "{stats:?}");
        let text = String::from_utf8(self.fake.0.lock().unwrap().held.clone()).unwrap();
        (text, stats, self.news.try_iter().collect())
    }
}

fn give(outlet: &Outlet, text: &str) {
    let n_events = text.matches('\n').count() as u64;
    outlet.give(&Arc::new(Lines::of(text.into(), n_events)), MostAtOnce::FOR_WHO_READS);
}

#[test]
fn lines_are_written_by_whoever_has_them() {
    let rig = Rig::start(room(1000), LONG);
    ["a\n", "b\nc\n"].iter().for_each(|text| rig.give(text));
    // There already, without anybody having been waited for.
    assert_eq!((rig.stats().events, rig.stats().bytes, rig.stats().waiting), (3, 6, 0));
    assert_eq!(rig.writes(), (2, 2));
    let (text, stats, said) = rig.end();
    assert_eq!(text, "a\nb\nc\n");
    assert_eq!((stats.offered, stats.events, stats.lost), (3, 3, 0));
    assert!(said.is_empty(), "{said:?}");
}

#[test]
fn a_target_that_stalls_goes_to_its_thread_and_comes_back_when_it_is_calm() {
    let rig = Rig::start(room(1000), Duration::from_millis(100));
    rig.set(|inner| inner.stalls = Duration::from_millis(8));
    rig.give("stalls\n");
    assert_eq!(rig.writes(), (1, 1));
    rig.set(|inner| inner.stalls = Duration::ZERO);
    rig.give("queued\n");
    rig.until("the thread", |stats| stats.events == 2);
    assert_eq!(rig.writes(), (1, 2));
    thread::sleep(Duration::from_millis(100));
    rig.give("direct\n");
    assert_eq!(rig.writes(), (2, 3));
    assert_eq!(rig.end().0, "stalls\nqueued\ndirect\n");
}

#[test]
fn a_target_that_stalls_its_thread_is_not_lent() {
    let rig = Rig::start(room(1000), LONG);
    rig.set(|inner| inner.stalls = Duration::from_millis(8));
    // As when another worker has the target.
    rig.outlet.queue.push(&Arc::new(Lines::of(b"pushed\n".into(), 1)));
    rig.until("the thread", |stats| stats.events == 1);
    rig.set(|inner| inner.stalls = Duration::ZERO);
    rig.give("later\n");
    rig.until("the thread again", |stats| stats.events == 2);
    assert_eq!(rig.writes(), (0, 2));
    assert_eq!(rig.end().0, "pushed\nlater\n");
}

#[test]
fn a_disk_that_fills_up_in_the_middle_of_a_line_cuts_none() {
    let rig = Rig::start(room(6), LONG);
    rig.give("one\ntwo\nthree\n");
    // The beginning of the second was taken back before the thread was told.
    rig.until("the thread's attempts", |stats| stats.errors >= 2);
    assert_eq!((rig.stats().events, rig.stats().waiting), (1, 2));
    rig.give("four\n");
    rig.set(|inner| inner.room = 1000);
    rig.until("the rest", |stats| stats.events == 4);
    // Nobody but the thread for a while.
    let n_mine = rig.writes().0;
    rig.give("five\n");
    rig.until("the last", |stats| stats.events == 5);
    assert_eq!(rig.writes().0, n_mine);
    let (text, stats, said) = rig.end();
    assert_eq!(text, "one\ntwo\nthree\nfour\nfive\n");
    assert_eq!((stats.events, stats.lost, stats.bytes), (5, 0, text.len() as u64));
    assert_eq!(said.len(), 2, "{said:?}");
}

#[test]
fn an_order_comes_before_what_is_given_after_it() {
    let rig = Rig::start(room(1000), LONG);
    rig.give("a\n");
    rig.outlet.queue.reopen();
    rig.give("b\n");
    rig.until("both", |stats| stats.events == 2);
    assert_eq!(rig.end().0, "a\n--\nb\n");
}

#[test]
fn workers_wait_for_nobody_and_each_ones_lines_stay_in_order() {
    let rig = Rig::start(room(1 << 20), LONG);
    thread::scope(|scope| {
        for worker in 0..4 {
            let outlet = &rig.outlet;
            scope.spawn(move || {
                for n in 0..500 {
                    give(outlet, &format!("{worker} {n}\n"));
                }
            });
        }
        (0..20).for_each(|_| rig.outlet.queue.reopen());
    });
    rig.until("all of them", |stats| stats.events == 2000);
    let (text, stats, _) = rig.end();
    assert_eq!((stats.offered, stats.events, stats.lost), (2000, 2000, 0));
    for worker in 0..4 {
        let mine = text.lines().filter_map(|line| line.strip_prefix(&format!("{worker} ")));
        let mine: Vec<u32> = mine.map(|n| n.parse().unwrap()).collect();
        assert_eq!(mine, (0..500).collect::<Vec<_>>());
    }
}

#[test]
fn what_others_push_while_a_worker_writes_it_writes_as_well() {
    let rig = Rig::start(room(1000), LONG);
    let lines = |text: &str| Lines::of(text.into(), 1);
    let mine = lines("mine\n");
    assert!(rig.outlet.queue.lend(&mine, monotonic()));
    // Taken for the moment: the other's line waits, and the thread does not touch it.
    rig.give("other\n");
    assert!(!rig.outlet.queue.lend(&mine, monotonic()));
    assert_eq!((rig.stats().offered, rig.stats().waiting), (2, 2));
    let written = || Written { events: 1, bytes: 5, ..Written::default() };
    let other = rig.outlet.queue.returned(written(), usize::MAX).expect("the other's line");
    assert_eq!(other.bytes(), b"other\n");
    // No time for a third: it is the thread's.
    rig.give("third\n");
    assert!(rig.outlet.queue.returned(written(), 0).is_none());
    rig.until("the third", |stats| stats.events == 3);
    assert_eq!(rig.writes(), (0, 1));
    assert_eq!(rig.end().0, "third\n");
}

#[test]
fn a_write_that_never_returns_holds_up_nobodys_end() {
    let rig = Rig::start(room(1000), LONG);
    let mine = Lines::of(b"mine\n".into(), 1);
    assert!(rig.outlet.queue.lend(&mine, monotonic()));
    rig.outlet.queue.end();
    rig.outlet.queue.wait_ended(Duration::from_millis(20));
    assert_eq!(rig.stats().lost_by, [("at_end", 1)].into());
    // Too late: it was counted.
    assert!(
        rig.outlet
            .queue
            .returned(Written { events: 1, ..Written::default() }, usize::MAX)
            .is_none()
    );
    rig.give("later\n");
    assert_eq!(rig.stats().lost_by, [("at_end", 1), ("closed", 1)].into());
    rig.end();
}

/// No test takes so long.
const LONG: Duration = Duration::from_secs(3600);
