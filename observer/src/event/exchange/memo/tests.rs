use std::cell::RefCell;
use std::sync::Arc;

use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::ValueTree as _;

use super::super::Integrity;
use super::*;
use crate::event::{Event, Netns, Room, Writer};
use crate::message::{
    Anomalies, Anomaly, Exchange, Failure, Field, Mark, Message, Name, Span, State, Version,
};
use crate::segment::{Offset, Timestamp};

/// A head whose parts lie where a reader would find them.
fn head(line: &str, start: impl Fn(Span, Span) -> StartLine, fields: &[(Name, &str)]) -> Head {
    let mut raw = format!("{line}\r\n").into_bytes();
    let at = |raw: &mut Vec<u8>, text: &str| {
        let start = raw.len() as u32;
        raw.extend_from_slice(text.as_bytes());
        Span { start, end: raw.len() as u32 }
    };
    let (first, rest) = line.split_once(' ').unwrap();
    let second = rest.rsplit_once(' ').map_or(rest, |(second, _)| second);
    let span = |from: usize, n: usize| Span { start: from as u32, end: (from + n) as u32 };
    let start = start(span(0, first.len()), span(first.len() + 1, second.len()));
    let mut all = Vec::new();
    for (known, text) in fields {
        let name = at(&mut raw, &format!("{known:?}"));
        at(&mut raw, ": ");
        let value = at(&mut raw, text);
        at(&mut raw, "\r\n");
        all.push(Field { name, value, known: Some(*known) });
    }
    raw.extend_from_slice(b"\r\n");
    Head::new(raw, start, all, Anomalies::default())
}

fn request() -> impl Strategy<Value = Head> {
    let targets = ["/", "/a", "/b?q=1", "http://h.example/x\"y", "*", "/\u{e9}"];
    let versions = [Version::HTTP_11, Version::HTTP_10];
    let agents = [None, Some("curl/8"), Some("Mozilla \"5\"")];
    let hosts = ["a.example", "a.example:81", "[::1]:82", "no host"];
    let parts = (
        select(["GET", "POST", "PURGE"].to_vec()),
        select(targets.to_vec()),
        select(hosts.to_vec()),
    );
    let ways = any::<(bool, bool)>();
    (parts, select(versions.to_vec()), select(agents.to_vec()), ways).prop_map(
        |((method, target, host), version, agent, (is_misread, is_shared))| {
            let start = |method, target| StartLine::Request { method, target, version };
            let agent = agent.map(|agent| (Name::UserAgent, agent));
            let fields: Vec<_> = [(Name::Host, host)].into_iter().chain(agent).collect();
            let mut head = head(&format!("{method} {target} HTTP/1.1"), start, &fields);
            if is_misread {
                head.anomalies.insert(Anomaly::InvalidVersion);
            }
            if is_shared { shared(head) } else { head }
        },
    )
}

/// The head as it is held by another as well: by all that say the same.
fn shared(head: Head) -> Head {
    thread_local! {
        static HEADS: RefCell<Vec<Head>> = const { RefCell::new(Vec::new()) };
    }
    HEADS.with_borrow_mut(|heads| {
        let known = heads.iter().find(|known| **known == head).cloned();
        known.unwrap_or_else(|| {
            heads.push(head.clone());
            head
        })
    })
}

fn response() -> impl Strategy<Value = Head> {
    (select([200u16, 404, 503].to_vec()), select(["OK", "Gone fishing"].to_vec())).prop_map(
        |(status, reason)| {
            let version = Version::HTTP_11;
            let start = |_, reason| StartLine::Response { status, reason, version };
            head(&format!("HTTP/1.1 {reason}"), start, &[])
        },
    )
}

fn message(head: impl Strategy<Value = Head>) -> impl Strategy<Value = Option<Message>> {
    let head = proptest::option::weighted(0.95, head);
    let sizes = (select([0u64, 1, 4096].to_vec()), select([0u64, 7].to_vec()));
    proptest::option::weighted(
        0.95,
        (head, sizes).prop_map(|(head, (n_wire, body_bytes))| {
            let first = Mark { offset: Offset(5), time: Timestamp(1_000), acked: None };
            let mut message = Message::new(head, first);
            message.last.offset = Offset(5 + n_wire);
            (message.body_bytes, message.complete) = (body_bytes, true);
            message
        }),
    )
}

fn capture() -> impl Strategy<Value = Capture> {
    let place = (select([None, Some(3u16)].to_vec()), select(["tc_ingress", "socket"].to_vec()));
    let names = (0..3usize, select([None, Some(1u32), Some(2)].to_vec()));
    (place, names).prop_map(|((vlan, hook), (interface, netns))| {
        // The same in each event, as the engine has them.
        thread_local!(static NAMES: [Arc<str>; 2] = [Arc::from("lo"), Arc::from("et\"h0")]);
        let interface = NAMES.with(|names| names.get(interface).cloned());
        let name = interface.clone();
        let netns = netns.map(|inode| Netns { inode, name });
        Capture { netns, interface, hook, backend: "tc", vlan, encapsulation: None }
    })
}

