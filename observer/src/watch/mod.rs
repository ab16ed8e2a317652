//! HTTP that is watched from inside a test: start a capture, let the programs under test talk,
//! await the exchanges, assert on them.
//!
#![cfg_attr(feature = "live", doc = "```no_run")]
#![cfg_attr(not(feature = "live"), doc = "```text")]
//! # async fn test() -> Result<(), observer::watch::Error> {
//! use observer::watch::Watch;
//!
//! let mut watching = Watch::interface("lo").port(8080).bodies(64 * 1024).start().await?;
//! // ... what is under test makes its requests ...
//! let exchange = watching.next_matching(|e| e.path() == "/orders").await?;
//! assert_eq!(exchange.method(), "POST");
//! assert_eq!(exchange.request_body(), r#"{"id":7}"#);
//! assert_eq!(exchange.status(), Some(201), "{exchange}");
//!
//! let report = watching.stop().await?;
//! assert_eq!(report.n_lost(), 0);
//! assert!(report.exchanges.is_empty(), "nothing else was asked");
//! # Ok(())
//! # }
//! ```
//!
//! Nothing stands between the client and the server, and neither has to know of the watch: no
//! proxy, no port to configure, no certificate. When [`Watch::start`] has returned, the capture is
//! attached, so that no request made afterwards is missed; when [`Watching::stop`] has returned,
//! every response that was received before the call is in the report.
//!
//! Each answer can be awaited on any executor, or waited for with [`Wait::wait`] in a test that is
//! not async. A capture file is a source like any other and needs no privileges:
//!
//! ```no_run
//! # fn main() -> Result<(), observer::watch::Error> {
//! use observer::watch::Watch;
//!
//! let report = Watch::file("capture.pcap").path("/api").start().wait()?.stop().wait()?;
//! let seen: Vec<_> = report.exchanges.iter().map(|e| e.summary()).collect();
//! assert_eq!(seen, ["GET /api/users 200", "DELETE /api/users/7 403"]);
//! # Ok(())
//! # }
//! ```
//!
//! This module wires a source to the engine and holds what comes, within bounds. It knows neither
//! sinks nor the command line, and decides nothing about traffic.

mod error;
mod exchange;
mod file;
mod held;
#[cfg(feature = "live")]
mod live;
mod message;
mod report;
mod select;
mod wait;
mod watching;

use std::io::Read;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

pub use self::error::{Came, Error};
pub use self::exchange::{Exchange, Timing};
use self::held::Held;
pub use self::message::{Body, Headers, Request, Response};
pub use self::report::Report;
use self::select::{Filter, Select};
pub use self::wait::Wait;
use self::watching::Source;
pub use self::watching::Watching;
use crate::capture::file::Reader;
#[cfg(feature = "live")]
use crate::config;
use crate::drive::file::FileEvents;
use crate::event::Redactor;
use crate::pipeline;

/// What to watch, and how. Each filter narrows what is handed out; several values of one filter
/// are alternatives.
pub struct Watch {
    from: From,
    select: Select,
    bodies: u32,
    unmasked: bool,
    timeout: Duration,
    hold: usize,
}

/// Where segments come from.
enum From {
    #[cfg(feature = "live")]
    Live(config::Capture),
    Path(PathBuf),
    Reader(Box<dyn Read + Send>, String),
}

impl Watch {
    /// Watches every interface there is, and those that come later.
    #[cfg(feature = "live")]
    pub fn any() -> Self {
        Self::interfaces(["any"])
    }

    /// Watches one interface, such as `lo`.
    #[cfg(feature = "live")]
    pub fn interface(name: impl Into<String>) -> Self {
        Self::interfaces([name])
    }

    /// Watches several interfaces; `any` among them means all.
    #[cfg(feature = "live")]
    pub fn interfaces(names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let interfaces = names.into_iter().map(Into::into).collect();
        Self::new(From::Live(config::Capture { interfaces, ..config::Capture::default() }))
    }

