//! What the items of a parser add to a message.

use crate::http::Ending;
use crate::message::{Anomalies, Head, Mark, Message};

pub(super) fn new_message(head: Head, first: Mark, last: Mark, anomalies: Anomalies) -> Message {
    let mut message = Message::new(Some(head), first);
    message.last = last;
    message.anomalies = message.anomalies.union(anomalies);
    message
}

pub(super) fn add_body(message: Option<&mut Message>, bytes: &[u8], wanted: usize) {
    let Some(message) = message else { return };
    let is_contiguous = message.body_bytes == message.body_prefix.len() as u64;
    message.body_bytes = message.body_bytes.saturating_add(bytes.len() as u64);
    let room = wanted.saturating_sub(message.body_prefix.len());
    if room > 0 && is_contiguous {
        message.body_prefix.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
    }
}

pub(super) fn add_gap(message: Option<&mut Message>, n: u64, on_purpose: bool) {
    let Some(message) = message else { return };
    message.body_bytes = message.body_bytes.saturating_add(n);
    if !on_purpose {
        message.gap_bytes = message.gap_bytes.saturating_add(n);
    }
}

pub(super) fn end_message(message: Option<&mut Message>, ending: Ending) {
    let Some(message) = message else { return };
    // A message without a body ended with its head, whose position is the same.
    if ending.last.offset > message.last.offset || ending.last.time > message.last.time {
        message.last = Mark { offset: ending.last.offset.max(message.last.offset), ..ending.last };
    }
    message.complete = ending.complete;
    message.trailers = ending.trailers;
    message.anomalies = message.anomalies.union(ending.anomalies);
    message.gap_bytes = message.gap_bytes.saturating_add(ending.missing);
}
