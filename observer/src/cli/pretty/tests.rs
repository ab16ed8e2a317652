//! Literal events in, literal lines out.

use super::*;

const COMPLETE: &str = r#"{"timestamp":"2026-11-21T13:03:22.118000123Z",
    "event":{"name":"http.exchange"},
    "client":{"address":"127.0.0.1","port":51234},"server":{"address":"127.0.0.1","port":8080},
    "url":{"scheme":"http","domain":"localhost","port":8080,"path":"/index.html","query":"a=1"},
    "http":{"request":{"method":"GET","size":80,"body":{"size":0},
        "header":{"accept":["*/*"],"host":["localhost:8080"]}},
      "response":{"status_code":200,"size":850,"body":{"size":612},
        "header":{"x":["1","2"]}}},
    "obs":{"schema":1,"state":"complete","pairing":"exact",
      "timing":{"total_ns":1214000,"ttfb_ns":930000},
      "http":{"interim":[{"status_code":100}],
        "response":{"body":{"text":"one\ntwo\u001b[2J\n","truncated":true}}}}}"#;

fn look() -> Look {
    let today = jiff::civil::date(2026, 11, 21);
    Look { colour: false, width: None, zone: TimeZone::UTC, today, headers: false, body: false }
}

/// The event `edits` make of [`COMPLETE`]: each sets one pointer; `null` removes it.
#[track_caller]
fn edited(edits: &[(&str, &str)]) -> Value {
    let mut event: Value = serde_json::from_str(COMPLETE).unwrap();
    for (pointer, value) in edits {
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        let parent = event.pointer_mut(parent).unwrap().as_object_mut().unwrap();
        match serde_json::from_str(value).unwrap() {
            Value::Null => drop(parent.remove(key)),
            value => drop(parent.insert(key.to_owned(), value)),
        }
    }
    event
}

#[track_caller]
fn check(look: Look, edits: &[(&str, &str)], want: &str) {
    let mut out = Vec::new();
    Printer::new(look).print(&edited(edits), &mut out);
    assert_eq!(String::from_utf8(out).unwrap(), want);
}

#[test]
fn a_complete_exchange_is_one_line() {
    check(
        look(),
        &[],
        "13:03:22.118  127.0.0.1:51234 → 127.0.0.1:8080  GET  localhost:8080/index.html?a=1  \
         200  ↑    0B ↓  612B  1.21ms  ttfb  930µs\n",
    );
}

#[test]
fn times_are_local() {
    let zone = TimeZone::fixed(jiff::tz::offset(2));
    let mut out = Vec::new();
    Printer::new(Look { zone, ..look() }).print(&edited(&[]), &mut out);
    assert!(out.starts_with(b"15:03:22.118  "), "{}", String::from_utf8_lossy(&out));
}

#[test]
fn another_day_is_said_once() {
    let mut printer = Printer::new(look());
    let mut out = Vec::new();
    for time in ["2026-11-21T23:59:59.9Z", "2026-11-22T00:00:01Z", "2026-11-22T00:00:02Z"] {
        printer.print(&edited(&[("/timestamp", &format!("\"{time}\""))]), &mut out);
    }
    let text = String::from_utf8(out).unwrap();
    let starts: Vec<_> = text.lines().map(|line| line.split("  ").next().unwrap()).collect();
    assert_eq!(starts, ["23:59:59.900", "Sunday, 2026-11-22", "00:00:01.000", "00:00:02.000"]);
}

