//! The head of a message: from the bytes up to the empty line to a [`Head`].
//!
//! What is well formed goes through `httparse`. What it refuses is read again by a reader that
//! accepts everything a server somewhere accepts, and says what was wrong: for an observer a
//! malformed head is a finding, not an error.

mod classes;
mod credit;
mod known;
mod plain;
mod sound;
mod whole;

use self::sound::{Strict, sound, strict};
pub(super) use self::sound::{parse_plain, parse_sound};
pub use self::whole::Whole;
use super::Role;
use super::detect::{self, Verdict};
use crate::message::{Anomalies, Anomaly, Field, Head, Name, Span, StartLine, Version};

/// Fields kept of one head; those that decide the framing may be as many again.
const MAX_FIELDS: usize = 256;

/// Where the head that starts at `bytes[0]` ends: the position behind the empty line. Looks from
/// `from` on, where a line has its end or before.
pub(super) fn find_end(bytes: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    while let Some(n) = memchr::memchr(b'\n', bytes.get(at..)?) {
        at = at.checked_add(n)?.checked_add(1)?;
        let rest = bytes.get(at..)?;
        let n_cr = rest.iter().take_while(|&&b| b == b'\r').count();
        if rest.get(n_cr) == Some(&b'\n') {
            return at.checked_add(n_cr)?.checked_add(1);
        }
    }
    None
}

/// Whether a line, complete with its LF, ends the head. Some recipients skip every CR before it.
pub(super) fn is_blank_line(line: &[u8]) -> bool {
    line.iter().all(|b| matches!(b, b'\r' | b'\n'))
}

/// Parses a head. `raw` ends behind the empty line, or earlier if part of it was not captured;
/// `None` when its first line is no start line.
pub(super) fn parse(raw: Vec<u8>, role: Role) -> Option<Head> {
    match strict(&raw, role) {
        Some(Strict { start, fields, .. }) => Some(sound(raw, start, fields)),
        None => lenient(raw, role),
    }
}

fn check_names(method: &[u8], target: &[u8], anomalies: &mut Anomalies) {
    if method.iter().any(u8::is_ascii_lowercase) {
        anomalies.insert(Anomaly::InvalidMethod);
    }
    // Without an early end, so that it takes many bytes at a time.
    if target.iter().fold(false, |found, &b| found | (b <= b' ') | (b >= 0x7f)) {
        anomalies.insert(Anomaly::InvalidTarget);
    }
}

/// The span of `part`, a slice of `raw`.
fn span_of(raw: &[u8], part: &[u8]) -> Option<Span> {
    let start = (part.as_ptr() as usize).checked_sub(raw.as_ptr() as usize)?;
    let end = start.checked_add(part.len())?;
    (end <= raw.len() && end <= u32::MAX as usize)
        .then_some(Span { start: start as u32, end: end as u32 })
}

/// Reads a head line by line and takes note of everything irregular.
fn lenient(mut raw: Vec<u8>, role: Role) -> Option<Head> {
    let mut anomalies = Anomalies::default();
    let mut lines = Vec::new();
    let mut has_crlf = false;
    let mut at = 0usize;
    while let Some(rest) = raw.get(at..).filter(|rest| !rest.is_empty()) {
        let n = memchr::memchr(b'\n', rest).map_or(rest.len(), |n| n.saturating_add(1));
        let line = rest.get(..n)?;
        if line.ends_with(b"\n") && !line.ends_with(b"\r\n") {
            anomalies.insert(Anomaly::LfOnly);
        }
        has_crlf |= line.ends_with(b"\r\n");
        let text = trim_line(line);
        if memchr::memchr(b'\r', text).is_some() {
            anomalies.insert(Anomaly::BareCr);
        }
        lines.push((at, at.checked_add(text.len())?));
        at = at.checked_add(n)?;
    }
    if has_crlf && anomalies.contains(Anomaly::LfOnly) {
        anomalies.insert(Anomaly::MixedLineEnds);
    }
    let (&(start, end), field_lines) = lines.split_first()?;
    let first = raw.get(start..end)?;
    let start = match role {
        Role::Request => request_line(&raw, first, &mut anomalies)?,
        Role::Response => status_line(&raw, first, &mut anomalies)?,
    };
    unfold(&mut raw, field_lines, &mut anomalies);
    let mut fields: Vec<Field> = Vec::new();
    for &(start, end) in field_lines {
        let Some(line) = raw.get(start..end).filter(|line| !is_blank_line(line)) else { continue };
        if matches!(line.first(), Some(b' ' | b'\t')) {
            // A continuation: its text belongs to the value of the field above.
            let trimmed = line.trim_ascii();
            if let (Some(field), Some(span)) = (fields.last_mut(), span_of(&raw, trimmed))
                && !trimmed.is_empty()
            {
                let empty = field.value.start == field.value.end;
                field.value =
                    Span { start: if empty { span.start } else { field.value.start }, ..span };
            }
            anomalies.insert(Anomaly::ObsFold);
            let name = fields
                .last()
                .and_then(|field| raw.get(field.name.start as usize..field.name.end as usize));
            if name.is_some_and(decides_length) {
                anomalies.insert(Anomaly::IrregularFraming);
            }
        } else if fields.len() >= MAX_FIELDS
            && !(decides_framing(line) && fields.len() < MAX_FIELDS.saturating_mul(2))
        {
            anomalies.insert(Anomaly::TooManyFields);
        } else {
            let mut found = Anomalies::default();
            fields.extend(field_line(&raw, line, &mut found));
            anomalies = anomalies.union(found);
            if !found.is_empty() && decides_length(line) {
                anomalies.insert(Anomaly::IrregularFraming);
            }
        }
    }
    Some(Head::new(raw, start, fields, anomalies))
}

