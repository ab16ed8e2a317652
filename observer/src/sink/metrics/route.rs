//! From a path to a route: what looks like an id is taken out. However many paths there are, the
//! routes are few.

/// Appends the path with ids taken out.
pub(super) fn collapse(path: &str, out: &mut String) {
    let mut rest = path.strip_prefix('/').unwrap_or(path).split('/');
    for segment in rest.by_ref().take(MAX_SEGMENTS) {
        out.push('/');
        match what(segment) {
            Some(name) => out.push_str(name),
            None => out.push_str(segment),
        }
    }
    if rest.next().is_some() {
        out.push_str("/*");
    }
}

/// What a segment is the id of, if it looks like one.
fn what(segment: &str) -> Option<&'static str> {
    let bytes = segment.as_bytes();
    let n_digits = bytes.iter().filter(|byte| byte.is_ascii_digit()).count();
    let is_hex = !bytes.is_empty() && bytes.iter().all(u8::is_ascii_hexdigit);
    if n_digits > 0 && n_digits == bytes.len() {
        return Some("{id}");
    }
    if is_uuid(bytes) {
        return Some("{uuid}");
    }
    if is_hex && n_digits > 0 && bytes.len() >= 8 {
        return Some("{hash}");
    }
    if is_date(bytes) {
        return Some("{date}");
    }
    if segment.contains('@') || segment.contains("%40") {
        return Some("{email}");
    }
    // A word has few digits (`v2`, `oauth2`, `mp3`); what has many, or is very long, names one
    // thing among many (`INV-2026-00417`, base64).
    let names_one = n_digits >= 3 || bytes.len() > 40 || segment.contains('%');
    // A file keeps its name: `app.3f9c2.js` would not, and its kind is what counts.
    names_one.then(|| if segment.contains('.') { "{file}" } else { "{id}" })
}

/// RFC 9562 §4.
fn is_uuid(bytes: &[u8]) -> bool {
    let fits = |(i, byte): (usize, &u8)| match i {
        8 | 13 | 18 | 23 => *byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    };
    bytes.len() == 36 && bytes.iter().enumerate().all(fits)
}

/// `2026-11-21`.
fn is_date(bytes: &[u8]) -> bool {
    let fits = |(i, byte): (usize, &u8)| match i {
        4 | 7 => *byte == b'-',
        _ => byte.is_ascii_digit(),
    };
    bytes.len() == 10 && bytes.iter().enumerate().all(fits)
}

/// Segments that a route tells apart.
const MAX_SEGMENTS: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &str, want: &str) {
        let mut out = String::new();
        collapse(path, &mut out);
        assert_eq!(out, want, "{path}");
    }

    #[test]
    fn ids_are_taken_out_and_words_stay() {
        check("/", "/");
        check("/api/v2/users/42", "/api/v2/users/{id}");
        check("/users/42/orders/7/", "/users/{id}/orders/{id}/");
        check("/o/3f2504e0-4f89-41d3-9a0c-0305e82c3301", "/o/{uuid}");
        check("/commit/9fceb02d0ae598e95dc970b74767f19372d61af8", "/commit/{hash}");
        check("/log/2026-11-21", "/log/{date}");
        check("/mail/jo@example.org/x", "/mail/{email}/x");
        check("/invoice/INV-2026-00417", "/invoice/{id}");
        check("/static/app.3f9c21.js", "/static/{file}");
        check("/static/app.js", "/static/app.js");
        check("/facade/decade/oauth2", "/facade/decade/oauth2");
        check("/a/b/c/d/e/f/g/h/i/j", "/a/b/c/d/e/f/g/h/*");
        check("//x", "//x");
    }
}
