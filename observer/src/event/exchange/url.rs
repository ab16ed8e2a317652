//! A request target taken apart, RFC 9112 §3.2 and OpenTelemetry's `url.*`.

use serde::Serialize;

use super::super::json::Json;
use super::super::text::Text;
use crate::message::{Head, Name};

#[derive(Serialize)]
pub(in super::super) struct Url<'a> {
    scheme: Text<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    domain: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    query: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    original: Option<Text<'a>>,
}

impl<'a> Url<'a> {
    /// The parts of a request target, RFC 9112 §3.2.
    pub(in super::super) fn new(head: &'a Head) -> Option<Self> {
        let target = head.target()?;
        let host = head.value(Name::Host);
        if target.starts_with(b"/") && head.method() != Some(b"CONNECT") {
            return Some(Self::of_path(target, host));
        }
        let n = memchr::memchr(b'#', target).unwrap_or(target.len());
        let without_fragment = target.get(..n).unwrap_or_default();
        let scheme_end = Head::scheme_end(without_fragment).filter(|&at| {
            without_fragment.get(..at).is_some_and(|s| s.iter().all(u8::is_ascii_alphanumeric))
        });
        let mut scheme: &[u8] = b"http";
        let (authority, rest) = if head.method() == Some(b"CONNECT") {
            (Some(target).filter(|t| !t.starts_with(b"/")), None)
        } else if let Some(at) = scheme_end.filter(|&at| at > 0) {
            scheme = without_fragment.get(..at).unwrap_or_default();
            let after = without_fragment.get(at.saturating_add(3)..).unwrap_or_default();
            let n = after.iter().position(|b| matches!(b, b'/' | b'?')).unwrap_or(after.len());
            let (authority, rest) = after.split_at_checked(n).unwrap_or_default();
            (Some(authority), Some(rest))
        } else {
            (None, Some(without_fragment).filter(|t| t.starts_with(b"/")))
        };
        // RFC 9112 §3.2.2: the target's authority goes before Host, where it is one.
        let authority = authority.and_then(split_authority).or_else(|| split_authority(host?));
        let (domain, port) = authority.unzip();
        let (path, query) = match rest {
            Some(rest) => match memchr::memchr(b'?', rest) {
                Some(at) => (rest.get(..at), rest.get(at.saturating_add(1)..)),
                None => (Some(rest), None),
            },
            None => (None, None),
        };
        Some(Self {
            scheme: Text(scheme),
            domain: domain.map(Text),
            port: port.flatten(),
            path: path.map(Text),
            query: query.map(Text),
            original: Some(target).filter(|t| !t.is_empty()).map(Text),
        })
    }

    /// The common case: a target in origin form (RFC 9112 §3.2.1).
    fn of_path(target: &'a [u8], host: Option<&'a [u8]>) -> Self {
        let (domain, port) = host.and_then(split_authority).unzip();
        let (path, query) = match memchr::memchr2(b'?', b'#', target) {
            Some(at) => {
                let (path, rest) = target.split_at_checked(at).unwrap_or_default();
                let query = rest.strip_prefix(b"?").map(|rest| {
                    let n = memchr::memchr(b'#', rest).unwrap_or(rest.len());
                    rest.get(..n).unwrap_or_default()
                });
                (path, query)
            }
            None => (target, None),
        };
        Self {
            scheme: Text(b"http"),
            domain: domain.map(Text),
            port: port.flatten(),
            path: Some(Text(path)),
            query: query.map(Text),
            original: Some(Text(target)),
        }
    }

    /// Domain, path and query.
    pub(super) fn parts(&self) -> [Option<&'a [u8]>; 3] {
        [self.domain, self.path, self.query].map(|part| part.map(|text| text.0))
    }
}

