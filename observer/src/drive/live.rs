//! Live capture as everybody here wants it: options from the configuration, the kernel's
//! ledger under the names of `observer.stats`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

pub use super::lane::Lane;
use super::lane::{LateSources, Names, Versions, late_names, tell_changes};
use super::{LateNames, Place, Source};
use crate::capture::interfaces;
use crate::capture::live::{
    self, Backend, Capture, CaptureError, Filtered, HostFilter, Interfaces, Loan, Loans, Lost,
    Options,
};
use crate::config;
use crate::event::stats::Ledger;
use crate::segment::{Directive, FlowKey, Segment, Timestamp};

/// A running capture.
pub struct Live {
    capture: Capture,
    /// The names that the engine has been told, and as of which version of the capture's.
    told: BTreeMap<Place, String>,
    version: Option<(u64, u64)>,
    /// What of the names in other namespaces was among them.
    told_late: Versions,
    /// The same, for the lanes.
    names: Arc<Names>,
}

/// Attaches to the kernel. `body_prefix` bytes of each body are wanted; with `watch_dth` also what
/// carries the DTH bit (RFC 9401) on flows that are not HTTP. Whoever asks for more than one ring
/// serves each of them ([`Live::take_lanes`]).
pub fn start(
    config: &config::Capture,
    body_prefix: u32,
    watch_dth: bool,
    rings: u32,
) -> Result<Live, CaptureError> {
    let any = interfaces::is_everything(&config.interfaces);
    let host = |network: &config::Network| HostFilter {
        address: network.0.addr(),
        prefix: network.0.prefix_len(),
    };
    let capture = Capture::start(&Options {
        interfaces: match any {
            true => Interfaces::Any,
            false => Interfaces::Named(config.interfaces.clone()),
        },
        namespaces: config.netns.clone(),
        reconcile: config.reconcile,
        backend: match config.backend {
            config::Backend::Auto => Backend::Auto,
            config::Backend::Tc => Backend::Tc,
            config::Backend::Socket => Backend::Socket,
        },
        ports: config.ports.clone(),
        hosts: config.hosts.iter().map(host).collect(),
        rings,
        ring_bytes: config.ring_bytes,
        max_flows: config.max_flows,
        body_prefix: Some(body_prefix),
        watch_dth,
        watch_tls: config.tls,
        ..Options::default()
    })?;
    Ok(Live {
        capture,
        told: BTreeMap::new(),
        version: None,
        told_late: Versions::default(),
        names: Arc::default(),
    })
}

impl Live {
    /// `tc` or `socket`.
    pub fn backend(&self) -> &'static str {
        match self.capture.backend() {
            Backend::Socket => "socket",
            Backend::Tc | Backend::Auto => "tc",
        }
    }

    /// How many other network namespaces are watched now.
    pub fn n_namespaces(&self) -> usize {
        self.capture.elsewhere().namespaces.len()
    }

    /// The rings, where there are several, and who turns for them. Taken once.
    pub fn take_lanes(&mut self) -> (Vec<(Lane, Loan)>, Arc<Loans>) {
        let lanes = self.capture.take_lanes().into_iter();
        let late = self.late_for_lanes();
        let lane = |(lane, loan)| (Lane::new(lane, &self.names, late.clone()), loan);
        (lanes.map(lane).collect(), self.capture.loans())
    }

    /// The capture itself knows every interface of this namespace that its own ring shows.
    fn late(&self) -> LateSources {
        LateSources { own: None, elsewhere: self.capture.elsewhere_names() }
    }

    fn late_for_lanes(&self) -> LateSources {
        LateSources { own: Some(self.capture.own_names()), ..self.late() }
    }

    /// What the kernel holds of a flow, for people.
    pub fn entry(&self, flow: &FlowKey) -> Option<&'static str> {
        self.capture.entry(flow)
    }

    /// The name of an interface of this network namespace.
    pub fn interface_name(&self, ifindex: u32) -> Option<&str> {
        self.capture.interface_name(ifindex)
    }

    /// How many interfaces are watched now.
    pub fn n_interfaces(&self) -> usize {
        self.capture.interfaces().count()
    }
}

