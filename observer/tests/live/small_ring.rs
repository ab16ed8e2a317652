//! A ring that is far too small, on purpose: what is lost is counted to the unit, what was hit says
//! so, and no response is given to the request of another.

use crate::harness::can_run;
use crate::harness::client::{Route, wrk};
use crate::harness::event::{Event, last_account};
use crate::harness::namespace::Namespace;
use crate::harness::observer::{BACKENDS, Observer, configuration};
use crate::harness::server::Nginx;
use crate::harness::wait::{LONG, until};

#[test]
fn loss_is_counted_and_told_and_mispairs_nothing() {
    check("small_ring::one_at_a_time", "tc", ONE_AT_A_TIME);
}

#[test]
fn loss_mispairs_nothing_among_pipelined_requests() {
    check("small_ring::pipelined", "socket", PIPELINED);
}

/// The server's body is the request's target, so a pair that does not belong together shows.
fn check(name: &str, backend: &str, script: &str) {
    assert!(BACKENDS.contains(&backend));
    if !can_run(name, &["nginx", "wrk"]) {
        return;
    }
    let near = Namespace::new();
    let nginx = Nginx::start(&near, 18234);
    let config = configuration("[capture]\nring_bytes = 65536\n");
    let config = config.path().display().to_string();
    let output = tempfile::NamedTempFile::new().unwrap();
    let path = output.path().display().to_string();
    let args = ["run", "--no-socket", "--backend", backend, "--config", &config, "-o", &path];
    let observer = Observer::start(&near, &args);
    let route = Route { client: &near, host: "127.0.0.1", port: nginx.port };
    let load = wrk(&route, 32, 2, script);
    until("the engine to have everything", LONG, || {
        let account = last_account(output.path())?;
        (account.seen > load.requests && account.segments == account.records).then_some(())
    });
    observer.end(libc::SIGTERM);

    let account = last_account(output.path()).expect("statistics come last");
    account.assert_balanced();
    assert!(account.lost > 0, "a ring of 64 KiB held everything: {account:?}");

    let text = std::fs::read_to_string(output.path()).unwrap();
    let mut tally = Tally::default();
    for event in text.lines().map(Event::parse) {
        if event.name() == "http.exchange" {
            tally.count(&event);
        }
    }
    println!("{backend}: {account:?}\n{tally:?}, wrk {}", load.requests);
    assert!(tally.n_right > 0, "nothing came through: {tally:?}");
    assert!(tally.n_hit > 0, "no event says that it was hit: {tally:?}");
    assert!(tally.mispaired.is_empty(), "mispaired: {tally:#?}");
    assert!(tally.silent.is_empty(), "not whole, and no word of a loss: {tally:#?}");
    // Nothing is made up: no more requests than there were.
    assert!(tally.n_requests <= load.requests + 32 * 4, "{tally:?}");
}

#[derive(Debug, Default)]
struct Tally {
    n_requests: u64,
    /// Complete pairs whose body is as long as the target.
    n_right: u64,
    /// Events that tell of a loss.
    n_hit: u64,
    n_mispaired: u64,
    /// A few of the complete pairs that do not belong together.
    mispaired: Vec<String>,
    /// A few of the events that are not whole, and do not say why.
    silent: Vec<String>,
}

impl Tally {
    fn count(&mut self, event: &Event) {
        let integrity = event.0.pointer("/obs/integrity");
        let pairing = event.text("/obs/pairing");
        let is_whole = event.text("/obs/state") == "complete" && pairing == "exact";
        let target = event.text("/url/original");
        self.n_requests += u64::from(!target.is_empty());
        self.n_hit += u64::from(integrity.is_some());
        if !is_whole && integrity.is_none() && !is_end_of_load(event) {
            keep(&mut self.silent, event);
        }
        let has_both = !target.is_empty() && event.0.pointer("/http/response").is_some();
        if event.text("/obs/state") != "complete" || !has_both {
            return;
        }
        if event.number("/http/response/body/size") == target.len() as u64 {
            self.n_right += 1;
        } else {
            self.n_mispaired += 1;
            keep(&mut self.mispaired, event);
        }
    }
}

/// A request that wrk left behind when it stopped: closed by wrk, not by a loss.
fn is_end_of_load(event: &Event) -> bool {
    event.0.pointer("/http/response").is_none_or(|_| event.text("/obs/state") != "complete")
        && event.text("/obs/pairing") != "resynced"
        && !event.text("/error/type").is_empty()
}

fn keep(few: &mut Vec<String>, event: &Event) {
    if few.len() < 3 {
        let number = |pointer| event.number(pointer);
        few.push(format!(
            "{} #{}: {} {}, request line for {} bytes, body of {}, {:?} {}",
            number("/client/port"),
            number("/obs/exchange/index"),
            event.text("/obs/state"),
            event.text("/obs/pairing"),
            event.text("/url/original").len(),
            number("/http/response/body/size"),
            event.text("/error/type"),
            event.0.pointer("/obs/integrity").unwrap_or(&serde_json::Value::Null),
        ));
    }
}

/// Neighbours on a connection have targets of different length.
const ONE_AT_A_TIME: &str = "
local n = 0
request = function()
  n = n + 1
  return wrk.format('GET', '/path/' .. string.rep('x', n % 211))
end
";

/// Three requests in one write.
const PIPELINED: &str = "
local n = 0
local one = function()
  n = n + 1
  return wrk.format('GET', '/path/' .. string.rep('x', n % 211))
end
request = function()
  return one() .. one() .. one()
end
";
