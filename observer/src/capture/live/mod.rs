//! Live capture: loads the eBPF programs, attaches them, follows interfaces as they come and go,
//! and hands out segments from the ring. It must not know HTTP.
//!
//! One [`Capture`] is one set of loaded programs. Dropping it detaches them; when the process is
//! killed instead, the kernel takes TCX links and packet sockets away with it, and clsact filters
//! are cleared away by the next start.

mod clock;
mod clsact;
mod error;
mod flows;
mod follow;
mod lane;
mod ledger;
mod links;
mod loan;
mod marker;
mod names;
mod netlink;
mod netns;
mod object;
mod options;
mod privileges;
#[doc(hidden)]
pub mod ring;
pub mod sniff;
mod socket;
pub mod survey;
mod tc;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

pub use error::CaptureError;
pub(crate) use error::with_causes;
pub use lane::Lane;
pub use ledger::{Filtered, Ledger, Lost};
pub use links::Interface;
pub use loan::{Bell, Loan, Loans};
pub use marker::{Marked, Marker, Selection};
pub use names::OwnNames;
pub use netns::{Elsewhere, ElsewhereNames};
pub use options::{Backend, HostFilter, Interfaces, Options, TcAttach};

use observer_common::config;

use crate::capture::interfaces;
use crate::segment::{Directive, FlowKey, Segment, Timestamp};
use clock::Clock;
use lane::Common;
use links::Links;
use netns::Follower;
use object::Object;
use socket::PacketSocket;
use tc::Taps;

/// A running capture.
pub struct Capture {
    // The order of the fields is the order of the drop: first nothing attaches any more.
    tap: Tap,
    elsewhere: Option<Follower>,
    links: Links,
    /// The only ring, or what waits for all of them.
    first: Lane,
    others: Vec<(Lane, Loan)>,
    loans: Arc<Loans>,
    object: Object,
    wanted: Interfaces,
    is_detached: bool,
    attached: BTreeMap<u32, Interface>,
    names: OwnNames,
    /// Interfaces that could not be watched, and were complained about.
    refused: BTreeSet<u32>,
    /// Counts the changes of `attached`.
    version: u64,
    reconcile_ns: u64,
    reconcile_due: Timestamp,
    warnings: Vec<String>,
    undecodable: Arc<AtomicU64>,
}

/// What holds the programs to the traffic.
enum Tap {
    Tc(Taps),
    Socket(PacketSocket),
}

impl Capture {
    /// Loads and attaches. Afterwards segments gather in the ring until [`Capture::poll`].
    pub fn start(options: &Options) -> Result<Self, CaptureError> {
        let mut warnings = Vec::new();
        let links = Links::open()?;
        let present = links.list()?;
        let chosen = choose(options, &present, &mut warnings)?;
        clsact::sweep(&present);
        let names = OwnNames::default();
        chosen.iter().for_each(|link| names.tell(link));
        let mut object = Object::load(options)?;
        let tap = match options.backend {
            Backend::Tc => tap_tc(&mut object, options, &chosen, &mut warnings)?,
            Backend::Socket => tap_socket(&mut object, options, &chosen)?,
            Backend::Auto => match tap_tc(&mut object, options, &chosen, &mut warnings) {
                Ok(tap) => tap,
                Err(error) => {
                    let Ok(tap) = tap_socket(&mut object, options, &chosen) else {
                        // The first failure is the one to mend.
                        return Err(error);
                    };
                    warnings.push(format!("tc cannot be had, using a packet socket: {error}"));
                    tap
                }
            },
        };
        let elsewhere = match &tap {
            _ if options.namespaces.is_empty() => None,
            Tap::Tc(_) => Some(Follower::start(options, object.hall()?)?),
            // A socket keeps its namespace alive, also when everybody else has left it.
            Tap::Socket(_) => return Err(CaptureError::NamespacesNeedTc),
        };
        let attached = match &tap {
            Tap::Tc(taps) => chosen.into_iter().filter(|link| taps.holds(link.ifindex)).collect(),
            Tap::Socket(_) => chosen,
        };
        let loans = Loans::new().map_err(CaptureError::system("make a timerfd and an eventfd"))?;
        let (clock, undecodable) = (Clock::new(), Arc::new(AtomicU64::new(0)));
        let reconcile_ns = u64::try_from(options.reconcile.as_nanos()).unwrap_or(u64::MAX);
        let reconcile_due = clock.now().after(reconcile_ns);
        let mut rings = object.rings()?;
        let common = Common { clock, undecodable, loans };
        let flows = object.flows.again()?;
        let first = match rings.pop() {
            None => return Err(CaptureError::Incomplete(config::RINGS)),
            Some(ring) if rings.is_empty() => Lane::alone(ring, flows, links.fd(), &common)?,
            Some(ring) => {
                rings.push(ring);
                Lane::for_all(&rings, object.bell()?, flows, links.fd(), &common)?
            }
        };
        let lane = |(number, ring)| Lane::of_many(ring, number, object.flows.again()?, &common);
        let others = (0..).zip(rings).map(lane).collect::<Result<_, _>>()?;
        let Common { undecodable, loans, .. } = common;
        Ok(Self {
            first,
            others,
            loans,
            tap,
            elsewhere,
            links,
            object,
            wanted: options.interfaces.clone(),
            is_detached: false,
            attached: attached.into_iter().map(|link| (link.ifindex, link)).collect(),
            names,
            refused: BTreeSet::new(),
            version: 0,
            reconcile_due,
            reconcile_ns,
            warnings,
            undecodable,
        })
    }