#[test]
fn an_exchange_without_a_response_says_why() {
    check(
        look(),
        &[
            ("/http/response", "null"),
            ("/obs/state", r#""incomplete""#),
            ("/obs/timing", "{}"),
            ("/error", r#"{"type":"reset_by_server"}"#),
        ],
        "13:03:22.118  127.0.0.1:51234 → 127.0.0.1:8080  GET  localhost:8080/index.html?a=1  \
         ---  ↑    0B ↓     -       -  ttfb      -  reset by server\n",
    );
}

#[test]
fn a_status_of_500_is_not_said_twice() {
    check(
        look(),
        &[("/http/response/status_code", "503"), ("/error", r#"{"type":"503"}"#)],
        "13:03:22.118  127.0.0.1:51234 → 127.0.0.1:8080  GET  localhost:8080/index.html?a=1  \
         503  ↑    0B ↓  612B  1.21ms  ttfb  930µs\n",
    );
}

#[test]
fn what_is_doubtful_stands_at_the_end() {
    check(
        look(),
        &[
            ("/obs/pairing", r#""resynced""#),
            ("/obs/integrity", r#"{"response_gap_bytes":1460,"midstream":true,"ring_loss":3}"#),
            ("/obs/anomalies", r#"["lf_only","te_and_cl"]"#),
        ],
        "13:03:22.118  127.0.0.1:51234 → 127.0.0.1:8080  GET  localhost:8080/index.html?a=1  \
         200  ↑    0B ↓  612B  1.21ms  ttfb  930µs  \
         resynced, response gap 1.46kB, 3 records lost, lf only, te and cl\n",
    );
}

#[test]
fn escape_sequences_of_a_peer_are_shown() {
    check(
        look(),
        &[("/url/path", r#""/\u001b]0;owned\u0007""#), ("/url/query", "null")],
        "13:03:22.118  127.0.0.1:51234 → 127.0.0.1:8080  GET  \
         localhost:8080/\\x1b]0;owned\\x07  200  ↑    0B ↓  612B  1.21ms  ttfb  930µs\n",
    );
}

#[test]
fn a_method_nobody_knows_is_shown_as_sent() {
    let mut out = Vec::new();
    let edits =
        [("/http/request/method", r#""_OTHER""#), ("/http/request/method_original", r#""BREW""#)];
    Printer::new(look()).print(&edited(&edits), &mut out);
    assert!(String::from_utf8_lossy(&out).contains("  BREW localhost:8080/"));
}

#[test]
fn ipv6_endpoints_are_in_brackets() {
    let mut out = Vec::new();
    let edits = [("/client/address", r#""::1""#), ("/server/address", r#""fe80::1""#)];
    Printer::new(look()).print(&edited(&edits), &mut out);
    assert!(String::from_utf8_lossy(&out).contains("  [::1]:51234 → [fe80::1]:8080  "));
}

#[test]
fn a_line_never_exceeds_the_terminal() {
    let path = format!("\"/{}/end\"", "long/".repeat(60));
    for width in [77, 78, 80, 115, 116, 135, 136, 200] {
        let mut out = Vec::new();
        let look = Look { width: Some(width), ..look() };
        Printer::new(look).print(&edited(&[("/url/path", &path)]), &mut out);
        let line = String::from_utf8(out).unwrap();
        assert!(line.trim_end().chars().count() <= width, "{width}: {line}");
        assert!(line.contains("/end?a=1  200"), "{width}: {line}");
    }
}

#[test]
fn a_narrow_terminal_keeps_what_matters() {
    check(
        Look { width: Some(80), ..look() },
        &[],
        "13:03:22  127.0.0.1        GET  localhost:808…dex.html?a=1  200  ↓  612B  1.21ms\n",
    );
    check(
        Look { width: Some(70), ..look() },
        &[],
        "13:03:22  GET  localhost:8080/index.html?a=1  200  ↓  612B  1.21ms\n",
    );
}

#[test]
fn a_note_without_room_goes_on_below() {
    check(
        Look { width: Some(80), ..look() },
        &[
            ("/obs/pairing", r#""resynced""#),
            (
                "/obs/anomalies",
                r#"["malformed_request","conflicting_length","lf_only","te_and_cl"]"#,
            ),
        ],
        "13:03:22  127.0.0.1        GET  localhost:808…dex.html?a=1  200  ↓  612B  1.21ms\n          \
         resynced, malformed request, conflicting length, lf only, te and cl\n",
    );
}

#[test]
fn a_column_forgets_how_wide_it_had_to_be_once() {
    let mut printer = Printer::new(look());
    let mut out = Vec::new();
    printer.print(&edited(&[("/url/path", r#""/a/longer/path/than/that""#)]), &mut out);
    for _ in 0..250 {
        printer.print(&edited(&[]), &mut out);
    }
    let text = String::from_utf8(out).unwrap();
    let at: Vec<_> = text.lines().map(|line| line.find("  200  ")).collect();
    assert_eq!(at[0], at[1]);
    assert!(at.last() < at.first(), "{at:?}");
}

#[test]
fn columns_stay_where_the_widest_line_put_them() {
    let mut printer = Printer::new(look());
    let mut out = Vec::new();
    printer.print(&edited(&[("/url/path", r#""/a/longer/path/than/that""#)]), &mut out);
    printer.print(&edited(&[]), &mut out);
    let text = String::from_utf8(out).unwrap();
    let at: Vec<_> = text.lines().map(|line| line.find("  200  ")).collect();
    assert_eq!(at[0], at[1], "{text}");
}

#[test]
fn colour_marks_the_class_of_the_status() {
    for (status, colour) in [("200", "32m"), ("301", "36m"), ("404", "33m"), ("500", "31m")] {
        let mut out = Vec::new();
        let look = Look { colour: true, ..look() };
        Printer::new(look).print(&edited(&[("/http/response/status_code", status)]), &mut out);
        let line = String::from_utf8(out).unwrap();
        assert!(line.contains(&format!("{colour}{status}\x1b[0m")), "{line:?}");
    }
}

#[test]
fn headers_and_bodies_follow_indented() {
    let mut out = Vec::new();
    Printer::new(Look { headers: true, body: true, ..look() }).print(&edited(&[]), &mut out);
    let text = String::from_utf8(out).unwrap();
    let (_, details) = text.split_once('\n').unwrap();
    assert_eq!(
        details,
        "    > accept: */*\n    > host: localhost:8080\n    < 100 (interim)\n    \
         < x: 1\n    < x: 2\n    < | one\n    < | two\\x1b[2J\n    < | … of 612B\n"
    );
}

#[test]
fn statistics_are_told_when_something_was_lost() {
    let stats = |lost: u64| {
        serde_json::json!({"timestamp":"2026-11-21T13:03:22.118000123Z",
            "event":{"name":"observer.stats"},
            "obs":{"schema":1,"stats":{"capture":{"seen":100,"lost":{"ring_full":lost}}}}})
    };
    let mut printer = Printer::new(look());
    let mut out = Vec::new();
    printer.print(&stats(0), &mut out);
    assert!(out.is_empty());
    printer.print(&stats(1500), &mut out);
    printer.print(&stats(1500), &mut out);
    assert_eq!(
        String::from_utf8(out).unwrap(),
        "13:03:22.118  lost 1 500 segments since the last report\n"
    );
}

#[test]
fn an_event_of_a_later_version_is_still_a_line() {
    check(
        look(),
        &[("/event/name", r#""tcp.close""#)],
        "13:03:22.118  127.0.0.1:51234 → 127.0.0.1:8080  tcp.close\n",
    );
}

/// What is printed of an event that is no exchange, behind time and endpoints.
#[track_caller]
fn said(name: &str, rest: &str, want: &str) {
    let ends =
        r#""client":{"address":"1.1.1.1","port":5},"server":{"address":"2.2.2.2","port":80}"#;
    let source = r#""source":{"address":"2.2.2.2","port":80}"#;
    let event = format!(
        r#"{{"timestamp":"2026-11-21T13:03:22.118000123Z","event":{{"name":"{name}"}},{ends},{source},{rest}}}"#
    );
    let mut out = Vec::new();
    Printer::new(look()).print(&serde_json::from_str(&event).unwrap(), &mut out);
    let line = String::from_utf8(out).unwrap();
    assert_eq!(line, format!("13:03:22.118  1.1.1.1:5 → 2.2.2.2:80  {want}\n"));
}

#[test]
fn a_tunnel_is_one_sentence_at_each_end() {
    said(
        "http.tunnel",
        r#""url":{"domain":"a.example","path":"/chat","original":"/chat"},
            "obs":{"tunnel":{"kind":"upgrade","phase":"open","protocol":"websocket"}}"#,
        "tunnel (upgrade) to a.example/chat opens; websocket",
    );
    said(
        "http.tunnel",
        r#""obs":{"tunnel":{"kind":"upgrade","phase":"close","protocol":"websocket",
            "subprotocol":"chisel-v3","inner":"ssh","ssh":{"client":"SSH-2.0-Go","server":"SSH-\u001b[2J"},
            "closed":{"how":"reset","by":"server"},"bytes_to_server":2048,"bytes_to_client":10,
            "duration_ns":3200000000,"longest_idle_ns":1500000,
            "frames":{"to_server":{"messages":4},"to_client":{"messages":2}},
            "websocket":{"close":{"server":{"code":1001,"reason":"bye"}}}},
            "anomalies":["reserved_bits"]}"#,
        "tunnel (upgrade) closed by server (reset); 3.20s, ↑ 2.05kB ↓ 10B, longest idle 1.50ms; \
         websocket > chisel-v3 > ssh; SSH-2.0-Go / SSH-\\x1b[2J; messages: 4 up, 2 down; \
         close 1001 bye; reserved bits",
    );
    said(
        "http.tunnel",
        r#""obs":{"tunnel":{"kind":"upgrade","phase":"close","closed":{"how":"capture_end"},
            "bytes_to_server":56,"gap_bytes_to_server":50,"bytes_to_client":10,
            "duration_ns":1000000,"longest_idle_ns":0,
            "frames":{"to_server":{"messages":0,"cut_by_gap":true},"to_client":{"messages":2}}}}"#,
        "tunnel (upgrade) still open at the end of the capture; 1.00ms, ↑ 56B ↓ 10B, longest idle \
         0ns; 50B of it not captured; messages: 0 up, 2 down, counted up to a gap",
    );
    said(
        "http.tunnel",
        r#""tls":{"protocol":{"version":"1.3"},"client":{"server_name":"a.example"}},
            "obs":{"tunnel":{"kind":"connect","phase":"progress","inner":"tls"}}"#,
        "tunnel (connect) lasts; 0ns, ↑ 0B ↓ 0B, longest idle 0ns; TLS 1.3 to a.example",
    );
}

#[test]
fn an_announced_death_is_told_to_the_end_user() {
    said(
        "tcp.dth",
        r#""obs":{"exchange":{"index":2},"dth":{"phase":"flagged","by":"server"}}"#,
        "☠ the server (2.2.2.2) has announced its death with exchange 2: expect the connection to end",
    );
    said(
        "tcp.dth",
        r#""obs":{"dth":{"phase":"end","by":"server","outcome":"died","after_ns":3000000,
            "bytes_after":38,"closed":{"how":"fin"}}}"#,
        "☠ the server (2.2.2.2) announced its death and died (fin) 3.00ms and 38B after it said so",
    );
    said(
        "tcp.dth",
        r#""obs":{"dth":{"phase":"end","outcome":"survived","after_ns":1,"bytes_after":0,
            "closed":{"how":"capture_end"}}}"#,
        "☠ 2.2.2.2 announced its death and has survived, 1ns and 0B after it said so: still open at \
         the end of the capture",
    );
}

#[test]
fn a_message_shows_its_first_bytes_made_harmless() {
    said(
        "websocket.message",
        r#""obs":{"message":{"direction":"to_client","opcode":"text","size":300,
            "content":{"text":"a\nb","truncated":true}}}"#,
        "message ↓ text 300B: a\\x0ab…",
    );
}

#[test]
fn an_exchange_says_that_its_peer_announced_its_death() {
    let want = "13:03:22.118  127.0.0.1:51234 → 127.0.0.1:8080  GET  localhost:8080/index.html?a=1  \
        200  ↑    0B ↓  612B  1.21ms  ttfb  930µs  ☠ server announced its death\n";
    check(look(), &[("/obs/tcp", r#"{"dth":{"request":false,"response":true}}"#)], want);
}
