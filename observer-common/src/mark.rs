//! What user space tells the object `mark`, which sets the DTH bit (RFC 9401), and what that
//! counts. Ports and hosts have the names and shapes of `config`.

/// The program. The name also tells `observe` what to attach behind.
pub const MARK_EGRESS: &str = "mark_egress";

/// Not 0: each segment that is marked takes an entry off the queue, and none is marked without.
/// The queue has a lock, so that the number is exact on any number of CPUs; the target has no
/// atomic addition that says what it made.
pub const LIMITED: &str = "LIMITED";
pub const TICKETS: &str = "TICKETS";
pub const TICKETS_MAX: u32 = 1 << 20;

/// The id of a cgroup whose sockets' segments are marked, or 0 for all.
pub const CGROUP: &str = "CGROUP";

/// How deep a cgroup may lie below the root for its ancestors to be found.
pub const CGROUP_DEPTH_MAX: i32 = 24;

/// Not 0: only segments whose payload holds a text in its first [`WINDOW`] bytes.
pub const TEXT_ON: &str = "TEXT_ON";
pub const TEXT_TABLE: &str = "TEXT_TABLE";
pub const TEXT_MAX: usize = 64;
pub const WINDOW: usize = 2048;

/// The state in which the text has been found.
pub const FOUND: u8 = u8::MAX;
/// One row of 256 next states for each number of bytes found so far.
pub const TABLE_LEN: usize = TEXT_MAX * 256;

/// The counters' map.
pub const MARKS: &str = "MARKS";

/// One CPU's counters, the value of `MARKS`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// Segments that carry the bit now.
    pub marked: u64,
    /// What they become on the wire: a super-segment is cut up later, and each part has its flags.
    pub on_wire: u64,
    /// Chosen, and the kernel would not write them.
    pub failed: u64,
}

/// Fills the table for a text of 1 to [`TEXT_MAX`] bytes: the automaton of Knuth, Morris and Pratt
/// with all its steps written out, so that a byte costs one look-up. False for other lengths.
pub fn fill(table: &mut [u8; TABLE_LEN], text: &[u8]) -> bool {
    if text.is_empty() || text.len() > TEXT_MAX {
        return false;
    }
    table.fill(0);
    // The state that the text without its first byte leads to: where a mismatch falls back to.
    let mut fall_back = 0;
    let (rows, _) = table.as_chunks_mut::<256>();
    for (state, byte) in text.iter().enumerate() {
        if state > 0 {
            rows[state] = rows[fall_back];
            fall_back = usize::from(rows[fall_back][usize::from(*byte)]);
        }
        let is_last = state + 1 == text.len();
        rows[state][usize::from(*byte)] = if is_last { FOUND } else { state as u8 + 1 };
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finds(text: &[u8], payload: &[u8]) -> bool {
        let mut table = [0; TABLE_LEN];
        assert!(fill(&mut table, text));
        let mut state = 0u8;
        for byte in payload {
            state = table[usize::from(state) * 256 + usize::from(*byte)];
            if state == FOUND {
                return true;
            }
        }
        false
    }

    #[test]
    fn a_text_is_found_wherever_it_is_and_nowhere_else() {
        let texts: [&[u8]; 6] = [b"a", b"ab", b"aab", b"abab", b"abcabd", "死ぬ".as_bytes()];
        let payloads: [&[u8]; 9] = [
            b"",
            b"a",
            b"b",
            b"aaab",
            b"ababab",
            b"abcabcabd",
            b"abcab",
            b"xx abab yy",
            "この戦争が終わったら死ぬかも".as_bytes(),
        ];
        for text in texts {
            for payload in payloads {
                let expected = payload.windows(text.len()).any(|window| window == text);
                assert_eq!(finds(text, payload), expected, "{text:?} in {payload:?}");
            }
        }
    }

    #[test]
    fn every_text_over_two_letters_is_found_in_every_payload_that_has_it() {
        for n in 1..7u32 {
            for bits in 0..1u32 << n {
                let letter = |word: u32, i: u32| b'a' + (word >> i & 1) as u8;
                let mut text = [0; 7];
                for i in 0..n {
                    text[i as usize] = letter(bits, i);
                }
                let text = &text[..n as usize];
                for word in 0..1u32 << 9 {
                    let payload: [u8; 9] = core::array::from_fn(|i| letter(word, i as u32));
                    let expected = payload.windows(text.len()).any(|window| window == text);
                    assert_eq!(finds(text, &payload), expected);
                }
            }
        }
    }

    #[test]
    fn lengths_that_do_not_fit_are_refused() {
        let mut table = [0; TABLE_LEN];
        assert!(!fill(&mut table, b""));
        assert!(!fill(&mut table, &[b'x'; TEXT_MAX + 1]));
        assert!(fill(&mut table, &[b'x'; TEXT_MAX]));
    }
}
