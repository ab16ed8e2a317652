//! The whole pipeline: two-sided operation lists in, events out, and no exchange invented.
//!
//! Input: the client's text and the server's, each behind its size, then the operations of `tcp`;
//! each side sends its text over and over. A second flow table with the same bounds runs beside the
//! pipeline and says what bytes a parser can have seen.

use std::collections::HashMap;

use observer::event::{Event, HttpExchange, Redactor};
use observer::message::{Anomaly, Head, Message};
use observer::pipeline::{Config, Pipeline};
use observer::segment::{FlowKey, Offset};
use observer::tcp::Side;

use super::feed::Feed;
use super::recorder::Stream;
use super::tcp::{Table, limits};
use super::wire::{Act, Wire};

pub fn check(data: &[u8]) {
    let first = run(data);
    assert_eq!(first, run(data), "the same segments give the same events");
}

/// Runs the input; returns the events as lines.
fn run(data: &[u8]) -> Vec<u8> {
    let mut feed = Feed::new(data);
    let limits = limits(feed.u8());
    let n_client = usize::from(feed.u16());
    let client = feed.take(n_client);
    let n_server = usize::from(feed.u16());
    let server = feed.take(n_server);
    let say = |_: usize, side: usize, position: u32, salt: u8| {
        let text = if side == 0 { client } else { server };
        let at = (position as usize).checked_rem(text.len()).unwrap_or(0);
        text.get(at).copied().unwrap_or_default() ^ salt
    };
    // Nothing is masked, so that targets are the bytes that were sent.
    let redactor = Redactor { enabled: false };
    let config = Config { headers: true, body_prefix: 16, redactor, limits };
    let mut pipeline = Pipeline::new(config);
    let mut table = Table::new(limits);
    let mut seen = Seen::default();
    let mut wire = Wire::new(feed, &say);
    while let Some(act) = wire.next() {
        match act {
            Act::Wait(now) => {
                pipeline.handle_timeout(now);
                seen.streams.extend(table.handle_timeout(now));
            }
            Act::Send(sent) => {
                pipeline.handle_segment(&sent.segment());
                seen.streams.extend(table.handle_timeout(sent.time));
                seen.streams.extend(table.handle_segment(&sent.segment()).1);
            }
        }
        let (ours, theirs) = (pipeline.stats().table, table.stats());
        assert_eq!(ours.buffered_bytes, theirs.buffered_bytes, "one table, twice");
        assert_eq!(ours.flows_opened, theirs.flows_opened, "one table, twice");
        seen.drain(&mut pipeline);
    }
    pipeline.finish(wire.time());
    seen.streams.extend(table.finish(wire.time()));
    seen.drain(&mut pipeline);
    let stats = pipeline.stats();
    assert_eq!((stats.table.flows, stats.table.buffered_bytes), (0, 0), "nothing is left");
    assert_eq!(stats.exchanges, seen.exchanges.len() as u64, "each exchange is one event");
    assert!(pipeline.poll_timeout().is_none(), "nothing is due at the end");
    seen.check();
    seen.lines
}

/// What came out, and what can have been the reason for it.
#[derive(Default)]
struct Seen {
    streams: Vec<Stream>,
    exchanges: Vec<HttpExchange>,
    lines: Vec<u8>,
}

impl Seen {
    fn drain(&mut self, pipeline: &mut Pipeline) {
        while let Some(event) = pipeline.poll_event() {
            let before = self.lines.len();
            event.write_json(&mut self.lines);
            let line = &self.lines[before..];
            serde_json::from_slice::<serde_json::Value>(line).expect("an event is JSON");
            self.lines.push(b'\n');
            let Event::Exchange(exchange) = event;
            self.exchanges.push(*exchange);
        }
    }

    fn check(&self) {
        let mut flows: HashMap<u64, Vec<&HttpExchange>> = HashMap::new();
        for event in &self.exchanges {
            flows.entry(event.flow.id).or_default().push(event);
        }
        for events in flows.values() {
            let key = FlowKey::new(events[0].flow.client, events[0].flow.server);
            let streams: Vec<&Stream> = self.streams.iter().filter(|s| s.key == key).collect();
            check_flow(events, &streams);
        }
    }
}

/// Holds the events of one flow against the streams between its endpoints. Which of them is the
/// flow's own, the events do not tell: one must explain them all.
fn check_flow(events: &[&HttpExchange], streams: &[&Stream]) {
    let mut indexes: Vec<u64> = events.iter().map(|e| e.exchange.index).collect();
    indexes.sort_unstable();
    indexes.dedup();
    assert_eq!(indexes.len(), events.len(), "an index stands for one exchange");
    assert!(indexes.first().is_none_or(|&first| first >= 1), "indexes count from 1");

    let requests: Vec<&Message> =
        events.iter().filter_map(|e| e.exchange.request.as_ref()).collect();
    let responses: Vec<&Message> = events
        .iter()
        .flat_map(|e| e.exchange.interim.iter().chain(e.exchange.response.as_ref()))
        .collect();
    check_apart(&requests);
    check_apart(&responses);

    let explains = |stream: &&&Stream| {
        let client = if events[0].flow.client == stream.key.low { Side::Low } else { Side::High };
        let said = |side: Side, message: &&Message| was_said(stream, side, message);
        requests.iter().all(|m| said(client, m))
            && responses.iter().all(|m| said(client.opposite(), m))
    };
    assert!(
        streams.iter().any(|stream| explains(&stream)),
        "an exchange was invented: {events:#?} {streams:#?}"
    );
}

/// The start line stands in the stream where the message says that it began.
fn was_said(stream: &Stream, side: Side, message: &Message) -> bool {
    let Some(head) = message.head.as_ref() else { return true };
    let run = stream.run_at(side, message.first.offset);
    // Beyond its bound a head is kept in part.
    if head.anomalies.contains(Anomaly::HeadTooLarge) {
        return !run.is_empty();
    }
    let end = run.iter().position(|&b| b == b'\n').unwrap_or(run.len());
    let line = &run[..end];
    let has = |needle: &[u8]| line.windows(needle.len().max(1)).any(|window| window == needle);
    match (head.method(), head.target(), Head::status(head)) {
        (Some(method), Some(target), _) => {
            line.starts_with(method) && (target.is_empty() || has(target))
        }
        (_, _, Some(status)) => has(status.to_string().as_bytes()),
        _ => false,
    }
}

/// No byte belongs to two messages of one half.
fn check_apart(messages: &[&Message]) {
    let mut ranges: Vec<(Offset, Offset)> =
        messages.iter().map(|m| (m.first.offset, m.last.offset)).collect();
    ranges.sort_unstable();
    for range in &ranges {
        assert!(range.0 <= range.1, "a message ends before it begins: {messages:#?}");
    }
    for pair in ranges.windows(2) {
        assert!(pair[0].1 <= pair[1].0, "two messages share bytes: {messages:#?}");
    }
}
