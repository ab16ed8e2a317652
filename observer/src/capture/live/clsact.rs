//! clsact qdiscs: made where there is none, cleared away when it was us who made them and nobody
//! else moved in, and filters of earlier runs that were killed removed from them.
//!
//! A filter outlives its process. Ours say in their handle whose they are: which process, and
//! whether it made the qdisc. A filter is a leftover when it has our name and our mark and that
//! process no longer holds the program.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicU32, Ordering};

use aya::programs::ProgramError;
use aya::programs::tc::{TcError, TcHandle, qdisc_add_clsact};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::tc::{
    self, TcAttribute, TcFilterBpfOption, TcHeader, TcMessage, TcOption,
};
use observer_common::config::{TC_EGRESS, TC_INGRESS};
use observer_common::mark::MARK_EGRESS;

use super::Interface;
use super::netlink::{self, NetlinkError};

/// The qdiscs of one capture.
pub(super) struct Clsact {
    /// Interfaces that have one, and whether we made it.
    qdiscs: BTreeMap<u32, bool>,
    serial: u32,
}

impl Clsact {
    pub(super) fn new() -> Self {
        static SERIAL: AtomicU32 = AtomicU32::new(0);
        Self { qdiscs: BTreeMap::new(), serial: SERIAL.fetch_add(1, Ordering::Relaxed) }
    }

    /// Sees to a qdisc on the interface and returns the handle for our filters in it.
    pub(super) fn prepare(&mut self, link: &Interface) -> Result<TcHandle, ProgramError> {
        let is_ours = match self.qdiscs.get(&link.ifindex) {
            Some(is_ours) => *is_ours,
            None => match qdisc_add_clsact(&link.name) {
                Ok(()) => true,
                Err(error) if is_there_already(&error) => false,
                Err(error) => return Err(error.into()),
            },
        };
        self.qdiscs.insert(link.ifindex, is_ours);
        let mark = Mark { serial: self.serial, made_qdisc: is_ours, pid: std::process::id() };
        Ok(TcHandle::from(mark.handle()))
    }

    pub(super) fn has(&self, ifindex: u32) -> bool {
        self.qdiscs.contains_key(&ifindex)
    }

    /// Leaves all qdiscs as they are. Says whether there were any.
    pub(super) fn abandon(&mut self) -> bool {
        !std::mem::take(&mut self.qdiscs).is_empty()
    }

    pub(super) fn forget(&mut self, ifindex: u32) {
        self.qdiscs.remove(&ifindex);
    }
}

impl Drop for Clsact {
    fn drop(&mut self) {
        for (ifindex, is_ours) in &self.qdiscs {
            if *is_ours {
                // Nobody is left to hear of a failure; the next start sweeps.
                let _ = remove_if_empty(*ifindex);
            }
        }
    }
}

/// Removes what killed runs left on these interfaces. Failures are passed over: an attach that
/// needs the place says so itself.
pub(super) fn sweep(present: &[Interface]) {
    for link in present {
        let mut made_qdisc = false;
        for hook in HOOKS {
            for filter in filters(link.ifindex, hook).unwrap_or_default() {
                let Some(mark) = filter.leftover() else { continue };
                made_qdisc |= mark.made_qdisc;
                let _ = netlink::change(RouteNetlinkMessage::DelTrafficFilter(filter.message));
            }
        }
        if made_qdisc {
            let _ = remove_if_empty(link.ifindex);
        }
    }
}

/// What a filter's handle says: four bits that are always the same, which capture of the process,
/// whether the process made the qdisc, and the process. Linux has at most 2²² process ids
/// (PID_MAX_LIMIT).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mark {
    serial: u32,
    made_qdisc: bool,
    pid: u32,
}

impl Mark {
    fn handle(self) -> u32 {
        SIGN << 28
            | (self.serial & 0x1f) << 23
            | u32::from(self.made_qdisc) << 22
            | self.pid & PID_MASK
    }

    fn read(handle: u32) -> Option<Self> {
        (handle >> 28 == SIGN).then_some(Self {
            serial: handle >> 23 & 0x1f,
            made_qdisc: handle >> 22 & 1 != 0,
            pid: handle & PID_MASK,
        })
    }
}

/// A filter in a clsact qdisc.
pub(super) struct Filter {
    /// Names the filter, for its removal.
    message: TcMessage,
    /// What sort of filter it is: `bpf`, `flower`, ...
    pub(super) kind: String,
    /// Of its program, if it is one of BPF.
    pub(super) name: Option<String>,
    program_id: Option<u32>,
}

