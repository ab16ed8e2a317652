//! Boxes of events that were told, for those to come: as `message::spare` has it for what is in them.

use std::cell::RefCell;

use super::HttpExchange;
use crate::message::spare;

/// Events are told one after the other.
const MAX_KEPT: usize = 4;

thread_local! {
    #[expect(clippy::vec_box, reason = "the boxes are what is kept")]
    static SPARE: RefCell<Vec<Box<HttpExchange>>> = const { RefCell::new(Vec::new()) };
}

/// An event whose parts are all to be set; none where none waits. Lists in it are empty.
#[inline]
pub(super) fn take() -> Option<Box<HttpExchange>> {
    SPARE.try_with(|spare| spare.borrow_mut().pop()).ok().flatten()
}

/// Takes back an event that was told.
pub(super) fn give_back(mut event: Box<HttpExchange>) {
    spare::empty(&mut event.exchange);
    event.inside.clear();
    event.redacted.clear();
    // While a thread ends there is nowhere to put it.
    let _ = SPARE.try_with(|spare| {
        let mut spare = spare.borrow_mut();
        if spare.len() < MAX_KEPT {
            spare.push(event);
        }
    });
}
