//! A budget so small that observer must leave things out: it says so, the account stays exact, what
//! is kept stands for what is not, and everything comes back when the load has gone.

use std::fs;

use observer::segment::{Endpoint, FlowKey};

use crate::harness::can_run;
use crate::harness::client::{Route, curl, wrk};
use crate::harness::event::{Event, last_account};
use crate::harness::namespace::Namespace;
use crate::harness::observer::Observer;
use crate::harness::server::Nginx;
use crate::harness::wait::{LONG, until};

#[test]
fn it_sheds_under_load_says_so_and_returns() {
    if !can_run("governor::shed", &["nginx", "wrk", "curl"]) {
        return;
    }
    let near = Namespace::new();
    let nginx = Nginx::start(&near, 18234);
    let folder = tempfile::tempdir().unwrap();
    let (file, config) = (folder.path().join("events"), folder.path().join("o.toml"));
    let text = format!(
        "[http]\nbody_bytes = 64\n[governor]\ncpu_percent = 5\nmax_adjusted_count = 2\n\
         [stats]\ninterval = '1s'\n[capture]\nring_bytes = 268435456\n[output]\nfile = '{}'\n",
        file.display()
    );
    fs::write(&config, text).unwrap();
    let config = config.display().to_string();
    let observer = Observer::start(&near, &["run", "--no-socket", "--config", &config]);
    let route = Route { client: &near, host: "127.0.0.1", port: nginx.port };

    // Connections that stay, and one for each request.
    let load = std::thread::scope(|scope| {
        scope.spawn(|| wrk(&route, 16, 4, "wrk.path = '/path/kept'"));
        wrk(&route, 16, 4, "wrk.path = '/path/once'\nwrk.headers['Connection'] = 'close'")
    });
    let steps = || {
        let text = fs::read_to_string(&file).unwrap_or_default();
        let lines = text.lines().filter(|line| line.contains("\"observer.governor\""));
        lines.map(Event::parse).collect::<Vec<_>>()
    };
    until("everything to be reported again", LONG, || {
        let steps = steps();
        let is_back = steps.last()?.text("/obs/governor/step") == "full";
        is_back.then_some(())
    });
    let paths: Vec<_> = (0..20).map(|i| format!("/path/after{i}")).collect();
    for path in &paths {
        curl(&route, &[], &[path]);
    }
    let end = observer.end(libc::SIGTERM);

    let account = last_account(&file).expect("statistics come last");
    account.assert_balanced();
    let text = fs::read_to_string(&file).unwrap();
    let events: Vec<_> = text.lines().map(Event::parse).collect();
    let stats = events.last().unwrap();
    assert_eq!(account.records, account.segments, "{}", stats.0);
    assert!(stats.number("/obs/stats/capture/filtered/sampled") > 0, "{}", stats.0);
    assert!(stats.number("/obs/stats/capture/flows_sampled") > 0, "{}", stats.0);
    assert_eq!(stats.text("/obs/stats/governor/step"), "full");
    assert_eq!(
        stats.number("/obs/stats/governor/shed"),
        stats.number("/obs/stats/governor/returned")
    );

    check_steps(&steps(), &end.stderr);
    let exchanges: Vec<_> =
        events.iter().filter(|event| event.name() == "http.exchange").map(Kept::of).collect();
    let of = |path: &str| exchanges.iter().filter(|e| e.path == path).collect::<Vec<_>>();
    assert!(exchanges.iter().any(|kept| kept.weight == 1 && kept.has_body));
    assert!(exchanges.iter().all(|kept| kept.weight == 1 || !kept.has_body));
    // Each was chosen with a chance of one in its weight, so what the weights are off by has the
    // variance of the sum of weight - 1 over all there were.
    let once = of("/path/once");
    let sum: f64 = once.iter().map(|kept| kept.weight as f64).sum();
    let variance: f64 = once.iter().map(|kept| (kept.weight * (kept.weight - 1)) as f64).sum();
    println!("{} kept, weight {sum} of {}; {account:?}", once.len(), load.requests);
    assert!((sum - load.requests as f64).abs() <= 5.0 * variance.sqrt() + 16.0, "{sum} {load:?}");
    assert!((once.len() as u64) < load.requests);
    for path in &paths {
        let after = of(path);
        assert_eq!(after.iter().map(|kept| kept.weight).collect::<Vec<_>>(), [1], "{path}");
    }
}

/// One step at a time, each from where the one before led, and each said.
#[track_caller]
fn check_steps(steps: &[Event], stderr: &[String]) {
    let ladder = [("full", 1), ("no_bodies", 1), ("sample", 2)];
    let mut at: usize = 0;
    for step in steps {
        assert_eq!(step.text("/obs/governor/from"), ladder[at].0, "{}", step.0);
        let is_return = step.text("/obs/governor/cause") == "room";
        at = if is_return { at - 1 } else { at + 1 };
        let to = (step.text("/obs/governor/step"), step.number("/obs/governor/adjusted_count"));
        assert_eq!(to, ladder[at], "{}", step.0);
    }
    assert_eq!(at, 0, "{steps:?}");
    assert!(steps.len() >= 4, "flows were never left out: {steps:?}");
    let said = stderr.iter().filter(|line| line.starts_with("observer: governor: "));
    assert_eq!(said.count(), steps.len(), "{stderr:?}");
}

/// An exchange that was told, and has to be whole.
struct Kept {
    path: String,
    weight: u64,
    has_body: bool,
}

impl Kept {
    #[track_caller]
    fn of(event: &Event) -> Self {
        let weight = event.number("/obs/sampling/adjusted_count").max(1);
        let end = |role: &str| {
            let address = event.text(&format!("/{role}/address")).parse::<std::net::Ipv4Addr>();
            let port = event.number(&format!("/{role}/port")) as u16;
            Endpoint::v4(address.unwrap().octets(), port)
        };
        let key = FlowKey::new(end("client"), end("server"));
        assert!(key.is_kept(weight.ilog2()), "{}", event.0);
        // What wrk left behind when it stopped has no answer; nothing else is cut.
        if event.text("/obs/state") == "complete" {
            assert_eq!(event.text("/obs/pairing"), "exact", "{}", event.0);
        } else {
            assert!(event.0.pointer("/error/type").is_some(), "{}", event.0);
        }
        let has_body = event.0.pointer("/http/response/body/content").is_some()
            || event.0.pointer("/obs/http/response/body").is_some();
        Self { path: event.text("/url/path").to_owned(), weight, has_body }
    }
}
