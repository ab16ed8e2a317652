//! Frame boundaries of one half of a WebSocket (RFC 6455 §5.2): from bytes and gaps to frames.
//!
//! A gap inside a frame's content is arithmetic. One that reaches into a frame's header leaves no
//! boundary to be found again: frames have no mark by which to know their start.

use super::super::Part;

/// Two bytes, eight of extended length, four of masking key.
const MAX_HEADER: usize = 14;

/// RFC 6455 §5.2 and §11.8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opcode {
    Continuation,
    Text,
    Binary,
    Close,
    Ping,
    Pong,
    Reserved(u8),
}

impl Opcode {
    fn new(bits: u8) -> Self {
        match bits {
            0 => Self::Continuation,
            1 => Self::Text,
            2 => Self::Binary,
            8 => Self::Close,
            9 => Self::Ping,
            10 => Self::Pong,
            other => Self::Reserved(other),
        }
    }

    /// RFC 6455 §5.5: opcodes with the highest bit set.
    pub(super) fn is_control(self) -> bool {
        match self {
            Self::Close | Self::Ping | Self::Pong => true,
            Self::Continuation | Self::Text | Self::Binary => false,
            Self::Reserved(bits) => bits >= 8,
        }
    }
}

/// What a frame's header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) is_final: bool,
    /// RSV1 to RSV3 as the three low bits: 4 is RSV1.
    pub(super) reserved: u8,
    pub(super) opcode: Opcode,
    pub(super) mask: Option<[u8; 4]>,
    pub(super) length: u64,
    /// The length was not written in the shortest way, or its highest bit is set.
    pub(super) is_odd_length: bool,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Item<'a> {
    Header(Header),
    /// Content as sent, and its position in the frame.
    Content {
        bytes: &'a [u8],
        at: u64,
    },
    ContentGap(u64),
    End,
    /// Boundaries are lost for good.
    Lost,
}

#[derive(Debug)]
enum State {
    Header {
        bytes: [u8; MAX_HEADER],
        n: usize,
    },
    Content {
        at: u64,
        left: u64,
    },
    /// Behind a gap that took a header with it.
    Blind,
}

/// Finds the frames of one half.
#[derive(Debug)]
pub(super) struct Frames {
    state: State,
}

impl Default for Frames {
    fn default() -> Self {
        Self { state: State::Header { bytes: [0; MAX_HEADER], n: 0 } }
    }
}

impl Frames {
    pub(super) fn is_blind(&self) -> bool {
        matches!(self.state, State::Blind)
    }

    /// Content of the current frame that is still to come.
    pub(super) fn content_left(&self) -> u64 {
        match self.state {
            State::Content { left, .. } => left,
            State::Header { .. } | State::Blind => 0,
        }
    }

    /// The next item; `None` when `part` is used up.
    pub(super) fn next<'a>(&mut self, part: &mut Part<'a>) -> Option<Item<'a>> {
        if let State::Content { left: 0, .. } = self.state {
            *self = Self::default();
            return Some(Item::End);
        }
        match part {
            Part::Bytes(bytes) => self.next_of_bytes(bytes),
            Part::Gap { n_bytes, .. } => self.next_of_gap(n_bytes),
        }
    }

    fn next_of_bytes<'a>(&mut self, bytes: &mut &'a [u8]) -> Option<Item<'a>> {
        if bytes.is_empty() {
            return None;
        }
        match &mut self.state {
            State::Header { bytes: header, n } => {
                while let Some((first, rest)) = bytes.split_first() {
                    if let Some(slot) = header.get_mut(*n) {
                        *slot = *first;
                    }
                    *n = n.saturating_add(1);
                    *bytes = rest;
                    if let Some(header) = parse(header.get(..*n).unwrap_or_default()) {
                        self.state = State::Content { at: 0, left: header.length };
                        return Some(Item::Header(header));
                    }
                }
                None
            }
            State::Content { at, left } => {
                let n = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                let (content, rest) = bytes.split_at_checked(n)?;
                let item = Item::Content { bytes: content, at: *at };
                *at = at.saturating_add(n as u64);
                *left = left.saturating_sub(n as u64);
                *bytes = rest;
                Some(item)
            }
            State::Blind => {
                *bytes = &[];
                None
            }
        }
    }

    fn next_of_gap(&mut self, n_bytes: &mut u64) -> Option<Item<'static>> {
        if *n_bytes == 0 {
            return None;
        }
        match &mut self.state {
            State::Header { .. } => {
                self.state = State::Blind;
                *n_bytes = 0;
                Some(Item::Lost)
            }
            State::Content { at, left } => {
                let n = (*left).min(*n_bytes);
                *at = at.saturating_add(n);
                *left = left.saturating_sub(n);
                *n_bytes = n_bytes.saturating_sub(n);
                Some(Item::ContentGap(n))
            }
            State::Blind => {
                *n_bytes = 0;
                None
            }
        }
    }
}

