//! A live source and the engine behind it, turn by turn.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::{memory, monotonic};
use crate::event::Event;
use crate::event::stats::{Ledger, Snapshot};
use crate::pipeline::{Config, Pipeline, Shed, Stats};
use crate::segment::{Directive, Origin, Segment, Timestamp};
use crate::tcp::TableStats;

/// Where segments come from: a live capture, or a script in a test.
pub trait Source {
    type Error;

    /// Hands over what is there, waits up to `timeout` when nothing is. Says how many segments.
    fn poll(
        &mut self,
        timeout: Duration,
        handle: impl FnMut(&Segment<'_>),
    ) -> Result<usize, Self::Error>;

    /// Hands over what is there, and waits for nothing.
    fn take(&mut self, handle: impl FnMut(&Segment<'_>)) -> Result<usize, Self::Error> {
        self.poll(Duration::ZERO, handle)
    }

    /// Whether [`Source::take`] would hand over something.
    fn has_more(&self) -> bool {
        true
    }

    /// Whoever polls from here on is another than who took before.
    fn come_back(&mut self) {}

    /// Something came from another source that whoever polls this one looks after as well: more is
    /// likely to come.
    fn keep_ticking(&mut self) {}

    /// Tells the names of places that have come, changed or gone since the last call.
    fn new_names(&mut self, tell: impl FnMut(Place, Option<&str>));

    /// Finds the names of places that have come since the last call of [`Source::new_names`], where
    /// there can be such: segments may come from there meanwhile.
    fn late_names(&self) -> Option<LateNames> {
        None
    }

    /// What went wrong without stopping the capture, since the last call.
    fn take_warnings(&mut self) -> Vec<String>;

    /// Does what the engine asks. Where it cannot, more is copied than is needed, and that is all.
    fn apply(&mut self, directive: Directive);

    /// Keeps one flow in 2 to the power of `shift` from here on, as `FlowKey::is_kept` has it. The
    /// engine does the same by itself, so a source that cannot is only dearer.
    fn sample(&mut self, _shift: u32) {}

    /// The time of a segment that would come now.
    fn now(&self) -> Timestamp;

    /// Nanoseconds to add to it for the time of day: somebody has set the clock since the start.
    fn clock_shift(&self) -> i64;

    /// Sees nothing new from here on; what it holds can still be polled.
    fn detach(&mut self);

    /// The kernel's account so far.
    fn ledger(&self) -> Result<Ledger, Self::Error>;
}

/// Where segments are seen. Namespaces are known by inode; 0 is observer's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    Interface { netns: u32, ifindex: u32 },
    Netns(u32),
}

/// Names to ask for while segments come.
pub struct LateNames {
    /// Whether any has changed since the engine was told of all.
    pub have_changed: Box<dyn Fn() -> bool>,
    /// The name of a place, empty where it has none; `None` where it is not known.
    pub of: Box<dyn Fn(Place) -> Option<String>>,
}

/// A source and the engine behind it.
#[derive(Debug)]
pub struct Drive<S> {
    source: S,
    engine: Pipeline,
    start: Instant,
    sample_shift: u32,
}

impl<S: Source> Drive<S> {
    pub fn new(source: S, engine: Config) -> Self {
        Self { source, engine: Pipeline::new(engine), start: monotonic(), sample_shift: 0 }
    }

    /// Polls the source once, for `patience` at most when nothing comes, and runs the engine over
    /// what came. Says how many segments that were.
    pub fn turn(
        &mut self,
        patience: Duration,
        handle: impl FnMut(Event),
    ) -> Result<usize, S::Error> {
        self.run(Some(patience), handle)
    }

    /// The same without waiting; and nothing at all where nothing came and nothing is due.
    pub fn visit(&mut self, handle: impl FnMut(Event)) -> Result<usize, S::Error> {
        let is_due = self.engine.poll_timeout().is_some_and(|due| due <= self.source.now());
        match is_due || self.source.has_more() {
            true => self.run(None, handle),
            false => Ok(0),
        }
    }

