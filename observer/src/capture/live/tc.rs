//! Classifiers at interfaces: through TCX where the kernel has it, in a clsact qdisc where not.

use std::collections::BTreeMap;
use std::io;

use aya::programs::tc::{NlOptions, SchedClassifier, SchedClassifierLink, TcAttachOptions};
use aya::programs::{LinkOrder, ProgramError, ProgramId, TcAttachType};
use netlink_packet_route::tc::TcHandle;
use observer_common::config::{TC_EGRESS, TC_INGRESS};
use observer_common::mark::MARK_EGRESS;

use super::clsact::{self, Clsact};
use super::object::Object;
use super::{CaptureError, Interface, TcAttach};

/// The programs to attach, by the names in `observer_common::config`.
pub(super) trait Programs {
    fn classifier(&mut self, name: &'static str) -> Result<&mut SchedClassifier, CaptureError>;
}

impl Programs for Object {
    fn classifier(&mut self, name: &'static str) -> Result<&mut SchedClassifier, CaptureError> {
        Object::classifier(self, name)
    }
}

/// What holds the classifiers to their interfaces; dropping it lets go. All of it happens in the
/// network namespace of the calling thread.
pub(super) struct Taps {
    mode: TcAttach,
    // Filters go before the qdiscs they are in.
    held: BTreeMap<u32, Vec<SchedClassifierLink>>,
    clsact: Clsact,
}

impl Taps {
    pub(super) fn new(mode: TcAttach) -> Self {
        Self { mode, held: BTreeMap::new(), clsact: Clsact::new() }
    }

    pub(super) fn holds(&self, ifindex: u32) -> bool {
        self.held.contains_key(&ifindex)
    }

    pub(super) fn attach(
        &mut self,
        programs: &mut impl Programs,
        link: &Interface,
    ) -> Result<(), CaptureError> {
        let mut held = Vec::new();
        for &(program, hook) in hooks(link) {
            let result = self.attach_one(programs, link, program, hook);
            held.push(result.map_err(|source| CaptureError::Program { program, source })?);
        }
        self.held.insert(link.ifindex, held);
        Ok(())
    }

    fn attach_one(
        &mut self,
        programs: &mut impl Programs,
        link: &Interface,
        program: &'static str,
        hook: TcAttachType,
    ) -> Result<SchedClassifierLink, ProgramError> {
        let classifier =
            programs.classifier(program).map_err(|_| ProgramError::UnexpectedProgramType)?;
        // At the head: a program in front of ours that ends the chain would hide traffic. But
        // behind our own `mark`, or its marks would not be seen.
        let order = match last_marker(&link.name, hook) {
            Some(id) => LinkOrder::after_program_id(id),
            None => LinkOrder::first(),
        };
        attach(classifier, link, hook, order, &mut self.mode, &mut self.clsact)
    }

    /// Whether the programs still are where they were put: somebody may have detached them, or
    /// deleted the qdisc. What cannot be told counts as yes.
    pub(super) fn is_intact(&self, programs: &mut impl Programs, link: &Interface) -> bool {
        hooks(link).iter().all(|&(program, hook)| {
            let info = programs.classifier(program).ok().and_then(|it| it.info().ok());
            let Some(id) = info.map(|info| info.id()) else { return true };
            if self.clsact.has(link.ifindex) {
                let parent = match hook {
                    TcAttachType::Ingress => TcHandle::MIN_INGRESS,
                    _ => TcHandle::MIN_EGRESS,
                };
                return clsact::holds(link.ifindex, parent, id).unwrap_or(true);
            }
            match SchedClassifier::query_tcx(&link.name, hook) {
                Ok((_, there)) => there.iter().any(|program| program.id() == id),
                Err(_) => true,
            }
        })
    }

    /// Detaches everything. The kernel waits until no CPU runs the programs any more
    /// (tcx_entry_sync in include/net/tcx.h).
    pub(super) fn release(&mut self) {
        self.held.clear();
        self.clsact = Clsact::new();
    }

    /// The namespace of the interfaces is gone, or out of reach. Links let go from anywhere; filters
    /// would be looked for here, where the same numbers are other interfaces.
    pub(super) fn abandon(&mut self) {
        let held = std::mem::take(&mut self.held);
        if self.clsact.abandon() {
            // They hold no descriptor: the filters are known by numbers.
            held.into_values().flatten().for_each(std::mem::forget);
        }
    }

    /// The interface is gone, and what was attached to it went with it.
    pub(super) fn forget(&mut self, ifindex: u32) {
        self.clsact.forget(ifindex);
        self.held.remove(&ifindex);
    }
}

/// Both ways; only the way out of a loopback device, because the way in shows the same skb once
/// more, without the sender's socket.
fn hooks(link: &Interface) -> &'static [(&'static str, TcAttachType)] {
    const BOTH: [(&str, TcAttachType); 2] =
        [(TC_EGRESS, TcAttachType::Egress), (TC_INGRESS, TcAttachType::Ingress)];
    if link.is_loopback { &BOTH[..1] } else { &BOTH }
}

/// Attaches through TCX in that order, or at the head of a clsact qdisc.
pub(super) fn attach(
    classifier: &mut SchedClassifier,
    link: &Interface,
    hook: TcAttachType,
    order: LinkOrder,
    mode: &mut TcAttach,
    clsact: &mut Clsact,
) -> Result<SchedClassifierLink, ProgramError> {
    if *mode != TcAttach::Clsact {
        match classifier.attach_with_options(&link.name, hook, TcAttachOptions::TcxOrder(order)) {
            Ok(id) => return classifier.take_link(id),
            Err(error) if *mode == TcAttach::Auto && is_without_tcx(&error) => {
                *mode = TcAttach::Clsact;
            }
            Err(error) => return Err(error),
        }
    }
    let handle = clsact.prepare(link)?;
    // Priority 1 is the head of the chain, and within one priority cls_bpf puts the newest
    // filter first (cls_bpf_change, `list_add_rcu`).
    let options = NlOptions { priority: 1, handle, classid: None };
    let options = TcAttachOptions::Netlink(options);
    let id = classifier.attach_with_options(&link.name, hook, options)?;
    classifier.take_link(id)
}

/// The last program of ours that marks, at a TCX hook. Without TCX there is nothing to ask.
fn last_marker(name: &str, hook: TcAttachType) -> Option<ProgramId> {
    let (_, programs) = SchedClassifier::query_tcx(name, hook).ok()?;
    let marker = programs.iter().rfind(|program| program.name_as_str() == Some(MARK_EGRESS))?;
    // SAFETY: the kernel has just named this program; when it goes in between, the attachment
    // fails and says so.
    Some(unsafe { ProgramId::new(marker.id()) })
}

/// Before 6.6 the kernel does not know the attach type and says EINVAL (bpf_prog_attach_check).
pub(super) fn is_without_tcx(error: &ProgramError) -> bool {
    let ProgramError::SyscallError(error) = error else { return false };
    error.io_error.kind() == io::ErrorKind::InvalidInput
}
