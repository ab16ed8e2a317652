//! The handlers of a running Go server, watched from outside, beside what the wrapper around them
//! prints: the same requests, and what the wrapper cannot know.

use crate::harness::can_run;
use crate::harness::client::{Route, curl};
use crate::harness::event::Event;
use crate::harness::go::Sample;
use crate::harness::namespace::Namespace;
use crate::harness::observer::Observer;

#[test]
fn handlers_of_a_running_go_server_are_seen_from_outside() {
    if !can_run("go", &["go", "curl"]) {
        return;
    }
    let namespace = Namespace::new();
    let sample = Sample::start(&namespace, PORT);
    let mut observer = Observer::start(&namespace, &["run", "--no-socket"]);
    let route = Route { client: &namespace, host: "127.0.0.1", port: PORT };

    curl(&route, &[], &["/", "/hello/ann", "/missing"]);
    let seen: Vec<_> = observer.take(3).iter().map(line).collect();
    assert_eq!(seen, ["GET / 200", "GET /hello/ann 200", "GET /missing 404"]);
    assert_eq!(sample.wrapper_lines(), seen, "the wrapper saw something else");
}

/// As the wrapper prints it.
fn line(event: &Event) -> String {
    let status = event.number("/http/response/status_code");
    let (method, path) = (event.text("/http/request/method"), event.text("/url/path"));
    format!("{method} {path} {status}")
}

const PORT: u16 = 18_611;
