//! The time of day in a line, when somebody has set the clock since the capture began.
//!
//! The engine's time does not follow such a change: no flow may time out for it and no duration be
//! wrong. What a line says it happened at should be what the clock on the wall says, so it is put
//! right here, in the few captures that live through such a thing.

use super::text::rfc3339;
use crate::segment::Timestamp;

/// Moves the line's `timestamp`, its first key. A line that does not begin so stays as it is.
pub(crate) fn shift(line: &mut [u8], nanoseconds: i64) {
    let Some(text) = line.get_mut(KEY.len()..KEY.len() + LEN) else { return };
    let parsed = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
    let Some(time): Option<jiff::Timestamp> = parsed else { return };
    let moved = time.as_nanosecond().saturating_add(i128::from(nanoseconds));
    let Ok(moved) = u64::try_from(moved) else { return };
    text.copy_from_slice(&rfc3339(Timestamp(moved)));
}

const KEY: &[u8] = br#"{"timestamp":""#;
const LEN: usize = "2026-11-21T13:03:22.118000123Z".len();

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, seconds: i64, want: &str) {
        let mut line = line.as_bytes().to_vec();
        shift(&mut line, seconds * 1_000_000_000 + 1);
        assert_eq!(String::from_utf8(line).unwrap(), want);
    }

    #[test]
    fn a_line_is_told_by_the_clock_that_was_set() {
        let line = r#"{"timestamp":"2026-11-21T13:03:22.118000123Z","event":{}}"#;
        check(line, 3600, r#"{"timestamp":"2026-11-21T14:03:22.118000124Z","event":{}}"#);
        check(line, -86_400, r#"{"timestamp":"2026-11-20T13:03:22.118000124Z","event":{}}"#);
        check("{}", 3600, "{}");
        check(r#"{"timestamp":"x"}"#, 3600, r#"{"timestamp":"x"}"#);
    }
}
