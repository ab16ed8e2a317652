//! Numbers for Prometheus: requests by service and route, and what observer says of itself.
//!
//! The capture thread counts each exchange and leaves a [`Snapshot`] once a second; a thread of its
//! own ([`server`]) answers scrapes. Labels are bounded: past the bound everything is counted under
//! `_OTHER`, so the sums stay exact whatever a peer sends. It knows nothing of the capture.

mod own;
mod red;
mod route;
pub mod server;
mod weighted;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use prometheus_client::registry::Registry;

pub use self::red::Red;
use crate::config::metrics::Metrics as Config;
use crate::event::Event;
use crate::event::stats::Snapshot;

/// The capture thread's end.
#[derive(Debug)]
pub struct Metrics {
    red: Red,
    latest: Arc<Mutex<Snapshot>>,
    left: Option<Instant>,
}

impl Metrics {
    /// The numbers, and what renders them.
    pub fn new(config: &Config) -> (Self, Registry) {
        let mut registry = Registry::default();
        let red = Red::new(config, &mut registry);
        let latest = Arc::new(Mutex::new(Snapshot::default()));
        registry.register_collector(Box::new(own::Own::new(Arc::clone(&latest))));
        (Self { red, latest, left: None }, registry)
    }

    /// Another worker's end of the same numbers: it counts, and leaves the account to the first.
    #[must_use]
    pub fn again(&self) -> Self {
        Self { red: self.red.again(), latest: Arc::clone(&self.latest), left: None }
    }

    pub fn count(&mut self, event: &Event) {
        if let Event::Exchange(exchange) = event {
            self.red.count(exchange);
        }
    }

    /// Leaves the account for the next scrape, once a second.
    pub fn leave(&mut self, moment: Instant, snapshot: impl FnOnce() -> Snapshot) {
        if self.left.is_some_and(|left| moment - left < EVERY) {
            return;
        }
        self.left = Some(moment);
        let snapshot = snapshot();
        *self.latest.lock().unwrap_or_else(PoisonError::into_inner) = snapshot;
    }
}

const EVERY: Duration = Duration::from_secs(1);