    /// Hands each waiting segment to `sink`, in the order of the ring, which is the order in time
    /// of each flow. Waits up to `timeout` when there is none, and returns how many there were.
    ///
    /// Segments come in batches, at most a few milliseconds old, and a call ends after a bounded
    /// number of them. The payload lies in the ring: it is gone when `sink` returns.
    pub fn poll(
        &mut self,
        timeout: Duration,
        sink: impl FnMut(&Segment<'_>),
    ) -> Result<usize, CaptureError> {
        let polled = self.first.poll_beside(timeout, sink)?;
        if polled.beside {
            self.follow_links()?;
        }
        if self.now() >= self.reconcile_due {
            self.reconcile()?;
        }
        Ok(polled.n_records)
    }

    /// The rings, where there are several; [`Capture::poll`] reads one that is alone. Whoever takes
    /// them serves each, or loses what they hold.
    pub fn take_lanes(&mut self) -> Vec<(Lane, Loan)> {
        std::mem::take(&mut self.others)
    }

    /// What all lanes share. While rings are on loan, [`Capture::poll`] waits for what comes on them
    /// as well, and hands over none of it.
    pub fn loans(&self) -> Arc<Loans> {
        Arc::clone(&self.loans)
    }

    /// Something came on a ring that is on loan: more is likely to come, so that the next
    /// [`Capture::poll`] waits for the next tick.
    pub fn keep_ticking(&mut self) {
        self.first.keep_ticking();
    }

    /// The capture's time now: that of segments seen at this moment.
    pub fn now(&self) -> Timestamp {
        self.first.now()
    }

    /// Nanoseconds by which somebody has set the clock since the start, which [`Capture::now`] and
    /// the segments' times do not follow.
    pub fn clock_shift(&self) -> i64 {
        self.first.clock_shift()
    }

    /// What went wrong without stopping the capture, since the last call.
    pub fn take_warnings(&mut self) -> Vec<String> {
        let mut warnings = std::mem::take(&mut self.warnings);
        warnings.extend(self.elsewhere.iter().flat_map(Follower::take_warnings));
        warnings
    }

    /// The backend in use: `Tc` or `Socket`, never `Auto`.
    pub fn backend(&self) -> Backend {
        match self.tap {
            Tap::Tc(_) => Backend::Tc,
            Tap::Socket(_) => Backend::Socket,
        }
    }

    /// The interfaces that are watched now.
    pub fn interfaces(&self) -> impl Iterator<Item = &Interface> {
        self.attached.values()
    }

    /// The name of a watched interface.
    pub fn interface_name(&self, ifindex: u32) -> Option<&str> {
        self.attached.get(&ifindex).map(|link| link.name.as_str())
    }

    /// The names of this namespace's interfaces, for who reads the rings behind the first.
    pub fn own_names(&self) -> OwnNames {
        self.names.clone()
    }

    /// Counts the changes of [`Capture::interfaces`] and of [`Capture::elsewhere`].
    pub fn names_version(&self) -> (u64, u64) {
        (self.version, self.elsewhere.as_ref().map_or(0, Follower::version))
    }

    /// What is watched in other network namespaces now.
    pub fn elsewhere(&self) -> Elsewhere {
        self.elsewhere.as_ref().map(Follower::elsewhere).unwrap_or_default()
    }

    /// The names of what is watched in other network namespaces, to ask for while segments come.
    pub fn elsewhere_names(&self) -> Option<ElsewhereNames> {
        self.elsewhere.as_ref().map(Follower::names)
    }

    /// The kernel's counters, summed over the CPUs.
    pub fn ledger(&self) -> Result<Ledger, CaptureError> {
        let mut ledger = self.object.ledger()?;
        ledger.undecodable = self.undecodable.load(Ordering::Relaxed);
        Ok(ledger)
    }

    /// Does what the engine asks of a flow. No error when the kernel does not know the flow any more,
    /// or when what was to be left out has passed; then its bytes keep coming.
    ///
    /// - [`Directive::Forget`]: nothing more of it comes until a SYN starts a new connection between
    ///   the same ends.
    /// - [`Directive::Skip`]: at most 2³¹ - 1 bytes from where the half is; for more, ask again on
    ///   the way. The segment that reaches the number still gives a record, and so do SYN, FIN, RST
    ///   and DTH and, once a second or so and every 256 MiB, one of those in between.
    /// - [`Directive::Quiet`]: the same signs of life, without bytes; a SYN that starts a new
    ///   connection ends it.
    /// - [`Directive::LeaveOut`]: as for `Forget`, or until the flow is among those that are kept
    ///   and a request begins.
    pub fn apply(&mut self, directive: Directive) -> Result<(), CaptureError> {
        self.first.apply(directive)
    }

    /// Keeps one flow in 2 to the power of `shift`: `FlowKey::is_kept` tells which. The others are
    /// left out where they begin, or from [`Directive::LeaveOut`] on.
    pub fn sample(&mut self, shift: u32) -> Result<(), CaptureError> {
        self.object.sample(shift)
    }

    /// What the entry of a flow says, for people; `None` where there is none.
    pub fn entry(&self, flow: &FlowKey) -> Option<&'static str> {
        self.first.entry(flow)
    }

