//! One readable line an exchange.
//!
//! It reads the NDJSON line and nothing else, so that `tail` shows the same whether the event was
//! made in this process, came from the daemon, or was read from a file. It must not know where the
//! event came from, and it prints nothing that [`text`] has not made harmless.

mod asides;
mod details;
mod line;
pub(crate) mod text;

use std::io::Write as _;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::Value;

use self::line::Columns;

/// How to print, decided once at the start.
#[derive(Clone, Debug)]
pub(crate) struct Look {
    pub(crate) colour: bool,
    /// Columns of the terminal; `None` when the output is no terminal and nothing is shortened.
    pub(crate) width: Option<usize>,
    pub(crate) zone: TimeZone,
    /// The day on which lines need no date.
    pub(crate) today: Date,
    /// Show header fields on lines of their own.
    pub(crate) headers: bool,
    /// Show what the event holds of the bodies.
    pub(crate) body: bool,
}

/// Prints events. It remembers the day, how wide the columns have grown, and the loss it has
/// already told.
#[derive(Debug)]
pub(crate) struct Printer {
    look: Look,
    day: Date,
    columns: Columns,
    lost_so_far: u64,
}

impl Printer {
    pub(crate) fn new(look: Look) -> Self {
        Self { day: look.today, look, columns: Columns::default(), lost_so_far: 0 }
    }

    /// Appends what there is to say about `event`; nothing for statistics without news.
    pub(crate) fn print(&mut self, event: &Value, out: &mut Vec<u8>) {
        match text_at(event, "/event/name") {
            Some("http.exchange") => {
                self.day(event, out);
                line::exchange(event, &self.look, &mut self.columns, out);
                details::exchange(event, &self.look, out);
            }
            Some("observer.stats") => self.stats(event, out),
            name => {
                self.day(event, out);
                let unknown = || (text::harmless(name.unwrap_or("event without a name")), false);
                let (said, is_urgent) = asides::about(event).unwrap_or_else(unknown);
                line::aside(event, &said, is_urgent, &self.look, out);
            }
        }
    }

    /// Lines tell the time alone; a line of its own says when the day is another one.
    fn day(&mut self, event: &Value, out: &mut Vec<u8>) {
        if let Some(time) = line::local(event, &self.look).filter(|time| time.date() != self.day) {
            self.day = time.date();
            line::day(self.day, &self.look, out);
        }
    }

    /// Statistics are worth a line on a terminal when segments were lost since the last ones.
    fn stats(&mut self, event: &Value, out: &mut Vec<u8>) {
        let lost = event.pointer("/obs/stats/capture/lost").and_then(Value::as_object);
        let total = lost.map_or(0, |lost| lost.values().filter_map(Value::as_u64).sum());
        if total > self.lost_so_far {
            let since = text::count(total - self.lost_so_far);
            let note = format!("lost {since} segments since the last report");
            line::notice(event, &note, &self.look, out);
            self.lost_so_far = total;
        }
    }
}

/// The string at `pointer` (RFC 6901).
fn text_at<'a>(event: &'a Value, pointer: &str) -> Option<&'a str> {
    event.pointer(pointer).and_then(Value::as_str)
}

fn number_at(event: &Value, pointer: &str) -> Option<u64> {
    event.pointer(pointer).and_then(Value::as_u64)
}

/// Appends formatted text. Writing to a `Vec` cannot fail.
fn push(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    let _ = out.write_fmt(text);
}

#[cfg(test)]
mod tests;
