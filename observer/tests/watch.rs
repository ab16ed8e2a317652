//! `observer::watch` on capture files: what a test can ask for, and what it is told when that does
//! not come. Live captures are in `tests/live/watch.rs`.

#[path = "common/pcap.rs"]
mod pcap;

use std::future::poll_fn;
use std::io::Cursor;
use std::pin::pin;

use futures_core::Stream as _;
use observer::message::{Pairing, State};
use observer::watch::{Error, Exchange, Watch};

use pcap::pcap;

const LIST: &str = "GET /api/users?page=2 HTTP/1.1\r\nHost: Shop.example:8080\r\n\r\n";
const LISTED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-Trace: a\r\n\
                      x-trace: b\r\n\r\n3\r\n[1,\r\n2\r\n2]\r\n0\r\n\r\n";
const CREATE: &str = "POST /apis HTTP/1.1\r\nHost: shop.example\r\nAuthorization: Bearer s3cret\
                      \r\nContent-Length: 8\r\n\r\n{\"id\":7}";
const CREATED: &str = "HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n";

fn both() -> Watch {
    let capture = pcap(&[LIST, LISTED, CREATE, CREATED]);
    Watch::reader(Cursor::new(capture), "both.pcap")
}

fn summaries(exchanges: &[Exchange]) -> Vec<String> {
    exchanges.iter().map(Exchange::summary).collect()
}

/// Everything the watch hands out.
fn all(watch: Watch) -> Vec<Exchange> {
    watch.start().wait().unwrap().stop().wait().unwrap().exchanges
}

