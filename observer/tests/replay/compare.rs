//! Two lists of exchanges as multisets: what is missing from the one, and what it has beyond.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::AddAssign;

use super::harness::event::Event;

/// What a replay has to keep of an exchange. Not among it: times, which are those of the replay, and
/// places in a flow, which a missing exchange would shift.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Exchange {
    client: (String, u64),
    server: (String, u64),
    method: String,
    target: String,
    status: u64,
    request_body: Option<u64>,
    response_body: Option<u64>,
    pairing: String,
    state: String,
}

impl Exchange {
    pub(crate) fn of(event: &Event) -> Self {
        let end = |end: &str| {
            let address = event.text(&format!("/{end}/address")).to_owned();
            (address, event.number(&format!("/{end}/port")))
        };
        let size = |pointer| event.0.pointer(pointer).and_then(serde_json::Value::as_u64);
        Self {
            client: end("client"),
            server: end("server"),
            method: event.text("/http/request/method").to_owned(),
            target: event.text("/url/original").to_owned(),
            status: event.number("/http/response/status_code"),
            request_body: size("/http/request/body/size"),
            response_body: size("/http/response/body/size"),
            pairing: event.text("/obs/pairing").to_owned(),
            state: event.text("/obs/state").to_owned(),
        }
    }
}

impl fmt::Display for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { client, server, method, target, status, .. } = self;
        let target: String = target.chars().take(60).collect();
        write!(f, "{}:{} > {}:{} {method} {target:?}", client.0, client.1, server.0, server.1)?;
        let (request, response) = (self.request_body, self.response_body);
        write!(f, " {status}, bodies {request:?} {response:?}, {} {}", self.pairing, self.state)
    }
}

/// How far live capture is from `read`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Difference {
    /// Exchanges that only `read` reports.
    pub(crate) n_missing: usize,
    /// Exchanges that only live capture reports.
    pub(crate) n_extra: usize,
}

impl Difference {
    pub(crate) const NONE: Self = Self { n_missing: 0, n_extra: 0 };
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} missing, {} extra", self.n_missing, self.n_extra)
    }
}

impl AddAssign for Difference {
    fn add_assign(&mut self, other: Self) {
        self.n_missing += other.n_missing;
        self.n_extra += other.n_extra;
    }
}

/// The exchanges of `these` that `those` does not have, as often as it does not have them.
pub(crate) fn without<'a>(these: &'a [Exchange], those: &[Exchange]) -> Vec<&'a Exchange> {
    let mut there = BTreeMap::<_, usize>::new();
    for exchange in those {
        *there.entry(exchange).or_default() += 1;
    }
    let mut missing = Vec::new();
    for exchange in these {
        match there.get_mut(exchange) {
            Some(n) if *n > 0 => *n -= 1,
            _ => missing.push(exchange),
        }
    }
    missing
}
