//! What holds for every stream, whatever its bytes and however it is cut.

use proptest::prelude::*;

use super::*;
use crate::message::{Anomalies, Head, Mark};
use crate::segment::{Offset, Timestamp};

/// A piece of a stream.
#[derive(Clone, Debug)]
enum Piece {
    Bytes(Vec<u8>),
    Gap(u64),
    End(bool),
}

/// What a parser told; neighbouring pieces of content are one.
#[derive(Clone, Debug, PartialEq)]
enum Told {
    Head { head: Head, first: u64, last: u64 },
    Body(Vec<u8>),
    BodyGap(u64),
    End { last: u64, complete: bool, anomalies: Anomalies, trailers: Option<Box<Head>> },
    NotHttp { first: u64 },
    Lost,
    Opaque(Vec<u8>),
    OpaqueGap(u64),
}

/// Reads a half as the connection does. Checks that every input is used up, and that messages
/// follow each other.
fn read(role: Role, pieces: &[Piece]) -> Vec<Told> {
    let mut parser = Parser::new(role, true, Limits::default());
    let mut told = Vec::new();
    let (mut offset, mut floor) = (0u64, 0u64);
    for piece in pieces {
        let mark = Mark { offset: Offset(offset), time: Timestamp(0), acked: None };
        let what = match piece {
            Piece::Bytes(bytes) => Part::Bytes(bytes),
            Piece::Gap(n) => Part::Gap(*n),
            Piece::End(clean) => Part::End { clean: *clean },
        };
        let mut input = Input { mark, what };
        while let Some(item) = parser.next(&mut input) {
            match item {
                Item::Head { head, first, last, .. } => {
                    assert!(floor <= first.offset.0 && first.offset <= last.offset, "{told:?}");
                    floor = last.offset.0;
                    let (kind, anomalies) = body_kind(&head, role, Asked::default());
                    if !head.anomalies.contains(crate::message::Anomaly::HeadIncomplete) {
                        parser.set_body(kind, anomalies);
                    }
                    let (first, last) = (first.offset.0, last.offset.0);
                    told.push(Told::Head { head, first, last });
                }
                Item::Body(bytes) => match told.last_mut() {
                    Some(Told::Body(all)) => all.extend_from_slice(bytes),
                    _ => told.push(Told::Body(bytes.to_vec())),
                },
                Item::Opaque(bytes) => match told.last_mut() {
                    Some(Told::Opaque(all)) => all.extend_from_slice(bytes),
                    _ => told.push(Told::Opaque(bytes.to_vec())),
                },
                Item::BodyGap(n) => told.push(Told::BodyGap(n)),
                Item::OpaqueGap(n) => told.push(Told::OpaqueGap(n)),
                Item::End(Ending { last, complete, anomalies, trailers, missing: _ }) => {
                    assert!(floor <= last.offset.0, "{told:?}");
                    floor = last.offset.0;
                    let last = last.offset.0;
                    told.push(Told::End { last, complete, anomalies, trailers });
                }
                Item::NotHttp { first } => {
                    told.push(Told::NotHttp { first: first.offset.0 });
                    parser.resync();
                }
                Item::Lost => told.push(Told::Lost),
            }
        }
        offset += match piece {
            Piece::Bytes(bytes) => bytes.len() as u64,
            Piece::Gap(n) => *n,
            Piece::End(_) => 0,
        };
    }
    told
}

/// The bytes, cut at `cuts` (in thousandths of the length), and a close.
fn cut(bytes: &[u8], cuts: &[usize]) -> Vec<Piece> {
    let mut at: Vec<usize> = cuts.iter().map(|c| c * bytes.len() / 1000).collect();
    at.extend([0, bytes.len()]);
    at.sort_unstable();
    let mut pieces: Vec<Piece> =
        at.windows(2).map(|w| Piece::Bytes(bytes[w[0]..w[1]].to_vec())).collect();
    pieces.push(Piece::End(true));
    pieces
}

/// What was told while in sync: behind a loss the cuts are part of what is seen, since a message
/// may begin where a segment does.
fn in_sync(told: Vec<Told>) -> Vec<Told> {
    let lost = told.iter().position(|t| {
        matches!(t, Told::NotHttp { .. } | Told::Lost | Told::End { complete: false, .. })
    });
    told.into_iter().take(lost.map_or(usize::MAX, |n| n + 1)).collect()
}

