//! The documented configuration, damaged in every way that fits into some seconds: each is taken, or
//! refused with a place and a reason; never a panic, never a hang.

use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use super::{Config, KEYS};

const EXAMPLE: &str = include_str!("../../../docs/observer.example.toml");

/// The example with its sinks, which stand there as comments.
fn documented() -> String {
    let plain = EXAMPLE.lines().map(|line| match line.strip_prefix("# ") {
        Some(rest) if rest == "[[sinks]]" || rest.contains(" = ") => rest,
        _ => line,
    });
    plain.collect::<Vec<_>>().join("\n")
}

#[derive(Clone, Debug)]
enum Damage {
    /// Bytes replaced, put in, taken out.
    Put(usize, String),
    Cut(usize, usize),
    /// Whole lines taken out, repeated, exchanged.
    Drop(usize),
    Repeat(usize),
    Swap(usize, usize),
    /// A value replaced by another kind of value.
    Value(usize, String),
}

fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("0".to_owned()),
        Just("-1".to_owned()),
        Just("18446744073709551616".to_owned()),
        Just("9223372036854775807".to_owned()),
        Just("4294967295".to_owned()),
        Just("1e308".to_owned()),
        Just("nan".to_owned()),
        Just("true".to_owned()),
        Just("''".to_owned()),
        Just("'\u{0}'".to_owned()),
        Just("\"\\u0000\\u001b[2J\"".to_owned()),
        Just("[]".to_owned()),
        Just("[[[[]]]]".to_owned()),
        Just("{}".to_owned()),
        Just("1979-05-27T07:32:00Z".to_owned()),
        Just(format!("'{}'", "a".repeat(70_000))),
        Just(format!("{}{}", "[".repeat(5_000), "]".repeat(5_000))),
        Just("'99999999999999999999h'".to_owned()),
        any::<i64>().prop_map(|n| n.to_string()),
        "\\PC{0,20}".prop_map(|text| format!("{text:?}")),
    ]
}

fn damage() -> impl Strategy<Value = Damage> {
    let at = || 0..100_000_usize;
    prop_oneof![
        (at(), "\\PC{1,3}|[\\[\\]{}=\"'#\n.,]").prop_map(|(i, text)| Damage::Put(i, text)),
        (at(), 1..40_usize).prop_map(|(i, n)| Damage::Cut(i, n)),
        at().prop_map(Damage::Drop),
        at().prop_map(Damage::Repeat),
        (at(), at()).prop_map(|(a, b)| Damage::Swap(a, b)),
        (at(), value()).prop_map(|(i, value)| Damage::Value(i, value)),
    ]
}

fn apply(text: &str, damage: &Damage) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut lines: Vec<&str> = text.split('\n').collect();
    let n_lines = lines.len();
    match damage {
        Damage::Put(at, new) => {
            let (before, after) = chars.split_at(at % (chars.len() + 1));
            return before
                .iter()
                .copied()
                .chain(new.chars())
                .chain(after.iter().copied())
                .collect();
        }
        Damage::Cut(at, n) => {
            let start = at % (chars.len() + 1);
            let end = (start + n).min(chars.len());
            return chars[..start].iter().chain(&chars[end..]).collect();
        }
        Damage::Drop(at) => drop(lines.remove(at % n_lines)),
        Damage::Repeat(at) => lines.insert(at % n_lines, lines[at % n_lines]),
        Damage::Swap(a, b) => lines.swap(a % n_lines, b % n_lines),
        Damage::Value(at, value) => {
            let keys: Vec<usize> = (0..n_lines).filter(|i| lines[*i].contains(" = ")).collect();
            let Some(&line) = keys.get(at % keys.len().max(1)) else { return text.to_owned() };
            let key = lines[line].split(" = ").next().unwrap_or("");
            let changed = format!("{key} = {value}");
            let mut lines: Vec<String> = lines.into_iter().map(str::to_owned).collect();
            lines[line] = changed;
            return lines.join("\n");
        }
    }
    lines.join("\n")
}

#[test]
fn what_is_documented_is_taken() {
    let config = Config::parse(&documented()).unwrap();
    assert!(config.all_sinks().len() > 4, "{config:?}");
}

/// A refusal points into the text and says something that fits on a screen.
fn judge(text: &str) -> Result<bool, TestCaseError> {
    match Config::parse(text) {
        Ok(config) => {
            // What was taken can be used without a panic.
            let _ = (config.all_sinks(), config.governor.budget());
            prop_assert_eq!(config.check_all(), Ok(()));
            Ok(true)
        }
        Err((at, message)) => {
            prop_assert!(at <= text.len(), "{at} of {}", text.len());
            prop_assert!(!message.trim().is_empty());
            prop_assert!(message.chars().count() <= 501, "{message}");
            Ok(false)
        }
    }
}

/// So many of them, which takes some seconds, unless PROPTEST_CASES says otherwise.
const N_CASES: u32 = 1_000;

fn runner() -> TestRunner {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok());
    TestRunner::new(ProptestConfig {
        cases: cases.unwrap_or(N_CASES),
        failure_persistence: None,
        ..ProptestConfig::default()
    })
}

#[test]
fn damaged_files_are_taken_or_refused_with_a_reason() {
    let text = documented();
    let (n_taken, n_refused) = (std::cell::Cell::new(0_u32), std::cell::Cell::new(0_u32));
    let damages = proptest::collection::vec(damage(), 1..4);
    let result = runner().run(&damages, |damages| {
        let damaged = damages.iter().fold(text.clone(), |text, damage| apply(&text, damage));
        let count = if judge(&damaged)? { &n_taken } else { &n_refused };
        count.set(count.get() + 1);
        Ok(())
    });
    result.unwrap();
    // Both happen often, or the damage is none, or nothing but noise.
    let (n_taken, n_refused) = (n_taken.get(), n_refused.get());
    assert!(n_taken > N_CASES / 50 && n_refused > N_CASES / 50, "{n_taken} {n_refused}");
}

/// Every key, with every kind of value, alone.
#[test]
fn no_key_takes_a_value_in_silence_that_it_cannot_use() {
    let keys = KEYS.iter().filter(|(section, _)| *section != "sinks");
    let keys = keys.flat_map(|(section, keys)| keys.iter().map(move |key| (section, key)));
    let values = ["-1", "18446744073709551616", "1.5", "{}", "[{}]", "1979-05-27", "nan"];
    for (section, key) in keys {
        for value in values {
            let text = format!("[{section}]\n{key} = {value}\n");
            let (at, message) = Config::parse(&text).expect_err(&text);
            assert!(at > section.len() && !message.is_empty(), "{text}{at}: {message}");
        }
    }
}
