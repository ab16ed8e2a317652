//! What a sink gets: the only serialisable output types.

/// One thing to tell; one line of NDJSON.
#[derive(Clone, Debug)]
pub enum Event {}

impl Event {
    /// Appends the event as one JSON object, without a line end.
    pub fn write_json(&self, _out: &mut Vec<u8>) {
        match *self {}
    }
}
