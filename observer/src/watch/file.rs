//! A capture file as the source: read as far as somebody wants exchanges, on the thread that asks.

use super::error::Came;
use super::held::Held;
use super::select::Select;
use super::{Error, Exchange, Report};
use crate::drive::file::FileEvents;
use crate::event::Event;

pub(super) struct File {
    events: FileEvents,
    select: Select,
    held: Held,
}

impl File {
    pub(super) fn new(events: FileEvents, select: Select, held: Held) -> Self {
        Self { events, select, held }
    }

    /// What `look` finds among the exchanges that nobody took, reading on until it does. `None` at
    /// the end of the file.
    pub(super) fn until<T>(
        &mut self,
        look: &mut dyn FnMut(&mut Held) -> Option<T>,
    ) -> Result<Option<T>, Error> {
        loop {
            if let Some(found) = look(&mut self.held) {
                return Ok(Some(found));
            }
            match self.next()? {
                Some(exchange) => self.held.push(exchange),
                None => return Ok(None),
            }
        }
    }

    /// A line each for the exchanges that wait to be taken.
    pub(super) fn came(&self) -> Came {
        Came::new(self.held.iter())
    }

    /// Reads to the end. What is left is not bounded: the caller asked for all of it.
    pub(super) fn stop(mut self) -> Result<Report, Error> {
        let mut exchanges = self.held.take_first(usize::MAX);
        let mut n_exchanges = self.held.n_came;
        while let Some(exchange) = self.next()? {
            n_exchanges += 1;
            exchanges.push(exchange);
        }
        Ok(Report {
            exchanges,
            n_exchanges,
            n_dropped: self.held.n_dropped,
            ledger: None,
            packets: Some(self.events.counters()),
            warnings: Vec::new(),
        })
    }

    fn next(&mut self) -> Result<Option<Exchange>, Error> {
        while let Some(event) = self.events.next_event()? {
            if let Event::Exchange(event) = event {
                let exchange = Exchange::new(*event);
                if self.select.admits(&exchange) {
                    return Ok(Some(exchange));
                }
            }
        }
        Ok(None)
    }
}
