//! Heads that are decided on, and the many that are not.

use super::*;

#[track_caller]
fn check(segment: &str, expected: Option<(usize, u64)>) {
    let found = find(segment.as_bytes());
    assert_eq!(found, expected.map(|(end, length)| (end as u32, length)), "{segment:.60}");
}

fn find(segment: &[u8]) -> Option<(u32, u64)> {
    find_after(&mut { Part::EMPTY }, segment)
}

/// The same where others were looked at before.
fn find_after(part: &mut Part, segment: &[u8]) -> Option<(u32, u64)> {
    // Stale, as the last segment left it.
    (part.length, part.has_length, part.carry, part.end) = (9, 1, 0x80, 9);
    let mut bytes = [b'x'; PART];
    let n = segment.len().min(PART);
    bytes[..n].copy_from_slice(&segment[..n]);
    let (words, _) = bytes.as_chunks::<8>();
    for (word, bytes) in part.words.iter_mut().zip(words) {
        *word = u64::from_ne_bytes(*bytes);
    }
    match part.find(Part::line) {
        0 => None,
        end => Some((end, part.length)),
    }
}

/// The head decides, and ends where it does, at every place of its end within a word.
#[track_caller]
fn decided(head: &str, length: u64) {
    let line = head.find('\n').unwrap() + 1;
    for n in 0..9 {
        let mut padded = heapless(&head[..line]);
        padded.push("X-Pad: ");
        for _ in 0..n {
            padded.push("p");
        }
        padded.push("\r\n");
        padded.push(&head[line..]);
        check(padded.text(), Some((padded.text().len(), length)));
    }
    check(head, Some((head.len(), length)));
}

/// The crate has no `alloc`.
struct Text([u8; 2 * PART], usize);

fn heapless(start: &str) -> Text {
    let mut text = Text([0; 2 * PART], 0);
    text.push(start);
    text
}

impl Text {
    fn push(&mut self, more: &str) {
        self.0[self.1..][..more.len()].copy_from_slice(more.as_bytes());
        self.1 += more.len();
    }

    fn text(&self) -> &str {
        core::str::from_utf8(&self.0[..self.1]).unwrap()
    }
}

#[test]
fn one_content_length_decides() {
    decided("HTTP/1.1 200 OK\r\nContent-Length: 65536\r\n\r\n", 65536);
    decided("HTTP/1.0 404 Not Found\r\nServer: x\r\ncontent-length:7\r\nVary: a\r\n\r\n", 7);
    decided("HTTP/1.1 206 \r\nCONTENT-LENGTH: 000012\r\n\r\n", 12);
    decided(
        "POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 123456789012345\r\n\r\n",
        123456789012345,
    );
    decided("PUT /x HTTP/1.1\r\nContent-Length: 5\r\n\r\n", 5);
    decided("PATCH /x HTTP/1.1\r\nContent-Length: 5\r\n\r\n", 5);
}

#[test]
fn other_framing_is_left_alone() {
    check("HTTP/1.1 200 OK\r\nServer: x\r\n\r\n", None);
    check("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", None);
    check("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTRANSFER-ENCODING: chunked\r\n\r\n", None);
    check("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nContent-Length: 5\r\n\r\n", None);
    check("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n", None);
    for status in ["100", "101", "199", "204", "304"] {
        let mut head = heapless("HTTP/1.1 ");
        head.push(status);
        head.push(" X\r\nContent-Length: 5\r\n\r\n");
        check(head.text(), None);
    }
    for method in ["GET", "HEAD", "DELETE", "OPTIONS", "POSTAL", "post"] {
        let mut head = heapless(method);
        head.push(" / HTTP/1.1\r\nContent-Length: 5\r\n\r\n");
        check(head.text(), None);
    }
    check("HTTP/2 200 OK\r\nContent-Length: 5\r\n\r\n", None);
    check("anything else", None);
}

#[test]
fn odd_lengths_are_left_alone() {
    for value in
        ["", " ", "-1", "+1", "5, 5", "5 ", "  5", "\t5", "0x5", "1234567890123456", "5;", "5\u{b}"]
    {
        let mut head = heapless("HTTP/1.1 200 OK\r\nContent-Length:");
        head.push(value);
        head.push("\r\n\r\n");
        check(head.text(), None);
    }
    check("HTTP/1.1 200 OK\r\nContent-Length : 5\r\n\r\n", None);
    check("HTTP/1.1 200 OK\r\nContent-Lengthy: 5\r\n\r\n", None);
}

#[test]
fn odd_lines_are_left_alone() {
    check("HTTP/1.1 200 OK\nContent-Length: 5\n\n", None);
    check("HTTP/1.1 200 OK\r\nContent-Length: 5\n\r\n", None);
    check("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\nbody\r\n\r\n", None);
    check("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nA: b\rc\r\n\r\n", None);
    check("HTTP/1.1 200 OK\r\nA: b\r\r\nContent-Length: 5\r\n\r\n", None);
    check("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n 6\r\n\r\n", None);
    check("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\tfold: 6\r\n\r\n", None);
    check("HTTP/1.1 200 OK\r\n", None);
}

