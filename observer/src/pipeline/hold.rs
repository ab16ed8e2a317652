//! The client's bytes behind a request for a takeover: kept back until the answer tells whether they
//! are HTTP, and read in the order in which they came if they are.
//!
//! Knows nothing of the answer itself.

use super::Output;
use super::connection::Connection;
use crate::http::{Input, Part, Role};
use crate::message::Mark;
use crate::tcp::What;

/// Bytes that a client sends behind a request for a takeover before it is answered, at most; beyond
/// that they are read as HTTP.
const MAX_HELD: usize = 64 << 10;

/// What is kept back, in the order in which it came.
#[derive(Debug, Default)]
pub(super) struct Held(Vec<(Mark, Vec<u8>)>);

impl Held {
    pub(super) fn into_parts(self) -> Vec<(Mark, Vec<u8>)> {
        self.0
    }
}

impl Connection {
    /// Keeps client bytes back while a takeover is undecided. Returns whether it did.
    pub(super) fn hold(&mut self, mark: Mark, what: What<'_>) -> bool {
        let Some(held) = self.held.as_mut() else { return false };
        let n_held: usize = held.0.iter().map(|(_, bytes)| bytes.len()).sum();
        match what {
            What::Bytes(bytes) if n_held.saturating_add(bytes.len()) <= MAX_HELD => {
                held.0.push((mark, bytes.to_vec()));
                true
            }
            _ => false,
        }
    }

    /// The request that asks for a takeover has ended: what is left of its segment waits too.
    pub(super) fn hold_rest(&mut self, input: &mut Input<'_>) {
        if let (Part::Bytes(rest), Some(held)) = (&input.what, self.held.as_mut())
            && !rest.is_empty()
        {
            held.0.push((input.mark, rest.to_vec()));
            input.what = Part::Bytes(&[]);
        }
    }

    /// The takeover did not happen, or cannot be waited for: what was held is HTTP, up to the next
    /// request for a takeover.
    pub(super) fn release_held(&mut self, out: &mut Output) {
        let mut released = self.held.take().map(|held| held.0).unwrap_or_default().into_iter();
        while let Some((mark, bytes)) = released.next() {
            self.read(Role::Request, Input { mark, what: Part::Bytes(&bytes) }, out);
            if let Some(held) = self.held.as_mut() {
                held.0.extend(released);
                return;
            }
        }
    }
}
