//! Under load, every request that the load generator counts is an exchange in the file.

use crate::harness::can_run;
use crate::harness::client::{Route, wrk};
use crate::harness::event::last_account;
use crate::harness::namespace::Namespace;
use crate::harness::observer::{BACKENDS, Observer, ROOMY, configuration};
use crate::harness::server::Nginx;
use crate::harness::wait::{LONG, until};

#[test]
fn what_wrk_completes_is_in_the_file() {
    if !can_run("load::wrk", &["nginx", "wrk"]) {
        return;
    }
    let near = Namespace::new();
    let nginx = Nginx::start(&near, 18234);
    let config = configuration(ROOMY);
    let config = config.path().display().to_string();
    let folder = tempfile::tempdir().unwrap();
    for (backend, rings) in BACKENDS.map(|backend| (backend, "1")).into_iter().chain([("tc", "4")])
    {
        let file = folder.path().join(format!("{backend}{rings}"));
        let path = file.display().to_string();
        let args = ["run", "--no-socket", "--backend", backend, "--rings", rings];
        let args = [&args[..], &["--config", &config, "-o", &path]].concat();
        let observer = Observer::start(&near, &args);
        let route = Route { client: &near, host: "127.0.0.1", port: nginx.port };
        let load = wrk(&route, CONNECTIONS, 2, "");
        until("the engine to have everything", LONG, || {
            let account = last_account(&file)?;
            (account.seen > load.requests && account.segments == account.records).then_some(())
        });
        observer.end(libc::SIGTERM);

        let account = last_account(&file).expect("statistics come last");
        account.assert_balanced();
        let text = std::fs::read_to_string(&file).unwrap();
        // Words, not parsed events: there are hundreds of thousands, and the schema's test and the
        // other tests here read them properly.
        let exchanges = || text.lines().filter(|line| line.contains("\"http.exchange\""));
        let is_whole = |line: &&str| {
            line.contains("\"state\":\"complete\"") && line.contains("\"pairing\":\"exact\"")
        };
        let n_complete = exchanges().filter(is_whole).count() as u64;
        let n_all = exchanges().count() as u64;
        println!(
            "{backend}, {rings} rings: wrk {}, complete {n_complete}, all {n_all}",
            load.requests
        );
        println!("{backend}: {account:?}");
        assert_eq!(account.lost, 0, "{account:?}");
        // What is under way on each connection when wrk stops may still be answered.
        let possible = load.requests..=load.requests + u64::from(CONNECTIONS);
        assert!(possible.contains(&n_complete), "{n_complete} of {}", load.report);
        assert!(possible.contains(&n_all), "{n_all} of {}", load.report);
    }
}

const CONNECTIONS: u32 = 32;