impl Filter {
    /// The mark, when the filter is ours and its process is gone.
    fn leftover(&self) -> Option<Mark> {
        let name = self.name.as_deref()?;
        if name != TC_INGRESS && name != TC_EGRESS && name != MARK_EGRESS {
            return None;
        }
        let mark = Mark::read(u32::from(self.message.header.handle))?;
        (!holds_program(mark.pid, self.program_id?)).then_some(mark)
    }
}

/// Whether a process has the program open. A process we may not look into counts as holding it.
fn holds_program(pid: u32, program_id: u32) -> bool {
    let wanted = program_id.to_string();
    let entries = match std::fs::read_dir(format!("/proc/{pid}/fdinfo")) {
        Ok(entries) => entries,
        Err(error) => return error.kind() != io::ErrorKind::NotFound,
    };
    entries.flatten().any(|entry| {
        // A descriptor that is closed meanwhile reads as nothing.
        let info = std::fs::read_to_string(entry.path()).unwrap_or_default();
        info.lines().filter_map(|line| line.strip_prefix("prog_id:")).any(|id| id.trim() == wanted)
    })
}

/// Whether a filter at the hook is this program.
pub(super) fn holds(ifindex: u32, hook: u16, program_id: u32) -> Result<bool, NetlinkError> {
    let there = filters(ifindex, hook)?;
    Ok(there.iter().any(|filter| filter.program_id == Some(program_id)))
}

pub(super) fn filters(ifindex: u32, hook: u16) -> Result<Vec<Filter>, NetlinkError> {
    let mut request = TcMessage::with_index(ifindex.cast_signed());
    request.header.parent = parent(hook);
    let mut found = Vec::new();
    netlink::dump(RouteNetlinkMessage::GetTrafficFilter(request), |message| {
        if let RouteNetlinkMessage::NewTrafficFilter(message) = message {
            found.extend(filter(message));
        }
    })?;
    Ok(found)
}

/// The dump has one entry for each priority, with handle 0, before the filters of it.
fn filter(message: TcMessage) -> Option<Filter> {
    let TcMessage { header, attributes, .. } = message;
    if u32::from(header.handle) == 0 {
        return None;
    }
    let mut kind = String::new();
    let mut name = None;
    let mut program_id = None;
    for attribute in attributes {
        let options = match attribute {
            TcAttribute::Options(options) => options,
            TcAttribute::Kind(text) => {
                kind = text;
                continue;
            }
            _ => continue,
        };
        for option in options {
            match option {
                TcOption::Bpf(TcFilterBpfOption::ProgName(text)) => name = Some(text),
                TcOption::Bpf(TcFilterBpfOption::ProgId(id)) => program_id = Some(id),
                _ => {}
            }
        }
    }
    Some(Filter { message: TcMessage::from_parts(header, Vec::new()), kind, name, program_id })
}

fn remove_if_empty(ifindex: u32) -> Result<(), NetlinkError> {
    for hook in HOOKS {
        if !filters(ifindex, hook)?.is_empty() {
            return Ok(());
        }
    }
    let header = TcHeader {
        index: ifindex.cast_signed(),
        handle: tc::TcHandle { major: u16::MAX, minor: 0 },
        parent: tc::TcHandle::CLSACT,
        ..TcHeader::default()
    };
    let kind = TcAttribute::Kind("clsact".to_owned());
    let message = TcMessage::from_parts(header, vec![kind]);
    match netlink::change(RouteNetlinkMessage::DelQueueDiscipline(message)) {
        // Somebody was faster.
        Err(error) if error.refusal() == Some(libc::ENOENT) => Ok(()),
        result => result,
    }
}

fn parent(hook: u16) -> tc::TcHandle {
    tc::TcHandle { major: u16::MAX, minor: hook }
}

fn is_there_already(error: &TcError) -> bool {
    match error {
        TcError::AlreadyAttached => true,
        TcError::NetlinkError(error) => error.raw_os_error() == Some(libc::EEXIST),
        _ => false,
    }
}

const HOOKS: [u16; 2] = [tc::TcHandle::MIN_INGRESS, tc::TcHandle::MIN_EGRESS];
const SIGN: u32 = 0xb;
const PID_MASK: u32 = 0x3f_ffff;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_survives_the_handle() {
        for made_qdisc in [false, true] {
            let mark = Mark { serial: 19, made_qdisc, pid: 4_194_303 };
            assert_eq!(Mark::read(mark.handle()), Some(mark));
        }
    }

    #[test]
    fn handles_of_others_are_no_marks() {
        for handle in [0, 1, 0x8000_0000, 0x1234_5678, u32::MAX] {
            assert_eq!(Mark::read(handle), None);
        }
    }

    #[test]
    fn a_process_that_is_gone_holds_nothing() {
        assert!(!holds_program(PID_MASK, 1));
        assert!(!holds_program(std::process::id(), u32::MAX));
    }
}
