//! `observer::watch` live, as a test suite of somebody else would use it.

use std::net::IpAddr;
use std::time::Duration;

use observer::config::Backend;
use observer::watch::{Error, Exchange, Watch, Watching};

use crate::harness::can_run;
use crate::harness::client::{Route, curl};
use crate::harness::namespace::Namespace;
use crate::harness::server::Nginx;

/// Starts in the namespace, from code that is not async.
#[track_caller]
fn start(namespace: &Namespace, watch: impl FnOnce() -> Watch + Send) -> Watching {
    namespace.inside(|| watch().start().wait()).unwrap_or_else(|error| panic!("{error}"))
}

fn summaries(exchanges: &[Exchange]) -> Vec<String> {
    exchanges.iter().map(Exchange::summary).collect()
}

#[test]
fn bodies_of_both_ways_and_the_order_can_be_asserted() {
    if !can_run("watch::bodies", &["nginx", "curl"]) {
        return;
    }
    let namespace = Namespace::new();
    let nginx = Nginx::start(&namespace, PORT);
    let route = Route { client: &namespace, host: "127.0.0.1", port: PORT };
    let watch = || Watch::interface("lo").port(PORT).bodies(64 * 1024);
    let mut watching = start(&namespace, watch);

    // Larger than a segment, and sent in pieces behind a 100 (Continue).
    let file = tempfile::NamedTempFile::new().unwrap();
    let upload = "0123456789".repeat(6_000);
    std::fs::write(file.path(), &upload).unwrap();
    let upload_option = format!("@{}", file.path().display());
    let options = ["--data-binary", &upload_option, "-H", "Expect: 100-continue"];
    curl(&route, &options, &["/upload"]);
    curl(&route, &["-H", "Accept-Encoding: gzip"], &["/chunked"]);
    curl(&route, &[], &["/path/1", "/path/2"]);

    // On another executor than ours.
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let two = watching.next_matching(|e| e.path() == "/path/2").await.unwrap();
        assert_eq!((two.response_body(), two.index), (&two.response.as_ref().unwrap().body, 2));
        assert_eq!(two.response_body(), "/path/2", "{two}");

        let exchanges = watching.next_n(3).await.unwrap();
        assert_eq!(
            summaries(&exchanges),
            ["POST /upload 200", "GET /chunked 200", "GET /path/1 200"]
        );
        let [uploaded, chunked, _] = &exchanges[..] else { unreachable!() };
        assert_eq!(uploaded.request_body(), upload.as_str());
        assert_eq!(uploaded.response_body(), "received and understood\n");
        assert_eq!(uploaded.interim[0].status, Some(100));
        assert_eq!(chunked.response_header("content-encoding"), Some("gzip"));
        assert!(chunked.response_body().is_whole);
        assert_eq!(chunked.response_body().bytes[..2], [0x1f, 0x8b], "gzip as it was sent");

        let report = watching.stop().await.unwrap();
        assert_eq!((report.n_exchanges, report.exchanges.len(), report.n_lost()), (4, 0, 0));
        let ledger = report.ledger.unwrap();
        assert!(ledger.balances() && ledger.seen > 0, "{ledger:?}");
        assert!(report.warnings.is_empty(), "{:?}", report.warnings);
    });
    drop(nginx);
}

#[test]
fn a_request_made_after_the_start_is_not_missed() {
    if !can_run("watch::start", &["nginx", "curl"]) {
        return;
    }
    let namespace = Namespace::new();
    let _nginx = Nginx::start(&namespace, PORT);
    let route = Route { client: &namespace, host: "[::1]", port: PORT };
    for n in 0..6 {
        let backend = if n % 2 == 0 { Backend::Tc } else { Backend::Socket };
        let watching = start(&namespace, || Watch::any().backend(backend));
        curl(&route, &[], &["/path/at-once"]);
        // Nor is one missed that ended right before the stop.
        let report = watching.stop().wait().unwrap();
        assert_eq!(summaries(&report.exchanges), ["GET /path/at-once 200"], "{backend:?}, {n}");
        assert_eq!(report.exchanges[0].interface.as_deref(), Some("lo"));
    }
}

