//! Readers of message bodies: where the body ends, which bytes are content, what a gap means.

use crate::message::{Anomalies, Anomaly};

/// Bytes kept of a chunk-size line, extensions included (llhttp bounds extensions at 16 KiB).
const MAX_SIZE_LINE: usize = 16 << 10;

/// Bytes kept of one message's trailers.
const MAX_TRAILERS: usize = 64 << 10;

/// What a reader made of the next bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The first `skip` bytes were framing, then `n` bytes of content.
    Content { skip: usize, n: usize },
    /// All of it was framing; more is needed.
    More,
    /// The first `used` bytes were the last of the body.
    Done { used: usize },
    /// The framing cannot be followed from here on.
    Broken,
}

/// Where a chunked body stands (RFC 9112 §7.1).
#[derive(Debug)]
enum Chunk {
    /// Inside a chunk-size line, of which this much was kept.
    Size(Vec<u8>),
    /// Inside chunk data with this many bytes to come.
    Data(u64),
    /// Behind chunk data: its line end is due; true after the CR.
    DataEnd(bool),
    /// Behind the last chunk: trailer lines up to an empty one.
    Trailers(Trailers),
}

#[derive(Debug, Default)]
struct Trailers {
    kept: Vec<u8>,
    overflow: bool,
    /// The current line holds more than line ends.
    in_line: bool,
}

impl Trailers {
    /// Adds a line or part of one. Returns whether it was the empty line at the end.
    fn add(&mut self, part: &[u8]) -> bool {
        let room = MAX_TRAILERS.saturating_sub(self.kept.len());
        self.overflow |= part.len() > room;
        self.kept.extend_from_slice(part.get(..room).unwrap_or(part));
        self.in_line |= !super::head::is_blank_line(part);
        if !part.ends_with(b"\n") {
            return false;
        }
        !std::mem::take(&mut self.in_line)
    }

    /// The complete lines.
    fn take(&mut self) -> Vec<u8> {
        let mut lines = std::mem::take(&mut self.kept);
        if self.overflow {
            let end = memchr::memrchr(b'\n', &lines).map_or(0, |n| n.saturating_add(1));
            lines.truncate(end);
        }
        lines
    }
}

/// A reader for `Transfer-Encoding: chunked`.
#[derive(Debug)]
pub(super) struct Chunked {
    state: Chunk,
    pub(super) anomalies: Anomalies,
}

impl Chunked {
    pub(super) fn new() -> Self {
        Self { state: Chunk::Size(Vec::new()), anomalies: Anomalies::default() }
    }

    /// Bytes to come of the current chunk's data.
    pub(super) fn chunk_left(&self) -> u64 {
        match self.state {
            Chunk::Data(left) => left,
            Chunk::Size(_) | Chunk::DataEnd(_) | Chunk::Trailers(_) => 0,
        }
    }

    /// Trailer lines, once the body is done.
    pub(super) fn take_trailers(&mut self) -> Vec<u8> {
        match &mut self.state {
            Chunk::Trailers(trailers) => trailers.take(),
            Chunk::Size(_) | Chunk::Data(_) | Chunk::DataEnd(_) => Vec::new(),
        }
    }

    /// Whether `n` missing bytes lie inside the current chunk: then nothing of the framing is lost.
    pub(super) fn skip(&mut self, n: u64) -> bool {
        match &mut self.state {
            Chunk::Data(left) if n <= *left => {
                *left = left.saturating_sub(n);
                if *left == 0 {
                    self.state = Chunk::DataEnd(false);
                }
                true
            }
            _ => false,
        }
    }