    fn run(
        &mut self,
        patience: Option<Duration>,
        mut handle: impl FnMut(Event),
    ) -> Result<usize, S::Error> {
        let Self { source, engine, .. } = self;
        source.new_names(|place, name| tell(engine, place, name));
        let late_names = source.late_names();
        let (mut last, mut known) = (None, None);
        let each = |segment: &Segment<'_>| {
            if let Some(late_names) = &late_names {
                learn(engine, &segment.origin, late_names, &mut known);
            }
            engine.handle_segment(segment);
            drain(engine, &mut handle);
            last = Some(segment.time);
        };
        let n_segments = match patience {
            Some(patience) => source.poll(patience, each)?,
            None => source.take(each)?,
        };
        while let Some(directive) = engine.poll_directive() {
            source.apply(directive);
        }
        // While segments come, time is theirs: the rings may hold answers that are older than the
        // wall clock, and a deadline must not pass before they are read.
        engine.handle_timeout(last.unwrap_or_else(|| source.now()));
        drain(engine, &mut handle);
        if engine.take_shrank() {
            memory::give_back();
        }
        Ok(n_segments)
    }

    pub fn source(&self) -> &S {
        &self.source
    }

    pub fn source_mut(&mut self) -> &mut S {
        &mut self.source
    }

    /// How long the next turn may wait before the engine has something to do; `most` where it has
    /// nothing. A millisecond in any case, so that waiting is no busy loop.
    pub fn patience(&self, most: Duration) -> Duration {
        let due = self.engine.poll_timeout();
        let due =
            due.map_or(most, |due: Timestamp| Duration::from_nanos(due.since(self.source.now())));
        due.min(most).max(Duration::from_millis(1))
    }

    /// Whether later events tell of every header field.
    pub fn report_headers(&mut self, headers: bool) {
        self.engine.report_headers(headers);
    }

    /// Leaves out what is named there from here on, and nothing else.
    ///
    /// The engine's moment lies on the side where the kernel keeps more, so that whoever the kernel
    /// shows, the engine decides on by the very step that it tells of.
    pub fn shed(&mut self, shed: Shed) {
        let Self { source, engine, sample_shift, .. } = self;
        let before = std::mem::replace(sample_shift, shed.sample_shift);
        if shed.sample_shift > before {
            engine.shed(shed, source.now());
            source.sample(shed.sample_shift);
        } else {
            source.sample(shed.sample_shift);
            engine.shed(shed, source.now());
        }
    }

    /// What went wrong without stopping the capture, since the last call.
    pub fn take_warnings(&mut self) -> Vec<String> {
        self.source.take_warnings()
    }

    /// Nanoseconds to add to the times of events for the time of day; see
    /// [`Source::clock_shift`].
    pub fn clock_shift(&self) -> i64 {
        self.source.clock_shift()
    }

    /// Lets go of the traffic; what the source holds can still be taken.
    pub fn detach(&mut self) {
        self.source.detach();
    }

    /// Lets go of the traffic, takes what the source still holds, then ends every flow as it stands.
    pub fn finish(&mut self, mut handle: impl FnMut(Event)) {
        let Self { source, engine, .. } = self;
        source.detach();
        source.new_names(|place, name| tell(engine, place, name));
        loop {
            let polled = source.poll(Duration::ZERO, |segment| {
                engine.handle_segment(segment);
                drain(engine, &mut handle);
            });
            // The capture is over in any case; an error leaves what was taken so far.
            if polled.unwrap_or(0) == 0 {
                break;
            }
        }
        engine.finish(source.now());
        drain(engine, &mut handle);
    }

    /// The engine's counters.
    pub fn stats(&self) -> Stats {
        self.engine.stats()
    }

    /// The numbers of the source and the engine as they are now.
    pub fn snapshot(&self) -> Snapshot {
        let uptime = (monotonic() - self.start).as_nanos();
        Snapshot {
            uptime_ns: u64::try_from(uptime).ok(),
            events: None,
            capture: self.source.ledger().ok(),
            engine: Some(counters(self.engine.stats())),
            governor: None,
            sinks: Vec::new(),
            tail: None,
        }
    }
}

fn tell(engine: &mut Pipeline, place: Place, name: Option<&str>) {
    match (place, name) {
        (Place::Interface { netns, ifindex }, Some(name)) => {
            engine.name_interface(netns, ifindex, name);
        }
        (Place::Interface { netns, ifindex }, None) => engine.forget_interface(netns, ifindex),
        (Place::Netns(netns), Some(name)) => engine.name_netns(netns, name),
        (Place::Netns(netns), None) => engine.forget_netns(netns),
    }
}

