use super::*;

/// Parses `raw`; expects `first line | name=value;name=value | anomalies`.
#[track_caller]
fn check(role: Role, raw: &str, expected: &str) {
    let Some(head) = parse(raw.as_bytes().to_vec(), role) else {
        assert_eq!("none", expected, "{raw:?}");
        return;
    };
    let text = |span| String::from_utf8_lossy(head.bytes(span)).into_owned();
    let start = match head.start() {
        StartLine::Request { method, target, version } => {
            format!("{} {} {version}", text(method), text(target))
        }
        StartLine::Response { status, reason, version } => {
            format!("{version} {status} {}", text(reason))
        }
    };
    let fields: Vec<String> =
        head.fields().iter().map(|f| format!("{}={}", text(f.name), text(f.value))).collect();
    let anomalies: Vec<&str> = head.anomalies.iter().map(Anomaly::name).collect();
    let shown = format!("{start} | {} | {}", fields.join(";"), anomalies.join(","));
    assert_eq!(shown, expected, "{raw:?}");
}

#[track_caller]
fn check_request(raw: &str, expected: &str) {
    check(Role::Request, raw, expected);
}

#[track_caller]
fn check_response(raw: &str, expected: &str) {
    check(Role::Response, raw, expected);
}

#[test]
fn a_regular_head_is_clean() {
    check_request("GET /a?b HTTP/1.1\r\nHost: x\r\nA:b \r\n\r\n", "GET /a?b 1.1 | Host=x;A=b | ");
    check_response("HTTP/1.0 404 Not Found\r\nA: \r\n\r\n", "1.0 404 Not Found | A= | ");
    check_response("HTTP/1.1 200\r\n\r\n", "1.1 200  |  | ");
    check_response("HTTP/1.1 500 Ori\u{eb}ntatie\r\n\r\n", "1.1 500 Ori\u{eb}ntatie |  | ");
    check_request("M-SEARCH * HTTP/1.1\r\nA: \u{fc}\r\n\r\n", "M-SEARCH * 1.1 | A=\u{fc} | ");
}

#[test]
fn what_httparse_lets_through_is_said() {
    check_request("GET / HTTP/1.1\nA: b\n\n", "GET / 1.1 | A=b | lf_only");
    check_request("GET / HTTP/1.1\r\nA: b\n\r\n", "GET / 1.1 | A=b | lf_only,mixed_line_ends");
    check_request("GET /\u{fc} HTTP/1.1\r\n\r\n", "GET /\u{fc} 1.1 |  | invalid_target");
    check_request("get / HTTP/1.1\r\n\r\n", "get / 1.1 |  | invalid_method");
}

#[test]
fn an_irregular_start_line_is_read_and_said() {
    check_request("GET  /  HTTP/1.1\r\n\r\n", "GET / 1.1 |  | irregular_spaces");
    check_request("GET\t/ HTTP/1.1\r\n\r\n", "GET / 1.1 |  | irregular_spaces");
    check_request("GET /a b HTTP/1.1\r\n\r\n", "GET /a b 1.1 |  | invalid_target");
    check_request("GET / HTTP/1.32\r\n\r\n", "GET / 1.1 |  | invalid_version");
    check_request("GET / HTTP/5.6\r\n\r\n", "GET / 5.6 |  | invalid_version");
    check_request("GET /a\r\n", "GET /a 0.9 |  | ");
    check_response("HTTP/1.1\t200 OK\r\n\r\n", "1.1 200 OK |  | irregular_spaces");
    check_response("HTTP/1.1  200 OK\r\n\r\n", "1.1 200 OK |  | irregular_spaces");
    check_response("HTTP/1.1 200ok\r\n\r\n", "1.1 200 ok |  | irregular_spaces");
    check_response("HTTP/11.1 200 OK\r\n\r\n", "1.1 200 OK |  | invalid_version");
    check_response("HTTP/1.1 999 What\r\n\r\n", "1.1 999 What |  | invalid_status");
}

#[test]
fn an_irregular_field_is_read_and_said() {
    let check_field = |line: &str, expected: &str| {
        check_request(
            &format!("GET / HTTP/1.1\r\n{line}\r\n\r\n"),
            &format!("GET / 1.1 | {expected}"),
        );
    };
    check_field("A : b", "A=b | space_before_colon");
    check_field("A b", " | no_colon");
    check_field(": b", "=b | invalid_field_name");
    check_field("A\u{85}: b", "A\u{85}=b | invalid_field_name");
    check_field("A: b\0c", "A=b\0c | invalid_field_value");
    check_field("A: b\rc", "A=b\rc | bare_cr,invalid_field_value");
    check_field("A: b\r\n c", "A=b   c | obs_fold");
    check_field("A:\r\n\tb", "A=b | obs_fold");
    check_field(" A: b", " | obs_fold");
}

