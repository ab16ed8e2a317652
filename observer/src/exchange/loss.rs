//! Pairing behind a loss: what TCP's acknowledgements still prove.

use super::rules::is_lockstep;
use super::{Pairer, Pending};
use crate::message::Mark;
use crate::segment::Offset;

impl Pairer {
    /// The one request that can be meant by a response behind a loss, as [`is_lockstep`] tells.
    /// Requests that were lost right before it may have been sent with it, so there must be none.
    /// Of a client that does not wait for answers it is taken only where every earlier request is
    /// known to have been answered.
    pub(super) fn find_after_loss(
        &self,
        response: &Mark,
        passes: impl Fn(&Pending) -> bool,
    ) -> Option<usize> {
        let neighbour = |p: &Pending| {
            self.is_alone(p)
                && passes(p)
                && p.exchange.request.as_ref().is_some_and(|r| is_lockstep(response, r))
        };
        let i = self.pending.iter().position(neighbour)?;
        let mut others = self.pending.iter().skip(i.saturating_add(1));
        let settled = || self.pending.iter().take(i).all(|p| p.answer_lost);
        (!others.any(neighbour) && (!self.pipelines || settled())).then_some(i)
    }

    /// Whether nothing unseen was sent together with the request: nothing is missing before it, or
    /// the client had read a response by then that came behind what is missing.
    fn is_alone(&self, pending: &Pending) -> bool {
        let Some(request) = pending.exchange.request.as_ref() else { return false };
        !pending.behind_gap
            || self.last_response.is_some_and(|(offset, acked)| {
                acked >= request.first.offset && request.first.acked > Some(offset)
            })
    }

    /// The first response is about to be read, from `offset` on: what the client had acknowledged
    /// before its oldest question lies below, and what is between was lost.
    pub fn handle_first_response(&mut self, offset: Offset) {
        let asked = self.pending.front().and_then(|p| p.exchange.request.as_ref());
        if asked.and_then(|r| r.first.acked).is_some_and(|acked| acked < offset) {
            self.handle_response_start_lost();
        }
    }
}