/// Overwrites the line ends before continuation lines with spaces (RFC 9112 §5.2).
fn unfold(raw: &mut [u8], lines: &[(usize, usize)], anomalies: &mut Anomalies) {
    for pair in lines.windows(2) {
        let &[(_, end), (next, next_end)] = pair else { continue };
        let folded = next < next_end && matches!(raw.get(next), Some(b' ' | b'\t'));
        if folded && let Some(line_end) = raw.get_mut(end..next) {
            line_end.fill(b' ');
            anomalies.insert(Anomaly::ObsFold);
        }
    }
}

fn request_line(raw: &[u8], line: &[u8], anomalies: &mut Anomalies) -> Option<StartLine> {
    let mut ended = line.to_vec();
    ended.push(b'\n');
    let simple = match detect::request_line(&ended, true) {
        Verdict::Http => false,
        Verdict::Simple => true,
        Verdict::Undecided | Verdict::No => return None,
    };
    let n_method = line.iter().take_while(|&&b| is_token_byte(b)).count();
    let method = line.get(..n_method)?;
    let rest = line.get(n_method..)?;
    let (target, version) = if simple {
        (rest.trim_ascii(), Version::HTTP_09)
    } else {
        let trimmed = rest.trim_ascii();
        let n_version = trimmed.rsplit(|b| matches!(b, b' ' | b'\t')).next()?.len();
        let (target, version) = trimmed.split_at_checked(trimmed.len().checked_sub(n_version)?)?;
        let regular = rest.len() == target.len().checked_add(n_version)?.checked_add(1)?
            && rest.first() == Some(&b' ')
            && target.ends_with(b" ")
            && !target.trim_ascii().is_empty()
            && target.trim_ascii().len() == target.len().saturating_sub(1);
        if !regular {
            anomalies.insert(Anomaly::IrregularSpaces);
        }
        (target.trim_ascii(), parse_version(version, anomalies))
    };
    check_names(method, target, anomalies);
    let target = if target.is_empty() { Span::default() } else { span_of(raw, target)? };
    Some(StartLine::Request { method: span_of(raw, method)?, target, version })
}

fn status_line(raw: &[u8], line: &[u8], anomalies: &mut Anomalies) -> Option<StartLine> {
    let mut ended = line.to_vec();
    ended.push(b'\n');
    if detect::status_line(&ended, true) != Verdict::Http {
        return None;
    }
    let blank = |b: &u8| matches!(b, b' ' | b'\t');
    let n_version = line.iter().position(&blank)?;
    let version = parse_version(line.get(..n_version)?, anomalies);
    let rest = line.get(n_version..)?;
    let n_blank = rest.iter().position(|b| !blank(b))?;
    if n_blank != 1 || rest.first() != Some(&b' ') {
        anomalies.insert(Anomaly::IrregularSpaces);
    }
    let (code, reason) = rest.get(n_blank..)?.split_at_checked(3)?;
    if reason.first().is_some_and(|b| !blank(b)) {
        anomalies.insert(Anomaly::IrregularSpaces);
    }
    let status = std::str::from_utf8(code).ok()?.parse().ok()?;
    if !(100..600).contains(&status) {
        anomalies.insert(Anomaly::InvalidStatus);
    }
    let reason = reason.trim_ascii();
    let reason = if reason.is_empty() { Span::default() } else { span_of(raw, reason)? };
    Some(StartLine::Response { status, reason, version })
}

