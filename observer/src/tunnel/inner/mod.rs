//! What a tunnel carries, told from the first bytes of both halves: SSH, TLS, HTTP.
//!
//! A bounded prefix of each half is kept until it has told what it can; then it is let go.

mod requests;
mod ssh;
pub mod tls;

use self::tls::Hello;
use super::{Both, Part};
use crate::segment::Direction;

/// Bytes kept of a half, at most: one TLS record (RFC 8446 §5.1) and its header. A ClientHello of
/// today, key shares for post-quantum key exchange included, has about 1800.
const MAX_PREFIX: usize = 16_384 + 5;

/// What was recognised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Inner {
    /// The identification strings of both ends (RFC 4253 §4.2), without line end.
    Ssh(Both<Option<Vec<u8>>>),
    Tls(Hellos),
    Http1,
    Http2,
}

impl Inner {
    /// The name in `obs.tunnel.inner`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Ssh(_) => "ssh",
            Self::Tls(_) => "tls",
            Self::Http1 => "http/1",
            Self::Http2 => "http/2",
        }
    }
}

/// What the two hellos of a TLS handshake tell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hellos {
    pub client: Option<Hello>,
    pub server: Option<Hello>,
}

/// What is left to be learned from the start of one half.
#[derive(Clone, Debug)]
enum Prefix {
    Open(Vec<u8>),
    Done,
}

impl Default for Prefix {
    fn default() -> Self {
        Self::Open(Vec::new())
    }
}

/// What the bytes so far say.
#[derive(Debug, PartialEq, Eq)]
enum Told {
    /// Too few to say.
    More,
    /// Nothing that is known here.
    Nothing,
    Ssh(Vec<u8>),
    Tls(Hello),
    Http1,
    Http2,
}

/// Looks at the first bytes of both halves.
#[derive(Debug, Default)]
pub struct Recogniser {
    prefixes: Both<Prefix>,
    inner: Option<Inner>,
}

impl Recogniser {
    pub fn inner(&self) -> Option<&Inner> {
        self.inner.as_ref()
    }

    pub(super) fn is_http1(&self) -> bool {
        self.inner == Some(Inner::Http1)
    }

    fn wants(&self, direction: Direction) -> bool {
        matches!(self.prefixes.of(direction), Prefix::Open(_))
    }

    /// Whether the half's content is needed: to tell what it is, or because it is HTTP/1.
    pub(super) fn wants_content(&self, direction: Direction) -> bool {
        self.is_http1() || self.wants(direction)
    }

    pub(super) fn may_be_http1(&self) -> bool {
        match self.inner {
            Some(Inner::Http1) => true,
            Some(Inner::Ssh(_) | Inner::Tls(_) | Inner::Http2) => false,
            None => self.wants(Direction::ToServer),
        }
    }

    /// Takes the next part of a half's content.
    pub fn handle(&mut self, direction: Direction, part: Part<'_>) {
        let Prefix::Open(prefix) = self.prefixes.of_mut(direction) else { return };
        let is_last = match part {
            Part::Bytes(bytes) => {
                let room = MAX_PREFIX.saturating_sub(prefix.len());
                prefix.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
                prefix.len() >= MAX_PREFIX
            }
            // What lies behind a hole is not the continuation of what lies before.
            Part::Gap { .. } => true,
        };
        let told = judge(direction, prefix, is_last);
        self.note(direction, told, is_last);
    }

    fn note(&mut self, direction: Direction, told: Told, is_last: bool) {
        match told {
            Told::More if !is_last => return,
            Told::More | Told::Nothing => {}
            Told::Ssh(banner) => {
                let Inner::Ssh(banners) =
                    self.inner.get_or_insert_with(|| Inner::Ssh(Both::default()))
                else {
                    return self.end(direction);
                };
                *banners.of_mut(direction) = Some(banner);
            }
            Told::Tls(hello) => {
                let Inner::Tls(hellos) =
                    self.inner.get_or_insert_with(|| Inner::Tls(Hellos::default()))
                else {
                    return self.end(direction);
                };
                match hello.from_client {
                    true => hellos.client = Some(hello),
                    false => hellos.server = Some(hello),
                }
            }
            Told::Http1 => self.settle(Inner::Http1),
            Told::Http2 => self.settle(Inner::Http2),
        }
        self.end(direction);
    }

    /// One half has told everything about both.
    fn settle(&mut self, inner: Inner) {
        self.inner.get_or_insert(inner);
        self.prefixes = Both { to_server: Prefix::Done, to_client: Prefix::Done };
    }

    fn end(&mut self, direction: Direction) {
        *self.prefixes.of_mut(direction) = Prefix::Done;
    }
}

fn judge(direction: Direction, bytes: &[u8], is_last: bool) -> Told {
    let mut undecided = false;
    let mut candidates = [ssh::read(direction, bytes), tls::read(bytes, is_last), Told::Nothing];
    if direction == Direction::ToServer
        && let Some(last) = candidates.last_mut()
    {
        *last = requests::read(bytes);
    }
    for told in candidates {
        match told {
            Told::More => undecided = true,
            Told::Nothing => {}
            found => return found,
        }
    }
    if undecided { Told::More } else { Told::Nothing }
}