/// A body as it is announced and sent.
fn body() -> impl Strategy<Value = (String, Vec<u8>, Vec<u8>)> {
    let content = || proptest::collection::vec(any::<u8>(), 0..40);
    prop_oneof![
        Just(("Content-Length: 0\r\n".to_owned(), Vec::new(), Vec::new())),
        content().prop_map(|c| (format!("Content-Length: {}\r\n", c.len()), c.clone(), c)),
        (
            proptest::collection::vec(content(), 0..4),
            "(;[a-z]{1,3}(=\"[a-z;]{0,3}\")?)?",
            0..3usize
        )
            .prop_map(|(chunks, extension, n_trailers)| {
                let (mut wire, mut all) = (Vec::new(), Vec::new());
                for chunk in chunks.into_iter().filter(|chunk| !chunk.is_empty()) {
                    wire.extend(format!("{:x}{extension}\r\n", chunk.len()).into_bytes());
                    wire.extend_from_slice(&chunk);
                    wire.extend_from_slice(b"\r\n");
                    all.extend(chunk);
                }
                wire.extend_from_slice(b"0\r\n");
                wire.extend(b"X-Sum: 1\r\n".repeat(n_trailers));
                wire.extend_from_slice(b"\r\n");
                ("Transfer-Encoding: chunked\r\n".to_owned(), wire, all)
            }),
    ]
}

/// A message on the wire, and the content of its body.
#[derive(Clone, Debug)]
struct Sent {
    wire: Vec<u8>,
    content: Vec<u8>,
}

fn message(role: Role) -> impl Strategy<Value = Sent> {
    let start = match role {
        Role::Request => "[A-Z]{3,8} /[a-z0-9/?%]{0,20} HTTP/1\\.1",
        Role::Response => "HTTP/1\\.1 [2345]0[0-35-9]( [A-Za-z ]{0,10})?",
    };
    (start, "(X-[A-Za-z]{1,8}: ?[ -~]{0,20}\r\n){0,4}", body()).prop_map(
        |(start, fields, (framing, wire, content))| {
            let head = format!("{start}\r\n{fields}{framing}\r\n");
            Sent { wire: [head.into_bytes(), wire].concat(), content }
        },
    )
}

fn messages(role: Role) -> impl Strategy<Value = Vec<Sent>> {
    proptest::collection::vec(message(role), 1..5)
}

fn role() -> impl Strategy<Value = Role> {
    prop_oneof![Just(Role::Request), Just(Role::Response)]
}

fn with_messages() -> impl Strategy<Value = (Role, Vec<Sent>)> {
    role().prop_flat_map(|role| (Just(role), messages(role)))
}

fn cuts() -> impl Strategy<Value = Vec<usize>> {
    proptest::collection::vec(0..1000usize, 0..12)
}

/// Bytes in which something HTTP-like is likely.
fn fragments() -> impl Strategy<Value = Vec<u8>> {
    let fragment = prop_oneof![
        Just(b"GET / HTTP/1.1\r\n".to_vec()),
        Just(b"HTTP/1.1 200 OK\r\n".to_vec()),
        Just(b"HTTP/1.1 101 S\r\n\r\n".to_vec()),
        Just(b"GET /\r\n".to_vec()),
        Just(b"Content-Length: 7\r\n".to_vec()),
        Just(b"Content-Length: x\r\n".to_vec()),
        Just(b"Transfer-Encoding: chunked\r\n\r\n".to_vec()),
        Just(b"5;a\r\nhello\r\n".to_vec()),
        Just(b"0\r\n\r\n".to_vec()),
        Just(b"\r\n".to_vec()),
        Just(b"\n".to_vec()),
        proptest::collection::vec(any::<u8>(), 0..12),
    ];
    proptest::collection::vec(fragment, 0..12).prop_map(|all| all.concat())
}

fn pieces() -> impl Strategy<Value = Vec<Piece>> {
    let piece = prop_oneof![
        6 => fragments().prop_map(Piece::Bytes),
        2 => prop_oneof![0..40u64, Just(u64::MAX / 64)].prop_map(Piece::Gap),
        1 => any::<bool>().prop_map(Piece::End),
    ];
    proptest::collection::vec(piece, 0..12)
}