    pub(super) fn step(&mut self, bytes: &[u8]) -> Step {
        let mut at = 0usize;
        loop {
            let rest = bytes.get(at..).unwrap_or_default();
            if let Chunk::Data(left) = &mut self.state {
                let n = usize::try_from(*left).unwrap_or(usize::MAX).min(rest.len());
                *left = left.saturating_sub(n as u64);
                if *left == 0 {
                    self.state = Chunk::DataEnd(false);
                }
                return if n == 0 { Step::More } else { Step::Content { skip: at, n } };
            }
            let Some((&byte, _)) = rest.split_first() else { return Step::More };
            match &mut self.state {
                Chunk::Size(line) => {
                    let n = memchr::memchr(b'\n', rest).map_or(rest.len(), |n| n.saturating_add(1));
                    let part = rest.get(..n).unwrap_or(rest);
                    let room = MAX_SIZE_LINE.saturating_sub(line.len());
                    line.extend_from_slice(part.get(..room).unwrap_or(part));
                    at = at.saturating_add(n);
                    let ended = part.ends_with(b"\n");
                    if ended && part.len() > room {
                        // The size stands at the beginning; nobody needs so much behind it.
                        self.anomalies.insert(Anomaly::InvalidChunkExtension);
                        line.extend_from_slice(b"\r\n");
                    }
                    if ended || !may_be_size(line) {
                        let line = std::mem::take(line);
                        match parse_size(&line, &mut self.anomalies) {
                            Some(0) => self.state = Chunk::Trailers(Trailers::default()),
                            Some(n) => self.state = Chunk::Data(n),
                            None => {
                                self.anomalies.insert(Anomaly::InvalidChunkSize);
                                return Step::Broken;
                            }
                        }
                    }
                }
                Chunk::DataEnd(after_cr) => {
                    match (byte, *after_cr) {
                        (b'\r', false) => *after_cr = true,
                        (b'\n', seen_cr) => {
                            if !seen_cr {
                                self.anomalies.insert(Anomaly::LfOnly);
                            }
                            self.state = Chunk::Size(Vec::new());
                        }
                        _ => {
                            self.anomalies.insert(Anomaly::InvalidChunkEnd);
                            return Step::Broken;
                        }
                    }
                    at = at.saturating_add(1);
                }
                Chunk::Trailers(trailers) => {
                    let n = memchr::memchr(b'\n', rest).map_or(rest.len(), |n| n.saturating_add(1));
                    at = at.saturating_add(n);
                    if trailers.add(rest.get(..n).unwrap_or(rest)) {
                        if trailers.overflow {
                            self.anomalies.insert(Anomaly::HeadTooLarge);
                        }
                        return Step::Done { used: at };
                    }
                }
                Chunk::Data(_) => return Step::More,
            }
        }
    }
}

/// Whether an unfinished chunk-size line can still become one, so that binary data is not collected
/// up to the bound before it is refused.
fn may_be_size(line: &[u8]) -> bool {
    let n_digits = line.iter().take_while(|b| b.is_ascii_hexdigit()).count();
    match line.get(n_digits) {
        None => true,
        Some(b) => n_digits > 0 && matches!(b, b';' | b' ' | b'\t' | b'\r'),
    }
}

/// The size in a chunk-size line, RFC 9112 §7.1: hexadecimal digits, then perhaps extensions.
fn parse_size(line: &[u8], anomalies: &mut Anomalies) -> Option<u64> {
    let ended_by_crlf = line.ends_with(b"\r\n");
    let line = super::head::trim_line(line);
    let n_digits = line.iter().take_while(|b| b.is_ascii_hexdigit()).count();
    let (digits, rest) = line.split_at_checked(n_digits)?;
    // 2^64 and more is as good as no number: some recipients would wrap around.
    let size = u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    let blank = super::head::trim_blank(rest);
    match blank.first() {
        None if rest.is_empty() => {}
        // White space behind the size is not in the grammar; many recipients accept it.
        None => anomalies.insert(Anomaly::InvalidChunkExtension),
        Some(b';') => {
            let control = blank.iter().any(|&b| (b < b' ' && b != b'\t') || b == 0x7f);
            if control || !is_extension_list(blank) {
                anomalies.insert(Anomaly::InvalidChunkExtension);
            }
        }
        Some(_) => return None,
    }
    if !ended_by_crlf {
        anomalies.insert(Anomaly::LfOnly);
    }
    Some(size)
}

/// `*( BWS ";" BWS chunk-ext-name [ BWS "=" BWS chunk-ext-val ] )`, RFC 9112 §7.1.1.
fn is_extension_list(text: &[u8]) -> bool {
    let mut rest = text;
    while let [b';', tail @ ..] = rest {
        let tail = super::head::trim_blank(tail);
        let n = tail.iter().take_while(|&&b| super::head::is_token_byte(b)).count();
        if n == 0 {
            return false;
        }
        rest = super::head::trim_blank(tail.get(n..).unwrap_or_default());
        if let [b'=', value @ ..] = rest {
            let value = super::head::trim_blank(value);
            let n = match value {
                [b'"', quoted @ ..] => match quoted_len(quoted) {
                    Some(n) => n.saturating_add(1),
                    None => return false,
                },
                _ => value.iter().take_while(|&&b| super::head::is_token_byte(b)).count(),
            };
            if n == 0 {
                return false;
            }
            rest = super::head::trim_blank(value.get(n..).unwrap_or_default());
        }
    }
    rest.is_empty()
}

/// The length of a quoted string behind its opening quote, the closing one included.
fn quoted_len(bytes: &[u8]) -> Option<usize> {
    let mut escaped = false;
    for (i, &b) in bytes.iter().enumerate() {
        match b {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return i.checked_add(1),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests;
