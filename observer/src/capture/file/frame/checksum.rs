//! The Internet checksum (RFC 1071).

use super::Addresses;

/// Ones' complement sum of 16-bit words, folded. An odd last byte counts as if a zero followed.
pub(super) fn sum(bytes: &[u8]) -> u16 {
    fold(raw_sum(bytes))
}

/// Whether the checksum in a whole TCP segment is wrong in a way that the network did, not the
/// capture: a sender's host leaves the field unfinished for its network card to fill in.
pub(super) fn is_tcp_wrong(addresses: &Addresses, segment: &[u8], field: u16) -> bool {
    const TCP: u64 = 6;
    let (source, destination) = if addresses.is_v4 {
        (&addresses.source[12..], &addresses.destination[12..])
    } else {
        (&addresses.source[..], &addresses.destination[..])
    };
    let pseudo = raw_sum(source) + raw_sum(destination) + TCP;
    let with_len = pseudo + segment.len() as u64;
    if fold(with_len + raw_sum(segment)) == 0xffff {
        return false;
    }
    // Not filled in at all; or, as Linux leaves it (CHECKSUM_PARTIAL), the sum over the pseudo
    // header; or that without the length, for a segment still to be split by the card.
    let is_unfinished = field == 0 || field == fold(with_len) || field == fold(pseudo);
    !is_unfinished
}

/// The sum in this machine's byte order, folded, is that of the network's with its bytes swapped
/// (RFC 1071 §2 (B)): no word has to be swapped on the way.
fn raw_sum(bytes: &[u8]) -> u64 {
    // Eight bytes at a time: the upper half of the sum takes the carries.
    let (words, rest) = bytes.as_chunks::<8>();
    let mut total: u128 = words.iter().map(|&word| u128::from(u64::from_ne_bytes(word))).sum();
    let mut last = [0; 8];
    for (to, from) in last.iter_mut().zip(rest) {
        *to = *from;
    }
    total += u128::from(u64::from_ne_bytes(last));
    // Carries come back in at the low end, and halves of a sum add up to it (RFC 1071 §2 (C)).
    let carried = (total >> 64) + (total & u128::from(u64::MAX));
    let halves = (carried >> 64) as u64 + (carried >> 32 & 0xffff_ffff) as u64;
    u64::from(u16::from_be_bytes(fold(halves + (carried as u32 as u64)).to_ne_bytes()))
}

fn fold(mut total: u64) -> u16 {
    while total > 0xffff {
        total = (total & 0xffff) + (total >> 16);
    }
    total as u16
}
