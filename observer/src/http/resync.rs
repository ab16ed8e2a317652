//! Finding the next start line after sync was lost.
//!
//! A line counts if it is a start line beyond doubt and begins where messages begin: behind a line
//! end, or with a segment. It may itself be spread over segments.

use super::{Role, detect};
use crate::message::Mark;

/// A line longer than this is not waited for.
const MAX_LINE: usize = 16 << 10;

/// Segment starts that are tried within one line.
const MAX_STARTS: usize = 256;

/// The line that is being looked at, where there is one that is not complete yet. In a box: most
/// halves are never out of sync.
#[derive(Debug, Default)]
pub(super) struct Resync(Option<Box<Line>>);

#[derive(Debug, Default)]
struct Line {
    bytes: Vec<u8>,
    /// Where in `bytes` a message may begin, and the mark of that byte.
    starts: Vec<(usize, Mark)>,
}

/// A start line was found: it ended `used` bytes into the input.
pub(super) struct Found {
    pub(super) line: Vec<u8>,
    pub(super) first: Mark,
    pub(super) used: usize,
}

impl Resync {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Bytes are missing: what was collected leads nowhere.
    pub(super) fn handle_gap(&mut self) {
        self.0 = None;
    }

    /// Looks through a segment's bytes, the first of which is at `mark`.
    pub(super) fn search(&mut self, role: Role, bytes: &[u8], mark: Mark) -> Option<Found> {
        let mut at = 0usize;
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            let n = memchr::memchr(b'\n', rest).map_or(rest.len(), |n| n.saturating_add(1));
            let part = rest.get(..n).unwrap_or_default();
            let mark = Mark { offset: mark.offset.plus(at as u64), ..mark };
            at = at.saturating_add(n);
            let may_begin = may_begin(role, part);
            if self.0.is_none() && !may_begin {
                continue;
            }
            let line = self.0.get_or_insert_default();
            if line.starts.len() < MAX_STARTS && may_begin {
                line.starts.push((line.bytes.len(), mark));
            }
            if line.bytes.len().saturating_add(n) > MAX_LINE {
                self.handle_gap();
                continue;
            }
            line.bytes.extend_from_slice(part);
            if part.ends_with(b"\n") {
                let found = line.starts.iter().find_map(|&(start, first)| {
                    let line = line.bytes.get(start..)?;
                    is_certain(role, line).then(|| Found { line: line.to_vec(), first, used: at })
                });
                self.handle_gap();
                if found.is_some() {
                    return found;
                }
            }
        }
        None
    }
}

/// Whether it is worth looking at a line that begins with `part`: almost none is.
fn may_begin(role: Role, part: &[u8]) -> bool {
    match role {
        Role::Request => part.first().is_some_and(u8::is_ascii_uppercase),
        Role::Response => {
            let n = part.len().min(b"HTTP/1.".len());
            part.get(..n) == b"HTTP/1.".get(..n)
        }
    }
}

fn is_certain(role: Role, line: &[u8]) -> bool {
    match role {
        Role::Request => detect::is_certain_request(line),
        Role::Response => detect::is_certain_response(line),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::segment::{Offset, Timestamp};

    /// Feeds `segments`; expects the position of the start line, if one is found.
    #[track_caller]
    fn check(role: Role, segments: &[&str], expected: Option<u64>) {
        let mut resync = Resync::default();
        let mut offset = 0;
        let mut found = None;
        for segment in segments {
            let mark = Mark { offset: Offset(offset), time: Timestamp(0), acked: None };
            found = found.or(resync.search(role, segment.as_bytes(), mark));
            offset += segment.len() as u64;
        }
        assert_eq!(found.map(|f| f.first.offset.0), expected);
    }

    #[test]
    fn a_start_line_is_found_behind_a_line_end_and_at_a_segment() {
        check(Role::Response, &["abc\r\nHTTP/1.1 200 OK\r\n"], Some(5));
        check(Role::Response, &["abc", "HTTP/1.1 200 OK\r\n"], Some(3));
        check(Role::Response, &["abcHTTP/1.1 200 OK\r\n"], None);
        check(Role::Request, &["abc", "GET / HTTP/1.1\r\n"], Some(3));
        check(Role::Request, &["ABC DEF\r\nGET / HTTP/1.1\r\n"], Some(9));
    }

    #[test]
    fn a_start_line_may_be_spread_over_segments() {
        check(Role::Response, &["x", "HTTP", "/1.1 20", "0 OK\r", "\n"], Some(1));
        check(Role::Request, &["x\r\nG", "E", "T / HTTP/1.1\r\n"], Some(3));
    }

    #[test]
    fn what_looks_like_one_in_part_is_not_taken() {
        check(Role::Request, &["GET / HTTP/2.0\r\n"], None);
        check(Role::Request, &["GET /a b HTTP/1.1\r\n"], None);
        check(Role::Response, &["HTTP/1.1 2000 OK\r\n"], None);
    }
}