#[test]
fn any_interface_and_a_filter() {
    if !can_run("watch::any", &["nginx", "curl"]) {
        return;
    }
    let (near, far) = (Namespace::new(), Namespace::new());
    near.connect(&far, "veth");
    let _nginx = Nginx::start(&near, PORT);
    let _other = Nginx::start(&near, PORT + 1);
    let far_end: IpAddr = [10, 77, 0, 2].into();
    let by_address = start(&near, move || Watch::any().address(far_end));
    let by_path = start(&near, || Watch::any().port(PORT).path("/path/a").host("localhost"));

    for port in [PORT, PORT + 1] {
        let near_route = Route { client: &near, host: "127.0.0.1", port };
        let host = ["-H", "Host: localhost"];
        curl(&near_route, &host, &["/path/a/lo", "/path/ab"]);
        curl(&near_route, &[], &["/path/a"]);
        let far_route = Route { client: &far, host: "10.77.0.1", port };
        curl(&far_route, &host, &["/path/a/veth"]);
    }
    let report = by_path.stop().wait().unwrap();
    let seen: Vec<_> =
        report.exchanges.iter().map(|e| (e.path(), e.interface.as_deref())).collect();
    assert_eq!(seen, [("/path/a/lo", Some("lo")), ("/path/a/veth", Some("veth"))]);
    let report = by_address.stop().wait().unwrap();
    let seen: Vec<_> = report.exchanges.iter().map(|e| (e.client.ip(), e.server.port())).collect();
    assert_eq!(seen, [(far_end, PORT), (far_end, PORT + 1)]);
}

#[test]
fn what_does_not_come_in_time_is_told_beside_what_came() {
    if !can_run("watch::timeout", &["nginx", "curl"]) {
        return;
    }
    let namespace = Namespace::new();
    let _nginx = Nginx::start(&namespace, PORT);
    let route = Route { client: &namespace, host: "127.0.0.1", port: PORT };
    let timeout = Duration::from_millis(300);
    let mut watching = start(&namespace, || Watch::interface("lo").timeout(timeout));
    curl(&route, &[], &["/missing"]);
    let error = watching.next_matching(|e| e.status() == Some(200)).wait().unwrap_err();
    assert!(matches!(error, Error::TimedOut { .. }));
    let told = "no matching exchange within 300ms; what came: GET /missing 404";
    assert_eq!(error.to_string(), told);
    // Nothing is lost by it.
    assert_eq!(watching.next_exchange().wait().unwrap().status(), Some(404));
}

#[test]
fn an_interface_that_is_not_there_is_an_error_that_names_those_that_are() {
    if !can_run("watch::interface", &[]) {
        return;
    }
    let namespace = Namespace::new();
    let error = namespace.inside(|| Watch::interface("lan7").start().wait()).unwrap_err();
    let told = "cannot capture: no such interface: lan7 (there are: lo)";
    assert_eq!(error.to_string(), told);
    assert!(!error.is_missing_privileges());
}

#[test]
fn without_privileges_a_test_can_say_so_and_pass() {
    if !can_run("watch::privileges", &[]) {
        return;
    }
    let nobody = std::thread::spawn(|| {
        // SAFETY: takes numbers. The system call, unlike libc's function of that name, is for the
        // calling thread alone; the watch's thread inherits from it.
        let done = unsafe { libc::syscall(libc::SYS_setresuid, NOBODY, NOBODY, NOBODY) };
        assert_eq!(done, 0);
        Watch::any().start().wait()
    });
    let error = nobody.join().unwrap().unwrap_err();
    assert!(error.is_missing_privileges(), "{error}");
    let told = error.to_string();
    assert!(told.starts_with("cannot capture: needs CAP_"), "{told}");
    assert!(told.ends_with("run as root or with sudo"), "{told}");
}

const NOBODY: libc::uid_t = 65_534;
const PORT: u16 = 18_620;
