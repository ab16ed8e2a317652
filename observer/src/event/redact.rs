//! What must not leave the engine: credentials in fields and in queries.
//!
//! Applied to a message before it becomes an event, so that nothing behind the engine, no queue and
//! no log, ever holds a secret.

use std::borrow::Cow;

use crate::message::{Exchange, Field, Head, Message, Name, Names, Span, StartLine};

/// What stands in a secret's place.
pub(super) const MASK: &[u8] = b"[redacted]";

/// A field, and the key that says that it was masked, of a request and of a response.
macro_rules! keys {
    ($($name:ident = $text:literal,)*) => {
        &[$((
            Name::$name,
            concat!("http.request.header.", $text),
            concat!("http.response.header.", $text),
        ),)*]
    };
}

const KEYS: &[(Name, &str, &str)] = keys![
    Authorization = "authorization",
    ContentLocation = "content-location",
    Cookie = "cookie",
    Link = "link",
    Location = "location",
    ProxyAuthorization = "proxy-authorization",
    Referer = "referer",
    Refresh = "refresh",
    SetCookie = "set-cookie",
    XApiKey = "x-api-key",
];

/// Fields that are secrets.
const SECRETS: Names = Names::of(&[
    Name::Authorization,
    Name::ProxyAuthorization,
    Name::Cookie,
    Name::SetCookie,
    Name::XApiKey,
]);

/// Fields that hold a reference (RFC 3986): a secret in its query or its fragment is masked there.
const REFERENCES: Names =
    Names::of(&[Name::ContentLocation, Name::Link, Name::Location, Name::Referer, Name::Refresh]);

/// Both.
const WATCHED: Names = SECRETS.union(REFERENCES);

const PARAMETERS: &[&str] = &[
    "access_token",
    "api_key",
    "apikey",
    "client_secret",
    "id_token",
    "passwd",
    "password",
    "pwd",
    "refresh_token",
    "secret",
    "sessionid",
    "sig",
    "signature",
    "token",
    "x-amz-credential",
    "x-amz-security-token",
    "x-amz-signature",
    "x-goog-signature",
];

/// Masks secrets. On by default.
#[derive(Clone, Copy, Debug)]
pub struct Redactor {
    pub enabled: bool,
}

impl Default for Redactor {
    fn default() -> Self {
        Self { enabled: true }
    }
}

impl Redactor {
    /// Masks the secrets of `exchange` in place and adds the keys of what was masked.
    pub fn redact(&self, exchange: &mut Exchange, masked: &mut Vec<Cow<'static, str>>) {
        if !self.enabled {
            return;
        }
        let interim = exchange.interim.iter_mut();
        let messages = exchange.request.iter_mut().chain(interim).chain(&mut exchange.response);
        for message in messages {
            redact_message(message, masked);
        }
    }

    /// The same for a head that goes out on its own.
    pub fn redact_head(&self, head: &mut Head) -> Vec<Cow<'static, str>> {
        let mut masked = Vec::new();
        if self.enabled {
            redact_fields(head, &mut masked);
            redact_target(head, &mut masked);
        }
        masked
    }
}

fn redact_message(message: &mut Message, masked: &mut Vec<Cow<'static, str>>) {
    if let Some(head) = message.head.as_mut()
        && may_hold_secrets(head)
    {
        redact_fields(head, masked);
        redact_target(head, masked);
    }
    if let Some(trailers) = message.trailers.as_mut() {
        redact_fields(trailers, masked);
    }
}

/// By the names of its fields and what is in its target: nearly no head may.
#[inline]
fn may_hold_secrets(head: &Head) -> bool {
    head.names().intersects(WATCHED) || head.has_marks()
}

/// Masks secrets in references. OAuth puts tokens behind `#` too (RFC 6749 §4.2.2).
fn redact_references(head: &mut Head, masked: &mut Vec<Cow<'static, str>>) {
    mask_fields(head, REFERENCES, masked, |head, value| {
        let clean = clean_reference(head.bytes(value))?;
        Some(replace(head, value, &clean))
    });
}

