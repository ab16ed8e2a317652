//! Events to lines, one after the other: what earlier lines have in common with later ones is written
//! once. It does not know where the lines go.

use super::exchange::Memo;
use super::{Event, Room};

/// Writes what [`Event::write_json`] writes, and a line end.
#[derive(Debug, Default)]
pub struct Writer {
    memo: Memo,
    /// What comes rarely is written here first.
    aside: Vec<u8>,
}

impl Writer {
    /// Appends the event as one line.
    pub fn write(&mut self, event: &Event, out: &mut Room) {
        if let Event::Exchange(exchange) = event {
            return exchange.write_line(&mut self.memo, out);
        }
        self.aside.clear();
        event.write_json(&mut self.aside);
        self.aside.push(b'\n');
        out.push(&self.aside);
    }
}
