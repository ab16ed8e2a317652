//! `observer read` of what tcpdump recorded says the same as live capture of the same traffic.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;
use std::process::Command;

use crate::exchanges::CASES;
use crate::harness::can_run;
use crate::harness::client::{Route, curl, wrk};
use crate::harness::event::{Event, Exchange};
use crate::harness::namespace::Namespace;
use crate::harness::observer::{BACKENDS, BINARY, Observer, ROOMY, configuration};
use crate::harness::recorder::tcpdump;
use crate::harness::server::Nginx;
use crate::harness::wait::{LONG, until};

#[test]
fn a_capture_file_gives_the_same_exchanges() {
    if !can_run("capture_file", &["nginx", "curl", "nc", "wrk", "tcpdump"]) {
        return;
    }
    let (near, far) = (Namespace::new(), Namespace::new());
    near.connect(&far, "veth");
    let nginx = Nginx::start(&near, 18234);
    let folder = tempfile::tempdir().unwrap();
    let config = configuration(ROOMY);
    let config = config.path().display().to_string();
    for backend in BACKENDS {
        let file = folder.path().join(format!("{backend}.pcap"));
        let mut tcpdump = tcpdump(&near, "any", &file);
        let args = ["run", "--no-socket", "--backend", backend, "--config", &config];
        let mut observer = Observer::start(&near, &args);

        let mut n_expected = 0;
        for (client, host) in
            [(&near, "127.0.0.1"), (&near, "[::1]"), (&far, "10.77.0.1"), (&far, "[fd77::1]")]
        {
            let route = Route { client, host, port: nginx.port };
            n_expected += CASES.iter().map(|(_, case)| case(&route).len()).sum::<usize>();
        }
        let route = Route { client: &far, host: "10.77.0.1", port: nginx.port };
        n_expected += wrk(&route, 4, 1, "").requests as usize;
        curl(&route, &[], &[LAST]);
        n_expected += 1;

        let mut live = observer.take(n_expected);
        // What wrk left under way is known when the capture ends.
        let end = observer.end(libc::SIGTERM);
        live.extend(end.events);
        // In the last request, and in the body of its response.
        until("tcpdump to have it all", LONG, || (n_last(&file) == 2).then_some(()));
        tcpdump.signal(libc::SIGINT);
        assert!(tcpdump.wait().success());
        let said = tcpdump.stderr.get().join("\n");
        assert!(said.contains("\n0 packets dropped by kernel"), "{said}");

        let (live, recorded) = (by_flow(&live), by_flow(&read(&file)));
        assert!(live.keys().eq(recorded.keys()), "{backend}: other flows");
        for (flow, exchanges) in &live {
            assert_eq!(exchanges, &recorded[flow], "{backend}: flow {flow:?}");
        }
    }
}

/// The exchanges of each flow in their order. Between flows there is none.
fn by_flow(events: &[Event]) -> BTreeMap<(String, u64), Vec<Exchange>> {
    let mut flows = BTreeMap::<_, Vec<_>>::new();
    for event in events {
        let exchange = Exchange::of(event);
        let client = event.text("/client/address").to_owned();
        flows.entry((client, exchange.client_port)).or_default().push(exchange);
    }
    flows
}

/// How often the file names the last target, in what it got last.
fn n_last(file: &Path) -> usize {
    let mut file = File::open(file).unwrap();
    let n_bytes = file.metadata().unwrap().len();
    file.seek(SeekFrom::Start(n_bytes.saturating_sub(64 << 10))).unwrap();
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).unwrap();
    memchr::memmem::find_iter(&bytes, LAST).count()
}

fn read(file: &Path) -> Vec<Event> {
    let mut command = Command::new(BINARY);
    let output = command.args(["read", "-f", "ndjson"]).arg(file).output().unwrap();
    let lines = String::from_utf8(output.stdout).unwrap();
    lines.lines().map(Event::parse).collect()
}

const LAST: &str = "/path/the-very-last";