fn flow() -> impl Strategy<Value = FlowFacts> {
    let clients = [Endpoint::v4([10, 0, 0, 1], 4000), Endpoint::v6([0xfd; 16], 65_535)];
    // Some share a place, two of them even the number.
    let flows = (select([1u64, 2, 1 + N_FLOWS as u64, 1 << 40].to_vec()), select(clients.to_vec()));
    (flows, capture(), 0..3u32).prop_map(|((id, client), capture, srtt_us)| FlowFacts {
        id,
        adjusted_count: 1,
        client,
        server: Endpoint::v4([10, 0, 0, 2], 80),
        handshake_ns: Some(id),
        srtt_us,
        retransmissions: 0,
        dth: (false, false),
        capture,
    })
}

fn event() -> impl Strategy<Value = Event> {
    let messages = (message(request()), message(response()));
    let failure = proptest::option::weighted(0.1, Just(Failure::Timeout));
    (messages, flow(), failure, 0..20_000u64, proptest::bool::weighted(0.1)).prop_map(
        |((request, response), flow, failure, index, headers)| {
            let mut exchange = Exchange::new(index);
            (exchange.request, exchange.response) = (request, response);
            exchange.failure = failure;
            exchange.state = if failure.is_some() { State::Incomplete } else { State::Complete };
            Event::Exchange(Box::new(HttpExchange {
                exchange: Box::new(exchange),
                inside: Vec::new(),
                flow,
                integrity: Integrity::default(),
                headers,
                redacted: Vec::new(),
            }))
        },
    )
}

#[track_caller]
fn check(writer: &mut Writer, room: &mut Room, event: &Event) {
    let mut expected = Vec::new();
    event.write_json(&mut expected);
    expected.push(b'\n');
    let start = room.len();
    writer.write(event, room);
    assert_eq!(
        String::from_utf8_lossy(&room.written()[start..]),
        String::from_utf8_lossy(&expected)
    );
}

proptest! {
    #[test]
    fn whatever_came_before_a_line_says_what_its_event_says(
        pool in proptest::collection::vec(event(), 1..12),
        order in proptest::collection::vec(any::<proptest::sample::Index>(), 1..200),
        n_room in 0..4000usize,
    ) {
        let mut writer = Writer::default();
        let mut room = Room::of(n_room);
        for index in order {
            check(&mut writer, &mut room, index.get(&pool));
        }
    }
}

/// Events that differ in all, one after the other; then what is kept of them.
fn after(n_events: u64) -> (Memo, HttpExchange) {
    let mut memo = Memo::default();
    let mut room = Room::default();
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let event = event().new_tree(&mut runner).unwrap().current();
    let Event::Exchange(event) = event else { unreachable!() };
    let mut event = HttpExchange { headers: false, ..*event };
    event.exchange.failure = None;
    for n in 0..n_events {
        event.flow.id = n;
        let start =
            |method, target| StartLine::Request { method, target, version: Version::HTTP_11 };
        let head = head(&format!("GET /{n} HTTP/1.1"), start, &[(Name::Host, "h")]);
        let mark = Mark { offset: Offset(0), time: Timestamp(0), acked: None };
        event.exchange.request = Some(Message::new(Some(head), mark));
        event.write_line(&mut memo, &mut room);
        room.clear();
    }
    (memo, event)
}

#[test]
fn what_comes_again_is_known_and_its_memory_is_bounded() {
    let (mut memo, event) = after(20);
    let found = memo.find(&event);
    assert!(matches!((found.flow, found.asked), (Place::Known(_), Place::Known(_))), "{found:?}");
    assert_eq!(found.is_answered, Answer::of(&event).is_some());
    let (memo, _) = after(10_000);
    assert_eq!((memo.flows.len(), memo.asked.len()), (N_FLOWS, N_ASKED));
    let n_bytes: usize = memo.asked.iter().map(|asked| asked.bytes.capacity()).sum();
    assert!(n_bytes <= N_ASKED * 2 * 2 * MAX_TEXT, "{n_bytes}");
}

#[test]
fn where_nothing_comes_again_little_is_looked_for() {
    let (mut memo, event) = after(1000);
    let n_looks = (0..10 * ONE_IN).filter(|_| memo.find(&event).flow != Place::Unasked).count();
    assert_eq!(n_looks, 10);
    // Once it does, everything is.
    memo.flows_luck.found();
    assert!((0..PATIENCE).all(|_| memo.find(&event).flow != Place::Unasked));
}