#[test]
fn every_part_of_an_exchange_can_be_asserted() {
    let mut watching = both().bodies(100).start().wait().unwrap();
    let first = watching.next_exchange().wait().unwrap();
    assert_eq!(first.method(), "GET");
    assert_eq!(first.target(), "/api/users?page=2");
    assert_eq!(first.path(), "/api/users");
    assert_eq!(
        (first.domain.as_deref(), first.query.as_deref()),
        (Some("Shop.example"), Some("page=2"))
    );
    assert_eq!(first.status(), Some(200));
    assert_eq!(first.request_body(), "");
    assert_eq!(first.response_body(), "[1,2]");
    assert_eq!(first.response_body(), b"[1,2]");
    assert_eq!(first.response_header("X-TRACE"), Some("a"));
    let response = first.response.as_ref().unwrap();
    assert_eq!(response.headers.get_all("x-trace").collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(response.reason, "OK");
    assert_eq!((first.state, first.pairing, first.index), (State::Complete, Pairing::Exact, 1));
    assert_eq!(first.timing.ttfb, Some(std::time::Duration::from_millis(1)));
    assert_eq!(
        (first.client.to_string(), first.server.to_string()),
        ("10.0.0.1:51234".into(), "10.0.0.2:80".into())
    );
    assert_eq!(
        first.to_string(),
        "10.0.0.1:51234 → 10.0.0.2:80  GET /api/users?page=2 200  ↑0B ↓5B  1.00ms"
    );

    let second = watching.next_exchange().wait().unwrap();
    assert_eq!(second.request_body(), r#"{"id":7}"#);
    assert_eq!(second.request_header("authorization"), Some("[redacted]"));
    assert_eq!(second.redacted, ["http.request.header.authorization"]);
    assert_eq!(second.flow, first.flow);
    assert!(second.timestamp > first.timestamp && second.id != first.id);

    let report = watching.stop().wait().unwrap();
    assert_eq!((report.n_exchanges, report.exchanges.len(), report.n_lost()), (2, 0, 0));
    assert_eq!(report.packets.unwrap().segments, 4);
}

#[test]
fn a_body_that_was_not_asked_for_equals_nothing_and_says_why() {
    let exchange = &all(both())[1];
    assert_ne!(exchange.request_body(), "");
    assert_ne!(exchange.request_body(), r#"{"id":7}"#);
    assert_eq!(exchange.request_body().size, 8);
    let text = format!("{:?}", exchange.request_body());
    assert_eq!(text, "8 bytes, none captured (ask for them with `bodies`)");
    let exchange = &all(both().bodies(4))[1];
    assert_ne!(exchange.request_body(), r#"{"id"#);
    assert_eq!(format!("{:?}", exchange.request_body()), r#""{\"id" (not whole: 4 of 8 bytes)"#);
}

#[test]
fn credentials_can_be_asserted_when_asked_for() {
    let exchange = &all(both().unmasked())[1];
    assert_eq!(exchange.request_header("Authorization"), Some("Bearer s3cret"));
    assert!(exchange.redacted.is_empty());
}

#[test]
fn filters_narrow_what_is_handed_out() {
    let [list, create] = ["GET /api/users?page=2 200", "POST /apis 201"];
    let check = |watch: Watch, expected: &[&str]| assert_eq!(summaries(&all(watch)), expected);
    check(both(), &[list, create]);
    check(both().path("/api"), &[list]);
    check(both().path("/api").path("/apis"), &[list, create]);
    check(both().host("shop.EXAMPLE"), &[list, create]);
    check(both().host("example"), &[]);
    check(both().port(80), &[list, create]);
    check(both().port(51234).port(1), &[list, create]);
    check(both().port(81), &[]);
    check(both().address(std::net::IpAddr::from([10, 0, 0, 2])), &[list, create]);
    check(both().address("10.1.0.0/16".parse::<ipnet::IpNet>().unwrap()), &[]);
    check(both().filter(|e| e.status() == Some(201)), &[create]);
    check(both().filter(|e| e.status() == Some(201)).path("/api"), &[]);
}

#[test]
fn what_did_not_match_stays_in_its_order() {
    let capture = pcap(&[LIST, LISTED, CREATE, CREATED, LIST, LISTED]);
    let mut watching = Watch::reader(Cursor::new(capture), "x").start().wait().unwrap();
    let found = watching.next_matching(|e| e.method() == "POST").wait().unwrap();
    assert_eq!(found.path(), "/apis");
    let rest = watching.next_n(2).wait().unwrap();
    assert_eq!(rest.iter().map(|e| e.index).collect::<Vec<_>>(), [1, 3]);
}

#[test]
fn what_does_not_come_is_told_beside_what_came() {
    let mut watching = both().start().wait().unwrap();
    let error = watching.next_matching(|e| e.path() == "/nowhere").wait().unwrap_err();
    assert!(matches!(error, Error::Ended { .. }));
    assert_eq!(
        error.to_string(),
        "no matching exchange before the capture ended; what came: GET /api/users?page=2 200, \
         POST /apis 201"
    );
    let error = watching.next_n(3).wait().unwrap_err();
    assert!(error.to_string().starts_with("no such number of exchanges before"), "{error}");
    assert_eq!(watching.next_n(2).wait().unwrap().len(), 2, "they were still there");
    let error = watching.next_exchange().wait().unwrap_err();
    assert_eq!(error.to_string(), "no exchange before the capture ended; nothing else came either");
}

#[test]
fn what_there_is_no_room_for_is_counted() {
    let mut watching = both().hold(1).start().wait().unwrap();
    watching.next_matching(|_| false).wait().unwrap_err();
    let report = watching.stop().wait().unwrap();
    assert_eq!((report.exchanges.len(), report.n_exchanges, report.n_dropped), (0, 2, 2));
    assert_eq!(report.n_lost(), 2);
}

#[test]
fn a_watch_is_a_stream() {
    let watching = both().start().wait().unwrap();
    let mut stream = pin!(watching);
    let mut seen = Vec::new();
    // On the smallest executor there is.
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let mut next = pin!(poll_fn(|context| {
        while let std::task::Poll::Ready(item) = stream.as_mut().poll_next(context) {
            match item {
                Some(item) => seen.push(item.unwrap().summary()),
                None => return std::task::Poll::Ready(()),
            }
        }
        std::task::Poll::Pending
    }));
    assert!(std::future::Future::poll(next.as_mut(), &mut context).is_ready());
    assert_eq!(seen, ["GET /api/users?page=2 200", "POST /apis 201"]);
}

#[test]
fn a_file_that_breaks_off_gives_what_it_holds_and_then_its_error() {
    let mut capture = pcap(&[LIST, LISTED, CREATE, CREATED]);
    capture.truncate(capture.len() - 5);
    let mut watching = Watch::reader(Cursor::new(capture), "cut.pcap").start().wait().unwrap();
    assert_eq!(watching.next_exchange().wait().unwrap().status(), Some(200));
    let second = watching.next_exchange().wait().unwrap();
    assert_eq!((second.state, second.status()), (State::Pending, None));
    assert_eq!(second.summary(), "POST /apis pending");
    let error = watching.next_exchange().wait().unwrap_err();
    assert!(matches!(error, Error::File(_)) && error.to_string().contains("cut.pcap"), "{error}");
}

#[test]
fn a_file_that_is_not_there_is_an_error_at_the_start() {
    let error = Watch::file("/nowhere/x.pcap").start().wait().unwrap_err();
    assert!(matches!(error, Error::File(_)), "{error}");
    assert!(!error.is_missing_privileges());
}

/// Before anything is captured, so it needs no privileges.
#[cfg(feature = "live")]
#[tokio::test]
async fn what_cannot_be_watched_is_refused_with_a_reason() {
    let none: [&str; 0] = [];
    for (watch, reason) in [
        (Watch::interfaces(none), "list of interfaces is empty"),
        (Watch::interface(""), "no interface's name"),
        (Watch::interface("lo").port(0), "`ports` holds 0"),
        (Watch::interface("lo").ring_bytes(0), "`ring_bytes = 0` is out of range"),
    ] {
        let Err(error) = watch.start().await else { panic!("{reason}") };
        assert!(error.to_string().contains(reason), "{error}");
    }
}
