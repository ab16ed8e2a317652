//! When a flow can be let go without anything half told. Reads and changes nothing.

use super::Connection;
use crate::http::Parser;

impl Connection {
    /// Between two exchanges, with no part of the next one read and nothing to tell at the end.
    pub(super) fn has_nothing_under_way(&self) -> bool {
        let is_empty = |parser: &Option<Box<Parser>>| {
            parser.as_ref().is_none_or(|parser| parser.n_buffered() == 0)
        };
        self.pairer.has_begun()
            && self.pairer.is_at_rest()
            && is_empty(&self.requests)
            && is_empty(&self.responses)
            && self.held.is_none()
            && self.withheld.is_none()
            && !self.taken_over
            && self.tls.is_none()
            && self.flagged.is_none()
    }
}