/// Gives each field of one of these names the value that `mask` makes, where it makes one.
fn mask_fields(
    head: &mut Head,
    names: Names,
    masked: &mut Vec<Cow<'static, str>>,
    mask: impl Fn(&mut Head, Span) -> Option<Span>,
) {
    if !head.names().intersects(names) {
        return;
    }
    for i in 0..head.fields().len() {
        let Some(&Field { value, known: Some(known), .. }) = head.fields().get(i) else { continue };
        if !names.contains(known) {
            continue;
        }
        let Some(&(_, of_request, of_response)) = KEYS.iter().find(|(name, ..)| *name == known)
        else {
            continue;
        };
        let Some(value) = mask(head, value) else { continue };
        head.set_value(i, value);
        masked.push(Cow::Borrowed(match head.start() {
            StartLine::Request { .. } => of_request,
            StartLine::Response { .. } => of_response,
        }));
    }
}

/// The value without its secrets; `None` when it has none.
fn clean_reference(value: &[u8]) -> Option<Vec<u8>> {
    // Every secret here has one of these before or behind it.
    memchr::memchr2(b'=', b'@', value)?;
    let mut clean = Vec::new();
    let mut rest = value;
    let mut found = false;
    // User information stands between `//` and `@`, before anything that ends an authority.
    if let Some(start) = memchr::memmem::find(value, b"://").map(|at| at.saturating_add(3)) {
        let (before, after) = value.split_at_checked(start)?;
        let n = after.iter().position(|b| b"/?#>, ".contains(b)).unwrap_or(after.len());
        if let Some(at) = memchr::memrchr(b'@', after.get(..n)?) {
            clean.extend_from_slice(before);
            clean.extend_from_slice(MASK);
            rest = after.get(at..)?;
            found = true;
        }
    }
    // What stands between these is a parameter, whichever of the parts of a reference it is in.
    let is_end = |byte: &u8| b"?#&;>\", ".contains(byte);
    while !rest.is_empty() {
        let n = rest.iter().position(is_end).unwrap_or(rest.len());
        let (part, after) = rest.split_at_checked(n)?;
        match memchr::memchr(b'=', part) {
            Some(at) if is_secret(part) => {
                clean.extend_from_slice(part.get(..=at)?);
                clean.extend_from_slice(MASK);
                found = true;
            }
            _ => clean.extend_from_slice(part),
        }
        clean.extend(after.first());
        rest = after.get(1..).unwrap_or_default();
    }
    found.then_some(clean)
}

fn redact_fields(head: &mut Head, masked: &mut Vec<Cow<'static, str>>) {
    redact_references(head, masked);
    mask_fields(head, SECRETS, masked, |head, value| Some(replace(head, value, MASK)));
}

/// Overwrites the bytes of `span` and puts `with` in their place, or at the end of the head.
fn replace(head: &mut Head, span: Span, with: &[u8]) -> Span {
    head.change_raw(|raw| {
        if let Some(bytes) = raw.get_mut(span.start as usize..span.end as usize) {
            bytes.fill(b'*');
            // Where there is room, in the secret's own place: no memory for a longer head.
            if let Some(place) = bytes.get_mut(..with.len()) {
                place.copy_from_slice(with);
                let n = u32::try_from(with.len()).unwrap_or(u32::MAX);
                return Span { start: span.start, end: span.start.saturating_add(n) };
            }
        }
        let start = u32::try_from(raw.len()).unwrap_or(u32::MAX);
        raw.extend_from_slice(with);
        Span { start, end: u32::try_from(raw.len()).unwrap_or(u32::MAX) }
    })
}

