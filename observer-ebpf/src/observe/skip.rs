//! Leaving out what nobody asked for: the stretch of a body that user space named, or that the
//! kernel found by itself (`body`). Which part of a segment goes is decided in
//! `observer_common::skip`.

use core::hint::cold_path;

use observer_common::flow::{Half, STATE_HTTP, millis};
use observer_common::headers::Tcp;
use observer_common::record::{Hook, NOTE_SKIPS};
use observer_common::skip::Cut;
use observer_common::stats::Outcome;

use crate::body;
use crate::skb::Skb;

/// What of a segment goes into its records.
pub struct Kept {
    /// Bytes of payload, from the first on, at most.
    pub n_bytes: u32,
    pub notes: u8,
    pub skip_until: u32,
}

/// Takes from the segment what is to be left out; an error when nothing remains. `is_next`: it
/// begins where the half had ended so far; `is_known`: it acknowledges nothing that user space has not
/// been shown.
#[inline(always)]
pub fn cut(
    skb: &Skb,
    tcp: &mut Tcp,
    half: &mut Half,
    is_known: bool,
    state: u32,
    is_next: bool,
    time_ns: u64,
) -> Result<Kept, Outcome> {
    // The socket filter has no room for this (20,480 bytes before Linux 6.8), and user space
    // skips there as well, only later.
    let is_tap = !matches!(skb.hook, Hook::Socket);
    let begins_body = is_next && is_tap && body::leave_out(skb, tcp, half, state);
    if tcp.payload_len > 0 {
        half.data_ack = tcp.ack;
        half.has_data = 1;
    }
    let now = millis(time_ns);
    if state == STATE_HTTP && half.skip == 0 && tcp.payload_len > 0 {
        // Nearly all that is emitted: what is below comes to the same.
        half.record_time = now;
        return Ok(Kept { n_bytes: u32::MAX, notes: 0, skip_until: 0 });
    }
    cold_path();
    let skips = half.skip != 0;
    let skip_until = half.skip_until;
    let mut cut = half.cut(tcp, state, is_known, now);
    if begins_body && matches!(cut, Cut::Nothing) {
        cut = Cut::Bare;
    }
    let left_out = half.left_out(tcp, state, skips, skip_until);
    let n_bytes = match cut {
        Cut::Whole => u32::MAX,
        Cut::Front(n_bytes) => n_bytes,
        Cut::Bare => 0,
        Cut::Tail(n_gone) => {
            tcp.seq = tcp.seq.wrapping_add(n_gone);
            tcp.payload_offset += n_gone;
            tcp.payload_len -= n_gone;
            u32::MAX
        }
        Cut::Nothing => return Err(Outcome::Skipped),
    };
    half.record_time = now;
    Ok(match left_out {
        Some(skip_until) => Kept { n_bytes, notes: NOTE_SKIPS, skip_until },
        None => Kept { n_bytes, notes: 0, skip_until: 0 },
    })
}
