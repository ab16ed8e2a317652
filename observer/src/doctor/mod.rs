//! `observer doctor`: what this host can do, what is missing, and what to do about it. It looks and
//! changes nothing. The facts are gathered at the edges (`capture::live::survey`, /proc, /sys); the
//! judgements here are plain functions over them. It knows no command line and no colours.

pub(crate) mod devices;
mod host;
mod kernel;
mod namespaces;
pub(crate) mod servers;

use serde::Serialize;

use crate::config::Config;

/// One line of the diagnosis.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at; an interface carries its name: `interface eth0`.
    pub check: String,
    pub state: State,
    pub message: String,
    /// What to do, where something can be done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    Good,
    /// It works, with something missing or dearer.
    Warning,
    /// Live capture does not work.
    Bad,
}

/// What `--json` prints: one object.
#[derive(Debug, Serialize)]
struct Report<'a> {
    /// Grows when a key changes its meaning; within a version only additions.
    schema: u32,
    state: State,
    findings: &'a [Finding],
}

/// Looks at everything, the most general first.
pub fn examine(config: &Config) -> Vec<Finding> {
    let mut findings = kernel::examine(config.capture.backend);
    findings.extend(host::examine(config));
    findings.extend(devices::examine());
    findings.extend(namespaces::examine(&config.capture.netns));
    findings.extend(servers::examine());
    findings
}

/// The worst of all.
pub fn verdict(findings: &[Finding]) -> State {
    findings.iter().map(|finding| finding.state).max().unwrap_or(State::Good)
}

pub fn json(findings: &[Finding]) -> Result<String, serde_json::Error> {
    serde_json::to_string(&Report { schema: 1, state: verdict(findings), findings })
}

impl Finding {
    pub(crate) fn new(check: impl Into<String>, state: State, message: impl Into<String>) -> Self {
        Self { check: check.into(), state, message: message.into(), remedy: None }
    }

    pub(crate) fn good(check: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(check, State::Good, message)
    }

    pub(crate) fn warning(check: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(check, State::Warning, message)
    }

    pub(crate) fn bad(check: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(check, State::Bad, message)
    }

    pub(crate) fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_finding_decides() {
        let good = Finding::good("a", "b");
        let warning = Finding::warning("a", "b").remedy("c");
        let bad = Finding::bad("a", "b");
        assert_eq!(verdict(&[]), State::Good);
        assert_eq!(verdict(&[good.clone(), warning.clone()]), State::Warning);
        assert_eq!(verdict(&[bad, warning.clone(), good.clone()]), State::Bad);
        assert_eq!(
            json(&[good, warning]).unwrap(),
            r#"{"schema":1,"state":"warning","findings":[{"check":"a","state":"good","message":"b"},{"check":"a","state":"warning","message":"b","remedy":"c"}]}"#
        );
    }
}