proptest! {
    #[test]
    fn messages_come_out_as_they_went_in((role, messages) in with_messages(), cuts in cuts()) {
        let wire: Vec<u8> = messages.iter().flat_map(|m| m.wire.clone()).collect();
        let told = read(role, &cut(&wire, &cuts));
        let mut told = told.iter();
        let mut at = 0u64;
        for Sent { wire, content } in &messages {
            let head = told.next();
            prop_assert!(
                matches!(head, Some(Told::Head { first, .. }) if *first == at),
                "{:?}", head
            );
            if !content.is_empty() {
                prop_assert_eq!(told.next(), Some(&Told::Body(content.clone())));
            }
            at += wire.len() as u64;
            let end = told.next();
            prop_assert!(
                matches!(end, Some(Told::End { last, complete: true, .. }) if *last == at),
                "{:?}", end
            );
        }
        prop_assert_eq!(told.next(), None);
    }

    #[test]
    fn any_cut_gives_what_the_whole_gives(
        (role, messages) in with_messages(),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cuts in cuts(),
    ) {
        let mut wire: Vec<u8> = messages.into_iter().flat_map(|m| m.wire).collect();
        for (at, byte) in changes {
            let at = at.index(wire.len());
            wire[at] = byte;
        }
        let whole = in_sync(read(role, &cut(&wire, &[])));
        let split = in_sync(read(role, &cut(&wire, &cuts)));
        let bytes: Vec<Piece> = wire.iter().map(|&b| Piece::Bytes(vec![b])).collect();
        let single = in_sync(read(role, &[bytes, vec![Piece::End(true)]].concat()));
        prop_assert_eq!(&split, &whole);
        prop_assert_eq!(&single, &whole);
    }

    #[test]
    fn likely_nonsense_is_the_same_however_cut(bytes in fragments(), role in role(), cuts in cuts()) {
        let whole = in_sync(read(role, &cut(&bytes, &[])));
        prop_assert_eq!(in_sync(read(role, &cut(&bytes, &cuts))), whole);
    }

    #[test]
    fn bytes_of_a_body_are_delivered_or_missing(
        content in proptest::collection::vec(any::<u8>(), 1..200),
        (from, to) in (0..200usize, 0..200usize),
        role in role(),
    ) {
        let (from, to) = (from.min(to).min(content.len()), to.max(from).min(content.len()));
        let start = if role == Role::Request { "PUT / HTTP/1.1" } else { "HTTP/1.1 200 OK" };
        let head = format!("{start}\r\nContent-Length: {}\r\n\r\n", content.len());
        let told = read(role, &[
            Piece::Bytes([head.as_bytes(), &content[..from]].concat()),
            Piece::Gap((to - from) as u64),
            Piece::Bytes(content[to..].to_vec()),
            Piece::End(true),
        ]);
        let mut delivered = Vec::new();
        let mut missing = 0;
        for told in &told {
            match told {
                Told::Body(bytes) => delivered.extend_from_slice(bytes),
                Told::BodyGap(n) => missing += *n as usize,
                Told::End { complete, last, .. } => {
                    prop_assert!(*complete);
                    prop_assert_eq!(*last as usize, head.len() + content.len());
                }
                _ => {}
            }
        }
        prop_assert_eq!(delivered, [&content[..from], &content[to..]].concat());
        prop_assert_eq!(missing, to - from);
    }

    #[test]
    fn nothing_that_comes_is_more_than_came(pieces in pieces(), role in role()) {
        let told = read(role, &pieces);
        let n_bytes: usize = pieces
            .iter()
            .map(|p| if let Piece::Bytes(bytes) = p { bytes.len() } else { 0 })
            .sum();
        let n_gap: u64 = pieces.iter().map(|p| if let Piece::Gap(n) = p { *n } else { 0 }).sum();
        let mut bytes = 0;
        let mut gap = 0;
        for told in &told {
            match told {
                Told::Body(b) | Told::Opaque(b) => bytes += b.len(),
                Told::BodyGap(n) | Told::OpaqueGap(n) => gap += n,
                _ => {}
            }
        }
        prop_assert!(bytes <= n_bytes && gap <= n_gap);
        let heads = told.iter().filter(|t| matches!(t, Told::Head { .. })).count();
        let ends = told.iter().filter(|t| matches!(t, Told::End { .. })).count();
        prop_assert!(ends <= heads);
    }

    #[test]
    fn no_bytes_at_all_are_too_much(bytes in any::<Vec<u8>>(), role in role(), cuts in cuts()) {
        read(role, &cut(&bytes, &cuts));
    }
}
