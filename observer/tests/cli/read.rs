//! `observer read` on captures made here, byte by byte.

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use super::pcap::pcap;
use super::{fails, observer};

const GET: &str = "GET /a HTTP/1.1\r\nHost: x\r\nCookie: secret\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX: 1\r\n\r\nhello";
/// The captures are from another day than the test.
const DAY: &str = "Sunday, 2020-09-13\n";
const LINE: &str = "12:26:40.118  10.0.0.1:51234 → 10.0.0.2:80  GET  x/a                       \
                    200  ↑    0B ↓    5B  1.00ms  ttfb 1.00ms\n";

fn one() -> String {
    format!("{DAY}{LINE}")
}

fn file(bytes: &[u8]) -> tempfile::NamedTempFile {
    let mut file = tempfile::Builder::new().suffix(".pcap").tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file
}

/// Runs `observer read`, in UTC, with `input` on standard input.
fn read(args: &[&str], input: &[u8]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_observer"))
        .arg("read")
        .args(args)
        .env("TZ", "UTC")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It may end before it has read everything.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}

#[track_caller]
fn check(output: &Output, code: i32, stdout: &str, stderr: &str) {
    assert_eq!(String::from_utf8_lossy(&output.stdout), stdout);
    assert_eq!(String::from_utf8_lossy(&output.stderr), stderr);
    assert_eq!(output.status.code(), Some(code));
}

#[test]
fn a_capture_is_one_line_an_exchange() {
    let file = file(&pcap(&[GET, OK]));
    check(&read(&[file.path().to_str().unwrap()], b""), 0, &one(), "");
}

#[test]
fn standard_input_is_a_capture_too() {
    check(&read(&["-"], &pcap(&[GET, OK])), 0, &one(), "");
}

#[test]
fn headers_and_bodies_are_shown_when_asked_for_and_secrets_are_not() {
    let output = read(&["-", "--headers", "--body", "3"], &pcap(&[GET, OK]));
    let text = String::from_utf8(output.stdout).unwrap();
    let details = text.splitn(3, '\n').nth(2).unwrap();
    assert!(details.contains("    > host: x\n"), "{details}");
    assert!(details.contains("    < x: 1\n    < | hel\n    < | … of 5B\n"), "{details}");
    assert!(details.contains("    > cookie: "), "{details}");
    assert!(!details.contains("secret"), "{details}");
}

#[test]
fn colour_comes_when_it_is_asked_for() {
    let output = read(&["-", "--color", "always"], &pcap(&[GET, OK]));
    assert!(String::from_utf8(output.stdout).unwrap().contains("\x1b[32m200\x1b[0m"));
}

#[test]
fn ndjson_is_one_object_a_line() {
    let output = read(&["-", "-f", "ndjson"], &pcap(&[GET, OK, GET, OK]));
    let text = String::from_utf8(output.stdout).unwrap();
    let ids: Vec<_> = text
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .map(|event| event.pointer("/obs/exchange/index").unwrap().as_u64().unwrap())
        .collect();
    assert_eq!(ids, [1, 2]);
}

#[test]
fn the_count_ends_it() {
    let output = read(&["-", "-f", "ndjson", "-n", "1"], &pcap(&[GET, OK, GET, OK]));
    assert_eq!(output.stdout.iter().filter(|byte| **byte == b'\n').count(), 1);
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn several_threads_give_the_same_lines() {
    let capture = pcap(&[GET, OK, GET, OK]);
    let (a, b) = (file(&capture), file(&capture));
    let (a, b) = (a.path().to_str().unwrap(), b.path().to_str().unwrap());
    let lines = |args: &[&str]| {
        let output = read(args, &capture);
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
        assert_eq!(output.status.code(), Some(0));
        let text = String::from_utf8(output.stdout).unwrap();
        let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
        lines.sort_unstable();
        lines
    };
    let in_order = lines(&["-", "-f", "ndjson"]);
    assert_eq!(in_order.len(), 2);
    assert_eq!(lines(&["-", "-f", "ndjson", "-j", "3"]), in_order);
    let twice = lines(&[a, b, "-f", "ndjson"]);
    assert_eq!(lines(&[a, b, "-f", "ndjson", "--jobs", "2"]), twice);
    assert_eq!(lines(&[a, b, "-f", "ndjson", "-j", "2", "-n", "1"]).len(), 1);
    let output = read(&["-", "-j", "0"], b"");
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn a_capture_that_breaks_off_says_so_from_several_threads_too() {
    let whole = pcap(&[GET, OK, GET, OK]);
    let output = read(&["-", "-f", "ndjson", "-j", "2"], &whole[..whole.len() - 3]);
    assert_eq!(String::from_utf8(output.stdout).unwrap().lines().count(), 2);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.starts_with("observer: standard input breaks off at byte "), "{stderr}");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn a_filter_leaves_out() {
    let capture = pcap(&[GET, OK]);
    check(&read(&["-", "-p", "80", "--host", "10.0.0.0/24"], &capture), 0, &one(), "");
    check(&read(&["-", "-p", "81"], &capture), 0, "", "");
    check(&read(&["-", "--host", "10.0.0.3"], &capture), 0, "", "");
}

#[test]
fn a_capture_that_breaks_off_gives_what_it_holds_and_says_where() {
    let whole = pcap(&[GET, OK, GET, OK]);
    let cut = &whole[..whole.len() - 3];
    let output = read(&["-", "-f", "ndjson"], cut);
    let text = String::from_utf8(output.stdout).unwrap();
    let states: Vec<_> = text
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .map(|event| event.pointer("/obs/state").unwrap().as_str().unwrap().to_owned())
        .collect();
    assert_eq!(states[0], "complete");
    assert_eq!(states.len(), 2, "{text}");
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.starts_with("observer: standard input breaks off at byte "), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn a_bad_file_does_not_hide_the_others() {
    let good = file(&pcap(&[GET, OK]));
    let foreign = file(b"hello, this is no capture at all");
    let good = good.path().to_str().unwrap();
    let output = read(&[good, foreign.path().to_str().unwrap(), good], b"");
    assert_eq!(String::from_utf8_lossy(&output.stdout), one() + LINE);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains(" is neither pcap nor pcapng "), "{stderr}");
    assert_eq!(stderr.lines().count(), 1);
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn verbose_says_what_was_there() {
    let output = read(&["-", "-v"], &pcap(&[GET, OK]));
    check(
        &output,
        0,
        &one(),
        "observer: standard input: 1 exchange in 2 segments, 2 packets\n\
         observer: 1 exchange shown\n",
    );
}

#[test]
fn files_that_cannot_be_read() {
    fails(
        &["read", "/nowhere/x.pcap"],
        1,
        "observer: cannot open /nowhere/x.pcap: check the path and its permissions: No such file \
         or directory (os error 2)\n",
    );
    let folder = tempfile::tempdir().unwrap();
    let output = observer(&["read", folder.path().to_str().unwrap()]);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains(" is a directory: name the capture files in it"), "{stderr}");
}

#[test]
fn a_reader_that_goes_is_a_quiet_end() {
    let mut turns = Vec::new();
    for _ in 0..2000 {
        turns.extend([GET, OK]);
    }
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let file = file(&pcap(&turns));
    let output = Command::new(env!("CARGO_BIN_EXE_observer"))
        .args(["read", file.path().to_str().unwrap()])
        .stdout(writer)
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert_eq!(output.status.code(), Some(0));
}
