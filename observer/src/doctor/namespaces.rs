//! Other network namespaces: how many there are, and whether those that were asked for can be
//! entered.

use super::Finding;
use crate::capture::live::survey;
use crate::capture::namespaces::Namespace;

pub(super) fn examine(wanted: &[Namespace]) -> Vec<Finding> {
    if wanted.is_empty() {
        return vec![unasked(survey::n_other_namespaces())];
    }
    let mut findings: Vec<_> = survey::namespaces(wanted)
        .into_iter()
        .map(|(place, entered)| judge(&place, entered))
        .collect();
    findings.extend(survey::missing_namespaces(wanted).iter().map(|name| missing(name)));
    if findings.is_empty() {
        findings
            .push(Finding::good(CHECK, "those asked for are watched anyway, or there are none"));
    }
    findings
}

fn missing(name: &str) -> Finding {
    Finding::warning(CHECK, format!("network namespace {name} is not there now")).remedy(
        "a name or a path is watched as soon as it appears; a process has to be there at the start",
    )
}

fn unasked(n_others: usize) -> Finding {
    let message = match n_others {
        0 => "this is the only one in sight".to_owned(),
        n => format!(
            "{n} other{}; what stays inside is seen with `--netns all`",
            if n == 1 { "" } else { "s" }
        ),
    };
    Finding::good(CHECK, message)
}

fn judge(place: &str, entered: Result<usize, String>) -> Finding {
    match entered {
        Ok(n) => {
            let s = if n == 1 { "" } else { "s" };
            Finding::good(place, format!("can be entered, {n} interface{s}"))
        }
        Err(error) => Finding::bad(place, format!("cannot be entered: {error}"))
            .remedy("run as root; under systemd, deploy/observer.service.d/netns.conf allows it"),
    }
}

const CHECK: &str = "network namespaces";

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;

    #[test]
    fn others_are_counted_and_the_way_to_them_is_named() {
        assert_eq!(unasked(0).message, "this is the only one in sight");
        assert!(unasked(1).message.starts_with("1 other; "));
        let some = unasked(3);
        assert!(some.message.starts_with("3 others; ") && some.message.contains("--netns"));
    }

    #[test]
    fn one_that_is_not_there_is_no_good_news() {
        let wanted = ["no-such-one"].map(|name| name.parse().unwrap());
        let findings = examine(&wanted);
        let [finding] = findings.as_slice() else { panic!("{findings:?}") };
        assert_eq!(finding.state, State::Warning);
        assert!(finding.message.contains("no-such-one"), "{finding:?}");
    }

    #[test]
    fn one_that_cannot_be_entered_has_a_remedy() {
        let good = judge("network namespace blue", Ok(1));
        assert_eq!(
            (good.state, good.message.as_str()),
            (State::Good, "can be entered, 1 interface")
        );
        let bad = judge("network namespace blue", Err("Operation not permitted".to_owned()));
        assert_eq!(bad.state, State::Bad);
        assert!(bad.remedy.unwrap().contains("root"));
    }
}
