//! What happens in other network namespaces than the observer's.

mod follow;
mod island;
pub(crate) mod pair;

use crate::harness::can_run;
use crate::harness::event::Event;
use crate::harness::namespace::Namespace;
use crate::harness::observer::Observer;

use pair::Pair;

#[test]
fn equal_ports_on_two_loopbacks_are_two_flows() {
    if !can_run("netns::equal_ports", &[]) {
        return;
    }
    let (home, red, blue) = (Namespace::new(), Namespace::new(), Namespace::new());
    let path = format!("/run/netns/{}", blue.name);
    let netns = format!("{},{path}", red.name);
    let mut observer = Observer::start(&home, &["run", "--no-socket", "--netns", &netns]);
    let mut red_pair = Pair::local(&red, CLIENT, SERVER);
    let mut blue_pair = Pair::local(&blue, CLIENT, SERVER);
    // Interleaved, so that a single table entry would pair one's answer with the other's request.
    red_pair.ask("/red/1");
    blue_pair.ask("/blue/1");
    blue_pair.answer(404, "none");
    red_pair.answer(200, "found");
    red_pair.ask("/red/2");
    blue_pair.ask("/blue/2");
    red_pair.answer(500, "");
    blue_pair.answer(201, "made it");
    drop((red_pair, blue_pair));
    let mut told: Vec<_> = observer.take(4).iter().map(told).collect();
    told.sort();
    let expected = |namespace: &Namespace, path: &str, status, bytes| {
        (namespace.name.clone(), path.to_owned(), status, bytes)
    };
    let mut meant = [
        expected(&red, "/red/1", 200, 5),
        expected(&red, "/red/2", 500, 0),
        expected(&blue, "/blue/1", 404, 4),
        expected(&blue, "/blue/2", 201, 7),
    ];
    meant.sort();
    assert_eq!(told, meant);
    let end = observer.end(libc::SIGTERM);
    assert!(end.events.is_empty(), "{:?}", end.events);
}

/// Namespace, path, status, bytes of the body. Everything else has to be as it should.
#[track_caller]
fn told(event: &Event) -> (String, String, u64, u64) {
    assert_eq!(event.name(), "http.exchange");
    assert_eq!(event.text("/obs/state"), "complete");
    assert_eq!(event.text("/obs/pairing"), "exact");
    assert_eq!(event.text("/obs/capture/interface"), "lo");
    assert_eq!(event.number("/client/port"), u64::from(CLIENT));
    assert_eq!(event.number("/server/port"), u64::from(SERVER));
    (
        event.text("/obs/capture/netns/name").to_owned(),
        event.text("/url/path").to_owned(),
        event.number("/http/response/status_code"),
        event.number("/http/response/body/size"),
    )
}

/// Outside the range from which the kernel gives ports.
const CLIENT: u16 = 20_400;
const SERVER: u16 = 18_400;
