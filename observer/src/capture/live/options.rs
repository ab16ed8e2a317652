//! What a capture can be asked for.

use std::net::IpAddr;
use std::time::Duration;

use crate::capture::interfaces;
use crate::capture::namespaces::Namespace;

/// How to capture, and what.
#[derive(Clone, Debug)]
pub struct Options {
    pub interfaces: Interfaces,
    /// Other network namespaces to watch; needs tc.
    pub namespaces: Vec<Namespace>,
    /// How often to look whether what is attached is what exists.
    pub reconcile: Duration,
    pub backend: Backend,
    /// How the tc backend attaches.
    pub tc_attach: TcAttach,
    /// Only flows with one of these ports at either end; empty means every port.
    pub ports: Vec<u16>,
    /// Only flows with one end in one of these networks (at most 16); empty means every host.
    pub hosts: Vec<HostFilter>,
    /// Rings, at most 64. A flow has one of them; each further one is read by a [`super::Lane`].
    pub rings: u32,
    /// Bytes of each ring; rounded up to a power of two and to a page.
    pub ring_bytes: u32,
    /// Flows the kernel remembers as HTTP; the one unused for longest makes room.
    pub max_flows: u32,
    /// Payload bytes to copy of one segment, at most.
    pub capture_limit: u32,
    /// Leave bodies out in the kernel but for their first so many bytes, where it can tell by
    /// itself how long they are. `None` copies them. `Directive::Skip` works in any case.
    pub body_prefix: Option<u32>,
    /// Emit bare records of flows that are not HTTP, from the first segment with DTH (RFC 9401) on.
    pub watch_dth: bool,
    /// Emit the first bytes of flows that begin like TLS, and bare records of them after that.
    pub watch_tls: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            interfaces: Interfaces::Any,
            namespaces: Vec::new(),
            reconcile: Duration::from_secs(60),
            backend: Backend::Auto,
            tc_attach: TcAttach::Auto,
            ports: Vec::new(),
            hosts: Vec::new(),
            rings: 1,
            ring_bytes: 16 << 20,
            max_flows: 65536,
            capture_limit: u32::MAX,
            body_prefix: None,
            watch_dth: false,
            watch_tls: false,
        }
    }
}

/// Which interfaces to watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Interfaces {
    /// All there are, and those that come later.
    Any,
    /// Those that the names and patterns mean ([`crate::capture::interfaces`]), and again when they
    /// come back.
    Named(Vec<String>),
}

impl Interfaces {
    pub(super) fn includes(&self, name: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Named(list) => interfaces::includes(list, name),
        }
    }
}

/// Where in the kernel segments are seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// `Tc`, and `Socket` when that cannot be had.
    Auto,
    /// Classifiers at each interface.
    Tc,
    /// A filter on a packet socket.
    Socket,
}

/// How classifiers are attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TcAttach {
    /// `Tcx`, and `Clsact` where the kernel has no TCX.
    Auto,
    /// Links at the head of the chain; Linux 6.6 and later.
    Tcx,
    /// Filters in a clsact qdisc.
    Clsact,
}

/// An address and the bits of it that count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostFilter {
    pub address: IpAddr,
    /// 0 to 32 for IPv4, 0 to 128 for IPv6.
    pub prefix: u8,
}
