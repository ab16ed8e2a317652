//! What follows from the bytes of a head alone, whatever came before it and whoever sent it.
//!
//! Found once for a head, and never again where the same bytes come again.

use super::Role;
use super::framing::{Asked, BodyKind, body_kind};
use crate::message::{Anomalies, Anomaly, Head, Name, Names, Version};

/// What a head says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gist {
    /// The body that follows; of a response, where its request leaves it to the response.
    body: BodyKind,
    body_anomalies: Anomalies,
    /// What is wrong with a request as a whole.
    request_anomalies: Anomalies,
    /// What the framing of a response to it depends on.
    pub asked: Asked,
    /// Another response follows to the same request (RFC 9110 §15.2). 101 is final for HTTP.
    pub is_interim: bool,
    /// An answer may end HTTP on this flow (RFC 9110 §7.8 and §9.3.6).
    pub asks_takeover: bool,
    /// It opens another protocol (RFC 9113 §3.4).
    pub is_http2_preface: bool,
    /// It is the last message of its half (RFC 9112 §9.3).
    pub closes: bool,
}

impl Gist {
    pub fn of(head: &Head, role: Role) -> Self {
        let (body, body_anomalies) = body_kind(head, role, Asked::default());
        let plain = Self {
            body,
            body_anomalies,
            request_anomalies: Anomalies::default(),
            asked: Asked::default(),
            is_interim: false,
            asks_takeover: false,
            is_http2_preface: false,
            closes: closes(head),
        };
        if role == Role::Response {
            return Self { is_interim: matches!(head.status(), Some(100 | 102..=199)), ..plain };
        }
        // Asked once for all of them.
        let method = head.method().unwrap_or_default();
        let asked = Asked { head: method == b"HEAD", connect: method == b"CONNECT" };
        Self {
            request_anomalies: check_request(head),
            asked,
            asks_takeover: asked.connect || asks_upgrade(head),
            is_http2_preface: method == b"PRI" && is_http2_preface(head),
            ..plain
        }
    }

    /// The body that follows `head`, whose gist it is.
    #[inline]
    pub fn body(&self, head: &Head, asked: Asked) -> (BodyKind, Anomalies) {
        if asked == Asked::default() {
            return (self.body, self.body_anomalies);
        }
        body_kind(head, Role::Response, asked)
    }

    /// What is wrong with the message, as far as its head tells.
    pub fn anomalies(&self) -> Anomalies {
        self.body_anomalies.union(self.request_anomalies)
    }

    /// How long the body is that follows, where nothing is special about the message: neither does
    /// it end HTTP or its half, nor can it be read in several ways.
    #[inline]
    pub fn plain_body(&self) -> Option<u64> {
        let is_plain = !self.closes && !self.asks_takeover && self.body_anomalies.is_empty();
        match self.body {
            BodyKind::Empty if is_plain => Some(0),
            BodyKind::Length(n) if is_plain => Some(n),
            _ => None,
        }
    }
}

/// Whether an answer may end HTTP on this flow (RFC 9110 §7.8 and §9.3.6).
pub fn asks_takeover(head: &Head) -> bool {
    head.method() == Some(b"CONNECT") || asks_upgrade(head)
}

fn asks_upgrade(head: &Head) -> bool {
    head.names().contains(Name::Upgrade) && head.has_token(Name::Connection, "upgrade")
}

fn check_request(head: &Head) -> Anomalies {
    let mut anomalies = Anomalies::default();
    // RFC 9112 §3.2: exactly one Host in every HTTP/1.1 request.
    if head.version() == Version::HTTP_11 && !head.has_one(Name::Host) {
        anomalies.insert(Anomaly::HostCount);
    }
    if let (Some(authority), Some(host)) = (authority(head), head.value(Name::Host))
        && !authority.eq_ignore_ascii_case(host)
    {
        anomalies.insert(Anomaly::HostConflict);
    }
    anomalies
}

/// The authority in a target of absolute form (RFC 9112 §3.2.2), without user information.
fn authority(head: &Head) -> Option<&[u8]> {
    let target = head.target().filter(|target| !target.starts_with(b"/"))?;
    let scheme = Head::scheme_end(target)?;
    if !target.get(..scheme)?.iter().all(u8::is_ascii_alphanumeric) {
        return None;
    }
    let rest = target.get(scheme.checked_add(3)?..)?;
    let authority = rest.split(|b| matches!(b, b'/' | b'?' | b'#')).next()?;
    authority.rsplit(|&b| b == b'@').next()
}

/// The HTTP/2 connection preface (RFC 9113 §3.4) up to where it looks like a request.
fn is_http2_preface(head: &Head) -> bool {
    head.method() == Some(b"PRI")
        && head.target() == Some(b"*")
        && head.version() == (Version { major: 2, minor: 0 })
}

/// RFC 9112 §9.3: whether the connection ends with the message.
fn closes(head: &Head) -> bool {
    if !head.names().intersects(Names::of(&[Name::Connection, Name::ProxyConnection])) {
        return head.version() < Version::HTTP_11;
    }
    let keeps = |name| head.has_token(name, "keep-alive");
    head.has_token(Name::Connection, "close")
        || (head.version() < Version::HTTP_11
            && !keeps(Name::Connection)
            && !keeps(Name::ProxyConnection))
}