/// `HTTP/1.1` and the like; anything else is read as the nearest version and flagged.
fn parse_version(text: &[u8], anomalies: &mut Anomalies) -> Version {
    match text {
        b"HTTP/1.1" => Version::HTTP_11,
        b"HTTP/1.0" => Version::HTTP_10,
        b"HTTP/0.9" => Version::HTTP_09,
        [b'H', b'T', b'T', b'P', b'/', major @ b'0'..=b'9', b'.', minor @ b'0'..=b'9'] => {
            anomalies.insert(Anomaly::InvalidVersion);
            Version { major: major & 0x0f, minor: minor & 0x0f }
        }
        _ => {
            anomalies.insert(Anomaly::InvalidVersion);
            Version::HTTP_11
        }
    }
}

fn field_line(raw: &[u8], line: &[u8], anomalies: &mut Anomalies) -> Option<Field> {
    let Some(colon) = memchr::memchr(b':', line) else {
        anomalies.insert(Anomaly::NoColon);
        return None;
    };
    let (name, value) = (line.get(..colon)?, line.get(colon.checked_add(1)?..)?);
    let trimmed = name.trim_ascii_end();
    if trimmed.len() < name.len() {
        anomalies.insert(Anomaly::SpaceBeforeColon);
    }
    if trimmed.is_empty() || !trimmed.iter().all(|&b| is_token_byte(b)) {
        anomalies.insert(Anomaly::InvalidFieldName);
    }
    let value = trim_blank(value);
    if value.iter().any(|&b| (b < b' ' && b != b'\t') || b == 0x7f) {
        anomalies.insert(Anomaly::InvalidFieldValue);
    }
    let value = if value.is_empty() { Span::default() } else { span_of(raw, value)? };
    let name = if trimmed.is_empty() { Span::default() } else { span_of(raw, trimmed)? };
    Some(Field { name, value, known: Name::of(trimmed) })
}

/// Parses trailer lines (RFC 9112 §7.1.2): fields without a start line.
pub(super) fn parse_trailers(raw: Vec<u8>) -> Head {
    let start =
        StartLine::Response { status: 0, reason: Span::default(), version: Version::HTTP_11 };
    let (mut fields, mut anomalies) = (Vec::new(), Anomalies::default());
    let mut at = 0usize;
    while let Some(rest) = raw.get(at..).filter(|rest| !rest.is_empty()) {
        let n = memchr::memchr(b'\n', rest).map_or(rest.len(), |n| n.saturating_add(1));
        let line = rest.get(..n).unwrap_or(rest);
        let text = trim_line(line);
        at = at.saturating_add(n);
        if is_blank_line(line) {
            continue;
        }
        if fields.len() >= MAX_FIELDS {
            anomalies.insert(Anomaly::TooManyFields);
            continue;
        }
        let mut found = Anomalies::default();
        let field = field_line(&raw, text, &mut found);
        // RFC 9110 §6.5.1: framing and routing are decided before the body.
        if field.is_none() || !found.is_empty() || decides_framing(text) {
            anomalies.insert(Anomaly::InvalidTrailer);
        }
        fields.extend(field);
    }
    Head::new(raw, start, fields, anomalies)
}

/// RFC 9110 §5.6.2.
#[rustfmt::skip]
pub(super) const fn is_token_byte(b: u8) -> bool {
    b.is_ascii_alphanumeric()
        || matches!(b, b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^')
        || matches!(b, b'_' | b'`' | b'|' | b'~')
}

/// A line without its line end.
pub(super) fn trim_line(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// Without spaces and tabs around (RFC 9110 §5.6.3), and nothing else.
pub(super) fn trim_blank(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = bytes {
        bytes = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

/// Whether a field line decides which body follows, or who the message is for: kept even when a
/// head exceeds its bound.
pub(super) fn decides_framing(line: &[u8]) -> bool {
    const NAMES: [&[u8]; 3] = [b"connection", b"upgrade", b"host"];
    decides_length(line) || NAMES.iter().any(|known| is_named(line, known))
}

/// Whether a field line says where the body ends.
fn decides_length(line: &[u8]) -> bool {
    is_named(line, b"content-length") || is_named(line, b"transfer-encoding")
}

/// Whether the name in a field line is `known`, give or take what some recipients forgive.
fn is_named(line: &[u8], known: &[u8]) -> bool {
    let name = line.split(|&b| b == b':').next().unwrap_or_default();
    let start = name.iter().position(|&b| is_token_byte(b)).unwrap_or(name.len());
    let name = name.get(start..).unwrap_or_default();
    name.get(..known.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(known))
        && !name.iter().skip(known.len()).any(|&b| is_token_byte(b))
}

#[cfg(test)]
mod tests;
