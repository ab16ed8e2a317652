//! The whole pipeline: two-sided operation lists in, events out, and no exchange invented.
//!
//! Input: the client's text and the server's, each behind its size, then the operations of `tcp`;
//! each side sends its text over and over. A second flow table with the same bounds runs beside the
//! pipeline and says what bytes a parser can have seen.

use std::collections::HashMap;

use observer::event::{Event, HttpExchange, HttpTunnel, Phase, Redactor};
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
    let config = Config {
        headers: true,
        body_prefix: 16,
        redactor,
        limits,
        messages: Some(8),
        ..Config::default()
    };
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
    tunnels: Vec<HttpTunnel>,
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
            match event {
                Event::Exchange(exchange) => self.exchanges.push(*exchange),
                Event::Tunnel(tunnel) => self.tunnels.push(*tunnel),
                Event::Message(_) | Event::Dth(_) | Event::Tls(_) => {}
            }
        }
    }

    fn check(&self) {
        let mut flows: HashMap<(u64, &[u64]), Vec<&HttpExchange>> = HashMap::new();
        for event in &self.exchanges {
            // Positions inside a WebSocket are those of its content, not of the flow.
            if !self.is_framed(event) {
                flows.entry((event.flow.id, &event.inside)).or_default().push(event);
            }
        }
        for events in flows.values() {
            let key = FlowKey::new(events[0].flow.client, events[0].flow.server);
            let streams: Vec<&Stream> = self.streams.iter().filter(|s| s.key == key).collect();
            check_flow(events, &streams);
        }
        self.check_tunnels();
    }

    fn is_framed(&self, event: &HttpExchange) -> bool {
        self.tunnels.iter().any(|tunnel| {
            let path = path(tunnel);
            let around = tunnel.flow.id == event.flow.id && event.inside.starts_with(&path);
            around && tunnel.report.agreement.protocol.as_deref() == Some(b"websocket")
        })
    }

    /// A tunnel begins once, ends once, and never shrinks; its exchange was told before.
    fn check_tunnels(&self) {
        let mut tunnels: HashMap<(u64, Vec<u64>), Vec<&HttpTunnel>> = HashMap::new();
        for event in &self.tunnels {
            tunnels.entry((event.flow.id, path(event))).or_default().push(event);
        }
        for ((flow, _), events) in tunnels {
            let first = events.first().expect("a group has a member");
            let last = events.last().expect("a group has a member");
            assert_eq!((first.phase, last.phase), (Phase::Open, Phase::Close), "{events:#?}");
            let n_ends = events.iter().filter(|e| e.phase != Phase::Progress).count();
            assert_eq!(n_ends, 2, "{events:#?}");
            for pair in events.windows(2) {
                let (before, after) = (&pair[0].report.volume, &pair[1].report.volume);
                assert!(before.to_server.n_bytes <= after.to_server.n_bytes, "{events:#?}");
                assert!(before.to_client.n_bytes <= after.to_client.n_bytes, "{events:#?}");
            }
            let opener = |e: &&HttpExchange| {
                e.flow.id == flow
                    && e.inside == first.link.inside
                    && e.exchange.index == first.link.index
            };
            assert!(self.exchanges.iter().any(|e| opener(&e)), "nobody opened {events:#?}");
        }
    }
}

fn path(tunnel: &HttpTunnel) -> Vec<u64> {
    tunnel.link.inside.iter().copied().chain([tunnel.link.index]).collect()
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
