//! Rate, errors and duration of requests by service and route, under the names of OpenTelemetry's
//! semantic conventions.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hashbrown::{HashMap, HashSet};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::{Registry, Unit};

use super::route::collapse;
use super::weighted::Weighted;
use crate::config::metrics::Metrics as Config;
use crate::config::route::Template;
use crate::event::HttpExchange;
use crate::message::{Head, Pairing};
use crate::segment::Endpoint;

type Labels = Vec<(&'static str, String)>;

/// Counts exchanges. One that has no pair has no duration and is in the second family alone. Of
/// flows that stand for others each counts for as many in the first, and as one in the second.
#[derive(Debug)]
pub struct Red {
    durations: Family<Labels, Weighted, fn() -> Weighted>,
    by_pairing: [Counter; 4],
    templates: Vec<Template>,
    max_series: usize,
    /// The series and routes that this worker has met, so that it asks the others for new ones only.
    met: Series,
    all: Arc<Mutex<Series>>,
    /// The present route; kept for its memory.
    route: String,
}

/// What is bounded.
#[derive(Debug, Default)]
struct Series {
    known: HashMap<Key, Weighted>,
    /// Routes that were given a series of their own, of each service.
    routes: HashMap<Endpoint, HashSet<String>>,
}

/// What tells series apart.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    /// `None` past the bound.
    server: Option<Endpoint>,
    method: &'static str,
    status: u16,
    route: String,
}

impl Red {
    pub(super) fn new(config: &Config, registry: &mut Registry) -> Self {
        let durations: Family<Labels, Weighted, fn() -> Weighted> =
            Family::new_with_constructor(|| Weighted::new(&SECONDS));
        registry.register_with_unit(
            "http_server_request_duration",
            "First byte of the request to last byte of the response",
            Unit::Seconds,
            durations.clone(),
        );
        let exchanges = Family::<Labels, Counter>::default();
        registry.register(
            "observer_exchanges",
            "Exchanges reported, by how request and response were paired",
            exchanges.clone(),
        );
        let by_pairing = PAIRINGS
            .map(|pairing| exchanges.get_or_create_owned(&vec![("pairing", pairing.to_owned())]));
        Self {
            durations,
            by_pairing,
            templates: config.routes.clone(),
            max_series: config.max_series as usize,
            met: Series::default(),
            all: Arc::default(),
            route: String::new(),
        }
    }

    /// The same series, for another worker.
    pub(super) fn again(&self) -> Self {
        Self {
            durations: self.durations.clone(),
            by_pairing: self.by_pairing.clone(),
            templates: self.templates.clone(),
            max_series: self.max_series,
            met: Series::default(),
            all: Arc::clone(&self.all),
            route: String::new(),
        }
    }

    pub(super) fn count(&mut self, event: &HttpExchange) {
        let exchange = &event.exchange;
        let [exact, resynced, request, response] = &self.by_pairing;
        let counter = match exchange.pairing {
            Pairing::Exact => exact,
            Pairing::Resynced => resynced,
            Pairing::OrphanRequest => request,
            Pairing::OrphanResponse => response,
        };
        counter.inc();
        let Some(total_ns) = event.timing().total_ns else { return };
        let request = exchange.request.as_ref().and_then(|message| message.head.as_ref());
        let response = exchange.response.as_ref().and_then(|message| message.head.as_ref());
        let method = method(request.and_then(Head::method).unwrap_or_default());
        let status = response.and_then(Head::status).unwrap_or(0);
        let [_, path, _] = event.url_parts();
        let path = std::str::from_utf8(path.unwrap_or_default()).unwrap_or("_NOT_UTF8");
        self.find_route(event.flow.server, status, path);
        let seconds = total_ns as f64 / 1e9;
        self.observe(event.flow.server, method, status, seconds, event.flow.adjusted_count);
    }

    /// Puts the route into `self.route`.
    fn find_route(&mut self, server: Endpoint, status: u16, path: &str) {
        self.route.clear();
        if let Some(template) = self.templates.iter().find(|template| template.matches(path)) {
            self.route.push_str(template.text());
            return;
        }
        // Whoever tries paths out fits no template and finds nothing.
        if status == 404 {
            self.route.push_str(NOT_FOUND);
            return;
        }
        collapse(path, &mut self.route);
        let met = self.met.routes.entry(server).or_default();
        if met.contains(&self.route) {
            return;
        }
        let mut all = locked(&self.all);
        let routes = all.routes.entry(server).or_default();
        if self.route.len() > MAX_ROUTE
            || (routes.len() >= MAX_ROUTES && !routes.contains(&self.route))
        {
            self.route.clear();
            self.route.push_str(OTHER);
        } else {
            if !routes.contains(&self.route) {
                routes.insert(self.route.clone());
            }
            met.insert(self.route.clone());
        }
    }

    fn observe(
        &mut self,
        server: Endpoint,
        method: &'static str,
        status: u16,
        seconds: f64,
        weight: u32,
    ) {
        let route = std::mem::take(&mut self.route);
        let mut key = Key { server: Some(server), method, status, route };
        if let Some(known) = self.met.known.get(&key) {
            known.observe(seconds, weight);
            self.route = key.route;
            return;
        }
        let mut all = locked(&self.all);
        if !all.known.contains_key(&key) && all.known.len() >= self.max_series {
            key = Key { server: None, method: OTHER, status: 0, route: OTHER.to_owned() };
            // A service whose series were all refused needs no list of routes.
            if !all.known.keys().any(|known| known.server == Some(server)) {
                all.routes.remove(&server);
                self.met.routes.remove(&server);
            }
        }
        let new = || self.durations.get_or_create_owned(&labels(&key));
        let histogram = all.known.entry(key.clone()).or_insert_with(new).clone();
        drop(all);
        histogram.observe(seconds, weight);
        self.met.known.insert(key, histogram);
    }
}

