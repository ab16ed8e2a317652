//! Which part of a segment stays in the kernel while a stretch of a half is being skipped, and when
//! a half that is quiet still shows a sign of life. Sequence numbers only: it must not know what
//! the bytes mean, nor who asked for the skip.
//!
//! A stretch is `skip_from..skip_until` on the circle of sequence numbers, less than 2³¹ long. What
//! lies in front of it is emitted: a segment that arrives late may hold the end of the message
//! before. What lies behind it ends the skip.

use crate::flow::{Half, STATE_NEW, STATE_QUIET, STATE_TLS, STATE_WATCHED, has_passed, is_after};
use crate::headers::{ACK, DTH, FIN, RST, SYN, Tcp};

#[cfg(test)]
mod tests;

/// What a segment comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Emitted as it is.
    Whole,
    /// Only its first so many bytes of payload.
    Front(u32),
    /// A record without bytes.
    Bare,
    /// Without its first so many bytes, as if it had begun behind them.
    Tail(u32),
    /// Nothing at all.
    Nothing,
}

/// The longest stretch: one further, and its end would count as lying behind its start.
pub const SKIP_MAX: u32 = i32::MAX as u32;

impl Half {
    /// Leaves out what comes from `from` up to `until`.
    #[inline(always)]
    pub fn skip(&mut self, from: u32, until: u32) {
        self.skip_from = from;
        self.skip_until = until;
        self.skip = 1;
        self.awaits_body = 0;
    }

    /// Leaves out everything up to `until`, whatever of it has been seen. Ignored when that has
    /// passed already: then it would end at the next segment anyway.
    pub fn skip_all(&mut self, until: u32) -> bool {
        let is_ahead = is_after(until, self.next_seq);
        if is_ahead {
            self.skip(until.wrapping_sub(SKIP_MAX), until);
        }
        is_ahead
    }

    /// What becomes of a segment of this half at `now` ([`crate::flow::millis`]). `is_known`: what
    /// it acknowledges tells nothing ([`Half::has_shown`] of the other half).
    ///
    /// A bare acknowledgement of what is known is left out, but for one each second: on a network
    /// they are a third of all segments, and the engine needs them where something is missing only.
    ///
    /// The segment that reaches the end of the stretch, or passes it, ends the skip. If it was lost
    /// before it came here, any later one does.
    #[inline(always)]
    pub fn cut(&mut self, tcp: &Tcp, state: u32, is_known: bool, now: u32) -> Cut {
        if state == STATE_QUIET || state == STATE_WATCHED {
            return self.inside(tcp, now, QUIET_SIGN_OF_LIFE);
        }
        if state == STATE_TLS {
            return self.cut_beginning(tcp, now);
        }
        if self.skip == 0 {
            let is_due = has_passed(now, self.record_time, SIGN_OF_LIFE);
            let is_bare = tcp.payload_len == 0 && tcp.flags == ACK;
            return if is_bare && is_known && !is_due { Cut::Nothing } else { Cut::Whole };
        }
        // How far the segment begins in front of the end, and in front of the stretch; and how far
        // it ends past the end. Each is less than 2³¹ away, by the bound on the stretch.
        let to_end = self.skip_until.wrapping_sub(tcp.seq) as i32;
        let in_front = self.skip_from.wrapping_sub(tcp.seq) as i32;
        let past_end = (tcp.payload_len as i32).wrapping_sub(to_end);
        if to_end <= 0 {
            self.skip = 0;
            return Cut::Whole;
        }
        if in_front > 0 {
            // The head whose body is left out, or what came late from before it.
            if in_front as u32 >= tcp.payload_len {
                return Cut::Whole;
            }
            if past_end >= 0 {
                self.skip = 0;
            }
            // More than one message: such a segment is never cut when it is new, so this one
            // joins several that were sent before.
            return if past_end > 0 { Cut::Whole } else { Cut::Front(in_front as u32) };
        }
        if past_end < 0 {
            return self.inside(tcp, now, SIGN_OF_LIFE);
        }
        self.skip = 0;
        if past_end == 0 { Cut::Bare } else { Cut::Tail(to_end as u32) }
    }

    /// Shows the next [`BEGINNING`] bytes from `seq` on, and nothing behind them.
    #[inline(always)]
    pub fn begin(&mut self, seq: u32) {
        self.skip_from = seq.wrapping_add(BEGINNING);
        self.skip = 1;
    }

    /// A segment of a half of which the beginning alone is emitted. The first one behind it is bare,
    /// and says so: user space would take what is missing for lost.
    #[inline(always)]
    fn cut_beginning(&mut self, tcp: &Tcp, now: u32) -> Cut {
        let in_front = self.skip_from.wrapping_sub(tcp.seq) as i32;
        if self.skip == 0 || (tcp.payload_len == 0 && tcp.flags & MUST == 0) {
            return self.inside(tcp, now, QUIET_SIGN_OF_LIFE);
        }
        if in_front >= tcp.payload_len as i32 {
            return Cut::Whole;
        }
        // From here on the numbers say nothing: they come round.
        self.skip = 0;
        if in_front > 0 { Cut::Front(in_front as u32) } else { Cut::Bare }
    }

    /// What is said of the segment about what is left out of its half, after [`Self::cut`]; `skips`
    /// and `skip_until` as they were before it. `None` when nothing is.
    #[inline(always)]
    pub fn left_out(&self, tcp: &Tcp, state: u32, skips: bool, skip_until: u32) -> Option<u32> {
        let is_quiet = match state {
            STATE_QUIET | STATE_WATCHED => true,
            STATE_TLS => self.skip == 0,
            STATE_NEW => false,
            _ if skips => return Some(skip_until),
            _ => false,
        };
        let far = tcp.seq.wrapping_add(tcp.payload_len).wrapping_add(QUIET_AHEAD);
        is_quiet.then_some(far)
    }

    /// Inside the stretch: bare where something else than bytes happens, and now and then, so that
    /// user space can tell a long body from a dead connection, and count what passes. A record each
    /// `silence` does for the first. For the other the numbers must not turn half their circle unseen:
    /// each 256 MiB of it, exactly one segment steps over a boundary.
    #[inline(always)]
    fn inside(&self, tcp: &Tcp, now: u32, silence: u32) -> Cut {
        let end = tcp.seq.wrapping_add(tcp.payload_len);
        let is_step = tcp.seq >> STEP_SHIFT != end >> STEP_SHIFT;
        let is_due = tcp.payload_len > 0 && has_passed(now, self.record_time, silence);
        if tcp.flags & MUST != 0 || is_step || is_due { Cut::Bare } else { Cut::Nothing }
    }
}

/// What user space hears of in any case.
pub const MUST: u16 = SYN | FIN | RST | DTH;

const STEP_SHIFT: u32 = 28;
/// About a second, in `flow::millis`: inside a body, which has an end that will be seen.
pub const SIGN_OF_LIFE: u32 = 1000;
/// About a tenth of one: of a quiet flow nothing else tells when something passed.
pub const QUIET_SIGN_OF_LIFE: u32 = 100;
/// What a sign of life says to be left out behind it: more than passes until the next one, which
/// each step brings.
const QUIET_AHEAD: u32 = 2 << STEP_SHIFT;
/// Bytes of each half of a flow that begins like TLS: hellos of today have up to 2000, those for
/// post-quantum key exchange included.
pub const BEGINNING: u32 = 4096;
