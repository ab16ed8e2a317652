//! The last segments of a half, as far as a retransmission is compared with what it repeats.

use crate::segment::Offset;

/// Retransmissions that are compared with what they repeat: the last segments of each half.
const N_RECENT: usize = 4;

/// Bytes of a delivered segment that are compared with a retransmission of it. All of a small
/// message, the start of a large one: the comparison costs one hash on the hot path.
const COMPARED_BYTES: usize = 512;

/// Fingerprints of the segments that were delivered last. Few bits of each, because every flow has
/// eight of them: what was sent 4 GiB ago is not sent again, and longer segments than lengths can
/// tell apart are compared by their first bytes like all others.
#[derive(Debug, Default)]
pub(super) struct Recent {
    offsets: [u32; N_RECENT],
    hashes: [u32; N_RECENT],
    /// Zero where nothing was remembered yet.
    lengths: [u16; N_RECENT],
    n_remembered: u8,
}

impl Recent {
    /// Takes note of bytes that are delivered.
    pub(super) fn remember(&mut self, offset: Offset, bytes: &[u8]) {
        let oldest = usize::from(self.n_remembered) % N_RECENT;
        self.n_remembered = (self.n_remembered % N_RECENT as u8).saturating_add(1);
        let places = self.offsets.get_mut(oldest).zip(self.hashes.get_mut(oldest));
        if let Some(((old_offset, hash), old_length)) = places.zip(self.lengths.get_mut(oldest)) {
            *old_offset = offset.0 as u32;
            *hash = fingerprint(bytes) as u32;
            *old_length = length(bytes);
        }
    }

    /// Whether the same segment was delivered with other bytes.
    pub(super) fn contradict(&self, offset: Offset, bytes: &[u8]) -> bool {
        let (offset, length) = (offset.0 as u32, length(bytes));
        let mut entries = self.offsets.iter().zip(&self.lengths).zip(&self.hashes);
        let known = entries.find(|&((&o, &n), _)| o == offset && n == length);
        known.is_some_and(|(_, &hash)| length > 0 && hash != fingerprint(bytes) as u32)
    }
}

fn length(bytes: &[u8]) -> u16 {
    u16::try_from(bytes.len()).unwrap_or(u16::MAX)
}

/// A hash of the bytes' first part; only ever compared within this process and this flow, for
/// telling apart, not for protecting.
fn fingerprint(bytes: &[u8]) -> u64 {
    use std::hash::{BuildHasher, Hasher};
    let mut hasher = foldhash::fast::FixedState::with_seed(0x9401).build_hasher();
    hasher.write(bytes.get(..COMPARED_BYTES).unwrap_or(bytes));
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_four_segments_are_compared_and_no_other() {
        let mut recent = Recent::default();
        assert!(!recent.contradict(Offset(0), b"abc"), "nothing was delivered");
        for n in 0..5 {
            recent.remember(Offset(n), b"abc");
        }
        for n in 1..5 {
            assert!(!recent.contradict(Offset(n), b"abc"));
            assert!(recent.contradict(Offset(n), b"abd"));
            assert!(!recent.contradict(Offset(n), b"abcd"), "another segment");
        }
        assert!(!recent.contradict(Offset(0), b"abd"), "long ago");
    }

    #[test]
    fn large_segments_are_compared_by_their_beginnings() {
        let mut recent = Recent::default();
        let mut bytes = vec![b'a'; 100_000];
        recent.remember(Offset(7), &bytes);
        assert!(!recent.contradict(Offset(7), &bytes));
        bytes[511] = b'b';
        assert!(recent.contradict(Offset(7), &bytes));
    }
}
