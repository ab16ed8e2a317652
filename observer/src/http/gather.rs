//! Gathering a head out of the pieces it comes in, within bounds.
//!
//! Goes line by line, so that what is kept never depends on where the pieces were cut. Beyond the
//! bounds only the fields that decide the framing are kept: a head may be too large to store and
//! its body still has to be found.

use super::detect::{self, MAX_START_LINE, Verdict};
use super::gist::Gist;
use super::head::Whole;
use super::item::Limits;
use super::{Role, head};
use crate::message::{Anomaly, Head, Version};

/// What is kept of the end of a start line that exceeds its bound: room for the version.
const START_LINE_TAIL: usize = 32;

/// What is kept of a line where the head is beyond its bound: room for the fields that decide the
/// framing.
const MAX_LATE_LINE: usize = 4 << 10;

/// What may be kept beyond the head's bound in all.
const MAX_LATE_BYTES: usize = 16 << 10;

/// What a head became with the next bytes.
#[derive(Debug)]
pub(super) enum Gathered {
    /// All bytes were taken, and more are needed.
    More,
    Head(Whole),
    /// The first line is none that begins a message.
    NotHttp,
}

/// The head that is being read.
#[derive(Debug)]
pub(super) struct Gather {
    role: Role,
    limit: usize,
    /// The lines kept so far, and behind them the one that is being read.
    kept: Vec<u8>,
    /// Where in `kept` that line begins.
    line: usize,
    /// The start line is complete.
    in_fields: bool,
    overflow: bool,
}

impl Gather {
    pub(super) fn new(role: Role, limits: Limits) -> Self {
        Self {
            role,
            limit: limits.head_bytes,
            kept: Vec::new(),
            line: 0,
            in_fields: false,
            overflow: false,
        }
    }

    /// The next byte is the first of a head.
    pub(super) fn begin(&mut self) {
        self.take();
    }

    /// The next byte follows `line`, which is known to be a start line.
    pub(super) fn begin_behind(&mut self, line: Vec<u8>) {
        self.line = line.len();
        self.kept = line;
        self.in_fields = true;
        self.overflow = false;
    }

    /// Forgets the head. Returns the bytes that were kept of it.
    pub(super) fn take(&mut self) -> Vec<u8> {
        self.line = 0;
        self.in_fields = false;
        self.overflow = false;
        std::mem::take(&mut self.kept)
    }

    pub(super) fn n_kept(&self) -> usize {
        self.kept.len()
    }

    /// Whether the first line, if it is complete, begins a message of another protocol.
    pub(super) fn is_of_another_protocol(&self) -> bool {
        self.kept.ends_with(b"\n") && detect::is_of_another_protocol(&self.kept)
    }

