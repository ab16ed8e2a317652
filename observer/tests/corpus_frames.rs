//! Every capture of the shared corpus gives its segments: no error but a file's own truncation,
//! every packet accounted for, and segments wherever exchanges are known to be.

#[path = "common/corpus.rs"]
mod corpus;

use std::fs;
use std::path::Path;

use observer::capture::file::{Counters, FileError, Reader};
use serde_json::Value;

struct Outcome {
    counters: Counters,
    error: Option<FileError>,
}

fn read(path: &Path) -> Outcome {
    let mut reader = match Reader::open(path) {
        Ok(reader) => reader,
        Err(error) => return Outcome { counters: Counters::default(), error: Some(error) },
    };
    let error = loop {
        match reader.next_segment() {
            Ok(Some(segment)) => assert!(segment.payload.len() <= segment.payload_len as usize),
            Ok(None) => break None,
            Err(error) => break Some(error),
        }
    };
    Outcome { counters: reader.counters(), error }
}

#[test]
fn every_capture_gives_its_segments() {
    let Some(folder) = corpus::folder("corpus_frames") else { return };
    let truth = fs::read_to_string(folder.join("truth.ndjson")).expect("the truth is readable");
    let mut n_captures = 0;
    let mut complaints = Vec::new();
    for line in truth.lines() {
        let truth: Value = serde_json::from_str(line).expect("the truth is JSON lines");
        let file = truth["file"].as_str().expect("a capture has a file");
        let Outcome { counters, error } = read(&folder.join(file));
        n_captures += 1;
        if let Some(error) = error.filter(|error| !matches!(error, FileError::Truncated { .. })) {
            complaints.push(format!("{file}: {error}"));
        }
        if truth["packets"].as_u64().is_some_and(|packets| packets != counters.packets) {
            let packets = &truth["packets"];
            complaints.push(format!("{file}: {} packets read of {packets}", counters.packets));
        }
        let accounted = counters.segments
            + counters.not_tcp
            + counters.fragments
            + counters.cut_short
            + counters.malformed
            + counters.too_deep
            + counters.unknown_link;
        if accounted != counters.packets {
            complaints.push(format!("{file}: packets are missing in {counters:?}"));
        }
        let has_exchanges = truth["exchanges"].as_array().is_some_and(|list| !list.is_empty());
        if has_exchanges && counters.segments == 0 {
            complaints.push(format!("{file}: no segment in {counters:?}"));
        }
        if counters.unknown_link > 0 || counters.incomplete_datagrams > 0 {
            complaints.push(format!("{file}: not all is read: {counters:?}"));
        }
    }
    assert!(n_captures > 0, "the truth names no capture");
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
    println!("{n_captures} captures");
}
