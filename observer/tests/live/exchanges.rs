//! Each kind of exchange, over each way to a server, on both backends: exactly one right event.

use crate::harness::can_run;
use crate::harness::client::{NC_PORT, Route, curl, nc};
use crate::harness::event::{Event, Exchange, addresses};
use crate::harness::namespace::Namespace;
use crate::harness::observer::{BACKENDS, Observer};
use crate::harness::server::Nginx;

#[test]
fn every_exchange_is_one_right_event_through_tc() {
    every_exchange("exchanges::tc", BACKENDS[0]);
}

#[test]
fn every_exchange_is_one_right_event_through_a_packet_socket() {
    every_exchange("exchanges::socket", BACKENDS[1]);
}

fn every_exchange(name: &str, backend: &str) {
    if !can_run(name, &["nginx", "curl", "nc"]) {
        return;
    }
    let (near, far) = (Namespace::new(), Namespace::new());
    near.connect(&far, "veth");
    let nginx = Nginx::start(&near, 18234);
    let mut observer = Observer::start(&near, &["run", "--no-socket", "--backend", backend]);
    let ways = [
        (&near, "127.0.0.1", "lo"),
        (&near, "[::1]", "lo"),
        (&far, "10.77.0.1", "veth"),
        (&far, "[fd77::1]", "veth"),
    ];
    for (client, host, interface) in ways {
        let route = Route { client, host, port: nginx.port };
        for (title, case) in CASES {
            let expected = case(&route);
            let events = observer.take(expected.len());
            let found: Vec<_> = events.iter().map(Exchange::of).collect();
            assert_eq!(found, expected, "{title} at {host} through {backend}");
            for event in &events {
                assert_surroundings(event, &route, interface, backend);
            }
        }
    }
    let end = observer.end(libc::SIGINT);
    assert!(end.events.is_empty(), "reported, and nobody did it: {:?}", end.events);
    let account = end.account.expect("statistics come last");
    account.assert_balanced();
    assert_eq!(account.lost, 0, "{account:?}");
}

#[track_caller]
fn assert_surroundings(event: &Event, route: &Route<'_>, interface: &str, backend: &str) {
    let [_, server] = addresses(event);
    assert_eq!(server, route.host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().unwrap());
    assert_eq!(event.number("/server/port"), u64::from(route.port));
    assert_eq!(event.text("/obs/capture/interface"), interface);
    assert_eq!(event.text("/obs/capture/backend"), backend);
}