impl Url<'_> {
    /// The same object as by serde.
    pub(super) fn write(&self, json: &mut Json<'_>) {
        json.raw(r#"{"scheme":"#);
        json.text(self.scheme.0);
        if let Some(Text(domain)) = self.domain {
            json.raw(r#","domain":"#);
            json.text(domain);
        }
        if let Some(port) = self.port {
            json.raw(r#","port":"#);
            json.number(port.into());
        }
        if let Some(Text(path)) = self.path {
            json.raw(r#","path":"#);
            json.text(path);
        }
        if let Some(Text(query)) = self.query {
            json.raw(r#","query":"#);
            json.text(query);
        }
        if let Some(Text(original)) = self.original {
            json.raw(r#","original":"#);
            json.text(original);
        }
        json.raw("}");
    }
}

/// Host and port of an authority or Host value, without user information; `None` where it is none.
fn split_authority(authority: &[u8]) -> Option<(&[u8], Option<u16>)> {
    let at = memchr::memrchr(b'@', authority).map_or(0, |at| at.saturating_add(1));
    let authority = authority.get(at..)?.trim_ascii();
    // RFC 3986 §3.2.2: an IPv6 address stands in brackets.
    let n_host = match authority.first()? {
        b'[' => memchr::memchr(b']', authority)?.checked_add(1)?,
        _ => memchr::memchr(b':', authority).unwrap_or(authority.len()),
    };
    let (host, rest) = authority.split_at_checked(n_host)?;
    let port = match rest {
        [] | [b':'] => None,
        [b':', digits @ ..] => Some(port(digits)?),
        _ => return None,
    };
    (!host.is_empty()).then_some((host, port))
}

/// A port in decimal; like `u16::from_str` also with a sign, which some send.
fn port(digits: &[u8]) -> Option<u16> {
    match digits {
        [b'0'..=b'9', ..] if digits.len() <= 5 => {
            let mut port = 0u32;
            for digit in digits {
                let digit = digit.checked_sub(b'0').filter(|&digit| digit <= 9)?;
                port = port.saturating_mul(10).saturating_add(digit.into());
            }
            u16::try_from(port).ok()
        }
        _ => std::str::from_utf8(digits).ok()?.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::room::Room;
    use super::*;
    use crate::message::{Anomalies, Field, Span, StartLine, Version};

    #[track_caller]
    fn check(authority: &str, expected: Option<(&str, Option<u16>)>) {
        let expected = expected.map(|(host, port)| (host.as_bytes(), port));
        assert_eq!(split_authority(authority.as_bytes()), expected);
    }

    #[test]
    fn an_authority_is_a_host_and_perhaps_a_port() {
        check("example.org", Some(("example.org", None)));
        check("example.org:8080", Some(("example.org", Some(8080))));
        check("user:secret@example.org:80", Some(("example.org", Some(80))));
        check("[2001:db8::1]:80", Some(("[2001:db8::1]", Some(80))));
        check("example.org:", Some(("example.org", None)));
        check("example.org:65535", Some(("example.org", Some(65535))));
        check("example.org:000080", Some(("example.org", Some(80))));
    }

    #[test]
    fn both_writers_write_the_same() {
        let targets = [
            "/",
            "/a?b=c&d",
            "/a#b?c",
            "/a?b?c#d#e",
            "http://u@h.example:1/x\"y?q#f",
            "*",
            "/\u{e9}",
            "h.example:443",
        ];
        for (method, target) in targets.map(|t| ("GET", t)).into_iter().chain([("CONNECT", "h:1")])
        {
            let line = format!("{method} {target} HTTP/1.1\r\n");
            let raw = format!("{line}Host: shop.example:80\r\n\r\n").into_bytes();
            let span =
                |start: usize, n: usize| Span { start: start as u32, end: (start + n) as u32 };
            let start = StartLine::Request {
                method: span(0, method.len()),
                target: span(method.len() + 1, target.len()),
                version: Version::HTTP_11,
            };
            let host = Field {
                name: span(line.len(), 4),
                value: span(line.len() + 6, 15),
                known: Some(Name::Host),
            };
            let head = Head::new(raw, start, vec![host], Anomalies::default());
            let url = Url::new(&head).unwrap();
            let mut out = Room::default();
            Json::append(&mut out, 100, |json| url.write(json));
            assert_eq!(
                String::from_utf8(out.into()).unwrap(),
                serde_json::to_string(&url).unwrap()
            );
        }
    }

    #[test]
    fn what_is_no_authority_has_no_host() {
        check("example.org:http", None);
        check("example.org:65536", None);
        check("example.org:8x", None);
        check("[2001:db8::1", None);
        check(":80", None);
        check("", None);
    }
}
