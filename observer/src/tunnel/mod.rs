//! What a flow carries after a takeover: how much of it, for how long, and what it seems to be.
//!
//! Sans-I/O like the rest of the engine: parts of both halves and their times go in, a [`Report`]
//! can be asked for at any moment. Payload is looked at and not kept, beyond the first bytes that
//! [`inner`] needs. Nothing here knows TCP, frames HTTP/1, or pairs anything.
#![warn(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used)]

mod bulk;
pub mod inner;
pub mod websocket;

use self::bulk::Bulk;
use self::inner::{Inner, Recogniser};
use self::websocket::WebSocket;
use crate::message::{Head, Name, Takeover};
use crate::segment::{Direction, Timestamp};

/// What a half of the tunnel continues with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part<'a> {
    Bytes(&'a [u8]),
    /// This many bytes were on the wire and were not captured; `on_purpose` when nobody wanted them.
    Gap {
        n_bytes: u64,
        on_purpose: bool,
    },
}

/// What is asked of a tunnel beyond its counts.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted {
    /// An event for each WebSocket message, with so many bytes of its content.
    pub messages: Option<usize>,
}

/// What one call to [`Tunnel::handle`] brought to light, beside the counts.
#[derive(Debug, Default)]
pub struct Found {
    /// Content of WebSocket messages, unmasked and without framing, while it is looked at.
    pub content: Vec<Content>,
    /// WebSocket messages that ended, where they were asked for.
    pub messages: Vec<websocket::Message>,
}

/// The stream inside a WebSocket continues.
#[derive(Debug, PartialEq, Eq)]
pub enum Content {
    Bytes(Vec<u8>),
    /// Content that was not captured.
    Gap(u64),
}

/// A value for each direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Both<T> {
    pub to_server: T,
    pub to_client: T,
}

impl<T> Both<T> {
    pub fn of(&self, direction: Direction) -> &T {
        match direction {
            Direction::ToServer => &self.to_server,
            Direction::ToClient => &self.to_client,
        }
    }

    pub fn of_mut(&mut self, direction: Direction) -> &mut T {
        match direction {
            Direction::ToServer => &mut self.to_server,
            Direction::ToClient => &mut self.to_client,
        }
    }
}

/// What went through one half.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Volume {
    /// Bytes on the wire, captured or not.
    pub n_bytes: u64,
    /// Those of them that were lost to the capture.
    pub n_lost: u64,
}

/// How the two ends agreed on the tunnel, as far as their heads tell.
#[derive(Clone, Debug)]
pub struct Agreement {
    pub kind: Takeover,
    /// The protocol of an upgrade, lower-case: `websocket`, `h2c`.
    pub protocol: Option<Vec<u8>>,
    /// Sec-WebSocket-Protocol of the answer.
    pub subprotocol: Option<Vec<u8>>,
    /// Sec-WebSocket-Extensions of the answer names permessage-deflate (RFC 7692).
    pub deflate: bool,
}

impl Agreement {
    pub fn new(kind: Takeover, request: Option<&Head>, response: Option<&Head>) -> Self {
        let upgrade =
            |head: Option<&Head>| head?.value(Name::Upgrade).map(<[u8]>::to_ascii_lowercase);
        let answered = |name| response.and_then(|head| head.value(name));
        let is_upgrade = kind == Takeover::Upgrade;
        Self {
            kind,
            protocol: upgrade(response).or_else(|| upgrade(request)).filter(|_| is_upgrade),
            subprotocol: answered(Name::SecWebSocketProtocol).map(<[u8]>::to_vec),
            deflate: answered(Name::SecWebSocketExtensions)
                .is_some_and(|value| memchr::memmem::find(value, b"permessage-deflate").is_some()),
        }
    }

    fn is_websocket(&self) -> bool {
        self.protocol.as_deref() == Some(b"websocket")
    }
}

/// One tunnel.
#[derive(Debug)]
pub struct Tunnel {
    agreement: Agreement,
    opened: Timestamp,
    last: Timestamp,
    longest_idle_ns: u64,
    volume: Both<Volume>,
    bulk: Both<Bulk>,
    websocket: Option<Box<WebSocket>>,
    recogniser: Recogniser,
}

/// What there is to say of a tunnel at one moment.
#[derive(Clone, Debug)]
pub struct Report {
    pub agreement: Agreement,
    pub opened: Timestamp,
    /// The last byte of either half; the takeover itself while there was none.
    pub last: Timestamp,
    /// The longest time without a byte of either half.
    pub longest_idle_ns: u64,
    pub volume: Both<Volume>,
    pub inner: Option<Inner>,
    pub websocket: Option<websocket::Report>,
}

