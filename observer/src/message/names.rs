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
