//! What flows ask of the capture, in the order in which they did, until somebody takes it there.

use super::{Application, FlowTable};
use crate::segment::Directive;

impl<A: Application> FlowTable<A> {
    /// What to ask of the capture next.
    pub fn poll_directive(&mut self) -> Option<Directive> {
        loop {
            let directive = self.directives.pop_front()?;
            if self.is_due(&directive) {
                return Some(directive);
            }
        }
    }

    /// A body may have gone by since, or be left out by the capture's own decision, and to ask is a
    /// system call or two.
    fn is_due(&self, directive: &Directive) -> bool {
        let Directive::Skip { flow, from_high, .. } = directive else { return true };
        let slot = self.find(self.hash(flow), flow).and_then(|slot| self.slot(slot));
        slot.is_some_and(|slot| slot.flow.is_skip_due(*from_high))
    }
}