/// The first segment from a new interface, or from another namespace, may be faster than the news of
/// it. `known` is an interface of our own whose name the engine has for the rest of the turn, so that
/// those that follow from there need no look.
fn learn(engine: &mut Pipeline, origin: &Origin, names: &LateNames, known: &mut Option<u32>) {
    let Origin { netns, ifindex, .. } = *origin;
    if netns == 0 {
        if *known == Some(ifindex) {
            return;
        }
        if engine.knows_interface(netns, ifindex) {
            *known = Some(ifindex);
            return;
        }
    }
    let have_changed = (names.have_changed)();
    if netns == 0 && !have_changed {
        return;
    }
    // The number of a namespace that is gone may have been given to another already.
    if netns != 0 && !have_changed && engine.knows_interface(netns, ifindex) {
        return;
    }
    for place in [Place::Interface { netns, ifindex }, Place::Netns(netns)] {
        if let Some(name) = (names.of)(place) {
            tell(engine, place, Some(&name));
        }
    }
}

fn drain(engine: &mut Pipeline, handle: &mut impl FnMut(Event)) {
    while let Some(event) = engine.poll_event() {
        handle(event);
    }
}

/// The engine's counters by name. Each is taken out of its struct by name, so that the compiler
/// asks for those that are added.
pub(crate) fn counters(stats: Stats) -> BTreeMap<&'static str, u64> {
    let Stats { table, exchanges, resynced, orphan_requests, orphan_responses } = stats;
    let TableStats {
        segments,
        flows,
        flows_opened,
        flows_evicted,
        flows_timed_out,
        buffered_bytes,
        ignored,
        flows_sampled,
        segments_sampled,
        budget_exceeded,
    } = table;
    BTreeMap::from([
        ("segments", segments),
        ("segments_ignored", ignored),
        ("flows", flows),
        ("flows_opened", flows_opened),
        ("flows_evicted", flows_evicted),
        ("flows_timed_out", flows_timed_out),
        ("buffered_bytes", buffered_bytes),
        ("flows_sampled", flows_sampled),
        ("segments_sampled", segments_sampled),
        ("budget_exceeded", budget_exceeded),
        ("exchanges", exchanges),
        ("resynced", resynced),
        ("orphan_requests", orphan_requests),
        ("orphan_responses", orphan_responses),
    ])
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;

    use super::*;

    #[test]
    fn a_name_that_comes_in_the_middle_of_a_turn_is_asked_for_until_it_is_known() {
        let mut engine = Pipeline::new(Config::default());
        let (has_changed, n_asked) = (Rc::new(Cell::new(false)), Rc::new(Cell::new(0)));
        let (changed, asked) = (Rc::clone(&has_changed), Rc::clone(&n_asked));
        let names = LateNames {
            have_changed: Box::new(move || changed.get()),
            of: Box::new(move |place| {
                asked.set(asked.get() + 1);
                (place == Place::Interface { netns: 0, ifindex: 7 }).then(|| "veth7".to_owned())
            }),
        };
        let origin = |ifindex| Origin { ifindex, ..Origin::default() };
        let mut known = None;
        learn(&mut engine, &origin(7), &names, &mut known);
        assert_eq!((engine.knows_interface(0, 7), n_asked.get(), known), (false, 0, None));
        has_changed.set(true);
        learn(&mut engine, &origin(7), &names, &mut known);
        assert_eq!((engine.knows_interface(0, 7), n_asked.get()), (true, 2));
        learn(&mut engine, &origin(7), &names, &mut known);
        learn(&mut engine, &origin(7), &names, &mut known);
        assert_eq!((n_asked.get(), known), (2, Some(7)));
        // What is known of one says nothing about another.
        learn(&mut engine, &origin(8), &names, &mut known);
        assert_eq!((engine.knows_interface(0, 8), n_asked.get()), (false, 4));
        // Another namespace may be another by now, whatever was known of it.
        learn(&mut engine, &Origin { netns: 9, ..origin(7) }, &names, &mut known);
        assert_eq!(n_asked.get(), 6);
    }
}
