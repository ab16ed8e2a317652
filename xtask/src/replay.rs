//! Owns `cargo xtask replay`: the corpus of captures through the kernel, beside `observer read`.
//! What is compared and how is the test's, `observer/tests/replay`.

use anyhow::Result;

use crate::{runner::Runner, setup, test, workspace};

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Captures by their path within the corpus, such as zeek/entity_gap.pcap [default: all]
    #[arg(value_name = "CAPTURE")]
    captures: Vec<String>,
}

pub(crate) fn replay(options: &Options) -> Result<()> {
    setup::setup(&setup::Options { tests: true, ..setup::Options::default() })?;
    let mut cargo = workspace::cargo();
    cargo.args(["test", "--package", "observer", "--test", "replay", "--", "--nocapture"]);
    cargo.env("OBSERVER_REPLAY", which(&options.captures));
    // Whoever asks for a replay does not want to hear that it was left out.
    cargo.env("OBSERVER_REQUIRE_LIVE", "1");
    if let Some((key, value)) = test::privileged_runner()? {
        cargo.env(key, value);
    }
    Runner::new().run(&mut cargo)
}

/// The captures as the test's variable takes them.
fn which(captures: &[String]) -> String {
    if captures.is_empty() { "all".to_owned() } else { captures.join(",") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_name_it_is_all_of_them() {
        assert_eq!(which(&[]), "all");
        assert_eq!(which(&["a/b.pcap".to_owned(), "c/d.pcap".to_owned()]), "a/b.pcap,c/d.pcap");
    }
}
