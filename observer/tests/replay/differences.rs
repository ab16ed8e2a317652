//! The list of captures that cannot give the same live.

use std::collections::BTreeMap;

use super::compare::Difference;

/// One capture's entry: by how much it differs, and the kind of reason.
pub(crate) struct Entry {
    pub(crate) difference: Difference,
    pub(crate) kind: String,
}

/// By capture.
pub(crate) struct Differences(BTreeMap<String, Entry>);

impl Differences {
    /// Reads `capture | N missing, M extra | kind | reason`.
    pub(crate) fn parse(text: &str) -> Self {
        let mut entries = BTreeMap::new();
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let parts: Vec<&str> = line.split(" | ").map(str::trim).collect();
            let &[name, difference, kind, reason] = parts.as_slice() else {
                panic!("not four parts: {line}");
            };
            assert!(
                reason.ends_with('.') && reason.len() > 20,
                "{name}: the reason is no sentence"
            );
            assert!(KINDS.contains(&kind), "{name}: `{kind}` is none of {KINDS:?}");
            let entry = Entry { difference: amount(difference), kind: kind.to_owned() };
            assert!(entries.insert(name.to_owned(), entry).is_none(), "{name} is listed twice");
        }
        Self(entries)
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Entry> {
        self.0.get(name)
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

#[track_caller]
fn amount(text: &str) -> Difference {
    let parse = || {
        let (missing, extra) = text.split_once(", ")?;
        let n_missing = missing.strip_suffix(" missing")?.parse().ok()?;
        let n_extra = extra.strip_suffix(" extra")?.parse().ok()?;
        Some(Difference { n_missing, n_extra })
    };
    let amount = parse().unwrap_or_else(|| panic!("`{text}` is not `N missing, M extra`"));
    assert_ne!(amount, Difference::NONE, "an entry without a difference");
    amount
}

/// The kinds of reason; `differences.txt` explains them.
const KINDS: [&str; 6] = ["tunnel", "fragment", "cut", "framing", "detection", "time"];
