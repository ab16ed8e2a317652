//! One capture file through several engines at once, each of which has the flows of its own share.
//! Who can wait for the order of the file uses [`super::file`].
//!
//! The reader hands every engine every batch, and each leaves out the segments of the others but
//! for their times. So a deadline passes at the very segment at which it passes in a single
//! engine, and the events are the same ones, in another order.

use std::hash::BuildHasher as _;
use std::num::NonZeroUsize;
use std::ops::{ControlFlow, Range};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use crate::capture::file::{FileError, Reader};
use crate::event::Event;
use crate::pipeline::{Config, Pipeline, Stats};
use crate::segment::{FlowKey, Segment, Timestamp};
use crate::tcp::Limits;

/// What became of a capture.
#[derive(Debug)]
pub struct Spread<H> {
    /// As they were given, when they have seen all.
    pub handlers: Vec<H>,
    /// Of each engine.
    pub stats: Vec<Stats>,
    /// Why the file ended, when that was not its end.
    pub broke: Option<FileError>,
}

/// Reads a capture with one engine for each handler, on a thread of its own. The bounds of
/// `config` hold for all engines together. A handler that breaks is not called again, and no more
/// of the file is read; the others still get what the engines hold.
pub fn spread<H>(reader: &mut Reader, config: &Config, handlers: Vec<H>) -> Spread<H>
where
    H: FnMut(Event) -> ControlFlow<()> + Send,
{
    let n_engines = NonZeroUsize::new(handlers.len()).unwrap_or(NonZeroUsize::MIN);
    let config = Config { limits: share(config.limits, n_engines), ..config.clone() };
    thread::scope(|scope| {
        let (senders, workers): (Vec<_>, Vec<_>) = (0..)
            .zip(handlers)
            .map(|(number, handler)| {
                let (sender, batches) = sync_channel(BATCHES_AHEAD);
                let engine = Engine::new(number, config.clone(), handler);
                (sender, scope.spawn(move || engine.run(&batches)))
            })
            .unzip();
        let broke = deal(reader, n_engines, &senders);
        drop(senders);
        let mut spread = Spread { handlers: Vec::new(), stats: Vec::new(), broke };
        for worker in workers {
            match worker.join() {
                Ok((handler, stats)) => {
                    spread.handlers.push(handler);
                    spread.stats.push(stats);
                }
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        spread
    })
}

/// An engine's part of what all of them may hold.
fn share(limits: Limits, n_engines: NonZeroUsize) -> Limits {
    Limits {
        flows: limits.flows.div_ceil(n_engines.get()),
        total_bytes: limits.total_bytes.div_ceil(n_engines.get()),
        ..limits
    }
}

/// Reads the file to its end, or until an engine has gone.
fn deal(
    reader: &mut Reader,
    n_engines: NonZeroUsize,
    engines: &[SyncSender<Arc<Batch>>],
) -> Option<FileError> {
    let hasher = foldhash::fast::RandomState::default();
    // The name that the engines know for an index, by the index.
    let mut told: Vec<(u32, Arc<str>)> = Vec::new();
    let mut batch = Batch::default();
    let broke = loop {
        let ifindex = match reader.next_segment() {
            Ok(Some(segment)) => {
                let key = FlowKey::new(segment.source, segment.destination);
                let hash = hasher.hash_one(key);
                batch.push(&segment, (hash % n_engines.get() as u64) as usize);
                segment.origin.ifindex
            }
            Ok(None) => break None,
            Err(err) => break Some(err),
        };
        if let Some(name) = reader.interface_name(ifindex) {
            let known = told.iter_mut().find(|(index, _)| *index == ifindex);
            if known.as_ref().is_none_or(|(_, known)| **known != *name) {
                let name: Arc<str> = name.into();
                match known {
                    Some((_, known)) => *known = Arc::clone(&name),
                    None => told.push((ifindex, Arc::clone(&name))),
                }
                batch.names.push((batch.packets.len(), ifindex, name));
            }
        }
        if batch.is_full() && !send(engines, &mut batch) {
            return None;
        }
    };
    send(engines, &mut batch);
    broke
}

/// Hands the batch to every engine and leaves an empty one. False when one has gone.
fn send(engines: &[SyncSender<Arc<Batch>>], batch: &mut Batch) -> bool {
    let full = Arc::new(std::mem::take(batch));
    let mut all = true;
    for engine in engines {
        all &= engine.send(Arc::clone(&full)).is_ok();
    }
    all
}

/// Segments with what they lend from.
#[derive(Debug, Default)]
struct Batch {
    bytes: Vec<u8>,
    packets: Vec<Packet>,
    /// Before which packet an interface index got a name.
    names: Vec<(usize, u32, Arc<str>)>,
}

#[derive(Debug)]
struct Packet {
    /// Whose flow it belongs to.
    engine: usize,
    /// Without its payload, which is `bytes` of the batch.
    segment: Segment<'static>,
    bytes: Range<usize>,
}

impl Batch {
    fn push(&mut self, segment: &Segment<'_>, engine: usize) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(segment.payload);
        let bytes = start..self.bytes.len();
        let segment = Segment { payload: &[], ..*segment };
        self.packets.push(Packet { engine, segment, bytes });
    }

    fn is_full(&self) -> bool {
        self.bytes.len() >= BATCH_BYTES || self.packets.len() >= BATCH_PACKETS
    }
}

struct Engine<H> {
    number: usize,
    pipeline: Pipeline,
    handler: H,
    last: Timestamp,
}

impl<H: FnMut(Event) -> ControlFlow<()>> Engine<H> {
    fn new(number: usize, config: Config, handler: H) -> Self {
        Self { number, pipeline: Pipeline::new(config), handler, last: Timestamp::default() }
    }

    fn run(mut self, batches: &Receiver<Arc<Batch>>) -> (H, Stats) {
        let mut done = ControlFlow::Continue(());
        while done.is_continue()
            && let Ok(batch) = batches.recv()
        {
            done = self.handle_batch(&batch);
        }
        if done.is_continue() {
            self.pipeline.finish(self.last);
            // It is the end in any case.
            let _ = self.drain();
        }
        (self.handler, self.pipeline.stats())
    }

    fn handle_batch(&mut self, batch: &Batch) -> ControlFlow<()> {
        let mut names = batch.names.iter().peekable();
        for (number, packet) in batch.packets.iter().enumerate() {
            let time = packet.segment.time;
            self.last = self.last.max(time);
            if packet.engine == self.number {
                let payload = batch.bytes.get(packet.bytes.clone()).unwrap_or_default();
                self.pipeline.handle_segment(&Segment { payload, ..packet.segment });
            } else {
                self.pipeline.handle_timeout(time);
            }
            while let Some((_, ifindex, name)) = names.next_if(|(at, ..)| *at <= number + 1) {
                self.pipeline.name_interface(0, *ifindex, name);
            }
            self.drain()?;
        }
        ControlFlow::Continue(())
    }

    fn drain(&mut self) -> ControlFlow<()> {
        while let Some(event) = self.pipeline.poll_event() {
            (self.handler)(event)?;
        }
        ControlFlow::Continue(())
    }
}

/// A batch is handed on when it has so many bytes of payload, or so many packets.
const BATCH_BYTES: usize = 128 * 1024;
const BATCH_PACKETS: usize = 1024;
/// Batches that may wait for an engine: the reader is ahead by no more.
const BATCHES_AHEAD: usize = 4;
