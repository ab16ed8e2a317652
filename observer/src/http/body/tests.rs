use super::*;

/// Reads `wire` in one piece and byte by byte; both give the content and what is left. `end` is
/// `done REST`, `more` or `broken`.
#[track_caller]
fn check(wire: &str, content: &str, end: &str, anomalies: &[Anomaly]) {
    for size in [wire.len().max(1), 1, 3] {
        let mut reader = Chunked::new();
        let mut found = Vec::new();
        let mut ended = "more".to_owned();
        let mut used = 0;
        'pieces: for piece in wire.as_bytes().chunks(size) {
            let mut at = 0;
            loop {
                match reader.step(&piece[at..]) {
                    Step::Content { skip, n } => {
                        found.extend_from_slice(&piece[at + skip..at + skip + n]);
                        at += skip + n;
                    }
                    Step::More => break,
                    Step::Done { used: n } => {
                        ended = format!("done {}", &wire[used + at + n..]);
                        break 'pieces;
                    }
                    Step::Broken => {
                        ended = "broken".to_owned();
                        break 'pieces;
                    }
                }
            }
            used += piece.len();
        }
        let noted: Vec<Anomaly> = reader.anomalies.iter().collect();
        assert_eq!(String::from_utf8_lossy(&found), content, "{wire:?} by {size}");
        assert_eq!((ended.trim_end(), noted.as_slice()), (end, anomalies), "{wire:?} by {size}");
    }
}

#[test]
fn chunks_are_joined_up_to_the_last() {
    check("0\r\n\r\n", "", "done", &[]);
    check("5\r\nhello\r\n6\r\n world\r\n0\r\n\r\nGET", "hello world", "done GET", &[]);
    check("A\r\n0123456789\r\n00\r\n\r\n", "0123456789", "done", &[]);
    check("000000000000000000001\r\nx\r\n0\r\n\r\n", "x", "done", &[]);
    check("5\r\nhel", "hel", "more", &[]);
    check("0\r\nA: b\r\nC: d\r\n\r\nX", "", "done X", &[]);
    check("0\r\nA: b\r\n", "", "more", &[]);
}

#[test]
fn extensions_are_read_over() {
    check("1;a\r\nx\r\n0;b=c;d=\"e;\\\"f\"\r\n\r\n", "x", "done", &[]);
    check("1 ; a = b\r\nx\r\n0\r\n\r\n", "x", "done", &[]);
    let invalid = &[Anomaly::InvalidChunkExtension];
    check("1;\r\nx\r\n0\r\n\r\n", "x", "done", invalid);
    check("1 \r\nx\r\n0\r\n\r\n", "x", "done", invalid);
    check("1;a=\"b\r\nx\r\n0\r\n\r\n", "x", "done", invalid);
    check("1;a\rb\r\nx\r\n0\r\n\r\n", "x", "done", invalid);
}

#[test]
fn a_size_that_is_none_breaks_the_body() {
    for size in ["", "x", " 1", "0x1", "+1", "-1", "1_0", "1 a", "5\r\r;a", "10000000000000000"] {
        check(&format!("{size}\r\nx\r\n0\r\n\r\n"), "", "broken", &[Anomaly::InvalidChunkSize]);
    }
}

#[test]
fn line_ends_within_the_framing() {
    check("1\nx\n0\n\n", "x", "done", &[Anomaly::LfOnly]);
    check("1\r\nx0\r\n\r\n", "x", "broken", &[Anomaly::InvalidChunkEnd]);
    check("1\r\nx\r\r\n0\r\n\r\n", "x", "broken", &[Anomaly::InvalidChunkEnd]);
}

#[test]
fn a_long_size_line_is_bounded_and_followed() {
    let extension = "a".repeat(2 * MAX_SIZE_LINE);
    let wire = format!("1;{extension}\r\nx\r\n0\r\n\r\n");
    check(&wire, "x", "done", &[Anomaly::InvalidChunkExtension]);
    let mut reader = Chunked::new();
    assert_eq!(reader.step(&wire.as_bytes()[..wire.len() / 2]), Step::More);
    assert!(matches!(&reader.state, Chunk::Size(line) if line.len() <= MAX_SIZE_LINE));
}

#[test]
fn long_trailers_are_bounded_and_followed() {
    let line = "A: 0123456789\r\n";
    let trailers = line.repeat(2 * MAX_TRAILERS / line.len());
    check(&format!("0\r\n{trailers}\r\nX"), "", "done X", &[Anomaly::HeadTooLarge]);
    let mut reader = Chunked::new();
    reader.step(format!("0\r\n{trailers}\r\n").as_bytes());
    let kept = reader.take_trailers();
    assert!(kept.len() <= MAX_TRAILERS && kept.ends_with(line.as_bytes()));
}

#[test]
fn a_gap_is_arithmetic_inside_a_chunk_only() {
    let mut reader = Chunked::new();
    assert!(!reader.skip(1), "inside the size line");
    assert_eq!(reader.step(b"a\r\n01"), Step::Content { skip: 3, n: 2 });
    assert!(!reader.skip(9), "over the chunk's end");
    assert!(reader.skip(8));
    assert!(!reader.skip(1), "behind the chunk's data");
    assert_eq!(reader.step(b"\r\n0\r\n\r\n"), Step::Done { used: 7 });
}
