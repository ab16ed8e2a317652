//! Which field names a head may hold: a filter that says "certainly not" in one instruction.
//!
//! Every message is asked for a dozen fields that it rarely has (`Transfer-Encoding`, `Expect`,
//! `Upgrade`, …), and comparing each with every name of the head was a tenth of the engine's time.

/// A set of names of which only first letter and length are kept, folded into 64 bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Names(u64);

impl Names {
    pub(super) fn insert(&mut self, name: &[u8]) {
        self.0 |= bit(name);
    }

    /// False only when no name equal to this one, whatever its case, was inserted.
    pub(super) fn may_have(self, name: &[u8]) -> bool {
        self.0 & bit(name) != 0
    }
}

/// Whether `name` is `known`, whatever its case. `known` is lower-case and of the bytes that names of
/// fields have, without `_`: then a byte of it with the bit 0x40 is a letter.
pub(super) fn is_same(name: &[u8], known: &[u8]) -> bool {
    if name.len() != known.len() {
        return false;
    }
    // Both ends, which meet or overlap up to 16 bytes; between them eight at a time.
    match (name.split_first_chunk::<8>(), known.split_first_chunk::<8>()) {
        (Some((first, rest)), Some((known_first, known_rest))) => {
            let mut differs = difference(*first, *known_first);
            for (word, known) in rest.as_chunks().0.iter().zip(known_rest.as_chunks().0) {
                differs |= difference(*word, *known);
            }
            if let (Some(last), Some(known)) = (name.last_chunk(), known.last_chunk()) {
                differs |= difference(*last, *known);
            }
            differs == 0
        }
        _ => name.iter().zip(known).fold(0, |d, (&a, &k)| d | (a | (k & 0x40) >> 1) ^ k) == 0,
    }
}

/// Zero where eight bytes are the same, letters in any case.
fn difference(word: [u8; 8], known: [u8; 8]) -> u64 {
    const LETTERS: u64 = 0x4040_4040_4040_4040;
    let known = u64::from_ne_bytes(known);
    (u64::from_ne_bytes(word) | (known & LETTERS) >> 1) ^ known
}

/// 31 keeps the names that decide something apart from those that browsers and servers send.
#[inline(always)]
fn bit(name: &[u8]) -> u64 {
    let first = name.first().map_or(0, |&first| usize::from(first | 0x20));
    1 << ((name.len() & 63).saturating_mul(31).saturating_add(first) & 63)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_inserted_is_found_in_any_case() {
        let mut names = Names::default();
        for name in ["Host", "x-api-key", "", "~odd"] {
            names.insert(name.as_bytes());
        }
        for name in ["host", "HOST", "X-Api-Key", "", "~odd"] {
            assert!(names.may_have(name.as_bytes()), "{name}");
        }
        assert!(!names.may_have(b"transfer-encoding"));
    }

    #[test]
    fn names_are_compared_as_ascii_without_case() {
        const KNOWN: [&str; 8] = [
            "host",
            "cookie",
            "upgrade",
            "x-api-key",
            "user-agent",
            "content-length",
            "transfer-encoding",
            "proxy-authorization",
        ];
        for known in KNOWN {
            for at in 0..known.len() {
                for byte in 0..=u8::MAX {
                    for upper in [false, true] {
                        let mut name = known.as_bytes().to_vec();
                        if upper {
                            name.make_ascii_uppercase();
                        }
                        name[at] = byte;
                        let expected = name.eq_ignore_ascii_case(known.as_bytes());
                        assert_eq!(is_same(&name, known.as_bytes()), expected, "{name:?}");
                    }
                }
            }
            assert!(!is_same(&known.as_bytes()[1..], known.as_bytes()));
        }
    }

    #[test]
    fn an_ordinary_request_is_told_from_what_it_lacks() {
        let mut names = Names::default();
        for name in ["Host", "User-Agent", "Accept", "Accept-Language", "Accept-Encoding"] {
            names.insert(name.as_bytes());
        }
        for name in ["transfer-encoding", "expect", "upgrade", "connection", "cookie"] {
            assert!(!names.may_have(name.as_bytes()), "{name}");
        }
    }
}
