//! Operation lists for the `tcp` and `pipeline` targets, in the byte code of `fuzz/src/wire.rs`.

/// Which bounds: see `fuzz/src/tcp.rs`.
const USUAL: u8 = 0;
const SMALL: u8 = 2;
const TINY: u8 = 3 | 2 << 4;

/// Every flow shakes hands; sequence numbers begin at 1000, or just below the wrap.
const HANDSHAKES: u8 = 0xf0;
const WRAP: u8 = 0xf1;
/// No flow does.
const MIDSTREAM: u8 = 0;

/// Who sends: bit 2 of an operation.
const CLIENT: u8 = 0;
const SERVER: u8 = 4;

/// What is acknowledged, where it is not everything: bits 6–7.
const MORE: u8 = 1 << 6;
const LESS: u8 = 2 << 6;

/// Bits of a control operation.
const SYN: u8 = 1;
const FIN: u8 = 2;
const RST: u8 = 4;
const ANOTHER_ISN: u8 = 8;
const WITH_DATA: u8 = 16;
const KEEP_ALIVE: u8 = 32;

/// The next `n` bytes, up to 256.
fn data(who: u8, n: u16) -> Vec<u8> {
    vec![who, (n - 1) as u8]
}

/// The same behind a hole of `hole * 8` bytes.
fn beyond(who: u8, hole: u8, n: u16) -> Vec<u8> {
    vec![1 << 3 | who, hole, (n - 1) as u8]
}

/// `n` bytes from `back` before the next one.
fn again(who: u8, back: u16, n: u16) -> Vec<u8> {
    let [high, low] = back.to_be_bytes();
    vec![2 << 3 | who, high, low, (n - 1) as u8]
}

fn contradicted(who: u8, back: u8, n: u16) -> Vec<u8> {
    vec![3 << 3 | who, back, 0x55, (n - 1) as u8]
}

/// `n` bytes of which `share` / 255 were captured.
fn cut(who: u8, n: u16, share: u8) -> Vec<u8> {
    let [high, low] = (n - 1).to_be_bytes();
    vec![4 << 3 | who, high, low, share]
}

fn control(who: u8, bits: u8) -> Vec<u8> {
    vec![5 << 3 | who, bits]
}

/// 2 to the power of `exponent` nanoseconds pass.
fn wait(exponent: u8) -> Vec<u8> {
    vec![6 << 3, exponent]
}

fn acknowledging(mode: u8, n: u8, mut op: Vec<u8>) -> Vec<u8> {
    op[0] |= mode;
    op.push(n);
    op
}

fn on_flow(flow: u8, mut op: Vec<u8>) -> Vec<u8> {
    op[0] |= flow;
    op
}

