//! How a flow ended, in the words of events.

use crate::event::Closed;
use crate::segment::Direction;
use crate::tcp::{Cause, Side};

/// `first` is whose FIN came first, where that is known.
pub(super) fn closed(cause: Cause, client: Side, first: Option<Direction>) -> Closed {
    match cause {
        Cause::Fin => Closed { how: "fin", direction: first },
        Cause::Reset { by } => Closed { how: "reset", direction: Some(towards(by, client)) },
        Cause::Timeout => Closed { how: "timeout", direction: None },
        Cause::Evicted => Closed { how: "evicted", direction: None },
        Cause::Reused => Closed { how: "reused", direction: None },
        Cause::CaptureEnd => Closed { how: "capture_end", direction: None },
    }
}

/// Where the bytes of `sender` go.
pub(super) fn towards(sender: Side, client: Side) -> Direction {
    if sender == client { Direction::ToServer } else { Direction::ToClient }
}
