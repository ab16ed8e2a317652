//! What the items of a parser add to a message, and what a request's head asks for.

use crate::http::Ending;
use crate::message::{Anomalies, Anomaly, Head, Mark, Message, Name, Version};

pub(super) fn new_message(head: Head, first: Mark, last: Mark, anomalies: Anomalies) -> Message {
    let mut message = Message::new(Some(head), first);
    message.last = last;
    message.anomalies = message.anomalies.union(anomalies);
    message
}

pub(super) fn add_body(message: Option<&mut Message>, bytes: &[u8], wanted: usize) {
    let Some(message) = message else { return };
    let is_contiguous = message.body_bytes == message.body_prefix.len() as u64;
    message.body_bytes = message.body_bytes.saturating_add(bytes.len() as u64);
    let room = wanted.saturating_sub(message.body_prefix.len());
    if room > 0 && is_contiguous {
        message.body_prefix.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
    }
}

pub(super) fn add_gap(message: Option<&mut Message>, n: u64, on_purpose: bool) {
    let Some(message) = message else { return };
    message.body_bytes = message.body_bytes.saturating_add(n);
    if !on_purpose {
        message.gap_bytes = message.gap_bytes.saturating_add(n);
    }
}

pub(super) fn end_message(message: Option<&mut Message>, ending: Ending) {
    let Some(message) = message else { return };
    // A message without a body ended with its head, whose position is the same.
    if ending.last.offset > message.last.offset || ending.last.time > message.last.time {
        message.last = Mark { offset: ending.last.offset.max(message.last.offset), ..ending.last };
    }
    message.complete = ending.complete;
    message.trailers = ending.trailers;
    message.anomalies = message.anomalies.union(ending.anomalies);
    message.gap_bytes = message.gap_bytes.saturating_add(ending.missing);
}

/// Whether an answer may end HTTP on this flow (RFC 9110 §7.8 and §9.3.6).
pub(super) fn asks_takeover(head: &Head) -> bool {
    head.method() == Some(b"CONNECT")
        || (head.value(Name::Upgrade).is_some() && head.has_token(Name::Connection, "upgrade"))
}

pub(super) fn check_request(head: &Head) -> Anomalies {
    let mut anomalies = Anomalies::default();
    // RFC 9112 §3.2: exactly one Host in every HTTP/1.1 request.
    if head.version() == Version::HTTP_11 && head.values(Name::Host).count() != 1 {
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
pub(super) fn is_http2_preface(head: &Head) -> bool {
    head.method() == Some(b"PRI")
        && head.target() == Some(b"*")
        && head.version() == (Version { major: 2, minor: 0 })
}