pub(super) fn tcp() -> Vec<(&'static str, Vec<u8>)> {
    let list =
        |limits: u8, first: u8, ops: &[Vec<u8>]| [&[limits, first][..], &ops.concat()].concat();
    let close = [control(CLIENT, FIN), control(SERVER, FIN), control(CLIENT, 0)].concat();
    let reuse = [vec![5 << 3, SYN | ANOTHER_ISN, 0x40, 0, 0, 0], data(CLIENT, 9)].concat();
    let reorder = [beyond(CLIENT, 4, 50), again(CLIENT, 82, 32), data(SERVER, 5)].concat();
    let flows: Vec<u8> = (0..4).flat_map(|flow| on_flow(flow, beyond(CLIENT, 9, 200))).collect();
    vec![
        (
            "in_order",
            list(USUAL, HANDSHAKES, &[data(CLIENT, 100), data(SERVER, 200), close.clone()]),
        ),
        ("wrap", list(USUAL, WRAP, &[data(CLIENT, 250), reorder.clone(), close.clone()])),
        ("reordered", list(USUAL, HANDSHAKES, std::slice::from_ref(&reorder))),
        (
            "lost",
            list(
                USUAL,
                HANDSHAKES,
                &[beyond(CLIENT, 4, 50), data(SERVER, 9), wait(29), close.clone()],
            ),
        ),
        ("lost_for_long", list(USUAL, HANDSHAKES, &[beyond(SERVER, 4, 50), wait(36)])),
        (
            "contradicted",
            list(USUAL, HANDSHAKES, &[beyond(CLIENT, 4, 50), contradicted(CLIENT, 90, 90)]),
        ),
        ("partly_again", list(USUAL, HANDSHAKES, &[data(CLIENT, 50), again(CLIENT, 20, 60)])),
        (
            "cut",
            list(USUAL, HANDSHAKES, &[cut(CLIENT, 1500, 20), cut(SERVER, 900, 0), close.clone()]),
        ),
        (
            "cut_and_reordered",
            list(
                USUAL,
                HANDSHAKES,
                &[beyond(CLIENT, 2, 9), cut(CLIENT, 99, 9), again(CLIENT, 200, 200)],
            ),
        ),
        (
            "midstream",
            list(USUAL, MIDSTREAM, &[data(SERVER, 50), data(CLIENT, 20), again(CLIENT, 60, 30)]),
        ),
        (
            "late_syn",
            list(USUAL, MIDSTREAM, &[data(CLIENT, 20), control(CLIENT, SYN), data(SERVER, 9)]),
        ),
        (
            "fast_open",
            list(
                USUAL,
                MIDSTREAM,
                &[[control(CLIENT, SYN | WITH_DATA), vec![40]].concat(), data(SERVER, 9)],
            ),
        ),
        (
            "reset",
            list(
                USUAL,
                HANDSHAKES,
                &[data(CLIENT, 9), control(SERVER, RST), data(CLIENT, 9), wait(28)],
            ),
        ),
        (
            "reset_with_data",
            list(
                USUAL,
                HANDSHAKES,
                &[data(CLIENT, 9), [control(SERVER, RST | WITH_DATA), vec![5]].concat()],
            ),
        ),
        (
            "keep_alive",
            list(
                USUAL,
                HANDSHAKES,
                &[
                    data(CLIENT, 9),
                    control(CLIENT, KEEP_ALIVE),
                    [control(CLIENT, KEEP_ALIVE | WITH_DATA), vec![0]].concat(),
                ],
            ),
        ),
        ("reused", list(USUAL, HANDSHAKES, &[data(CLIENT, 9), close.clone(), reuse.clone()])),
        ("reused_while_open", list(USUAL, HANDSHAKES, &[data(CLIENT, 9), reuse])),
        ("idle", list(USUAL, HANDSHAKES, &[data(CLIENT, 9), wait(42), data(SERVER, 9)])),
        (
            "bounds",
            list(
                SMALL,
                HANDSHAKES,
                &[
                    beyond(CLIENT, 9, 250),
                    beyond(CLIENT, 9, 250),
                    beyond(CLIENT, 9, 250),
                    beyond(SERVER, 9, 250),
                ],
            ),
        ),
        (
            "pieces",
            list(
                SMALL,
                HANDSHAKES,
                &[
                    beyond(CLIENT, 1, 1),
                    beyond(CLIENT, 1, 1),
                    beyond(CLIENT, 1, 1),
                    beyond(CLIENT, 1, 1),
                    beyond(CLIENT, 1, 1),
                ],
            ),
        ),
        ("budget", list(TINY, MIDSTREAM, &[flows.clone(), flows])),
        // Each segment acknowledged more of the other half than was captured, so that each waited
        // for the other; the bytes of the first were then told as a gap, and afterwards again.
        (
            "found_mutual_acknowledgement",
            list(
                USUAL,
                HANDSHAKES,
                &[
                    acknowledging(MORE, 0x45, data(SERVER, 66)),
                    acknowledging(MORE, 9, data(CLIENT, 1)),
                ],
            ),
        ),
        // Bytes inside the stream were lost with those before its start, in the same segment.
        (
            "found_across_the_start",
            list(
                USUAL,
                HANDSHAKES,
                &[again(SERVER, 38, 91), acknowledging(LESS, 1, data(CLIENT, 5)), data(SERVER, 1)],
            ),
        ),
        (
            "acknowledged_late",
            list(
                USUAL,
                HANDSHAKES,
                &[
                    data(CLIENT, 9),
                    acknowledging(LESS, 1, data(SERVER, 60)),
                    acknowledging(MORE, 1, data(CLIENT, 9)),
                    wait(33),
                ],
            ),
        ),
    ]
}