/// The header, once all of its bytes are there.
fn parse(bytes: &[u8]) -> Option<Header> {
    let &[first, second, ref rest @ ..] = bytes else { return None };
    let short = u64::from(second & 0x7f);
    let (n_extended, least) = match short {
        126 => (2, 126),
        127 => (8, 1 << 16),
        _ => (0, 0),
    };
    let (extended, rest) = rest.split_at_checked(n_extended)?;
    let mut length = short;
    if n_extended > 0 {
        length = extended.iter().fold(0, |n, b| n << 8 | u64::from(*b));
    }
    let mask = match second & 0x80 {
        0 => None,
        _ => Some(rest.get(..4)?.try_into().ok()?),
    };
    Some(Header {
        is_final: first & 0x80 != 0,
        reserved: first >> 4 & 0b111,
        opcode: Opcode::new(first & 0x0f),
        mask,
        length,
        is_odd_length: length < least || length >> 63 != 0,
    })
}

/// Takes the mask off content that lies `at` bytes into its frame (RFC 6455 §5.3).
pub(super) fn unmask(bytes: &mut [u8], mask: [u8; 4], at: u64) {
    for (byte, i) in bytes.iter_mut().zip(at..) {
        let [a, b, c, d] = mask;
        *byte ^= match i & 3 {
            0 => a,
            1 => b,
            2 => c,
            _ => d,
        };
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests fail by panicking")]
    use super::*;

    #[track_caller]
    fn check(bytes: &[u8], opcode: Opcode, length: u64, mask: Option<[u8; 4]>, odd: bool) {
        for n in 0..bytes.len() {
            assert_eq!(parse(bytes.get(..n).unwrap()), None, "{n} bytes of {bytes:02x?}");
        }
        let header = parse(bytes).unwrap();
        assert_eq!(
            (header.opcode, header.length, header.mask, header.is_odd_length),
            (opcode, length, mask, odd)
        );
    }

    /// The examples of RFC 6455 §5.7, and lengths at their borders.
    #[test]
    fn headers_are_read_as_they_are_written() {
        check(&[0x81, 0x05], Opcode::Text, 5, None, false);
        check(
            &[0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d],
            Opcode::Text,
            5,
            Some([0x37, 0xfa, 0x21, 0x3d]),
            false,
        );
        check(&[0x89, 0x05], Opcode::Ping, 5, None, false);
        check(&[0x82, 0x7e, 0x01, 0x00], Opcode::Binary, 256, None, false);
        check(&[0x82, 0x7e, 0x00, 0x7d], Opcode::Binary, 125, None, true);
        check(&[0x82, 0x7f, 0, 0, 0, 0, 0, 1, 0, 0], Opcode::Binary, 65536, None, false);
        check(&[0x82, 0x7f, 0, 0, 0, 0, 0, 0, 0xff, 0xff], Opcode::Binary, 65535, None, true);
        check(&[0x82, 0x7f, 0x80, 0, 0, 0, 0, 0, 0, 0], Opcode::Binary, 1 << 63, None, true);
        check(&[0x8b, 0x00], Opcode::Reserved(11), 0, None, false);
    }

    #[test]
    fn a_gap_in_content_is_arithmetic_and_one_in_a_header_is_the_end() {
        let mut frames = Frames::default();
        let mut part = Part::Bytes(&[0x82, 10, 1, 2]);
        assert!(matches!(frames.next(&mut part), Some(Item::Header(h)) if h.length == 10));
        assert_eq!(frames.next(&mut part), Some(Item::Content { bytes: &[1, 2], at: 0 }));
        assert_eq!(frames.next(&mut part), None);
        let mut part = Part::Gap { n_bytes: 8, on_purpose: false };
        assert_eq!(frames.next(&mut part), Some(Item::ContentGap(8)));
        assert_eq!(frames.next(&mut part), Some(Item::End));
        assert_eq!(frames.next(&mut part), None);
        let mut part = Part::Gap { n_bytes: 1, on_purpose: false };
        assert_eq!(frames.next(&mut part), Some(Item::Lost));
        assert!(frames.is_blind());
        assert_eq!(frames.next(&mut Part::Bytes(&[0x81, 0])), None);
    }

    #[test]
    fn the_mask_goes_on_where_the_last_piece_ended() {
        let mask = [0x37, 0xfa, 0x21, 0x3d];
        let mut bytes = [0x7f, 0x9f, 0x4d, 0x51, 0x58];
        let (first, second) = bytes.split_at_mut(3);
        unmask(first, mask, 0);
        unmask(second, mask, 3);
        assert_eq!(&bytes, b"Hello");
    }
}
