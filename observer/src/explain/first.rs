//! What the first bytes of each half say, by the very functions that the kernel runs.

use observer_common::detect::{
    WINDOW, Window, begins_like_http, begins_like_tls, is_response, n_empty_line,
};

use crate::doctor::Finding;

/// `to_server`, `to_client`.
pub(super) fn judge(first: &[Vec<u8>; 2]) -> Vec<Finding> {
    let [to_server, to_client] = first;
    if to_server.is_empty() && to_client.is_empty() {
        let finding = Finding::warning("first bytes", "neither end has sent any");
        return vec![finding.remedy("make a request on the connection while this runs")];
    }
    let halves = [("to the server", to_server), ("to the client", to_client)];
    let findings = halves.into_iter().filter(|(_, bytes)| !bytes.is_empty());
    findings.map(|(way, bytes)| one(way, bytes)).collect()
}

fn one(way: &str, bytes: &[u8]) -> Finding {
    let shown = bytes.get(..bytes.len().min(SHOWN)).unwrap_or_default();
    let what = format!("{way}: \"{}\"", shown.escape_ascii());
    match verdict(bytes) {
        Verdict::Http(kind) => Finding::good("first bytes", format!("{what}: {kind}")),
        Verdict::Http2 => Finding::warning("first bytes", format!("{what}: HTTP/2"))
            .remedy("HTTP/2 is not read yet; its flow is followed and nothing is told of it"),
        Verdict::Tls => Finding::warning("first bytes", format!("{what}: TLS"))
            .remedy("it is encrypted: its server name and sizes are told as tls.flow, no HTTP"),
        Verdict::Other => Finding::warning("first bytes", format!("{what}: no HTTP")).remedy(
            "where this is the middle of a message, the flow is found at the next start line",
        ),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Http(&'static str),
    Http2,
    Tls,
    Other,
}

fn verdict(bytes: &[u8]) -> Verdict {
    let window = |bytes: &[u8]| {
        let mut window = [0; WINDOW];
        window.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        Window(window)
    };
    let mut first = window(bytes);
    let n_empty = n_empty_line(&first) as usize;
    if n_empty != 0 {
        first = window(bytes.get(n_empty..).unwrap_or_default());
    }
    if first.0.starts_with(b"PRI * HTTP/2.0") {
        Verdict::Http2
    } else if begins_like_http(&first) {
        Verdict::Http(if is_response(&first) { "a response" } else { "a request" })
    } else if begins_like_tls(&first) {
        Verdict::Tls
    } else {
        Verdict::Other
    }
}

/// Bytes that are shown.
const SHOWN: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bytes_are_judged_as_the_kernel_does() {
        for (bytes, expected) in [
            (&b"GET / HTTP/1.1\r\n"[..], Verdict::Http("a request")),
            (b"\r\nPOST /x HTTP/1.1\r\n", Verdict::Http("a request")),
            (b"HTTP/1.1 200 OK\r\n", Verdict::Http("a response")),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Verdict::Http2),
            (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", Verdict::Tls),
            (b"SSH-2.0-OpenSSH_9.2\r\n", Verdict::Other),
            (b"\r\n", Verdict::Other),
        ] {
            assert_eq!(verdict(bytes), expected, "{bytes:?}");
        }
    }

    #[test]
    fn what_is_shown_cannot_reach_a_terminal() {
        let findings = judge(&[b"\x1b[2J\xff".to_vec(), Vec::new()]);
        assert!(!findings[0].message.contains('\x1b'), "{findings:?}");
    }
}
