//! How a flow ended, in the events that tell of its end.

use serde::Serialize;

use crate::segment::Direction;

/// How, and through whom where somebody did it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed {
    /// `fin`, `reset`, `timeout`, `evicted`, `reused`, `capture_end`.
    pub how: &'static str,
    /// The direction in which the first FIN, or the reset, was sent.
    pub direction: Option<Direction>,
}

#[derive(Serialize)]
pub(super) struct ClosedObject {
    how: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<&'static str>,
}

impl ClosedObject {
    pub(super) fn new(closed: Closed) -> Self {
        Self { how: closed.how, by: closed.direction.map(sender) }
    }
}

/// Who sends in this direction.
pub(super) fn sender(direction: Direction) -> &'static str {
    match direction {
        Direction::ToServer => "client",
        Direction::ToClient => "server",
    }
}