    /// Reads a pcap or pcapng file, which needs no privileges.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self::new(From::Path(path.into()))
    }

    /// Reads a capture from anything; `name` stands for it in messages.
    pub fn reader(capture: impl Read + Send + 'static, name: impl Into<String>) -> Self {
        Self::new(From::Reader(Box::new(capture), name.into()))
    }

    fn new(from: From) -> Self {
        Self {
            from,
            select: Select::default(),
            bodies: 0,
            unmasked: false,
            timeout: DEFAULT_TIMEOUT,
            hold: DEFAULT_HOLD,
        }
    }

    /// Only flows with this TCP port at either end.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.select.ports.push(port);
        self
    }

    /// Only flows with an address in this network at either end: an `IpAddr` or an [`IpNet`].
    #[must_use]
    pub fn address(mut self, network: impl Into<IpNet>) -> Self {
        self.select.networks.push(network.into());
        self
    }

    /// Only requests for this host (`url.domain`), whatever its case; without a port.
    #[must_use]
    pub fn host(mut self, name: impl Into<String>) -> Self {
        self.select.domains.push(name.into());
        self
    }

    /// Only requests for this path and what lies below it: `/api` is `/api` and `/api/users`, and
    /// not `/apis`.
    #[must_use]
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.select.paths.push(path.into());
        self
    }

    /// Only exchanges that this says yes to. Unlike other filters, several of them must all agree.
    #[must_use]
    pub fn filter(mut self, wanted: impl Fn(&Exchange) -> bool + Send + 'static) -> Self {
        self.select.filters.push(Filter(Box::new(wanted)));
        self
    }

    /// Captures the first `n_bytes` of each body, which are not captured otherwise. Their sizes are
    /// known in any case.
    #[must_use]
    pub fn bodies(mut self, n_bytes: u32) -> Self {
        self.bodies = n_bytes;
        self
    }

    /// Leaves credentials in fields and queries as they were sent. Otherwise they are masked, and
    /// [`Exchange::redacted`] names them.
    #[must_use]
    pub fn unmasked(mut self) -> Self {
        self.unmasked = true;
        self
    }

    /// How to see traffic; without meaning for files.
    #[cfg(feature = "live")]
    #[must_use]
    pub fn backend(mut self, backend: config::Backend) -> Self {
        if let From::Live(capture) = &mut self.from {
            capture.backend = backend;
        }
        self
    }

    /// Bytes of the ring buffer between kernel and test, 8 MiB unless told otherwise; without
    /// meaning for files. What it has no room for is lost and counted.
    #[cfg(feature = "live")]
    #[must_use]
    pub fn ring_bytes(mut self, n_bytes: u32) -> Self {
        if let From::Live(capture) = &mut self.from {
            capture.ring_bytes = n_bytes;
        }
        self
    }

    /// How long each call waits for what it was asked for: five seconds unless told otherwise.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Bytes of exchanges that may wait to be taken, 64 MiB unless told otherwise. Those that come
    /// while there is no room are dropped and counted in [`Report::n_dropped`].
    #[must_use]
    pub fn hold(mut self, n_bytes: usize) -> Self {
        self.hold = n_bytes;
        self
    }

    /// Starts to watch. When the answer is there, programs are attached to every interface that was
    /// asked for, and what happens from then on is seen.
    ///
    /// The capture runs on a thread of its own, in the network namespace of the thread that calls
    /// this, and begins with the call.
    pub fn start(self) -> Wait<'static, Result<Watching, Error>> {
        let Self { from, select, bodies, unmasked, timeout, hold } = self;
        let engine = |config: pipeline::Config| pipeline::Config {
            body_prefix: bodies as usize,
            redactor: Redactor { enabled: !unmasked },
            ..config
        };
        let held = Held::new(hold);
        let reader = match from {
            From::Path(path) => Reader::open(&path),
            From::Reader(capture, name) => Reader::new(capture, name),
            #[cfg(feature = "live")]
            From::Live(mut capture) => {
                capture.ports.clone_from(&select.ports);
                capture.hosts = select.networks.iter().copied().map(config::Network).collect();
                if capture.interfaces.is_empty() {
                    let message = "the list of interfaces is empty; Watch::any() watches all";
                    return Wait::new(async move { Err(Error::Asked(message.to_owned())) });
                }
                let asked = config::Config { capture, ..config::Config::default() };
                if let Err(message) = asked.check_capture() {
                    return Wait::new(async move { Err(Error::Asked(message)) });
                }
                let capture = asked.capture;
                let engine = engine(pipeline::Config::live());
                let orders = live::Orders { capture, engine, select, held };
                let live = live::Live::spawn(orders);
                return Wait::new(async move {
                    let live = live?;
                    std::future::poll_fn(|context| live.poll_started(context)).await?;
                    Ok(Watching::new(Source::Live(live), timeout))
                });
            }
        };
        let started = reader.map_err(Error::from).map(|reader| {
            let events = FileEvents::new(reader, engine(pipeline::Config::default()));
            let file = file::File::new(events, select, held);
            Watching::new(Source::File(Box::new(file)), timeout)
        });
        Wait::new(std::future::ready(started))
    }
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch").field("timeout", &self.timeout).finish_non_exhaustive()
    }
}

const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);
const DEFAULT_HOLD: usize = 64 << 20;
