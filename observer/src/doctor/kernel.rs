//! The kernel itself: its version, what it was built with, what this process may ask of it, and
//! whether it takes our programs.

use std::fs;

use super::Finding;
use crate::capture::live::survey::version::{OLDEST, numbers};
use crate::capture::live::survey::{self, Accepted};
use crate::capture::live::{Backend, CaptureError, with_causes};
use crate::config;

pub(super) fn examine(backend: config::Backend) -> Vec<Finding> {
    let mut findings = vec![version(&survey::version::release()), capabilities()];
    let wanted = match backend {
        config::Backend::Auto => Backend::Auto,
        config::Backend::Tc => Backend::Tc,
        config::Backend::Socket => Backend::Socket,
    };
    let tried = survey::try_programs(wanted);
    findings.push(jit(tried.as_ref().ok(), read("/proc/sys/net/core/bpf_jit_enable").as_deref()));
    findings.extend(programs(&tried));
    findings.push(attachment(survey::has_tcx()));
    findings.push(btf(fs::exists("/sys/kernel/btf/vmlinux").unwrap_or(false)));
    findings.extend(sockmap(survey::socket_redirectors().as_deref()));
    findings
}

fn version(release: &str) -> Finding {
    let check = "kernel";
    let linux = format!("Linux {release}");
    match numbers(release) {
        None => Finding::warning(check, format!("{linux}: a version that cannot be read")),
        Some(version) if version < OLDEST => {
            Finding::bad(check, format!("{linux}: its verifier cannot check observer's programs"))
                .remedy("use Linux 5.13 or later")
        }
        Some(_) => Finding::good(check, linux),
    }
}

fn capabilities() -> Finding {
    let [tc, socket] = [Backend::Tc, Backend::Socket].map(survey::missing_capabilities);
    judge_capabilities(&tc, &socket)
}

fn judge_capabilities(tc: &[&str], socket: &[&str]) -> Finding {
    let check = "capabilities";
    let remedy = "run as root or with sudo, or give these capabilities to the service";
    match (tc, socket) {
        ([], []) => Finding::good(check, "all that both backends need"),
        ([], _) => Finding::good(check, "all that tc needs"),
        (missing, []) => Finding::warning(
            check,
            format!("{} missing: only the packet socket can be had", missing.join(" and ")),
        )
        .remedy(remedy),
        (missing, _) => {
            Finding::bad(check, format!("{} missing", missing.join(" and "))).remedy(remedy)
        }
    }
}

/// What the loaded programs show is certain; the switch may be out of sight in a network namespace.
fn jit(accepted: Option<&Accepted>, switch: Option<&str>) -> Finding {
    let check = "jit";
    let is_on = accepted.map(|it| it.is_jitted).or(switch.map(|it| it.trim() != "0"));
    match is_on {
        Some(true) => Finding::good(check, "BPF programs are compiled to machine code"),
        Some(false) => Finding::warning(
            check,
            "BPF programs are interpreted, which makes each packet several times dearer",
        )
        .remedy("sysctl net.core.bpf_jit_enable=1"),
        None => Finding::warning(check, "cannot tell whether BPF programs are compiled")
            .remedy("run `observer doctor` as root"),
    }
}

fn programs(tried: &Result<Accepted, CaptureError>) -> Option<Finding> {
    let check = "programs";
    match tried {
        Ok(Accepted { n_verified, .. }) => {
            let walked = n_verified.filter(|n| *n > 0);
            let walked = walked.map(|n| format!(" after {n} instructions")).unwrap_or_default();
            Some(Finding::good(check, format!("the kernel's verifier accepts them{walked}")))
        }
        // That is a finding of its own already.
        Err(CaptureError::MissingPrivileges { .. }) => None,
        // The verifier's log is for a report of a fault, not for this list.
        Err(CaptureError::Refused { source, .. }) => {
            let message = format!("the kernel's verifier refuses them: {source}");
            Some(Finding::bad(check, message).remedy(
                "please report it with the output of `observer run`, which has the verifier's log",
            ))
        }
        Err(error) => {
            let message = with_causes(error);
            Some(Finding::bad(check, message).remedy("observer run says the same in full"))
        }
    }
}

