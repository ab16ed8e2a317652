//! The kernel's table of flows, as user space changes it: turns flows off, leaves bytes out.

use std::os::fd::{AsFd, OwnedFd};

use aya::Pod;
use aya::maps::{HashMap, Map, MapData, MapError};
use observer_common::config;
use observer_common::flow::{self, STATE_HTTP, STATE_OFF, STATE_QUIET, STATE_SAMPLED, STATE_TLS};

use super::CaptureError;
use crate::segment::{FlowKey, SeqNumber};

/// A handle on the table; each worker has one.
pub(super) struct Flows {
    fd: OwnedFd,
    map: HashMap<MapData, Wire<flow::FlowKey>, Wire<flow::Flow>>,
}

/// A type that both sides share, as plain bytes.
#[repr(transparent)]
#[derive(Clone, Copy)]
struct Wire<T>(T);

// SAFETY: `observer_common` makes these `repr(C)` of integers with their padding spelled out.
unsafe impl Pod for Wire<flow::FlowKey> {}
// SAFETY: as above.
unsafe impl Pod for Wire<flow::Flow> {}

impl Flows {
    pub(super) fn new(map: Map) -> Result<Self, CaptureError> {
        let Map::LruHashMap(data) = &map else {
            return Err(CaptureError::Incomplete(config::FLOWS));
        };
        let fd = data.fd().as_fd().try_clone_to_owned();
        let fd = fd.map_err(CaptureError::system("share the flow table"))?;
        Ok(Self { fd, map: map.try_into()? })
    }

    /// Another handle on the same table.
    pub(super) fn again(&self) -> Result<Self, CaptureError> {
        let fd = self.fd.try_clone().map_err(CaptureError::system("share the flow table"))?;
        Self::new(Map::LruHashMap(MapData::from_fd(fd)?))
    }

    /// Turns a flow off.
    pub(super) fn forget(&mut self, key: &FlowKey) -> Result<(), CaptureError> {
        let value = Wire(flow::Flow { state: STATE_OFF, ..flow::Flow::EMPTY });
        Ok(self.map.insert(wire(key), value, 0)?)
    }

    /// Leaves out the payload of one half up to a sequence number.
    pub(super) fn skip(
        &mut self,
        key: &FlowKey,
        from_high: bool,
        until: SeqNumber,
    ) -> Result<(), CaptureError> {
        self.change(key, |entry| match (entry.state, from_high) {
            (STATE_HTTP, true) => entry.from_high.skip_all(until.0),
            (STATE_HTTP, false) => entry.from_low.skip_all(until.0),
            _ => false,
        })
    }

    /// Leaves out the payload of both halves for good.
    pub(super) fn quiet(&mut self, key: &FlowKey) -> Result<(), CaptureError> {
        self.change(key, |entry| {
            entry.state = STATE_QUIET;
            true
        })
    }

    /// What the entry of a flow says, for people.
    pub(super) fn entry(&self, key: &FlowKey) -> Option<&'static str> {
        let entry = self.map.get(&wire(key), 0).ok()?;
        Some(match entry.0.state {
            STATE_HTTP => "followed as HTTP: both halves are copied",
            STATE_OFF => "turned off: user space found that it is no HTTP",
            STATE_QUIET => "a tunnel, or TLS past its hellos: bytes are counted and not copied",
            STATE_TLS => "TLS: its hellos are copied, the rest is counted",
            STATE_SAMPLED => "sampled out: fewer flows are followed",
            _ => "waits for its first bytes",
        })
    }

    /// Emits nothing more of a flow that is not among those that are kept.
    pub(super) fn leave_out(&mut self, key: &FlowKey) -> Result<(), CaptureError> {
        self.change(key, |entry| {
            let is_new = entry.state != STATE_SAMPLED;
            // Where it was, and what of it is skipped, says nothing when it comes back.
            *entry = flow::Flow { state: STATE_SAMPLED, ..flow::Flow::EMPTY };
            is_new
        })
    }

    /// Changes the entry of a flow, if there is one and `change` says that it did.
    ///
    /// The kernel goes on writing the entry meanwhile, and loses what it wrote between the two
    /// calls here: the time and the numbers of a segment or two, which the next ones bring again,
    /// or a skip that it had begun or ended. A skip that is lost means bytes that are copied, and
    /// one that comes back after its end is ended by the next segment.
    fn change(
        &mut self,
        key: &FlowKey,
        change: impl FnOnce(&mut flow::Flow) -> bool,
    ) -> Result<(), CaptureError> {
        let key = wire(key);
        let mut value = match self.map.get(&key, 0) {
            Ok(value) => value,
            Err(MapError::KeyNotFound) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        if !change(&mut value.0) {
            return Ok(());
        }
        match self.map.insert(key, value, BPF_EXIST) {
            Err(MapError::SyscallError(error))
                if error.io_error.raw_os_error() == Some(libc::ENOENT) =>
            {
                Ok(())
            }
            result => Ok(result?),
        }
    }
}

fn wire(key: &FlowKey) -> Wire<flow::FlowKey> {
    let FlowKey { low, high, netns } = *key;
    Wire(flow::FlowKey::in_order((low.addr, low.port), (high.addr, high.port), netns))
}

/// Only where there is an entry (include/uapi/linux/bpf.h).
const BPF_EXIST: u64 = 2;
