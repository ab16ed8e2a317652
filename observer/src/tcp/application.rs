//! What the flow table gives to whoever reads the streams, and what that may answer. Vocabulary only;
//! it must not know what the bytes mean.

use super::flow::{Facts, Side};
use crate::segment::{Offset, Timestamp};

/// How a half ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The sender's FIN; for a whole flow, both.
    Fin,
    /// A reset, and who sent it.
    Reset { by: Side },
    /// No segment for the idle time.
    Timeout,
    /// The flow table was full.
    Evicted,
    /// A new connection uses the same ports.
    Reused,
    /// The capture ended while the flow was open.
    CaptureEnd,
}

/// What a half's stream continues with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What<'a> {
    Bytes(&'a [u8]),
    /// This many bytes were on the wire and were not captured.
    Gap(u64),
    /// The same, and on purpose: the application did not want them.
    Skipped(u64),
    End(Cause),
}

/// The next part of one half's stream.
#[derive(Clone, Copy, Debug)]
pub struct Delivery<'a> {
    /// Who sent it.
    pub side: Side,
    pub offset: Offset,
    /// When its segment was captured; for a gap, when it was declared.
    pub time: Timestamp,
    /// How much of the opposite half the sender had acknowledged with that segment; of a FIN, one
    /// position more than the end where it answers the other FIN (RFC 9293 §3.4).
    pub acked: Option<Offset>,
    pub what: What<'a>,
}

/// What an application wants of the half that it was just given a part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    All,
    /// Not the next so many bytes: only when they have passed.
    Without(u64),
    /// No bytes of either half any more: only how many there were, and how they end.
    Quiet,
    /// Nothing of either half, ever.
    Nothing,
}

/// What reads the streams of one flow.
pub trait Application {
    /// Where results go.
    type Output;

    fn open(facts: &Facts) -> Self;
    fn deliver(&mut self, facts: &Facts, delivery: Delivery<'_>, out: &mut Self::Output) -> Wish;
    /// A half carries the DTH bit (RFC 9401) for the first time. What came before it is delivered,
    /// what carries it comes next.
    fn handle_dth(&mut self, _facts: &Facts, _side: Side, _out: &mut Self::Output) {}
    /// Nothing is under way: to let go of the flow now leaves nothing half told.
    fn is_at_rest(&self) -> bool {
        false
    }
    /// The last call; both halves have ended. There is none where the flow is sampled out at rest.
    fn close(self, facts: &Facts, now: Timestamp, cause: Cause, out: &mut Self::Output);
}
