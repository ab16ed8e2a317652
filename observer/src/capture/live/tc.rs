//! Classifiers at interfaces: through TCX where the kernel has it, in a clsact qdisc where not.

use std::collections::BTreeMap;
use std::io;

use aya::programs::tc::{NlOptions, SchedClassifierLink, TcAttachOptions};
use aya::programs::{LinkOrder, ProgramError, TcAttachType};
use observer_common::config::{TC_EGRESS, TC_INGRESS};

use super::clsact::Clsact;
use super::object::Object;
use super::{CaptureError, Interface, TcAttach};

/// What holds the classifiers to their interfaces; dropping it lets go.
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

    /// Attaches both ways; only the way out of a loopback device, because the way in shows the
    /// same skb once more, without the sender's socket.
    pub(super) fn attach(
        &mut self,
        object: &mut Object,
        link: &Interface,
    ) -> Result<(), CaptureError> {
        let mut hooks = vec![(TC_EGRESS, TcAttachType::Egress)];
        if !link.is_loopback {
            hooks.push((TC_INGRESS, TcAttachType::Ingress));
        }
        let mut held = Vec::new();
        for (program, hook) in hooks {
            let result = self.attach_one(object, link, program, hook);
            held.push(result.map_err(|source| CaptureError::Program { program, source })?);
        }
        self.held.insert(link.ifindex, held);
        Ok(())
    }

    fn attach_one(
        &mut self,
        object: &mut Object,
        link: &Interface,
        program: &'static str,
        hook: TcAttachType,
    ) -> Result<SchedClassifierLink, ProgramError> {
        let classifier =
            object.classifier(program).map_err(|_| ProgramError::UnexpectedProgramType)?;
        if self.mode != TcAttach::Clsact {
            // At the head: a program in front of ours that ends the chain would hide traffic.
            let head = TcAttachOptions::TcxOrder(LinkOrder::first());
            match classifier.attach_with_options(&link.name, hook, head) {
                Ok(id) => return classifier.take_link(id),
                Err(error) if self.mode == TcAttach::Auto && is_without_tcx(&error) => {
                    self.mode = TcAttach::Clsact;
                }
                Err(error) => return Err(error),
            }
        }
        let handle = self.clsact.prepare(link)?;
        // Priority 1 is the head of the chain, and within one priority cls_bpf puts the newest
        // filter first (cls_bpf_change, `list_add_rcu`).
        let options = NlOptions { priority: 1, handle, classid: None };
        let options = TcAttachOptions::Netlink(options);
        let id = classifier.attach_with_options(&link.name, hook, options)?;
        classifier.take_link(id)
    }

    /// The interface is gone, and what was attached to it went with it.
    pub(super) fn forget(&mut self, ifindex: u32) {
        self.clsact.forget(ifindex);
        self.held.remove(&ifindex);
    }
}

/// Before 6.6 the kernel does not know the attach type and says EINVAL (bpf_prog_attach_check).
fn is_without_tcx(error: &ProgramError) -> bool {
    let ProgramError::SyscallError(error) = error else { return false };
    error.io_error.kind() == io::ErrorKind::InvalidInput
}
