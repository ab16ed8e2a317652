//! What goes into a [`Parser`](super::Parser) and what comes out of it. Vocabulary only.

use super::gist::Gist;
use crate::message::{Anomalies, Head, Mark};

/// What one call to [`Parser::next`](super::Parser::next) works on.
#[derive(Debug)]
pub struct Input<'a> {
    /// Position, time and acknowledgement of the first byte that is left.
    pub mark: Mark,
    pub what: Part<'a>,
}

/// What a half's stream continues with.
#[derive(Debug)]
pub enum Part<'a> {
    Bytes(&'a [u8]),
    Gap(u64),
    /// Nothing more; `clean` when the sender closed by FIN.
    End {
        clean: bool,
    },
}

/// What a message, or the lack of one, consists of.
#[derive(Debug)]
pub enum Item<'a> {
    /// A message begins. The caller answers with [`Parser::set_body`](super::Parser::set_body) before the next call, except
    /// where the head is cut: then [`Item::End`] follows by itself.
    Head {
        head: Head,
        gist: Gist,
        first: Mark,
        last: Mark,
    },
    /// Content, without transfer coding.
    Body(&'a [u8]),
    /// Content that was not captured.
    BodyGap(u64),
    /// The message ended here.
    End(Ending),
    /// The bytes from `first` on are no message. The caller answers with [`Parser::resync`](super::Parser::resync),
    /// [`Parser::take_over`](super::Parser::take_over) or [`Parser::read_until_close`](super::Parser::read_until_close).
    NotHttp {
        first: Mark,
    },
    /// Bytes behind a takeover.
    Opaque(&'a [u8]),
    OpaqueGap(u64),
    /// Sync was lost: messages may be missing between the last and the next one.
    Lost,
}

/// How a message ended.
#[derive(Debug)]
pub struct Ending {
    /// The position and time of its end.
    pub last: Mark,
    pub complete: bool,
    pub anomalies: Anomalies,
    pub trailers: Option<Box<Head>>,
    /// Bytes that are missing where the message was lost; some may belong to the next one.
    pub missing: u64,
}

/// Bounds of a parser.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes kept of a head.
    pub head_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { head_bytes: 256 << 10 }
    }
}
