//! Several engines on one capture give the events of one engine, in another order.

#[path = "common/captures.rs"]
mod captures;
#[path = "common/corpus.rs"]
mod corpus;

use std::ops::ControlFlow;
use std::path::Path;

use observer::capture::file::Reader;
use observer::drive::file::FileEvents;
use observer::drive::spread::spread;
use observer::event::{Event, Room, Writer};
use observer::pipeline::Config;

fn line(event: &Event) -> String {
    let mut line = Vec::new();
    event.write_json(&mut line);
    String::from_utf8(line).expect("a line is text")
}

/// The lines of one engine, and whether the file broke off. They are written one after the other, so
/// that what is kept of earlier ones is held to what [`line`] writes.
fn alone(path: &Path) -> Option<(Vec<String>, bool)> {
    let mut events = FileEvents::new(Reader::open(path).ok()?, Config::default());
    let (mut writer, mut room) = (Writer::default(), Room::default());
    let mut lines = Vec::new();
    loop {
        match events.next_event() {
            Ok(Some(event)) => {
                room.clear();
                writer.write(&event, &mut room);
                let line = room.written().strip_suffix(b"\n").expect("a line ends");
                lines.push(String::from_utf8(line.to_vec()).expect("a line is text"));
            }
            Ok(None) => return Some((lines, false)),
            Err(_) => return Some((lines, true)),
        }
    }
}

/// The lines of each of `n` engines.
fn shared(path: &Path, n: usize) -> (Vec<Vec<String>>, bool) {
    let mut reader = Reader::open(path).expect("it has been opened before");
    let mut lines = vec![Vec::new(); n];
    let handlers = lines.iter_mut().map(|lines: &mut Vec<String>| {
        |event: Event| {
            lines.push(line(&event));
            ControlFlow::Continue(())
        }
    });
    let done = spread(&mut reader, &Config::default(), handlers.collect());
    let is_broken = done.broke.is_some();
    drop(done);
    (lines, is_broken)
}

#[test]
fn the_events_of_the_corpus_are_the_same_on_three_threads() {
    let mut n_events = [0; 3];
    for path in captures::captures("spread") {
        let Some((mut expected, is_broken)) = alone(&path) else { continue };
        let (each, shared_is_broken) = shared(&path, 3);
        for (n, lines) in n_events.iter_mut().zip(&each) {
            *n += lines.len();
        }
        let mut lines = each.concat();
        lines.sort_unstable();
        expected.sort_unstable();
        assert_eq!(lines, expected, "{}", path.display());
        assert_eq!(shared_is_broken, is_broken, "{}", path.display());
    }
    if n_events != [0; 3] {
        // No engine had nothing to do.
        assert!(n_events.iter().all(|n| *n > 100), "{n_events:?}");
    }
}

#[test]
fn a_handler_that_has_enough_ends_the_reading() {
    let Some(path) = captures::captures("spread")
        .into_iter()
        .find(|path| alone(path).is_some_and(|(lines, _)| lines.len() > 10))
    else {
        return;
    };
    let mut reader = Reader::open(&path).expect("it has been opened before");
    let mut n_calls = 0;
    let handler = |_| {
        n_calls += 1;
        ControlFlow::Break(())
    };
    let done = spread(&mut reader, &Config::default(), vec![handler]);
    assert_eq!(done.stats.len(), 1);
    drop(done);
    assert_eq!(n_calls, 1);
}