    /// Lets go of the traffic: nothing new is seen from here on. What the ring holds can still be
    /// polled, and the ledger is final.
    pub fn detach(&mut self) {
        self.is_detached = true;
        if let Some(elsewhere) = &mut self.elsewhere {
            elsewhere.close();
        }
        match &mut self.tap {
            Tap::Tc(taps) => taps.release(),
            Tap::Socket(socket) => socket.release(),
        }
    }
}

/// The interfaces that were asked for and are there. A name that is missing is a warning while
/// another is there; in `Any` an interface that cannot be watched never fails the start.
fn choose(
    options: &Options,
    present: &[Interface],
    warnings: &mut Vec<String>,
) -> Result<Vec<Interface>, CaptureError> {
    let wanted = &options.interfaces;
    let chosen: Vec<_> =
        present.iter().filter(|link| wanted.includes(&link.name)).cloned().collect();
    let Interfaces::Named(names) = wanted else { return Ok(chosen) };
    let is_there = |name: &String| present.iter().any(|link| link.name == *name);
    let is_missing = |name: &&String| interfaces::is_plain(name) && !is_there(name);
    let missing: Vec<_> = names.iter().filter(is_missing).cloned().collect();
    // It may be in one of the other namespaces.
    if !options.namespaces.is_empty() {
        return Ok(chosen);
    }
    if chosen.is_empty() && !missing.is_empty() {
        let present = present.iter().map(|link| link.name.clone()).collect();
        return Err(CaptureError::NoSuchInterface { missing, present });
    }
    for name in missing {
        warnings.push(format!("interface {name} does not exist; watching for it to appear"));
    }
    Ok(chosen)
}

fn tap_tc(
    object: &mut Object,
    options: &Options,
    chosen: &[Interface],
    warnings: &mut Vec<String>,
) -> Result<Tap, CaptureError> {
    privileges::check(Backend::Tc)?;
    object.load_tc()?;
    let mut taps = Taps::new(options.tc_attach);
    let mut first_error = None;
    let mut n_attached = 0;
    for link in chosen {
        match taps.attach(object, link) {
            Ok(()) => n_attached += 1,
            Err(error) => {
                warnings.push(format!("not watching {}: {error}", link.name));
                first_error.get_or_insert(error);
            }
        }
    }
    match first_error {
        Some(error) if n_attached == 0 => {
            warnings.clear();
            Err(error)
        }
        _ => Ok(Tap::Tc(taps)),
    }
}

fn tap_socket(
    object: &mut Object,
    options: &Options,
    chosen: &[Interface],
) -> Result<Tap, CaptureError> {
    privileges::check(Backend::Socket)?;
    object.load_socket()?;
    Ok(Tap::Socket(PacketSocket::open(object, &options.interfaces, chosen)?))
}
