//! Text for a terminal: units a person reads at a glance, and bytes from the wire made harmless.
//!
//! Everything an event carries was written by a peer. Printed as it came, a path could move the
//! cursor, retitle the window or hide the line above, so nothing reaches the terminal except
//! through [`harmless`].

use std::fmt::Write as _;

/// `text` with every character that a terminal would obey instead of show written as `\xHH` or
/// `\u{HHHH}`: C0 and C1 controls, and the Unicode marks that reorder or hide what follows.
pub(super) fn harmless(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() {
            // Writing to a String cannot fail.
            let _ = write!(out, "\\x{:02x}", u32::from(c));
        } else if invisible(c) {
            let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
        } else {
            out.push(c);
        }
    }
    out
}

/// Bidirectional marks, embeddings and isolates (Unicode TR 9 §2), zero-width characters, line
/// and paragraph separators, the byte order mark: they change how other characters look.
fn invisible(c: char) -> bool {
    matches!(
        c,
        '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
    )
}

/// At most `width` characters of `text`: the beginning and the end, `…` for what lies between.
/// The end of a path tells as much as its beginning, so neither is given up.
pub(super) fn shorten(text: &str, width: usize) -> String {
    let length = text.chars().count();
    if length <= width {
        return text.to_owned();
    }
    if width == 0 {
        return String::new();
    }
    let tail = (width - 1) / 2;
    let head = width - 1 - tail;
    text.chars()
        .take(head)
        .chain(std::iter::once('…'))
        .chain(text.chars().skip(length - tail))
        .collect()
}

/// `text` in lines of at most `width` characters, broken at spaces; a word that is longer has a line
/// of its own.
pub(super) fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// Bytes with three digits that matter and an SI prefix: `0B`, `612B`, `1.23kB`, `45.6MB`.
pub(super) fn size(bytes: u64) -> String {
    scaled(bytes, 1000, &["B", "kB", "MB", "GB", "TB", "PB", "EB"])
}

/// A duration with three digits that matter: `930µs`, `1.21ms`, `12.3s`, `2m05s`, `1h03m`.
pub(crate) fn duration(ns: u64) -> String {
    const SECOND: u64 = 1_000_000_000;
    let seconds = ns / SECOND;
    if seconds >= 3600 {
        format!("{}h{:02}m", seconds / 3600, seconds % 3600 / 60)
    } else if seconds >= 60 {
        format!("{}m{:02}s", seconds / 60, seconds % 60)
    } else {
        scaled(ns, 1000, &["ns", "µs", "ms", "s"])
    }
}

/// A count with its digits in groups of three: `1 204 551`.
pub(crate) fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(' ');
        }
        out.push(digit);
    }
    out
}

fn scaled(n: u64, step: u64, units: &[&str]) -> String {
    let mut scale = 1_u64;
    let mut unit = 0;
    // 999.5 of a unit would round to four digits, so it already counts as the next one.
    while unit + 1 < units.len() && n / scale >= step {
        scale *= step;
        unit += 1;
    }
    if scale > 1 && unit + 1 < units.len() && n >= scale * step - scale / 2 {
        scale *= step;
        unit += 1;
    }
    let unit = units[unit];
    if scale == 1 {
        return format!("{n}{unit}");
    }
    let whole = n as f64 / scale as f64;
    let decimals = match whole {
        w if w < 9.995 => 2,
        w if w < 99.95 => 1,
        _ => 0,
    };
    format!("{whole:.decimals$}{unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_shown_and_not_obeyed() {
        assert_eq!(harmless("/a\x1b[2Jb\r\n\u{9b}31m\x7f"), r"/a\x1b[2Jb\x0d\x0a\x9b31m\x7f");
    }

    #[test]
    fn marks_that_reorder_text_are_shown_and_not_obeyed() {
        assert_eq!(harmless("/\u{202e}fdp.exe\u{200b}"), r"/\u{202e}fdp.exe\u{200b}");
    }

    #[test]
    fn letters_of_other_scripts_stay() {
        assert_eq!(harmless("/grüße/Ünïcode/日本"), "/grüße/Ünïcode/日本");
    }

    #[test]
    fn a_long_path_keeps_its_beginning_and_its_end() {
        assert_eq!(shorten("/api/v1/customers/12345/orders", 15), "/api/v1…/orders");
        assert_eq!(shorten("/short", 15), "/short");
        assert_eq!(shorten("/ünïcödé/päth", 6), "/ün…th");
        assert_eq!(shorten("/x", 1), "…");
        assert_eq!(shorten("/x", 0), "");
    }

    #[test]
    fn lines_are_broken_between_words() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("a long-word b", 4), ["a", "long-word", "b"]);
        assert_eq!(wrap("", 4), [""]);
    }

    #[track_caller]
    fn check(got: &str, want: &str) {
        assert_eq!(got, want);
    }

    #[test]
    fn sizes_have_three_digits() {
        check(&size(0), "0B");
        check(&size(999), "999B");
        check(&size(1000), "1.00kB");
        check(&size(12_345), "12.3kB");
        check(&size(999_400), "999kB");
        check(&size(999_600), "1.00MB");
        check(&size(1 << 30), "1.07GB");
        check(&size(u64::MAX), "18.4EB");
    }

    #[test]
    fn durations_have_three_digits() {
        check(&duration(0), "0ns");
        check(&duration(930_000), "930µs");
        check(&duration(1_214_000), "1.21ms");
        check(&duration(12_340_000_000), "12.3s");
        check(&duration(59_990_000_000), "60.0s");
        check(&duration(125_000_000_000), "2m05s");
        check(&duration(3_780_000_000_000), "1h03m");
    }

    #[test]
    fn counts_are_grouped() {
        check(&count(0), "0");
        check(&count(999), "999");
        check(&count(1_204_551), "1 204 551");
    }
}