#[test]
fn a_response_to_head_with_another_behind_it_is_left_alone() {
    let two = "HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n";
    check(two, None);
    check("HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\nHTTP/2 is a body", Some((41, 5000)));
}

#[test]
fn a_head_longer_than_the_part_is_left_alone() {
    for n in 900..1100 {
        let head = long(n);
        let len = head.text().len();
        check(head.text(), (len + "HTTP/1.".len() <= PART).then_some((len, 9)));
    }
}

#[test]
fn a_response_to_head_is_left_alone_wherever_the_part_ends() {
    for n in 900..1000 {
        let mut two = long(n);
        two.push("HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n");
        check(two.text(), None);
    }
}

/// A head with a field of so many bytes.
fn long(n: usize) -> Text {
    let mut head = heapless("HTTP/1.1 200 OK\r\nContent-Length: 9\r\nX: ");
    for _ in 0..n {
        head.push("y");
    }
    head.push("\r\n\r\n");
    head
}

#[test]
fn a_length_at_the_end_of_the_part_is_read_whole_or_not_at_all() {
    for n in 900..1100 {
        let mut head = heapless("HTTP/1.1 200 OK\r\nX: ");
        for _ in 0..n {
            head.push("y");
        }
        head.push("\r\nContent-Length: 1234567890\r\n\r\n");
        let len = head.text().len();
        let found = find(head.text().as_bytes());
        assert!(found.is_none() || found == Some((len as u32, 1_234_567_890)), "{n}");
        assert_eq!(found.is_some(), n <= 965, "{n}");
    }
}

#[test]
fn equal_bytes_are_found_exactly() {
    for at in 0..8 {
        for byte in [0u8, 0x0b, 0x0c, 0x0a, 0x8a, 0xff] {
            let word = 0x0b0a_0a0b_8a0a_0b0au64 & !(0xff << (8 * at)) | u64::from(byte) << (8 * at);
            let mut expected = 0;
            for (i, byte) in word.to_le_bytes().into_iter().enumerate() {
                expected |= u64::from(byte == b'\n') << (8 * i + 7);
            }
            assert_eq!(bytes_equal(word, b'\n'), expected);
            if expected != 0 {
                assert_eq!(place(expected), expected.trailing_zeros() / 8);
            }
        }
    }
}

/// The answer is the one that a fresh look gives, whichever byte is another one than before.
#[test]
fn a_head_that_comes_again_is_known_to_the_last_byte() {
    for pad in 0..9 {
        let mut head = heapless("HTTP/1.1 200 OK\r\nServer: ");
        for _ in 0..=pad {
            head.push("s");
        }
        head.push("\r\nContent-Length: 65536\r\n\r\nthe body, of which nothing is known");
        let mut segment = [0; 2 * PART];
        let n = head.text().len();
        segment[..n].copy_from_slice(head.text().as_bytes());
        let end = n as u32 - 35;
        let mut part = Part::EMPTY;
        assert_eq!(find_after(&mut part, &segment[..n]), Some((end, 65536)));
        // Behind the end a fresh look is more careful than it has to be: it refuses a CR in the word in
        // which the head ends.
        for at in 0..end as usize {
            for byte in *b"\r\n 7xT\0" {
                let mut other = segment;
                other[at] = byte;
                let fresh = find(&other[..n]);
                assert_eq!(find_after(&mut part, &other[..n]), fresh, "{byte} at {at}");
                assert_eq!(find_after(&mut part, &other[..n]), fresh, "again, {byte} at {at}");
                assert_eq!(find_after(&mut part, &segment[..n]), Some((end, 65536)));
            }
        }
    }
}

#[test]
fn what_follows_a_known_head_is_looked_at_again() {
    let mut part = Part::EMPTY;
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n";
    let mut two = heapless(head);
    two.push("HTTP/1.1 200 OK\r\n");
    for _ in 0..2 {
        assert_eq!(find_after(&mut part, head.as_bytes()), Some((head.len() as u32, 5000)));
        assert_eq!(find_after(&mut part, two.text().as_bytes()), None);
    }
}

/// A longer head that begins like a known one, and a shorter one.
#[test]
fn a_part_of_a_known_head_is_another_head() {
    let mut part = Part::EMPTY;
    let short = "HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n";
    let long = "HTTP/1.1 200 OK\r\nContent-Length: 5000\r\nX: y\r\n\r\n";
    for head in [short, long, short, long, long, short] {
        let expected = Some((head.len() as u32, 5000));
        assert_eq!(find_after(&mut part, head.as_bytes()), expected);
    }
}
