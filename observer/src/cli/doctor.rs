//! `observer doctor`: the findings as lines for people or as one JSON object.

use anstyle::{AnsiColor, Style};
use anyhow::Context as _;
use clap::ColorChoice;

use super::args::DoctorArgs;
use super::{Failure, print, wants_colour};
use crate::config::Config;
use crate::doctor::{self, Finding, State};

pub(super) fn run(args: &DoctorArgs, color: ColorChoice) -> Result<(), Failure> {
    let config = args.config.as_deref().map(Config::load).transpose();
    let mut config = config.map_err(|err| Failure::Config(err.into()))?.unwrap_or_default();
    if let Some(socket) = &args.socket {
        config.control.socket.clone_from(socket);
    }
    if !args.netns.is_empty() {
        config.capture.netns.clone_from(&args.netns);
    }
    let findings = doctor::examine(&config);
    let text = match args.json {
        true => doctor::json(&findings).context("cannot write the findings")? + "\n",
        false => lines(&findings, wants_colour(color)),
    };
    print(text.as_bytes())?;
    match doctor::verdict(&findings) {
        State::Good | State::Warning => Ok(()),
        // The findings have said it.
        State::Bad => Err(Failure::Said),
    }
}

/// A line a finding, its remedy below it.
pub(super) fn lines(findings: &[Finding], colour: bool) -> String {
    let width = findings.iter().map(|finding| finding.check.len()).max().unwrap_or(0);
    let mut text = String::new();
    for Finding { check, state, message, remedy } in findings {
        let (word, style) = match state {
            State::Good => ("good   ", AnsiColor::Green.on_default()),
            State::Warning => ("warning", AnsiColor::Yellow.on_default()),
            State::Bad => ("bad    ", AnsiColor::Red.on_default().bold()),
        };
        let style = if colour { style } else { Style::new() };
        let message = printable(message);
        text.push_str(&format!("{style}{word}{style:#}  {check:width$}  {message}\n"));
        if let Some(remedy) = remedy {
            text.push_str(&format!("{:9}{:width$}  → {}\n", "", "", printable(remedy)));
        }
    }
    text
}

/// Names of programs and processes are chosen by others: control characters do not reach a terminal.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_stand_in_columns_with_their_remedies_below() {
        let finding = |check: &str, state, message: &str, remedy: Option<&str>| Finding {
            check: check.to_owned(),
            state,
            message: message.to_owned(),
            remedy: remedy.map(str::to_owned),
        };
        let findings = [
            finding("kernel", State::Good, "Linux 6.1", None),
            finding("jit", State::Warning, "off\x1b[2J", Some("switch it on")),
        ];
        assert_eq!(
            lines(&findings, false),
            "good     kernel  Linux 6.1\n\
             warning  jit     off\u{fffd}[2J\n                 → switch it on\n"
        );
        assert!(lines(&findings, true).starts_with("\x1b[32mgood"));
    }
}
