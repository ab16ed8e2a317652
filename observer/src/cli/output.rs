//! Where `tail` and `read` put their lines: filtered, counted, as NDJSON or for people.
//!
//! It takes whole NDJSON lines. With `-f ndjson` it hands on the very bytes it was given, so that
//! what a pipe receives is what the file sink writes.

use std::fs::File;
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::os::fd::AsFd as _;

use memchr::memmem;
use serde_json::Value;

use super::filter::Filter;
use super::pretty::Printer;

/// What becomes of a line.
#[derive(Debug)]
pub(crate) enum Shape {
    Ndjson,
    Pretty(Box<Printer>),
}

/// Filters, counts, shapes and writes.
#[derive(Debug)]
pub(crate) struct Output<W> {
    out: W,
    shape: Shape,
    filter: Filter,
    /// How the lines that count are marked.
    counted: String,
    /// Of those, still wanted; `None` for no limit.
    left: Option<u64>,
    n_shown: u64,
    text: Vec<u8>,
}

impl<W: Write> Output<W> {
    pub(crate) fn new(out: W, shape: Shape, filter: Filter, count: Option<u64>) -> Self {
        // Inside a JSON string the quotes would be escaped, so no peer can put this into a line.
        let counted =
            format!(r#""event":{{"name":"{}"}}"#, filter.event.unwrap_or("http.exchange"));
        Self { out, shape, filter, counted, left: count, n_shown: 0, text: Vec::new() }
    }

    /// Takes whole lines. `Break` means that nothing more is wanted: the count is reached, or the
    /// reader of a pipe has gone, which is no error (`observer tail | head`).
    pub(crate) fn write(&mut self, lines: &[u8]) -> io::Result<ControlFlow<()>> {
        if self.passes_all() {
            let n_exchanges = memmem::find_iter(lines, &self.counted).count();
            return self.write_counted(lines, n_exchanges as u64);
        }
        self.text.clear();
        let mut done = ControlFlow::Continue(());
        for line in lines.split_inclusive(|&byte| byte == b'\n') {
            if self.left == Some(0) {
                break;
            }
            self.line(line);
        }
        if self.left == Some(0) {
            done = ControlFlow::Break(());
        }
        Ok(if put(&mut self.out, &self.text)?.is_break() { ControlFlow::Break(()) } else { done })
    }

    /// The same for lines among which are `n_exchanges` exchanges, as the caller knows.
    pub(crate) fn write_counted(
        &mut self,
        lines: &[u8],
        n_exchanges: u64,
    ) -> io::Result<ControlFlow<()>> {
        if !self.passes_all() {
            return self.write(lines);
        }
        self.n_shown += n_exchanges;
        put(&mut self.out, lines)
    }

    /// The common case of a pipeline, which needs no look at the lines: all of them go out.
    fn passes_all(&self) -> bool {
        matches!(self.shape, Shape::Ndjson) && self.filter.admits_all() && self.left.is_none()
    }

    /// Exchanges, or the events that alone are wanted, written so far.
    pub(crate) fn n_shown(&self) -> u64 {
        self.n_shown
    }

    /// The name of the events that alone are wanted.
    #[cfg(feature = "live")]
    pub(crate) fn only(&self) -> Option<&'static str> {
        self.filter.event
    }

    /// What [`Self::n_shown`] counts.
    #[cfg(feature = "live")]
    pub(crate) fn what(&self) -> &'static str {
        if self.filter.event.is_some() { "event" } else { "exchange" }
    }

    fn line(&mut self, line: &[u8]) {
        match &mut self.shape {
            Shape::Ndjson if self.filter.admits_all() => self.text.extend_from_slice(line),
            shape => {
                // Only our own engine or our own daemon writes these lines; one that does not
                // parse is from a newer daemon or a bug, and is better passed on than lost.
                let event = serde_json::from_slice::<Value>(line).unwrap_or_default();
                if !self.filter.admits(&event) {
                    return;
                }
                match shape {
                    Shape::Ndjson => self.text.extend_from_slice(line),
                    Shape::Pretty(printer) => printer.print(&event, &mut self.text),
                }
            }
        }
        if memmem::find(line, self.counted.as_bytes()).is_some() {
            self.n_shown += 1;
            self.left = self.left.map(|left| left.saturating_sub(1));
        }
    }
}

/// `Break` when nobody reads any more.
fn put(out: &mut impl Write, text: &[u8]) -> io::Result<ControlFlow<()>> {
    match out.write_all(text).and_then(|()| out.flush()) {
        Ok(()) => Ok(ControlFlow::Continue(())),
        Err(err) if err.kind() == io::ErrorKind::BrokenPipe => Ok(ControlFlow::Break(())),
        Err(err) => Err(err),
    }
}

/// Standard output without the line buffer that Rust puts before it: whole batches go out in one
/// write, and nothing is left behind in a buffer at exit.
pub(crate) fn stdout() -> io::Result<File> {
    Ok(File::from(io::stdout().as_fd().try_clone_to_owned()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exchange(port: u16) -> String {
        let name = "http.exchange";
        format!(
            r#"{{"event":{{"name":"{name}"}},"client":{{"port":1}},"server":{{"port":{port}}}}}"#
        ) + "\n"
    }

    const STATS: &str = "{\"event\":{\"name\":\"observer.stats\"}}\n";

    #[track_caller]
    fn check(filter: Filter, count: Option<u64>, lines: &str, want: &str, ends: bool) {
        let mut out = Output::new(Vec::new(), Shape::Ndjson, filter, count);
        let done = out.write(lines.as_bytes()).unwrap();
        assert_eq!(String::from_utf8(out.out).unwrap(), want);
        assert_eq!(done.is_break(), ends);
    }

    #[test]
    fn ndjson_is_passed_on_byte_for_byte() {
        let lines = exchange(80) + STATS + "{\"event\" : {\"name\":\"x\\u0041\"}}\n";
        check(Filter::default(), None, &lines, &lines, false);
    }

    #[test]
    fn the_count_is_of_exchanges() {
        let lines = exchange(80) + STATS + &exchange(81) + &exchange(82);
        let want = exchange(80) + STATS + &exchange(81);
        check(Filter::default(), Some(2), &lines, &want, true);
    }

    #[test]
    fn what_the_filter_refuses_is_not_counted() {
        let filter = Filter { ports: vec![81], ..Filter::default() };
        let lines = exchange(80) + &exchange(81) + &exchange(82);
        check(filter, Some(1), &lines, &exchange(81), true);
    }

    #[test]
    fn a_reader_that_has_gone_is_a_quiet_end() {
        struct Gone;
        impl Write for Gone {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut out = Output::new(Gone, Shape::Ndjson, Filter::default(), None);
        assert!(out.write(exchange(80).as_bytes()).unwrap().is_break());
    }
}
