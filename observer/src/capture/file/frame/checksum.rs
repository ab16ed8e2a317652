//! The Internet checksum (RFC 1071).

use super::Addresses;

/// Ones' complement sum of 16-bit words, folded. An odd last byte counts as if a zero followed.
pub(super) fn sum(bytes: &[u8]) -> u16 {
    fold(words(bytes))
}

/// Whether the checksum in a whole TCP segment is wrong in a way that the network did, not the
/// capture: a sender's host leaves the field unfinished for its network card to fill in.
pub(super) fn is_tcp_wrong(addresses: &Addresses, segment: &[u8], field: u16) -> bool {
    // Numbers that do not stand in the packet have to have their bytes swapped as well, which is
    // what a multiplication by 256 does where carries come back in at the low end.
    const TCP: u64 = 6 << 8;
    let (source, destination) = if addresses.is_v4 {
        (&addresses.source[12..], &addresses.destination[12..])
    } else {
        (&addresses.source[..], &addresses.destination[..])
    };
    let pseudo = words(source) + words(destination) + TCP;
    let with_len = pseudo + ((segment.len() as u64) << 8);
    if fold(with_len + words(segment)) == 0xffff {
        return false;
    }
    // Not filled in at all; or, as Linux leaves it (CHECKSUM_PARTIAL), the sum over the pseudo
    // header; or that without the length, for a segment still to be split by the card.
    let is_unfinished = field == 0 || field == fold(with_len) || field == fold(pseudo);
    !is_unfinished
}

/// The sum of 32-bit words, their bytes swapped: folded, it is that of the network's order with its
/// bytes swapped (RFC 1071 §2 (B)), so that no word has to be swapped on the way. Two words a step,
/// each in a place of 64 bits, which leaves room for the carries of four billion of them.
#[inline(always)]
fn words(bytes: &[u8]) -> u64 {
    const LOW: u64 = 0xffff_ffff;
    let halves = |two: u64| (two & LOW) + (two >> 32);
    let (pairs, rest) = bytes.as_chunks::<8>();
    let total: u64 = pairs.iter().map(|&two| halves(u64::from_le_bytes(two))).sum();
    // What is left over is read together with some of what was added already, which is shifted out.
    let last = match bytes.last_chunk() {
        Some(last) => u64::from_le_bytes(*last).checked_shr(64 - 8 * rest.len() as u32),
        None => Some(rest.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte))),
    };
    total + halves(last.unwrap_or(0))
}

/// The upper halves of a sum added to the lower ones (RFC 1071 §2 (C)) until 16 bits hold it, in the
/// network's order.
#[inline(always)]
fn fold(total: u64) -> u16 {
    let total = (total >> 32) + (total & 0xffff_ffff);
    // Less than 2³³, then 2¹⁸, then 2¹⁶ + 3.
    let total = (total >> 16) + (total & 0xffff);
    let total = (total >> 16) + (total & 0xffff);
    let total = (total >> 16) + (total & 0xffff);
    (total as u16).swap_bytes()
}

#[cfg(test)]
mod tests;
