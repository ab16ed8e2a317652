//! The head with which nothing is wrong, or next to nothing: `httparse`, and what it lets through.

use std::mem::MaybeUninit;

use super::super::gist::Gist;
use super::super::{Role, detect};
use super::whole::{self, Whole};
use super::{check_names, plain, span_of, trim_line};
use crate::message::{Anomalies, Anomaly, Field, Head, Name, Span, StartLine, Version};

/// The head at the start of `bytes`, where all of it is there and it is [`plain`]. One pass over the
/// bytes, and one copy of them; none where they are known.
#[inline]
pub(in super::super) fn parse_plain(bytes: &[u8], role: Role) -> Option<Whole> {
    if let Some(known) = whole::find(bytes, role) {
        return Some(known);
    }
    let head = Head::read_with(|fields| {
        let (start, end) = plain::read(bytes, role, fields)?;
        Some((start, bytes.get(..end)?))
    })?;
    let gist = Gist::of(&head, role);
    let whole = Whole { head, gist };
    whole::remember(bytes, &whole, role);
    Some(whole)
}

/// The same for one with which nothing is wrong.
pub(in super::super) fn parse_sound(bytes: &[u8], role: Role) -> Option<(Head, usize)> {
    let Strict { start, fields, end } = strict(bytes, role)?;
    Some((sound(bytes.get(..end)?.to_vec(), start, fields), end))
}

/// A head that [`strict`] has accepted.
pub(super) fn sound(raw: Vec<u8>, start: StartLine, fields: Vec<Field>) -> Head {
    let mut head = Head::new(raw, start, fields, Anomalies::default());
    head.anomalies = let_through(&head);
    head
}

/// What [`strict`] finds: spans of the bytes that it was given, of which the head ends at `end`.
pub(super) struct Strict {
    pub(super) start: StartLine,
    pub(super) fields: Vec<Field>,
    pub(super) end: usize,
}

/// The head as `httparse` reads it; `None` when it finds anything that is not by the grammar.
pub(super) fn strict(raw: &[u8], role: Role) -> Option<Strict> {
    const MAX_STRICT_FIELDS: usize = 64;
    let mut headers = [const { MaybeUninit::uninit() }; MAX_STRICT_FIELDS];
    let version = |minor| Some(Version { major: 1, minor });
    let complete = |parsed: httparse::Result<usize>| match parsed {
        Ok(httparse::Status::Complete(end)) => Some(end),
        Ok(httparse::Status::Partial) | Err(_) => None,
    };
    let end;
    let (start, headers) = match role {
        Role::Request => {
            let mut request = httparse::Request::new(&mut []);
            end = complete(request.parse_with_uninit_headers(raw, &mut headers))?;
            // The reader of first lines believes no longer method, so nobody may.
            request.method.filter(|method| method.len() <= detect::MAX_METHOD)?;
            let start = StartLine::Request {
                method: span_of(raw, request.method?.as_bytes())?,
                target: span_of(raw, request.path?.as_bytes())?,
                version: version(request.version?)?,
            };
            (start, request.headers)
        }
        Role::Response => {
            let mut response = httparse::Response::new(&mut []);
            let parsed = httparse::ParserConfig::default().parse_response_with_uninit_headers(
                &mut response,
                raw,
                &mut headers,
            );
            end = complete(parsed)?;
            let status = response.code?;
            // httparse replaces a reason with obs-text by "": then it lies outside the head, and
            // the lenient reader keeps it.
            let reason = response.reason?;
            let reason = if reason.is_empty() && !ends_after_status(raw) {
                return None;
            } else if reason.is_empty() {
                Span::default()
            } else {
                span_of(raw, reason.as_bytes())?
            };
            (
                StartLine::Response { status, reason, version: version(response.version?)? },
                response.headers,
            )
        }
    };
    if let StartLine::Response { status, .. } = start
        && !(100..600).contains(&status)
    {
        return None;
    }
    let mut fields = Vec::with_capacity(headers.len());
    for header in headers.iter() {
        let value =
            if header.value.is_empty() { Span::default() } else { span_of(raw, header.value)? };
        let name = header.name.as_bytes();
        fields.push(Field { name: span_of(raw, name)?, value, known: Name::of(name) });
    }
    Some(Strict { start, fields, end })
}

fn ends_after_status(raw: &[u8]) -> bool {
    let line = raw.split(|&b| b == b'\n').next().unwrap_or_default();
    trim_line(line).trim_ascii_end().len() <= b"HTTP/1.1 200".len()
}

/// What `httparse` accepts beyond the grammar: LF alone, and targets that are not ASCII. Methods in
/// lower case are within it, and still not what anybody meant.
fn let_through(head: &Head) -> Anomalies {
    let mut anomalies = Anomalies::default();
    // A start line, the fields, an empty line; and no CR that is not part of a line end.
    let n_lines = head.fields().len().saturating_add(2);
    let n_crlf = memchr::memchr_iter(b'\r', head.raw()).count();
    if n_crlf < n_lines {
        anomalies.insert(Anomaly::LfOnly);
        if n_crlf > 0 {
            anomalies.insert(Anomaly::MixedLineEnds);
        }
    }
    if let StartLine::Request { method, target, .. } = head.start() {
        check_names(head.bytes(method), head.bytes(target), &mut anomalies);
    }
    anomalies
}