impl Tunnel {
    pub fn new(agreement: Agreement, opened: Timestamp, wanted: Wanted) -> Self {
        let websocket = agreement
            .is_websocket()
            .then(|| Box::new(WebSocket::new(agreement.deflate, wanted.messages)));
        Self {
            agreement,
            opened,
            last: opened,
            longest_idle_ns: 0,
            volume: Both::default(),
            bulk: Both::default(),
            websocket,
            recogniser: Recogniser::default(),
        }
    }

    /// Takes the next part of one half.
    pub fn handle(
        &mut self,
        direction: Direction,
        time: Timestamp,
        part: Part<'_>,
        found: &mut Found,
    ) {
        let (n_bytes, lost) = match part {
            Part::Bytes(bytes) => (bytes.len() as u64, 0),
            Part::Gap { n_bytes, on_purpose: false } => (n_bytes, n_bytes),
            Part::Gap { n_bytes, on_purpose: true } => (n_bytes, 0),
        };
        // A loss is dated when it was given up, which says nothing of when the bytes passed. A
        // stretch that was left out is dated by its end, and what led up to that was no silence;
        // where lengths alone are told, each comes with its time.
        match part {
            Part::Gap { on_purpose: true, .. } if !self.is_told() => {
                self.last = self.last.max(time);
            }
            Part::Gap { on_purpose: false, .. } => {}
            Part::Gap { on_purpose: true, .. } | Part::Bytes(_) => self.note_time(time),
        }
        let volume = self.volume.of_mut(direction);
        volume.n_bytes = volume.n_bytes.saturating_add(n_bytes);
        volume.n_lost = volume.n_lost.saturating_add(lost);
        self.bulk.of_mut(direction).note(time, n_bytes);
        match &mut self.websocket {
            None => self.recogniser.handle(direction, part),
            Some(websocket) => {
                let before = found.content.len();
                let content = self.recogniser.wants_content(direction);
                websocket.handle(direction, time, part, content, found);
                for content in found.content.get(before..).unwrap_or_default() {
                    let part = match content {
                        Content::Bytes(bytes) => Part::Bytes(bytes),
                        Content::Gap(n) => Part::Gap { n_bytes: *n, on_purpose: false },
                    };
                    self.recogniser.handle(direction, part);
                }
            }
        }
    }

    /// What the tunnel carries, as far as its first bytes have told.
    pub fn inner(&self) -> Option<&Inner> {
        self.recogniser.inner()
    }

    /// Whether the content may still turn out to be HTTP/1, or has.
    pub fn may_be_http1(&self) -> bool {
        self.recogniser.may_be_http1()
    }

    /// Whether the content is HTTP/1.
    pub fn is_http1(&self) -> bool {
        self.recogniser.is_http1()
    }

    /// The bytes of the flow are not the tunnel's content but frames around it.
    pub fn is_framed(&self) -> bool {
        self.websocket.is_some()
    }

    /// Nothing more can be learned from the bytes of either half: what is inside is known, or that
    /// it is not known here; and there are no frames to be counted.
    pub fn is_told(&self) -> bool {
        let is_done = |direction| {
            let frames = self.websocket.as_ref();
            !self.recogniser.wants_content(direction)
                && frames.is_none_or(|websocket| websocket.is_blind(direction))
        };
        is_done(Direction::ToServer) && is_done(Direction::ToClient)
    }

    /// Bytes of this half that may be left out next without anything being missed: none while the
    /// first bytes are still looked at; the rest of a frame; a stride of a bulk transfer.
    pub fn dispensable(&self, direction: Direction) -> u64 {
        if self.recogniser.wants_content(direction) {
            return 0;
        }
        match &self.websocket {
            None => self.bulk.of(direction).stride(),
            Some(websocket) => websocket.dispensable(direction).min(bulk::MAX_STRIDE),
        }
    }

    pub fn report(&self) -> Report {
        Report {
            agreement: self.agreement.clone(),
            opened: self.opened,
            last: self.last,
            longest_idle_ns: self.longest_idle_ns,
            volume: self.volume,
            inner: self.recogniser.inner().cloned(),
            websocket: self.websocket.as_ref().map(|w| w.report()),
        }
    }

    /// The same at the end, which closes the last idle time.
    pub fn close(&mut self, now: Timestamp) -> Report {
        let last = self.last;
        self.note_time(now);
        self.last = last;
        self.report()
    }

    fn note_time(&mut self, time: Timestamp) {
        self.longest_idle_ns = self.longest_idle_ns.max(time.since(self.last));
        self.last = self.last.max(time);
    }
}

#[cfg(test)]
mod tests;