pub(crate) type Case = fn(&Route<'_>) -> Vec<Exchange>;

pub(crate) const CASES: &[(&str, Case)] = &[
    ("a POST", post),
    ("three requests on one connection", three_on_one_connection),
    ("five pipelined requests", five_pipelined),
    ("a chunked response", chunked),
    ("HEAD", head),
    ("404", not_found),
    ("100 Continue, by header field", expect_continue),
];

/// A clean exchange, the first of its flow, with nothing in it but heads.
fn exchange(route: &Route<'_>, method: &str, target: &str) -> Exchange {
    // What curl sends, by default and to the byte.
    let agent = format!("User-Agent: curl/{}\r\nAccept: */*\r\n", curl_version());
    let head =
        format!("{method} {target} HTTP/1.1\r\nHost: {}:{}\r\n{agent}\r\n", route.host, route.port);
    Exchange {
        client_port: 0,
        index: 1,
        method: method.to_owned(),
        target: target.to_owned(),
        status: 200,
        interim: Vec::new(),
        request_size: head.len() as u64,
        request_body: 0,
        response_size: 0,
        response_body: 0,
        state: "complete".to_owned(),
        pairing: "exact".to_owned(),
        is_clean: true,
    }
}

fn post(route: &Route<'_>) -> Vec<Exchange> {
    let body = "name=value&more=less";
    let [done] = &curl(route, &["-d", body], &["/path/post"])[..] else { panic!("one transfer") };
    let fields = "Content-Length: 20\r\nContent-Type: application/x-www-form-urlencoded\r\n";
    let expected = exchange(route, "POST", "/path/post");
    assert_eq!((done.status, done.upload, done.body), (200, 20, 10));
    vec![Exchange {
        client_port: done.local_port,
        request_size: expected.request_size + (fields.len() + body.len()) as u64,
        request_body: 20,
        response_size: done.heads + done.body,
        response_body: 10,
        ..expected
    }]
}

fn three_on_one_connection(route: &Route<'_>) -> Vec<Exchange> {
    let targets = ["/path/1", "/path/two?with=query", "/path/three"];
    let done = curl(route, &[], &targets);
    let ports: Vec<_> = done.iter().map(|transfer| transfer.local_port).collect();
    assert_eq!(ports, [ports[0]; 3], "curl did not keep its connection");
    let each = targets.iter().zip(&done).zip(1..);
    each.map(|((target, done), index)| Exchange {
        client_port: done.local_port,
        index,
        response_size: done.heads + done.body,
        response_body: target.len() as u64,
        ..exchange(route, "GET", target)
    })
    .collect()
}

fn five_pipelined(route: &Route<'_>) -> Vec<Exchange> {
    let request = |n: usize| {
        let close = if n == 5 { "Connection: close\r\n" } else { "" };
        format!("GET /path/{} HTTP/1.1\r\nHost: nc\r\n{close}\r\n", "x".repeat(n))
    };
    let requests: Vec<_> = (1..=5).map(request).collect();
    let answer = nc(route, requests.concat().as_bytes());
    let answer = String::from_utf8(answer).unwrap();
    // Each response starts with its status line, and no body holds one.
    let starts: Vec<_> = answer.match_indices("HTTP/1.1 200").map(|(at, _)| at).collect();
    assert_eq!(starts.len(), 5, "{answer}");
    let ends = starts.iter().skip(1).copied().chain([answer.len()]);
    let each = requests.iter().zip(starts.iter().zip(ends)).zip(1..);
    each.map(|((request, (start, end)), index)| Exchange {
        client_port: NC_PORT,
        index,
        target: format!("/path/{}", "x".repeat(index as usize)),
        request_size: request.len() as u64,
        response_size: (end - start) as u64,
        response_body: 6 + index,
        ..exchange(route, "GET", "")
    })
    .collect()
}

fn chunked(route: &Route<'_>) -> Vec<Exchange> {
    let field = "Accept-Encoding: gzip\r\n";
    let [done] = &curl(route, &["-H", field.trim_end()], &["/chunked"])[..] else {
        panic!("one transfer")
    };
    // What is on the wire, which curl does not tell.
    let request = format!("GET /chunked HTTP/1.1\r\nHost: nc\r\n{field}Connection: close\r\n\r\n");
    let answer = nc(route, request.as_bytes());
    let (head, body) = split_head(&answer);
    assert!(head.contains("Transfer-Encoding: chunked"), "{head}");
    assert_eq!(n_dechunked(body), done.body);
    let expected = exchange(route, "GET", "/chunked");
    vec![
        Exchange {
            client_port: done.local_port,
            request_size: expected.request_size + field.len() as u64,
            response_size: done.heads + body.len() as u64,
            response_body: done.body,
            ..expected.clone()
        },
        Exchange {
            client_port: NC_PORT,
            request_size: request.len() as u64,
            response_size: answer.len() as u64,
            response_body: done.body,
            ..expected
        },
    ]
}

fn split_head(response: &[u8]) -> (&str, &[u8]) {
    let at = response.windows(4).position(|four| four == b"\r\n\r\n").expect("a whole head") + 4;
    (std::str::from_utf8(&response[..at]).unwrap(), &response[at..])
}

/// Bytes in the chunks of a body without extensions and trailers.
fn n_dechunked(mut body: &[u8]) -> u64 {
    let mut total = 0;
    loop {
        let at = body.windows(2).position(|two| two == b"\r\n").expect("a chunk-size line");
        let size = usize::from_str_radix(std::str::from_utf8(&body[..at]).unwrap(), 16).unwrap();
        body = &body[at + 2 + size + 2..];
        if size == 0 {
            assert!(body.is_empty());
            return total;
        }
        total += size as u64;
    }
}

fn head(route: &Route<'_>) -> Vec<Exchange> {
    // Two on one connection: whoever waits for the body of the first loses the second.
    let done = curl(route, &["-I"], &["/path/head", "/path/again"]);
    let each = ["/path/head", "/path/again"].iter().zip(&done).zip(1..);
    each.map(|((target, done), index)| Exchange {
        client_port: done.local_port,
        index,
        response_size: done.heads,
        ..exchange(route, "HEAD", target)
    })
    .collect()
}

fn not_found(route: &Route<'_>) -> Vec<Exchange> {
    let [done] = &curl(route, &[], &["/missing"])[..] else { panic!("one transfer") };
    assert_eq!(done.status, 404);
    vec![Exchange {
        client_port: done.local_port,
        status: 404,
        response_size: done.heads + done.body,
        response_body: done.body,
        ..exchange(route, "GET", "/missing")
    }]
}

fn expect_continue(route: &Route<'_>) -> Vec<Exchange> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), vec![b'x'; 300_000]).unwrap();
    let path = file.path().display().to_string();
    let options = ["-T", &path, "-H", "Expect: 100-continue"];
    let [done] = &curl(route, &options, &["/upload"])[..] else { panic!("one transfer") };
    assert_eq!((done.status, done.upload, done.body), (200, 300_000, 24));
    let expected = exchange(route, "PUT", "/upload");
    let fields = "Content-Length: 300000\r\nExpect: 100-continue\r\n";
    vec![Exchange {
        client_port: done.local_port,
        interim: vec![100],
        request_size: expected.request_size + fields.len() as u64 + 300_000,
        request_body: 300_000,
        // curl counts the interim head as well, and does not say so.
        response_size: done.heads + done.body - "HTTP/1.1 100 Continue\r\n\r\n".len() as u64,
        response_body: 24,
        ..expected
    }]
}

/// `7.88.1`, which curl tells every server.
fn curl_version() -> String {
    let output = std::process::Command::new("curl").args(["-q", "--version"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.split(' ').nth(1).expect("curl 7.88.1 (...)").to_owned()
}
