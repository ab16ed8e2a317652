//! When nothing is under way on a flow. Reads the pairer's state and changes none of it.

use super::Pairer;
use crate::segment::Timestamp;

impl Pairer {
    /// No exchange is under way: none waits, none is being read.
    pub fn is_at_rest(&self) -> bool {
        self.pending.is_empty() && self.orphan.is_none() && !self.asking
    }

    /// When the oldest open exchange began.
    pub fn oldest(&self) -> Option<Timestamp> {
        Some(self.pending.front()?.exchange.request.as_ref()?.first.time)
    }
}
