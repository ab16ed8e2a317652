//! What the messages of a half so far say about the next one: that there should be none, or that
//! only one of several readings puts its beginning where it was found.
//!
//! Doubt ends where the sender has read more of the opposite half than when the doubt arose: then
//! it knows what became of the doubtful message, and goes on from there. What was sent in the same
//! breath is how requests are smuggled.

use super::framing::leaves_doubt;
use crate::message::{Anomalies, Anomaly, Head, Mark};
use crate::segment::Offset;

#[derive(Debug, Default)]
pub(super) struct Outlook {
    /// The last message said that it is the last (RFC 9112 §9.6).
    closes: bool,
    /// The last message was HTTP/0.9: no other can follow.
    last: bool,
    /// A boundary is doubtful; what of the opposite half was acknowledged then.
    doubt: Option<Option<Offset>>,
}

impl Outlook {
    /// What to say of the message that begins at `first`.
    pub(super) fn of_next(&mut self, first: &Mark) -> Anomalies {
        let mut anomalies = Anomalies::default();
        if self.closes {
            anomalies.insert(Anomaly::AfterClose);
        }
        if self.is_doubtful(first) {
            anomalies.insert(Anomaly::DoubtfulStart);
        }
        anomalies
    }

    /// A head was read up to `mark`; whether it is the last one by what it says.
    pub(super) fn note_head(&mut self, head: &Head, closes: bool, mark: &Mark) {
        if leaves_doubt(head.anomalies) {
            self.note_doubt(mark);
        }
        let interim = matches!(head.status(), Some(100..=199));
        if !interim {
            self.closes = closes;
        }
        self.last = head.is_simple();
    }

    /// The message whose head or body was read up to `mark` ends where only one reading puts it.
    pub(super) fn note_doubt(&mut self, mark: &Mark) {
        self.doubt = Some(mark.acked.max(self.doubt.flatten()));
    }

    /// Whether the byte at `mark` may belong to the doubtful message.
    pub(super) fn is_doubtful(&mut self, mark: &Mark) -> bool {
        if self.doubt.is_some_and(|acked| mark.acked > acked) {
            self.doubt = None;
        }
        self.doubt.is_some()
    }

    /// Nothing is known of the next message.
    pub(super) fn is_clear(&self) -> bool {
        !self.closes && !self.last && self.doubt.is_none()
    }

    pub(super) fn is_last(&self) -> bool {
        self.last
    }
}