impl Source for Live {
    type Error = CaptureError;

    fn poll(
        &mut self,
        timeout: Duration,
        handle: impl FnMut(&Segment<'_>),
    ) -> Result<usize, CaptureError> {
        self.capture.poll(timeout, handle)
    }

    fn keep_ticking(&mut self) {
        self.capture.keep_ticking();
    }

    fn now(&self) -> Timestamp {
        self.capture.now()
    }

    fn clock_shift(&self) -> i64 {
        self.capture.clock_shift()
    }

    fn detach(&mut self) {
        self.capture.detach();
    }

    fn apply(&mut self, directive: Directive) {
        // Where the kernel cannot be told, its bytes keep coming.
        let _ = self.capture.apply(directive);
    }

    fn sample(&mut self, shift: u32) {
        // Where the kernel cannot be told, the engine lets go of the same flows.
        let _ = self.capture.sample(shift);
    }

    fn new_names(&mut self, mut tell: impl FnMut(Place, Option<&str>)) {
        let version = self.capture.names_version();
        if self.version == Some(version) {
            return;
        }
        self.version = Some(version);
        // Before what they stand for is looked at: what changes meanwhile counts as a change.
        self.told_late = self.late().versions();
        let of_lanes = self.late_for_lanes().versions();
        let elsewhere = self.capture.elsewhere();
        let mut now = BTreeMap::new();
        for link in self.capture.interfaces() {
            now.insert(Place::Interface { netns: 0, ifindex: link.ifindex }, link.name.clone());
        }
        for ((netns, ifindex), name) in elsewhere.interfaces {
            now.insert(Place::Interface { netns, ifindex }, name);
        }
        for (netns, name) in elsewhere.namespaces {
            now.insert(Place::Netns(netns), name.unwrap_or_default());
        }
        tell_changes(&self.told, &now, &mut tell);
        self.names.set(&now, of_lanes);
        self.told = now;
    }

    fn late_names(&self) -> Option<LateNames> {
        let late = self.late();
        late.elsewhere.is_some().then(|| late_names(late, self.told_late))
    }

    fn take_warnings(&mut self) -> Vec<String> {
        self.capture.take_warnings()
    }

    fn ledger(&self) -> Result<Ledger, CaptureError> {
        Ok(named(&self.capture.ledger()?))
    }
}

/// The ledger with its reasons as names. Each is taken out of its struct by name, so that the
/// compiler asks for those that are added.
fn named(ledger: &live::Ledger) -> Ledger {
    let live::Ledger {
        seen,
        emitted,
        skipped,
        ref filtered,
        ref lost,
        records,
        bytes,
        flows,
        flows_sampled,
        owner_moves,
        wakeups,
        undecodable,
    } = *ledger;
    let Filtered {
        not_ip,
        not_tcp,
        fragment,
        malformed,
        unknown_link,
        loopback,
        port,
        host,
        no_payload,
        not_http,
        turned_off,
        duplicate,
        sampled,
    } = *filtered;
    let Lost { ring_full, flow_table, unreadable } = *lost;
    Ledger {
        seen,
        emitted,
        skipped,
        filtered: BTreeMap::from([
            ("not_ip", not_ip),
            ("not_tcp", not_tcp),
            ("fragment", fragment),
            ("malformed", malformed),
            ("unknown_link", unknown_link),
            ("loopback", loopback),
            ("port", port),
            ("host", host),
            ("no_payload", no_payload),
            ("not_http", not_http),
            ("turned_off", turned_off),
            ("duplicate", duplicate),
            ("sampled", sampled),
        ]),
        lost: BTreeMap::from([
            ("ring_full", ring_full),
            ("flow_table", flow_table),
            ("unreadable", unreadable),
        ]),
        records,
        bytes,
        flows,
        flows_sampled,
        owner_moves,
        wakeups,
        undecodable,
    }
}