fn attachment(has_tcx: Option<bool>) -> Finding {
    let check = "tc";
    match has_tcx {
        Some(true) => Finding::good(check, "TCX: observer attaches at the head of each chain"),
        Some(false) => Finding::good(
            check,
            "no TCX before Linux 6.6: observer attaches as filter of priority 1 in clsact",
        ),
        None => Finding::warning(check, "cannot tell: the kernel does not say without privileges")
            .remedy("run `observer doctor` as root"),
    }
}

fn btf(is_there: bool) -> Finding {
    match is_there {
        true => Finding::good("btf", "there"),
        false => Finding::warning("btf", "the kernel tells no types; capture works without")
            .remedy("a kernel built with CONFIG_DEBUG_INFO_BTF, if other BPF tools need it"),
    }
}

/// Data that a sockmap moves from socket to socket crosses no interface.
fn sockmap(redirectors: Option<&[String]>) -> Option<Finding> {
    let names = redirectors.filter(|names| !names.is_empty())?;
    let message = format!(
        "{} may move data between local sockets past every interface, unseen",
        names.join(", ")
    );
    Some(Finding::warning("sockmap", message).remedy(
        "switch socket acceleration off in the mesh or CNI that loaded it, if local traffic is missing",
    ))
}

fn read(path: &str) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;

    #[track_caller]
    fn check(finding: &Finding, state: State, words: &str) {
        assert_eq!(finding.state, state, "{finding:?}");
        assert!(finding.message.contains(words), "{finding:?}");
        assert_eq!(finding.remedy.is_some(), state != State::Good, "{finding:?}");
    }

    #[test]
    fn a_kernel_is_judged_by_its_version() {
        check(&version("5.10.0-28-cloud-amd64"), State::Bad, "cannot check");
        check(&version("5.15.0-113-generic"), State::Good, "Linux 5.15");
        check(&version("6.18.44"), State::Good, "Linux 6.18.44");
        assert_eq!(numbers("6.1.0-56-cloud-amd64"), Some((6, 1)));
        assert_eq!(numbers("next"), None);
    }

    #[test]
    fn one_backend_that_can_be_had_is_enough() {
        let all = ["CAP_BPF", "CAP_NET_ADMIN"];
        check(&judge_capabilities(&[], &["CAP_NET_RAW"]), State::Good, "tc");
        check(&judge_capabilities(&["CAP_NET_ADMIN"], &[]), State::Warning, "CAP_NET_ADMIN");
        check(&judge_capabilities(&all, &["CAP_BPF"]), State::Bad, "CAP_BPF and CAP_NET_ADMIN");
    }

    #[test]
    fn loaded_programs_know_better_than_the_switch() {
        let accepted = Accepted { is_jitted: true, n_verified: None };
        check(&jit(Some(&accepted), Some("0")), State::Good, "machine code");
        check(&jit(None, Some("0\n")), State::Warning, "interpreted");
        check(&jit(None, None), State::Warning, "cannot tell");
    }

    #[test]
    fn refused_programs_are_bad_and_absent_privileges_are_told_once() {
        let refused = CaptureError::Refused {
            program: "x",
            source: std::io::Error::from_raw_os_error(libc::EACCES),
            log: "long".to_owned(),
        };
        check(&programs(&Err(refused)).unwrap(), State::Bad, "verifier refuses");
        let missing = CaptureError::MissingPrivileges { missing: vec!["CAP_BPF"] };
        assert_eq!(programs(&Err(missing)), None);
    }

    #[test]
    fn a_sockmap_is_named() {
        assert_eq!(sockmap(Some(&[])), None);
        assert_eq!(sockmap(None), None);
        check(&sockmap(Some(&["redir".to_owned()])).unwrap(), State::Warning, "redir");
    }
}
