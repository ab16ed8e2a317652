//! Bytes from the wire as JSON text, without losing any and without inventing any.

use std::cell::Cell;
use std::fmt::Write as _;

use serde::{Serialize, Serializer};

use super::digits;
use crate::segment::Timestamp;

/// Bytes that are usually UTF-8. A byte that is not part of valid UTF-8 becomes `\xNN`, four
/// characters of text, as Zeek writes it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Text<'a>(pub(super) &'a [u8]);

impl Serialize for Text<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(self.0) {
            Ok(text) => serializer.serialize_str(text),
            Err(_) => serializer.serialize_str(&escape(self.0)),
        }
    }
}

/// The same as a string.
pub(crate) fn escape(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            // Writing to a String cannot fail.
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}

/// The same, in lower case: field names.
pub(super) fn lower(bytes: &[u8]) -> String {
    let mut text = escape(bytes);
    text.make_ascii_lowercase();
    text
}

/// A time as RFC 3339 with nanoseconds, UTC.
#[derive(Clone, Copy, Debug)]
pub(super) struct Time(pub(super) Timestamp);

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = rfc3339(self.0);
        serializer.serialize_str(std::str::from_utf8(&text).unwrap_or_default())
    }
}

/// A time as RFC 3339 with nanoseconds, UTC. 64 bits of nanoseconds end in the year 2554, so every
/// part has its digits.
pub(super) fn rfc3339(time: Timestamp) -> [u8; 30] {
    let mut text = [0; 30];
    write_rfc3339(time, &mut text);
    text
}

/// The same to where it is wanted.
pub(super) fn write_rfc3339(time: Timestamp, text: &mut [u8; 30]) {
    let (second, ns) = (time.0 / 1_000_000_000, (time.0 % 1_000_000_000) as u32);
    text[..20].copy_from_slice(&date_and_time(second));
    text[20..28].copy_from_slice(&digits::eight(ns / 10).to_le_bytes());
    // Below 10.
    text[28] = b'0' | (ns % 10) as u8;
    text[29] = b'Z';
}

/// The second of that number since 1970-01-01, and a point. Events come in the order of time, nearly:
/// it is that of the event before, or at least the day is.
fn date_and_time(second: u64) -> [u8; 20] {
    thread_local! {
        static LAST: Cell<(u64, [u8; 20])> = const { Cell::new((0, *b"1970-01-01T00:00:00.")) };
    }
    let (last, mut text) = LAST.get();
    if last == second {
        return text;
    }
    let (day, of_day) = (second / 86_400, (second % 86_400) as u32);
    if last / 86_400 != day {
        text[..10].copy_from_slice(&date(day));
    }
    let (hour, minute, of_minute) = (of_day / 3_600, of_day / 60 % 60, of_day % 60);
    // Two digits each, and between them a zero that becomes a colon.
    let clock = digits::eight(hour * 1_000_000 + minute * 1_000 + of_minute);
    let clock = clock + 0x0000_0a00_000a_0000;
    text[11..19].copy_from_slice(&clock.to_le_bytes());
    LAST.set((second, text));
    text
}

/// The day of that number since 1970-01-01.
fn date(day: u64) -> [u8; 10] {
    let midnight = jiff::Timestamp::from_second(day as i64 * 86_400).unwrap_or_default();
    let date = jiff::tz::Offset::UTC.to_datetime(midnight).date();
    let number = u32::from(date.year().unsigned_abs()) * 10_000
        + u32::from(date.month().unsigned_abs()) * 100
        + u32::from(date.day().unsigned_abs());
    let [a, b, c, d, m, n, x, y] = digits::eight(number).to_le_bytes();
    [a, b, c, d, b'-', m, n, b'-', x, y]
}

/// Displayed, not serialised by its parts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shown<T>(pub(super) T);

impl<T: std::fmt::Display> Serialize for Shown<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// The reason phrase of RFC 9110 §15 for the usual status codes; empty for others.
pub(super) fn usual_reason(status: u16) -> &'static [u8] {
    match status {
        100 => b"Continue",
        101 => b"Switching Protocols",
        200 => b"OK",
        201 => b"Created",
        202 => b"Accepted",
        204 => b"No Content",
        206 => b"Partial Content",
        301 => b"Moved Permanently",
        302 => b"Found",
        303 => b"See Other",
        304 => b"Not Modified",
        307 => b"Temporary Redirect",
        308 => b"Permanent Redirect",
        400 => b"Bad Request",
        401 => b"Unauthorized",
        403 => b"Forbidden",
        404 => b"Not Found",
        405 => b"Method Not Allowed",
        408 => b"Request Timeout",
        409 => b"Conflict",
        410 => b"Gone",
        411 => b"Length Required",
        412 => b"Precondition Failed",
        413 => b"Content Too Large",
        414 => b"URI Too Long",
        415 => b"Unsupported Media Type",
        416 => b"Range Not Satisfiable",
        417 => b"Expectation Failed",
        421 => b"Misdirected Request",
        422 => b"Unprocessable Content",
        426 => b"Upgrade Required",
        429 => b"Too Many Requests",
        500 => b"Internal Server Error",
        501 => b"Not Implemented",
        502 => b"Bad Gateway",
        503 => b"Service Unavailable",
        504 => b"Gateway Timeout",
        _ => b"",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn invalid_utf8_is_escaped_byte_by_byte() {
        assert_eq!(serde_json::to_string(&Text(b"a\xff\xc3\xa9")).unwrap(), r#""a\\xffé""#);
    }

    #[test]
    fn times_follow_each_other_over_seconds_and_days() {
        const DAY: u64 = 86_400;
        for second in [0, 1, 1, 59, 60, DAY - 1, DAY, DAY, 5 * DAY + 7, DAY - 1, 0, 1_700_000_000] {
            let time = jiff::Timestamp::from_second(second as i64).unwrap();
            let text = rfc3339(Timestamp(second * 1_000_000_000));
            assert_eq!(std::str::from_utf8(&text).unwrap(), format!("{time:.9}"));
        }
    }

    #[test]
    fn times_have_nanoseconds() {
        let time = Time(crate::segment::Timestamp(1_700_000_000_000_000_001));
        assert_eq!(serde_json::to_string(&time).unwrap(), r#""2023-11-14T22:13:20.000000001Z""#);
    }

    proptest! {
        #[test]
        fn times_are_those_of_jiff(ns in any::<u64>()) {
            let time = jiff::Timestamp::from_nanosecond(i128::from(ns)).unwrap();
            let text = rfc3339(crate::segment::Timestamp(ns));
            prop_assert_eq!(std::str::from_utf8(&text).unwrap(), format!("{time:.9}"));
        }
    }
}