    /// Takes the next bytes, up to the end of the head. Returns how many were taken.
    pub(super) fn read(&mut self, bytes: &[u8]) -> (usize, Gathered) {
        if self.kept.is_empty()
            && let Some((whole, end)) = self.whole(bytes)
        {
            return (end, Gathered::Head(whole));
        }
        let mut at = 0usize;
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            let n = memchr::memchr(b'\n', rest).map_or(rest.len(), |n| n.saturating_add(1));
            let part = rest.get(..n).unwrap_or(rest);
            at = at.saturating_add(n);
            let gathered =
                if self.in_fields { self.read_field(part) } else { self.read_start(part) };
            if !matches!(gathered, Gathered::More) {
                return (at, gathered);
            }
        }
        (at, Gathered::More)
    }

    /// The head as far as it came, if its first line is there.
    pub(super) fn cut(&mut self) -> Option<Whole> {
        let (in_fields, overflow, line) = (self.in_fields, self.overflow, self.line);
        let mut raw = self.take();
        // Half a field line would be read as a field that nobody sent.
        raw.truncate(line);
        let mut head = head::parse(raw, self.role).filter(|_| in_fields)?;
        head.anomalies.insert(Anomaly::HeadIncomplete);
        if overflow {
            head.anomalies.insert(Anomaly::HeadTooLarge);
        }
        Some(self.with_gist(head))
    }

    /// The common case: the head lies in one piece, and is parsed from where it lies. What is
    /// irregular about its size or its first line is left to the slow way.
    fn whole(&self, bytes: &[u8]) -> Option<(Whole, usize)> {
        if let Some(plain) = self.plain(bytes) {
            let end = plain.head.raw().len();
            return Some((plain, end));
        }
        let within = bytes.get(..self.limit).unwrap_or(bytes);
        let start_line = memchr::memchr(b'\n', bytes).filter(|&n| n < MAX_START_LINE)?;
        if let Some((head, end)) = head::parse_sound(within, self.role) {
            return Some((self.with_gist(head), end));
        }
        let end = head::find_end(bytes, start_line).filter(|&end| end <= self.limit)?;
        let head = head::parse(bytes.get(..end)?.to_vec(), self.role)?;
        // An HTTP/0.9 request is its first line alone, whatever follows.
        (head.version() != Version::HTTP_09).then(|| (self.with_gist(head), end))
    }

    /// The head that `bytes` begin with, where it is all there and plain.
    #[inline]
    pub(super) fn plain(&self, bytes: &[u8]) -> Option<Whole> {
        head::parse_plain(bytes.get(..self.limit).unwrap_or(bytes), self.role)
    }

    fn with_gist(&self, head: Head) -> Whole {
        Whole { gist: Gist::of(&head, self.role), head }
    }

    /// Takes part of the first line.
    fn read_start(&mut self, part: &[u8]) -> Gathered {
        self.kept.extend_from_slice(part);
        let ended = part.ends_with(b"\n");
        if self.kept.len() > MAX_START_LINE && !self.shorten_start_line() {
            return Gathered::NotHttp;
        }
        let verdict = match self.role {
            Role::Request => detect::request_line(&self.kept, ended),
            Role::Response => detect::status_line(&self.kept, ended),
        };
        match verdict {
            Verdict::Undecided => Gathered::More,
            Verdict::Http => {
                self.in_fields = true;
                self.line = self.kept.len();
                Gathered::More
            }
            Verdict::Simple => self.finish(),
            Verdict::No => Gathered::NotHttp,
        }
    }

    /// Drops the middle of a start line that exceeds its bound. Returns whether it can be one.
    fn shorten_start_line(&mut self) -> bool {
        let control = |&b: &u8| (b < b' ' && b != b'\t') || b == 0x7f;
        // So much without a line end is only believed of text.
        if !self.overflow
            && self.kept.get(..MAX_START_LINE).is_some_and(|text| text.iter().any(control))
        {
            return false;
        }
        self.overflow = true;
        let tail = self.kept.len().saturating_sub(START_LINE_TAIL);
        if tail > MAX_START_LINE {
            self.kept.drain(MAX_START_LINE..tail);
        }
        true
    }

    /// Takes part of a field line.
    fn read_field(&mut self, part: &[u8]) -> Gathered {
        let ended = part.ends_with(b"\n");
        let room = self.limit.saturating_sub(self.line).max(MAX_LATE_LINE);
        let n_line = self.kept.len().saturating_sub(self.line);
        let text = part.strip_suffix(b"\n").unwrap_or(part);
        let n = text.len().min(room.saturating_sub(n_line));
        self.overflow |= n < text.len();
        self.kept.extend_from_slice(text.get(..n).unwrap_or(text));
        if !ended {
            return Gathered::More;
        }
        self.kept.push(b'\n');
        let line = self.kept.get(self.line..).unwrap_or_default();
        if head::is_blank_line(line) {
            return self.finish();
        }
        if self.kept.len() > self.limit {
            self.overflow = true;
            let within = self.kept.len() <= self.limit.saturating_add(MAX_LATE_BYTES);
            if !within || !head::decides_framing(line) {
                self.kept.truncate(self.line);
            }
        }
        self.line = self.kept.len();
        Gathered::More
    }

    fn finish(&mut self) -> Gathered {
        let overflow = self.overflow;
        let raw = self.take();
        match head::parse(raw, self.role) {
            Some(mut head) => {
                if overflow {
                    head.anomalies.insert(Anomaly::HeadTooLarge);
                }
                Gathered::Head(self.with_gist(head))
            }
            None => Gathered::NotHttp,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Name;

    const LIMIT: usize = 100 << 10;

    /// The head of `raw`, which must be the same for every cut.
    #[track_caller]
    fn gathered(role: Role, raw: &str) -> Option<Head> {
        let mut heads = [raw.len(), 1, 7, 4099].map(|size| {
            let mut gather = Gather::new(role, Limits { head_bytes: LIMIT });
            for piece in raw.as_bytes().chunks(size) {
                let (_, gathered) = gather.read(piece);
                let bound = LIMIT + MAX_LATE_BYTES + MAX_LATE_LINE;
                assert!(gather.n_kept() <= bound + piece.len(), "kept {}", gather.n_kept());
                match gathered {
                    Gathered::More => {}
                    Gathered::Head(whole) => return Some(whole.head),
                    Gathered::NotHttp => return None,
                }
            }
            panic!("no end in {} bytes", raw.len());
        });
        assert!(heads.iter().all(|head| *head == heads[0]), "depends on the cuts");
        std::mem::take(&mut heads[0])
    }

    #[test]
    fn a_huge_head_keeps_what_frames() {
        let filler: String = (0..20_000).map(|i| format!("F{i}: 0123456789\r\n")).collect();
        assert!(filler.len() > 2 * LIMIT);
        let raw = format!("POST /up HTTP/1.1\r\nHost: a\r\n{filler}Content-Length: 7\r\n\r\n");
        let head = gathered(Role::Request, &raw).unwrap();
        assert!(head.anomalies.contains(Anomaly::HeadTooLarge));
        assert_eq!(head.target(), Some(b"/up".as_slice()));
        assert_eq!(head.value(Name::ContentLength), Some(b"7".as_slice()));
        assert!(head.raw().len() <= LIMIT + 100);
    }

    #[test]
    fn a_huge_field_keeps_its_beginning_and_what_follows() {
        let cookie = "c".repeat(3 * LIMIT);
        let raw = format!("GET / HTTP/1.1\r\nCookie: {cookie}\r\nContent-Length: 7\r\n\r\n");
        let head = gathered(Role::Request, &raw).unwrap();
        assert!(head.anomalies.contains(Anomaly::HeadTooLarge));
        assert_eq!(head.value(Name::ContentLength), Some(b"7".as_slice()));
    }

    #[test]
    fn a_huge_start_line_keeps_its_beginning_and_its_version() {
        let target = format!("/{}", "a".repeat(3 * MAX_START_LINE));
        let raw = format!("GET {target} HTTP/1.0\r\nHost: a\r\n\r\n");
        let head = gathered(Role::Request, &raw).unwrap();
        assert!(head.anomalies.contains(Anomaly::HeadTooLarge));
        assert_eq!(head.version(), Version::HTTP_10);
        let kept = head.target().unwrap();
        assert!(kept.len() <= MAX_START_LINE + START_LINE_TAIL && kept.starts_with(b"/aaa"));
        assert_eq!(head.value(Name::Host), Some(b"a".as_slice()));
    }

    #[test]
    fn much_that_is_no_text_is_no_start_line() {
        let raw = format!("GET {}\r\n\r\n", "\u{1}".repeat(2 * MAX_START_LINE));
        assert_eq!(gathered(Role::Request, &raw), None);
    }

    #[test]
    fn many_late_fields_that_frame_are_bounded() {
        let filler = format!("A: {}\r\n", "a".repeat(LIMIT));
        let late = "Connection: close\r\n".repeat(10_000);
        let head = gathered(Role::Request, &format!("GET / HTTP/1.1\r\n{filler}{late}\r\n"));
        assert!(head.unwrap().raw().len() <= LIMIT + MAX_LATE_BYTES + MAX_LATE_LINE);
    }

    #[test]
    fn a_head_of_the_bound_is_not_too_large() {
        let overhead = "GET / HTTP/1.1\r\nA: \r\n\r\n".len();
        let raw = |n: usize| format!("GET / HTTP/1.1\r\nA: {}\r\n\r\n", "a".repeat(n - overhead));
        let head = gathered(Role::Request, &raw(LIMIT)).unwrap();
        assert!(!head.anomalies.contains(Anomaly::HeadTooLarge));
        let head = gathered(Role::Request, &raw(LIMIT + 3)).unwrap();
        assert!(head.anomalies.contains(Anomaly::HeadTooLarge));
    }

    #[test]
    fn a_cut_head_has_no_half_fields() {
        let mut gather = Gather::new(Role::Request, Limits::default());
        gather.read(b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1");
        let head = gather.cut().unwrap().head;
        assert_eq!(head.fields().len(), 1);
        assert!(head.anomalies.contains(Anomaly::HeadIncomplete));
        gather.begin();
        gather.read(b"GET / HTT");
        assert!(gather.cut().is_none());
    }
}