fn locked(all: &Mutex<Series>) -> MutexGuard<'_, Series> {
    all.lock().unwrap_or_else(PoisonError::into_inner)
}

fn labels(key: &Key) -> Labels {
    let address = key.server.map_or(OTHER.to_owned(), |server| server.ip().to_string());
    let mut labels = vec![
        ("server_address", address),
        ("server_port", key.server.map_or(OTHER.to_owned(), |server| server.port.to_string())),
        ("http_request_method", key.method.to_owned()),
        ("http_route", key.route.clone()),
    ];
    if key.status != 0 {
        labels.push(("http_response_status_code", key.status.to_string()));
    }
    // As in the events: the status when the server failed.
    if key.status >= 500 {
        labels.push(("error_type", key.status.to_string()));
    }
    labels
}

/// The methods that OpenTelemetry lets stand as they are.
fn method(bytes: &[u8]) -> &'static str {
    const KNOWN: [&str; 10] =
        ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "QUERY"];
    KNOWN.into_iter().find(|known| known.as_bytes() == bytes).unwrap_or(OTHER)
}

const PAIRINGS: [&str; 4] = ["exact", "resynced", "orphan_request", "orphan_response"];
/// What stands for everything past a bound.
const OTHER: &str = "_OTHER";
const NOT_FOUND: &str = "_NOT_FOUND";
/// Routes of one service.
const MAX_ROUTES: usize = 200;
/// Bytes of a route.
const MAX_ROUTE: usize = 200;
/// The boundaries that OpenTelemetry advises for `http.server.request.duration`.
const SECONDS: [f64; 14] =
    [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];

#[cfg(test)]
mod tests {
    use super::*;

    fn red(max_series: u32) -> (Red, Registry) {
        let mut registry = Registry::default();
        let routes = vec!["/users/{name}".parse().unwrap()];
        let config = Config { max_series, routes, ..Config::default() };
        (Red::new(&config, &mut registry), registry)
    }

    fn see(red: &mut Red, port: u16, status: u16, path: &str) {
        let server = Endpoint::v4([10, 0, 0, 1], port);
        red.find_route(server, status, path);
        red.observe(server, "GET", status, 0.02, 1);
    }

    fn text(registry: &Registry) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, registry).unwrap();
        text
    }

    /// Exchanges in all series together.
    fn n_counted(text: &str) -> u64 {
        const COUNT: &str = "http_server_request_duration_seconds_count";
        let counts = text.lines().filter(|line| line.starts_with(COUNT));
        counts.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
    }

    #[test]
    fn a_request_is_counted_under_its_service_and_route() {
        let (mut red, registry) = red(100);
        see(&mut red, 80, 200, "/users/jo");
        see(&mut red, 80, 200, "/orders/17");
        see(&mut red, 80, 200, "/orders/18");
        see(&mut red, 80, 404, "/.env");
        see(&mut red, 81, 503, "/a\"b\\");
        let text = text(&registry);
        let line = |labels: &str, n: u64| {
            let line = format!("http_server_request_duration_seconds_count{{{labels}}} {n}\n");
            assert!(text.contains(&line), "{line}{text}");
        };
        let service = "server_address=\"10.0.0.1\",server_port=\"80\",http_request_method=\"GET\"";
        let ok = "http_response_status_code=\"200\"";
        line(&format!("{service},http_route=\"/users/{{name}}\",{ok}"), 1);
        line(&format!("{service},http_route=\"/orders/{{id}}\",{ok}"), 2);
        line(&format!("{service},http_route=\"_NOT_FOUND\",http_response_status_code=\"404\""), 1);
        let other = service.replace("80", "81");
        let failed = "http_response_status_code=\"503\",error_type=\"503\"";
        line(&format!("{other},http_route=\"/a\\\"b\\\\\",{failed}"), 1);
        assert!(text.contains("le=\"0.025\""), "{text}");
        assert!(text.ends_with("# EOF\n"));
    }

    #[test]
    fn past_the_bound_everything_is_counted_under_one_name() {
        let (mut red, registry) = red(10);
        for i in 0..500 {
            see(&mut red, 1000 + i, 200, "/x");
        }
        let letters = |mut i: u32| {
            let mut word = String::from("/");
            for _ in 0..4 {
                word.push(char::from(b'a' + (i % 20) as u8));
                i /= 20;
            }
            word
        };
        (0..500).for_each(|i| see(&mut red, 1000, 200, &letters(i)));
        assert_eq!(red.met.known.len(), 11);
        assert!(red.met.routes.values().map(HashSet::len).sum::<usize>() <= 10 * MAX_ROUTES);
        let text = text(&registry);
        assert_eq!(n_counted(&text), 1000);
    }

    #[test]
    fn the_routes_of_one_service_are_bounded() {
        let (mut red, registry) = red(100_000);
        for i in 0..5000_u32 {
            let word: String = format!("{i:b}").replace('0', "a").replace('1', "b");
            see(&mut red, 80, 200, &format!("/{word}"));
        }
        assert_eq!(red.met.known.len(), MAX_ROUTES + 1);
        assert_eq!(n_counted(&text(&registry)), 5000);
    }
}
