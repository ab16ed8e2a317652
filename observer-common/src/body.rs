//! Which bodies the kernel leaves out by itself: on which segments it looks for a head, and what
//! follows from the head that it finds there ([`crate::head`]).
//!
//! That a segment reads like a head does not make it one: a body can hold anything. A message
//! follows on something that the other end has said, so that the first segment of it acknowledges
//! more than the last one of the message before did; pieces of one message do not, but for
//! pipelining. What is not decided is copied.
//!
//! A head that comes without any of its body may be the response to a HEAD, which only looks as if a
//! body followed. So it is waited for: a piece of the same message that does not begin like a response
//! is the body.

use crate::flow::{Half, is_after};
use crate::headers::Tcp;
use crate::skip::SKIP_MAX;

#[cfg(test)]
mod tests;

/// Segments and bodies below are copied: that costs less than to look. Of a half that sends heads
/// apart from their bodies, and of the first message of each, shorter segments are looked at too, for
/// a head and nothing else.
pub const LARGE: u32 = 2048;

impl Half {
    /// Whether to look for a head at the start of a segment that has payload and comes next. Takes
    /// note where large bodies come apart from their heads. `large`: [`LARGE`].
    #[inline(always)]
    pub fn may_begin(&mut self, tcp: &Tcp, large: u32) -> bool {
        let is_large = tcp.payload_len >= large;
        if self.has_data != 0 && !is_after(tcp.ack, self.data_ack) {
            if is_large {
                self.heads_apart = 1;
            }
            return false;
        }
        is_large || self.has_data == 0 || self.heads_apart != 0
    }

    /// The first `n_head` bytes of the segment are a head, and `length` bytes of body belong to it, of
    /// which the first `prefix` are wanted. `large`: [`LARGE`].
    #[inline(always)]
    pub fn leave_body_out(&mut self, tcp: &Tcp, n_head: u32, length: u64, prefix: u32, large: u32) {
        if n_head == 0 || n_head > tcp.payload_len {
            return;
        }
        let n_body = tcp.payload_len - n_head;
        // Behind a shorter body another message begins in this segment.
        let is_inside = length >= n_body as u64;
        let is_worth_it = tcp.payload_len >= large || (n_body == 0 && length >= large as u64);
        if !is_inside || !is_worth_it {
            return;
        }
        // A longer body is skipped as far as numbers go; user space goes on from there.
        let most = SKIP_MAX / 2;
        let n_bytes = if length < most as u64 { length as u32 } else { most };
        if n_bytes > prefix {
            let start = tcp.seq.wrapping_add(n_head);
            self.skip(start.wrapping_add(prefix), start.wrapping_add(n_bytes));
            if n_body == 0 {
                self.skip = 0;
                self.awaits_body = 1;
            }
        }
    }

    /// Whether a segment that has payload and comes next is the body of the head before it, unless it
    /// begins like a response. Said once, of the next segment.
    #[inline(always)]
    pub fn may_begin_body(&mut self, tcp: &Tcp, prefix: u32) -> bool {
        let awaits = self.awaits_body != 0;
        self.awaits_body = 0;
        let start = self.skip_from.wrapping_sub(prefix);
        awaits && self.has_data != 0 && tcp.seq == start && !is_after(tcp.ack, self.data_ack)
    }

    /// It is: the stretch that was found with the head is left out.
    #[inline(always)]
    pub fn begin_body(&mut self) {
        self.heads_apart = 1;
        self.skip = 1;
    }
}
