//! What is said over the control socket, damaged: a daemon lives with any client, a client says what
//! is wrong with any daemon; nobody hangs.

use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use super::server::Server;
use super::{COMMAND, Hello};

/// Bytes changed, put in, taken out, repeated.
fn damaged(text: &'static str) -> impl Strategy<Value = Vec<u8>> {
    let one = (0..4_u8, any::<proptest::sample::Index>(), any::<u8>());
    proptest::collection::vec(one, 1..6).prop_map(move |damages| {
        let mut bytes = text.as_bytes().to_vec();
        for (kind, at, byte) in damages {
            if bytes.is_empty() {
                bytes.push(byte);
            }
            let at = at.index(bytes.len());
            match kind {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                2 => drop(bytes.remove(at)),
                _ => bytes.extend(bytes.clone().into_iter().skip(at).take(5_000)),
            }
        }
        bytes
    })
}

fn runner(cases: u32) -> TestRunner {
    let asked = std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok());
    TestRunner::new(ProptestConfig {
        cases: asked.unwrap_or(cases),
        failure_persistence: None,
        ..ProptestConfig::default()
    })
}

const HELLO: &str = "{\"observer\":{\"protocol\":1,\"version\":\"0.1.0\",\"headers\":true,\
    \"body_bytes\":7,\"ws_messages\":true,\"interfaces\":[\"lo\",\"eth0\"],\"ports\":[80],\
    \"hosts\":[\"10.0.0.0/8\"],\"backend\":\"tc\"}}\n";

#[test]
fn ten_thousand_damaged_hellos_are_read_or_refused_with_a_reason() {
    assert!(Hello::parse(HELLO.as_bytes()).is_ok());
    let result = runner(10_000).run(&damaged(HELLO), |hello| {
        if let Err(reason) = Hello::parse(&hello) {
            prop_assert!(!reason.is_empty());
        }
        Ok(())
    });
    result.unwrap();
}

/// What a client that sends these bytes and no more gets.
fn answer(folder: &std::path::Path, bytes: &[u8]) -> Vec<u8> {
    let mut stream = UnixStream::connect(folder.join("s")).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    // The daemon may have refused it before it was all sent.
    let _ = stream.write_all(bytes).and_then(|()| stream.shutdown(Shutdown::Write));
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    answer
}

#[test]
fn ten_thousand_damaged_commands_are_refused_and_the_next_is_served() {
    let folder = tempfile::tempdir().unwrap();
    let (server, mut tails) = Server::start(&folder.path().join("s"), &Hello::default()).unwrap();
    let is_over = AtomicBool::new(false);
    let served = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                tails.serve(crate::segment::Timestamp(0), Default::default);
                std::thread::sleep(Duration::from_micros(200));
            }
        });
        let result = runner(10_000).run(&damaged(COMMAND), |command| {
            let answer = answer(folder.path(), &command);
            let is_command = command.starts_with(COMMAND.as_bytes());
            // Closed with a word, where there still was somebody to hear it.
            let refused: &[&[u8]] = &[b"", b"{\"error\":\"unknown command\"}\n"];
            let is_hello = answer.starts_with(b"{\"observer\":");
            prop_assert!(is_hello == is_command, "{:?}", answer.escape_ascii().to_string());
            prop_assert!(is_hello || refused.contains(&answer.as_slice()), "{answer:?}");
            Ok(())
        });
        let served = answer(folder.path(), COMMAND.as_bytes());
        is_over.store(true, Ordering::Relaxed);
        result.unwrap();
        served
    });
    assert!(served.starts_with(b"{\"observer\":"), "{served:?}");
    server.stop();
}
