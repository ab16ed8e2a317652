//! Which connections were opened while we looked: a SYN leaves its number until the flow shows what
//! it speaks.

use observer_common::flow::{FlowKey, Handshake};
use observer_common::headers::Tcp;
use observer_common::record::{NOTE_BY_INITIATOR, NOTE_FROM_START};

use crate::maps::HANDSHAKES;

/// Keeps the number of a SYN.
#[inline(always)]
pub fn remember(tcp: &Tcp, key: &FlowKey, from_high: bool) {
    let handshake = Handshake { isn: tcp.seq, from_high: from_high as u32 };
    // A full table drops its oldest; then that flow counts as one that began before us.
    let _ = HANDSHAKES.insert(key, handshake, 0);
}

/// The notes on the first segment of a flow: whether its SYN was seen and by whom it was sent.
#[inline(always)]
pub fn notes(tcp: &Tcp, key: &FlowKey, from_high: bool) -> u8 {
    let Some(handshake) = HANDSHAKES.get_ptr(key) else { return 0 };
    // SAFETY: entries of an LRU map stay readable until the program ends (RCU).
    let Handshake { isn, from_high: initiator } = unsafe { handshake.read() };
    if initiator != from_high as u32 {
        return NOTE_FROM_START;
    }
    // Data in the SYN itself (RFC 7413) stands at its own number.
    let is_first = tcp.seq == isn.wrapping_add(1) || tcp.seq == isn;
    if is_first { NOTE_FROM_START | NOTE_BY_INITIATOR } else { 0 }
}