/// User information in an absolute target (RFC 9110 §4.2.4) is a password more often than not.
fn redact_userinfo(head: &mut Head, masked: &mut Vec<Cow<'static, str>>) {
    let StartLine::Request { method, target, version } = head.start() else { return };
    let bytes = head.bytes(target);
    let Some(start) = Head::scheme_end(bytes).map(|at| at.saturating_add(3)) else {
        return;
    };
    let (before, rest) = bytes.split_at_checked(start).unwrap_or_default();
    let n_authority = rest.iter().position(|b| b"/?#".contains(b)).unwrap_or(rest.len());
    let authority = rest.get(..n_authority).unwrap_or_default();
    let Some(at) = memchr::memrchr(b'@', authority) else { return };
    let clean = [before, MASK, rest.get(at..).unwrap_or_default()].concat();
    let target = replace(head, target, &clean);
    head.set_start(StartLine::Request { method, target, version });
    masked.push(Cow::Borrowed("url.userinfo"));
}

fn redact_target(head: &mut Head, masked: &mut Vec<Cow<'static, str>>) {
    if !head.has_marks() {
        return;
    }
    redact_userinfo(head, masked);
    let StartLine::Request { method, target, version } = head.start() else { return };
    let bytes = head.bytes(target);
    let Some(query) = memchr::memchr(b'?', bytes).map(|at| at.saturating_add(1)) else { return };
    let (before, query) = bytes.split_at_checked(query).unwrap_or_default();
    if !query.split(|&b| b == b'&').any(is_secret) {
        return;
    }
    let mut clean = before.to_vec();
    for (i, pair) in query.split(|&b| b == b'&').enumerate() {
        if i > 0 {
            clean.push(b'&');
        }
        if is_secret(pair) {
            let name = pair.split(|&b| b == b'=').next().unwrap_or_default();
            clean.extend_from_slice(name);
            clean.push(b'=');
            clean.extend_from_slice(MASK);
            masked.push(Cow::Owned(format!("url.query.{}", super::text::lower(name))));
        } else {
            clean.extend_from_slice(pair);
        }
    }
    let target = replace(head, target, &clean);
    head.set_start(StartLine::Request { method, target, version });
}

fn is_secret(pair: &[u8]) -> bool {
    // Names are short: quicker than memchr.
    let Some(at) = pair.iter().position(|&b| b == b'=') else { return false };
    let (name, value) = pair.split_at_checked(at).unwrap_or_default();
    let may_be = PARAMETER_LENGTHS.checked_shr(at.try_into().unwrap_or(u32::MAX)).unwrap_or(0) & 1;
    may_be != 0
        && value.len() > 1
        && PARAMETERS.iter().any(|p| name.eq_ignore_ascii_case(p.as_bytes()))
}

/// A bit for each length that one of [`PARAMETERS`] has.
const PARAMETER_LENGTHS: u32 = {
    let (mut lengths, mut i) = (0, 0);
    while i < PARAMETERS.len() {
        lengths |= 1 << PARAMETERS[i].len();
        i += 1;
    }
    lengths
};

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(value: &str, want: &str) {
        let clean = clean_reference(value.as_bytes());
        let clean = clean.as_deref().map_or(value, |clean| std::str::from_utf8(clean).unwrap());
        assert_eq!(clean, want, "{value}");
    }

    #[test]
    fn references_lose_their_secrets_and_nothing_else() {
        for clean in ["/a?b=c", "https://x.example/", "", "/a?token=", "https://x/@a?tokens=1"] {
            assert!(clean_reference(clean.as_bytes()).is_none(), "{clean}");
        }
        check("/cb?code=1&token=s3cr3t", "/cb?code=1&token=[redacted]");
        check("https://a/b#access_token=abc&x=1", "https://a/b#access_token=[redacted]&x=1");
        check("https://jo:pw@a.example/b?c", "https://[redacted]@a.example/b?c");
        check("https://u@a/?password=x;y", "https://[redacted]@a/?password=[redacted];y");
        check("<https://a/?sig=1&p=2>; rel=next", "<https://a/?sig=[redacted]&p=2>; rel=next");
        check("5; url=https://a/?api_key=q", "5; url=https://a/?api_key=[redacted]");
    }
}