#[test]
fn an_irregular_field_that_frames_is_said_twice() {
    let check_field = |line: &str, expected: &str| {
        check_request(
            &format!("GET / HTTP/1.1\r\n{line}\r\n\r\n"),
            &format!("GET / 1.1 | {expected}"),
        );
    };
    check_field("Content-Length : 1", "Content-Length=1 | space_before_colon,irregular_framing");
    check_field(
        "Transfer-Encoding: chunked\r\n x",
        "Transfer-Encoding=chunked   x | obs_fold,irregular_framing",
    );
    check_field(
        "Content-Length\u{b}: 1",
        "Content-Length\u{b}=1 | invalid_field_name,irregular_framing",
    );
    check_field("X-Content-Length : 1", "X-Content-Length=1 | space_before_colon");
}

#[test]
fn what_is_no_start_line_is_no_head() {
    check_request("EHLO example.org\r\n\r\n", "none");
    check_request("OPTIONS sip:a@b SIP/2.0\r\n\r\n", "none");
    check_request("\u{1}\u{2}\r\n\r\n", "none");
    check_response("HTTP/1.1 OK\r\n\r\n", "none");
    check_response("ICY 200 OK\r\n\r\n", "none");
    let long = format!("{} / HTTP/1.1\r\n\r\n", "A".repeat(33));
    check_request(&long, "none");
}

#[test]
fn a_head_ends_at_the_empty_line() {
    let end = |raw: &str| find_end(raw.as_bytes(), 0);
    assert_eq!(end("GET / HTTP/1.1\r\n\r\nbody"), Some(18));
    assert_eq!(end("GET / HTTP/1.1\n\nbody"), Some(16));
    assert_eq!(end("GET / HTTP/1.1\n\r\nbody"), Some(17));
    assert_eq!(end("GET / HTTP/1.1\n\r\r\nbody"), Some(18));
    assert_eq!(end("GET / HTTP/1.1\r\n\rZ\r\n"), None);
    assert_eq!(end("GET / HTTP/1.1\r\nA: b\r\n"), None);
}

/// A head with `n` fields before the one that frames.
fn head_of(n: usize) -> Head {
    let fields: String = (0..n).map(|i| format!("F{i}: {i}\r\n")).collect();
    let raw = format!("POST / HTTP/1.1\r\n{fields}Content-Length: 7\r\n\r\n");
    parse(raw.into_bytes(), Role::Request).unwrap()
}

#[test]
fn fields_beyond_the_bound_are_dropped_unless_they_frame() {
    let head = head_of(MAX_FIELDS - 1);
    assert_eq!((head.fields().len(), head.anomalies.is_empty()), (MAX_FIELDS, true));
    let head = head_of(MAX_FIELDS + 50);
    assert_eq!(head.fields().len(), MAX_FIELDS + 1);
    assert_eq!(head.value(Name::ContentLength), Some(b"7".as_slice()));
    assert!(head.anomalies.contains(Anomaly::TooManyFields));
}

#[test]
fn fields_that_frame_are_bounded_too() {
    let fields = "Connection: a\r\n".repeat(3 * MAX_FIELDS);
    let raw = format!("GET / HTTP/1.1\r\n{fields}\r\n");
    let head = parse(raw.into_bytes(), Role::Request).unwrap();
    assert_eq!(head.fields().len(), 2 * MAX_FIELDS);
    assert!(head.anomalies.contains(Anomaly::TooManyFields));
}

/// Trailer lines; expects `name=value;... | anomalies`.
#[track_caller]
fn check_trailers(raw: &str, expected: &str) {
    let head = parse_trailers(raw.as_bytes().to_vec());
    let text = |span| String::from_utf8_lossy(head.bytes(span)).into_owned();
    let fields: Vec<String> =
        head.fields().iter().map(|f| format!("{}={}", text(f.name), text(f.value))).collect();
    let anomalies: Vec<&str> = head.anomalies.iter().map(Anomaly::name).collect();
    assert_eq!(format!("{} | {}", fields.join(";"), anomalies.join(",")), expected, "{raw:?}");
}

#[test]
fn trailers_are_fields_without_a_start_line() {
    check_trailers("\r\n", " | ");
    check_trailers("A: b\r\nC: d\r\n\r\n", "A=b;C=d | ");
    check_trailers("A b\r\n\r\n", " | invalid_trailer");
    check_trailers("A : b\r\n\r\n", "A=b | invalid_trailer");
    check_trailers("Content-Length: 5\r\n\r\n", "Content-Length=5 | invalid_trailer");
}

#[test]
fn trailers_are_bounded_in_number() {
    let head = parse_trailers("A: b\r\n".repeat(MAX_FIELDS + 1).into_bytes());
    assert_eq!(head.fields().len(), MAX_FIELDS);
    assert!(head.anomalies.contains(Anomaly::TooManyFields));
}
