//! The identification string that each end of an SSH connection sends first (RFC 4253 §4.2).

use super::Told;
use crate::segment::Direction;

const START: &[u8] = b"SSH-";

/// RFC 4253 §4.2: CR and LF included.
const MAX_BANNER: usize = 255;

/// Bytes of other lines that a server may send first, as far as they are looked through here.
const MAX_BEFORE: usize = 2048;

pub(super) fn read(direction: Direction, bytes: &[u8]) -> Told {
    let mut rest = bytes;
    loop {
        let n = rest.len().min(START.len());
        if rest.get(..n) == START.get(..n) {
            return if n < START.len() { Told::More } else { banner(rest) };
        }
        // Only a server may send other lines before, and they are text.
        let before = bytes.len().saturating_sub(rest.len());
        let line = rest.split_inclusive(|&b| b == b'\n').next().unwrap_or_default();
        let is_text = line.iter().all(|&b| b >= b' ' || matches!(b, b'\r' | b'\n' | b'\t'));
        if direction == Direction::ToServer || !is_text || before > MAX_BEFORE {
            return Told::Nothing;
        }
        if !line.ends_with(b"\n") {
            return if rest.len() > MAX_BEFORE { Told::Nothing } else { Told::More };
        }
        rest = rest.get(line.len()..).unwrap_or_default();
    }
}

fn banner(bytes: &[u8]) -> Told {
    let line = bytes.get(..MAX_BANNER).unwrap_or(bytes);
    match memchr::memchr(b'\n', line) {
        Some(end) => Told::Ssh(line.get(..end).unwrap_or_default().trim_ascii_end().to_vec()),
        None if line.len() < MAX_BANNER => Told::More,
        None => Told::Ssh(line.to_vec()),
    }
}