pub(super) fn pipeline() -> Vec<(&'static str, Vec<u8>)> {
    const GET: &str = "GET /a?b=c HTTP/1.1\r\nHost: h\r\n\r\n";
    const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
    const POST: &str =
        "POST /p HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nabcde";
    const CONTINUED: &str = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    const UPGRADE: &str =
        "GET /ws HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\nbehind";
    const SWITCHED: &str =
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\nbytes";
    let talk = |limits: u8, first: u8, (client, server): (&str, &str), ops: &[Vec<u8>]| {
        let text = |text: &str| [&(text.len() as u16).to_be_bytes()[..], text.as_bytes()].concat();
        [&[limits][..], &text(client), &text(server), &[first], &ops.concat()].concat()
    };
    let len = |text: &str| text.len() as u16;
    let ask = || data(CLIENT, len(GET));
    let answer = || data(SERVER, len(OK));
    let close = || [control(CLIENT, FIN), control(SERVER, FIN)].concat();
    let simple = (GET, OK);
    vec![
        (
            "keep_alive",
            talk(USUAL, HANDSHAKES, simple, &[ask(), answer(), ask(), answer(), close()]),
        ),
        (
            "pipelined",
            talk(USUAL, WRAP, simple, &[ask(), ask(), ask(), data(SERVER, 3 * len(OK)), close()]),
        ),
        (
            "in_pieces",
            talk(
                USUAL,
                HANDSHAKES,
                simple,
                &[data(CLIENT, 3), data(CLIENT, 40), data(SERVER, 9), data(SERVER, 60)],
            ),
        ),
        (
            "expected",
            talk(
                USUAL,
                HANDSHAKES,
                (POST, CONTINUED),
                &[
                    data(CLIENT, len(POST) - 5),
                    data(SERVER, 25),
                    data(CLIENT, 5),
                    data(SERVER, len(CONTINUED) - 25),
                    close(),
                ],
            ),
        ),
        (
            "switched",
            talk(
                USUAL,
                HANDSHAKES,
                (UPGRADE, SWITCHED),
                &[data(CLIENT, len(UPGRADE)), data(SERVER, len(SWITCHED)), data(CLIENT, 50)],
            ),
        ),
        ("midstream", talk(USUAL, MIDSTREAM, simple, &[answer(), ask(), answer(), close()])),
        (
            "request_lost",
            talk(
                USUAL,
                HANDSHAKES,
                simple,
                &[
                    ask(),
                    answer(),
                    beyond(CLIENT, 4, 64),
                    data(SERVER, 2 * len(OK)),
                    wait(30),
                    ask(),
                    answer(),
                ],
            ),
        ),
        (
            "response_lost",
            talk(
                USUAL,
                HANDSHAKES,
                simple,
                &[ask(), beyond(SERVER, 5, 20), wait(30), ask(), answer(), close()],
            ),
        ),
        (
            "out_of_order",
            talk(
                USUAL,
                HANDSHAKES,
                simple,
                &[beyond(CLIENT, 2, len(GET) - 16), answer(), again(CLIENT, len(GET), len(GET))],
            ),
        ),
        (
            "reset",
            talk(
                USUAL,
                HANDSHAKES,
                simple,
                &[ask(), data(SERVER, 20), control(CLIENT, RST), wait(29)],
            ),
        ),
        (
            "no_answer",
            talk(USUAL, HANDSHAKES, simple, &[ask(), control(SERVER, FIN), control(CLIENT, FIN)]),
        ),
        ("idle", talk(USUAL, HANDSHAKES, simple, &[ask(), wait(42)])),
        (
            "cut",
            talk(
                USUAL,
                HANDSHAKES,
                simple,
                &[cut(CLIENT, len(GET), 250), cut(SERVER, len(OK), 240), ask(), answer()],
            ),
        ),
        (
            "no_http",
            talk(
                USUAL,
                HANDSHAKES,
                ("\x16\x03\x01", "SSH-2.0\r\n"),
                &[data(CLIENT, 30), data(SERVER, 30)],
            ),
        ),
        (
            "bounds",
            talk(
                SMALL,
                HANDSHAKES,
                simple,
                &[
                    beyond(CLIENT, 9, 250),
                    beyond(CLIENT, 9, 250),
                    beyond(SERVER, 9, 250),
                    on_flow(1, ask()),
                    on_flow(2, ask()),
                    on_flow(3, ask()),
                    answer(),
                ],
            ),
        ),
    ]
}
