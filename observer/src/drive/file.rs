//! A capture file and the engine behind it: events, one at a time, in the order of the file.

use crate::capture::file::{Counters, FileError, Reader};
use crate::event::Event;
use crate::pipeline::{Config, Pipeline, Stats};
use crate::segment::Timestamp;

/// The events of one capture. Reads on only when the events so far have been taken, so memory
/// stays flat however long the file is.
pub struct FileEvents {
    reader: Reader,
    engine: Pipeline,
    last: Timestamp,
    /// The reader has no more; the engine has been told.
    ended: bool,
    /// Why it has no more, when that was not the end of the file.
    broke: Option<FileError>,
}

impl FileEvents {
    pub fn new(reader: Reader, engine: Config) -> Self {
        let engine = Pipeline::new(engine);
        Self { reader, engine, last: Timestamp::default(), ended: false, broke: None }
    }

    /// The next event, or `None` at the end. A file that breaks off gives what it holds first,
    /// then its error once, then `None`.
    pub fn next_event(&mut self) -> Result<Option<Event>, FileError> {
        loop {
            if let Some(event) = self.engine.poll_event() {
                return Ok(Some(event));
            }
            if self.ended {
                return self.broke.take().map_or(Ok(None), Err);
            }
            self.step();
        }
    }

    pub fn stats(&self) -> Stats {
        self.engine.stats()
    }

    pub fn counters(&self) -> Counters {
        self.reader.counters()
    }

    /// One segment, or the end.
    fn step(&mut self) {
        let Self { reader, engine, .. } = self;
        match reader.next_segment() {
            Ok(Some(segment)) => {
                self.last = self.last.max(segment.time);
                let ifindex = segment.origin.ifindex;
                engine.handle_segment(&segment);
                // The segment borrows the reader, so its interface's name can only come after it;
                // an exchange takes two segments at least, so the name is there in time.
                if let Some(name) = reader.interface_name(ifindex) {
                    engine.name_interface(0, ifindex, name);
                }
                return;
            }
            Ok(None) => {}
            Err(err) => self.broke = Some(err),
        }
        self.ended = true;
        engine.finish(self.last);
    }
}
