//! Halves for the HTTP/1 target: one byte of choices, one of answers, then bytes and gaps.

/// Bits of the first byte.
const RESPONSE: u8 = 1;
const OUT_OF_SYNC: u8 = 2;
const BROKEN_OFF: u8 = 4;
const SMALL_HEAD: u8 = 8;

/// Bits of the second.
const ASKED_HEAD: u8 = 1;
const ASKED_CONNECT: u8 = 2;
const TAKE_OVER: u8 = 2 << 2;
const UNTIL_CLOSE: u8 = 3 << 2;

enum Part {
    Text(&'static str),
    Gap(u8),
    LargeGap,
}

use Part::{Gap, LargeGap, Text};

pub(super) fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    const POST: &str = "POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n";
    const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let q = |parts: &[Part]| half(0, 0, parts);
    let r = |answers: u8, parts: &[Part]| half(RESPONSE, answers, parts);
    vec![
        ("get", q(&[Text("GET /a?b=c HTTP/1.1\r\nHost: a\r\n\r\n")])),
        ("post", q(&[Text(POST), Text("0123456789")])),
        ("pipelined", q(&[Text("GET / HTTP/1.1\r\n\r\nHEAD /h HTTP/1.0\r\n\r\n\r\n"), Text(POST)])),
        (
            "targets",
            q(&[Text(
                "OPTIONS * HTTP/1.1\r\n\r\nGET http://a/ HTTP/1.1\r\n\r\nCONNECT a:1 HTTP/1.1\r\n\r\n",
            )]),
        ),
        ("simple", q(&[Text("GET /\r\n")])),
        (
            "lf_only_and_fold",
            q(&[Text("GET / HTTP/1.1\nA: b\n c\nContent-Length : 3\n\nabcGET / HTTP/1.1\n\n")]),
        ),
        (
            "lengths",
            q(&[Text("POST / HTTP/1.1\r\nContent-Length: 3, 3\r\nContent-Length: 4\r\n\r\nabc")]),
        ),
        (
            "te_and_cl",
            q(&[Text(
                "POST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            )]),
        ),
        ("te_other", q(&[Text("POST / HTTP/1.1\r\nTransfer-Encoding: x\r\n\r\nabc")])),
        (
            "response",
            r(0, &[Text("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcHTTP/1.1 304 No\r\n\r\n")]),
        ),
        (
            "interim",
            r(
                0,
                &[Text(
                    "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 E\r\nLink: x\r\n\r\nHTTP/1.1 204 N\r\n\r\n",
                )],
            ),
        ),
        (
            "chunked",
            r(
                0,
                &[
                    Text(CHUNKED),
                    Text("3;x=\"y\"\r\nabc\r\n0A\r\n01234"),
                    Text("56789\r\n0\r\nT: v\r\n\r\n"),
                ],
            ),
        ),
        ("until_close", r(0, &[Text("HTTP/1.0 200 OK\r\n\r\n"), Text("all of this")])),
        ("broken_off", half(RESPONSE | BROKEN_OFF, 0, &[Text("HTTP/1.0 200 OK\r\n\r\nall")])),
        (
            "to_head",
            r(
                ASKED_HEAD,
                &[Text("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nHTTP/1.1 200 OK\r\n\r\n")],
            ),
        ),
        (
            "to_connect",
            r(ASKED_CONNECT, &[Text("HTTP/1.1 200 OK\r\n\r\n"), Text("\x16\x03\x01"), Gap(9)]),
        ),
        (
            "upgrade",
            r(0, &[Text("HTTP/1.1 101 S\r\nUpgrade: websocket\r\n\r\n"), Text("\x01\x02")]),
        ),
        ("gap_in_length", q(&[Text(POST), Text("012"), Gap(3), Text("789GET / HTTP/1.1\r\n\r\n")])),
        ("gap_beyond_length", q(&[Text(POST), Gap(30), Text("x\r\nGET / HTTP/1.1\r\n\r\n")])),
        (
            "gap_in_chunk",
            r(0, &[Text(CHUNKED), Text("20\r\nabc"), Gap(20), Text("123456789\r\n0\r\n\r\n")]),
        ),
        (
            "gap_in_chunk_size",
            r(0, &[Text(CHUNKED), Text("2"), Gap(0), Text("\nHTTP/1.1 200 OK\r\n\r\n")]),
        ),
        (
            "gap_in_head",
            q(&[
                Text("GET / HTTP/1.1\r\nHost: a\r\nCoo"),
                Gap(60),
                Text("GET /n HTTP/1.1\r\n\r\n"),
            ]),
        ),
        (
            "large_gap",
            r(
                0,
                &[
                    Text("HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n"),
                    LargeGap,
                    Text("a"),
                ],
            ),
        ),
        (
            "out_of_sync",
            half(OUT_OF_SYNC, 0, &[Text("ail of it\r\n\r\nGE"), Text("T / HTTP/1.1\r\n\r\n")]),
        ),
        (
            "out_of_sync_response",
            half(OUT_OF_SYNC | RESPONSE, 0, &[Text("x"), Text("HTTP/1.1 200 OK\r\n\r\n")]),
        ),
        (
            "large_head",
            half(
                SMALL_HEAD,
                0,
                &[
                    Text("GET / HTTP/1.1\r\nA: 0123456789012345678901234567890123456789\r\n"),
                    Text("B: 01234567890123456789\r\nContent-Length: 2\r\n\r\nab"),
                ],
            ),
        ),
        ("no_http", q(&[Text("\x16\x03\x01\x02"), Text("x\r\nGET / HTTP/1.1\r\n\r\n")])),
        ("hijacked", r(TAKE_OVER, &[Text("+OK\r\n"), Text("more"), Gap(1)])),
        ("simple_response", r(UNTIL_CLOSE, &[Text("<html>"), Text("</html>")])),
    ]
}

fn half(choices: u8, answers: u8, parts: &[Part]) -> Vec<u8> {
    let mut bytes = vec![choices, answers];
    for part in parts {
        match part {
            Text(text) => {
                for piece in text.as_bytes().chunks(128) {
                    bytes.push((piece.len() as u8 - 1) << 1);
                    bytes.extend_from_slice(piece);
                }
            }
            Gap(n) => bytes.push(n << 1 | 1),
            LargeGap => bytes.extend_from_slice(&[0xff, 0, 0, 1, 0]),
        }
    }
    bytes
}
