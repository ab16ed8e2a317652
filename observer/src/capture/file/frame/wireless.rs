//! IEEE 802.11 data frames, bare and behind a radiotap header.

use super::layer::Layer;
use super::{Decoded, Skip, Walk, ether};

/// <https://www.radiotap.org>: version, padding, length, then bit masks of what is present.
pub(super) fn radiotap(walk: Walk, layer: Layer<'_>) -> Result<Decoded, Skip> {
    const FLAG_DATA_PAD: u8 = 0x20;
    let len = usize::from(layer.le16(2)?);
    let flags = radiotap_flags(layer)?;
    frame(walk, layer.skip(len)?, flags & FLAG_DATA_PAD != 0)
}

pub(super) fn ieee80211(walk: Walk, layer: Layer<'_>) -> Result<Decoded, Skip> {
    frame(walk, layer, false)
}

/// The `Flags` field: second of the first mask, behind the eight-byte clock if that is there.
fn radiotap_flags(layer: Layer<'_>) -> Result<u8, Skip> {
    const CLOCK: u32 = 1;
    const FLAGS: u32 = 1 << 1;
    const ANOTHER_MASK: u32 = 1 << 31;
    let present = layer.le32(4)?;
    if present & FLAGS == 0 {
        return Ok(0);
    }
    let (mut at, mut mask) = (8, present);
    while mask & ANOTHER_MASK != 0 {
        mask = layer.le32(at)?;
        at += 4;
    }
    if present & CLOCK != 0 {
        // Fields are aligned to their size, counted from the header's start.
        at = at.next_multiple_of(8) + 8;
    }
    layer.u8(at)
}

/// IEEE 802.11-2020 §9.2 and §9.3.2. `is_padded`: the header is filled up to four bytes.
fn frame(mut walk: Walk, layer: Layer<'_>, is_padded: bool) -> Result<Decoded, Skip> {
    walk.descend()?;
    let [kind, flags] = layer.array(0)?;
    let is_data = kind & 0x0c == 0x08;
    let has_no_body = kind & 0x40 != 0;
    let is_protected = flags & 0x40 != 0;
    if !is_data || has_no_body || is_protected {
        return Err(Skip::NotTcp);
    }
    let is_qos = kind & 0x80 != 0;
    let mut len: usize = 24;
    if flags & 0x03 == 0x03 {
        // To and from the distribution system: a fourth address.
        len += 6;
    }
    let qos_at = len;
    if is_qos {
        len += 2;
        if flags & 0x80 != 0 {
            // The "order" bit of a QoS frame says that an HT control field follows.
            len += 4;
        }
    }
    let body = layer.skip(if is_padded { len.next_multiple_of(4) } else { len })?;
    if is_qos && layer.u8(qos_at)? & 0x80 != 0 {
        // An aggregate: each part has two addresses and a length. The first one is read; more
        // than one in a frame would be more than one packet, which a capture seldom holds.
        let len = usize::from(body.be16(12)?);
        return ether::llc(walk, body.skip(14)?.limit(len));
    }
    ether::llc(walk, body)
}
