//! What the events have in common: endpoints, names of flow and exchange, place of capture.

use std::fmt;

use serde::Serialize;

use super::text::Shown;
use super::{Capture, Netns};
use crate::segment::Endpoint;

#[derive(Serialize)]
pub(super) struct EventName {
    pub(super) name: &'static str,
}

#[derive(Serialize)]
pub(super) struct Peer {
    address: Shown<std::net::IpAddr>,
    port: u16,
}

impl Peer {
    pub(super) fn new(endpoint: Endpoint) -> Self {
        Self { address: Shown(endpoint.ip()), port: endpoint.port }
    }
}

/// `network` of events that are not HTTP themselves.
#[derive(Serialize)]
pub(super) struct Transport {
    transport: &'static str,
    r#type: &'static str,
}

impl Transport {
    pub(super) fn of(endpoint: Endpoint) -> Self {
        let v4 = matches!(endpoint.ip(), std::net::IpAddr::V4(_));
        Self { transport: "tcp", r#type: if v4 { "ipv4" } else { "ipv6" } }
    }
}

#[derive(Serialize)]
pub(super) struct FlowId {
    id: Shown<Hex>,
}

impl FlowId {
    pub(super) fn new(id: u64) -> Self {
        Self { id: Shown(Hex(id)) }
    }
}

struct Hex(u64);

impl fmt::Display for Hex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// How many flows it stands for, where that is more than itself.
#[derive(Serialize)]
pub(super) struct Sampling {
    adjusted_count: u32,
}

impl Sampling {
    pub(super) fn new(adjusted_count: u32) -> Option<Self> {
        (adjusted_count > 1).then_some(Self { adjusted_count })
    }
}

#[derive(Serialize)]
pub(super) struct ExchangeId {
    id: Shown<ExchangeName>,
    index: u64,
}

impl ExchangeId {
    /// `inside` are the indices of the exchanges whose tunnels it is in, the outermost first.
    pub(super) fn new(flow: u64, inside: &[u64], index: u64) -> Self {
        Self { id: Shown(ExchangeName::new(flow, inside, index)), index }
    }
}

/// The flow and the index in it; inside tunnels an index for each level: `22a6b95cb209dd19-1.2`.
pub(super) struct ExchangeName {
    flow: u64,
    path: Vec<u64>,
}

impl ExchangeName {
    pub(super) fn new(flow: u64, inside: &[u64], index: u64) -> Self {
        Self { flow, path: inside.iter().copied().chain([index]).collect() }
    }
}

impl fmt::Display for ExchangeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.flow)?;
        for (i, index) in self.path.iter().enumerate() {
            write!(f, "{}{index}", if i == 0 { '-' } else { '.' })?;
        }
        Ok(())
    }
}

#[derive(Serialize)]
pub(super) struct CaptureObject<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    netns: Option<NetnsObject<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    interface: Option<&'a str>,
    hook: &'static str,
    backend: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    vlan: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    encapsulation: Option<&'static str>,
}

#[derive(Serialize)]
struct NetnsObject<'a> {
    inode: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
}

impl<'a> CaptureObject<'a> {
    pub(super) fn new(capture: &'a Capture) -> Self {
        let netns =
            |netns: &'a Netns| NetnsObject { inode: netns.inode, name: netns.name.as_deref() };
        Self {
            netns: capture.netns.as_ref().map(netns),
            interface: capture.interface.as_deref(),
            hook: capture.hook,
            backend: capture.backend,
            vlan: capture.vlan,
            encapsulation: capture.encapsulation,
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
pub(super) fn is_zero(n: &u64) -> bool {
    *n == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
pub(super) fn is_zero_u32(n: &u32) -> bool {
    *n == 0
}
