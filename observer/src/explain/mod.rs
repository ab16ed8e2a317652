//! `observer explain`: why a flow is or is not seen, step by step, for somebody who is woken up by
//! it. The facts come from [`watch`](watch::watch); the judgements here are plain functions over
//! them. It knows no command line and no colours.

mod first;
pub mod watch;

use std::net::SocketAddr;

use crate::capture::interfaces;
use crate::config::Capture;
use crate::doctor::{Finding, State};
use crate::event::stats::Ledger;

/// What was found out about one flow, or about there being none.
#[derive(Clone, Debug)]
pub struct Evidence {
    pub target: SocketAddr,
    /// How long was looked for, seconds.
    pub n_seconds: u64,
    /// What came of the request that was made, where one was asked for.
    pub probe: Option<Result<String, String>>,
    /// What is asked of the daemon, or would be of a capture here.
    pub wanted: Capture,
    /// Attached to a daemon: how many events it told of the flow.
    pub daemon: Daemon,
    /// Segments to or from the target on each interface, both ways counted.
    pub sights: Vec<(String, u64)>,
    /// What was found at those interfaces: who stands before observer, what hides packets.
    pub devices: Vec<Finding>,
    /// The address is one of this network namespace, and something listens there.
    pub is_local: bool,
    pub listens: bool,
    pub handshake: Handshake,
    /// The first bytes to the server, and to the client.
    pub first: [Vec<u8>; 2],
    /// The kernel's account, of segments with the target at one end alone.
    pub ledger: Ledger,
    /// What the entry of the flow says, where there is one.
    pub entry: Option<&'static str>,
    /// What the engine made of it.
    pub told: Vec<String>,
}

/// How the flow began, as far as it was seen to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Handshake {
    pub syn: bool,
    pub syn_ack: bool,
    pub reset: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Daemon {
    None,
    /// It is there and cannot be asked.
    Closed(String),
    Attached {
        n_events: u64,
    },
}

/// Every step on the way, from the wire to the event.
pub fn judge(evidence: &Evidence) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(probe(evidence));
    findings.extend(daemon(evidence));
    findings.extend(filters(evidence));
    findings.push(packets(evidence));
    findings.extend(evidence.devices.iter().filter(|it| it.state != State::Good).cloned());
    if evidence.sights.is_empty() {
        return findings;
    }
    findings.push(handshake(evidence));
    let is_silent = evidence.first.iter().all(Vec::is_empty);
    if is_silent && findings.last().is_some_and(|it| it.state == State::Bad) {
        // Without a connection there is nothing on it to judge.
        return findings;
    }
    findings.extend(first::judge(&evidence.first));
    findings.push(kernel(evidence));
    findings.push(flow_table(evidence));
    findings.push(engine(evidence));
    findings.extend(reported(evidence));
    findings
}

/// The flow came out as an event: here, and of the daemon where one runs. Here nothing but the
/// target is filtered by, so what was asked for is held against it as well.
pub fn is_told(evidence: &Evidence) -> bool {
    let by_daemon = !matches!(evidence.daemon, Daemon::Attached { n_events: 0 });
    let is_wanted = filters(evidence).iter().all(|finding| finding.state != State::Bad);
    !evidence.told.is_empty() && by_daemon && is_wanted
}

fn probe(evidence: &Evidence) -> Option<Finding> {
    Some(match evidence.probe.as_ref()? {
        Ok(answer) => Finding::good("probe", format!("HEAD / was answered: {answer}")),
        Err(error) => Finding::warning("probe", format!("HEAD / failed: {error}"))
            .remedy("look whether the server is up, and whether it speaks HTTP"),
    })
}

fn daemon(evidence: &Evidence) -> Option<Finding> {
    let watches = || match interfaces::is_everything(&evidence.wanted.interfaces) {
        true => "all interfaces".to_owned(),
        false => evidence.wanted.interfaces.join(", "),
    };
    match &evidence.daemon {
        Daemon::None => Some(Finding::good("daemon", "none runs; looked from here alone")),
        Daemon::Closed(error) => Some(
            Finding::warning("daemon", format!("it runs, and cannot be asked: {error}"))
                .remedy("run with sudo, or as a member of the group observer"),
        ),
        Daemon::Attached { .. } => {
            Some(Finding::good("daemon", format!("it runs, and watches {}", watches())))
        }
    }
}

/// What was asked for, held against the target and where it was seen.
fn filters(evidence: &Evidence) -> Vec<Finding> {
    let Evidence { wanted, target, .. } = evidence;
    let mut findings = Vec::new();
    if !wanted.ports.is_empty() && !wanted.ports.contains(&target.port()) {
        let ports: Vec<_> = wanted.ports.iter().map(u16::to_string).collect();
        let message = format!("only ports {} are watched, not {}", ports.join(", "), target.port());
        findings.push(Finding::bad("ports", message).remedy(format!(
            "add {} to [capture] ports or --port, or leave them out",
            target.port()
        )));
    }
    let is_wanted = |network: &crate::config::Network| network.0.contains(&target.ip());
    if !wanted.hosts.is_empty() && !wanted.hosts.iter().any(is_wanted) {
        let hosts: Vec<_> = wanted.hosts.iter().map(|network| network.0.to_string()).collect();
        let message = format!(
            "only flows with {} are watched: {} is in none of them, and the other end has to be",
            hosts.join(", "),
            target.ip()
        );
        let remedy = format!("add {} to [capture] hosts or --host, or leave them out", target.ip());
        findings.push(Finding::warning("hosts", message).remedy(remedy));
    }
    let is_watched = |name: &str| interfaces::includes(&wanted.interfaces, name);
    let sights = &evidence.sights;
    if !sights.is_empty() && !sights.iter().any(|(name, _)| is_watched(name)) {
        let names: Vec<_> = sights.iter().map(|(name, _)| name.as_str()).collect();
        let message = format!(
            "the flow crosses {}; watched is only {}",
            names.join(" and "),
            wanted.interfaces.join(", ")
        );
        findings.push(Finding::bad("interfaces", message).remedy(format!(
            "add {} to [capture] interfaces or --interface",
            names.first().copied().unwrap_or_default()
        )));
    }
    findings
}

fn packets(evidence: &Evidence) -> Finding {
    let Evidence { target, n_seconds, .. } = evidence;
    if !evidence.sights.is_empty() {
        let place = |(name, n): &(String, u64)| format!("{n} on {name}");
        let places: Vec<_> = evidence.sights.iter().map(place).collect();
        let message = format!("segments to or from {target}: {}", places.join(", "));
        return Finding::good("packets", message);
    }
    let message =
        format!("no segment to or from {target} crossed an interface here in {n_seconds} s");
    let finding = Finding::bad("packets", message);
    match (evidence.is_local, evidence.listens) {
        (true, false) => finding.remedy(
            "nothing listens there in this network namespace: if the server is in a container, \
             run this with `nsenter -t PID -n`, or the daemon with --netns; if it listens on a \
             Unix socket, no interface sees it",
        ),
        (true, true) => finding.remedy(
            "the server listens: make a request while this runs, or add --probe; a client that \
             reaches it over a Unix socket or by sockmap crosses no interface",
        ),
        (false, _) => finding.remedy(
            "the address is not of this network namespace: make a request from here while this \
             runs, or add --probe; what a container or another host sends elsewhere is not seen here",
        ),
    }
}

fn handshake(evidence: &Evidence) -> Finding {
    match evidence.handshake {
        Handshake { syn: true, syn_ack: false, reset: true } => {
            Finding::bad("connection", "refused: the SYN was answered with RST")
                .remedy("look whether the server listens there, and for a firewall that rejects")
        }
        Handshake { syn: true, syn_ack: false, reset: false } => {
            Finding::bad("connection", "the SYN was not answered")
                .remedy("look for a firewall that drops, and at the way back")
        }
        Handshake { syn: true, syn_ack: true, .. } => {
            Finding::good("connection", "opened while we looked")
        }
        Handshake { syn: false, .. } => Finding::good(
            "connection",
            "was open before: it is found at the next line that begins a request or a response",
        ),
    }
}

/// The reasons of the kernel's ledger that can concern one flow, in words.
const REASONS: [(&str, &str); 7] = [
    ("no_payload", "without payload"),
    ("not_http", "not beginning like HTTP"),
    ("duplicate", "seen at another hook before"),
    ("turned_off", "of a flow turned off"),
    ("sampled", "of a flow sampled out"),
    ("fragment", "fragments"),
    ("malformed", "malformed"),
];

fn kernel(evidence: &Evidence) -> Finding {
    let Ledger { emitted, skipped, filtered, lost, .. } = &evidence.ledger;
    let count = |(key, words): &(&'static str, &str)| {
        let n = *filtered.get(key).filter(|n| **n > 0)?;
        Some(format!("{n} {words}"))
    };
    let mut parts = vec![format!("{emitted} copied")];
    if *skipped > 0 {
        parts.push(format!("{skipped} of bodies left out"));
    }
    parts.extend(REASONS.iter().filter_map(count));
    let n_lost: u64 = lost.values().sum();
    let text = |parts: &[String]| format!("of its segments: {}", parts.join(", "));
    if n_lost > 0 {
        let by = |(reason, n): (&&str, &u64)| (*n > 0).then(|| format!("{n} lost ({reason})"));
        parts.extend(lost.iter().filter_map(by));
        return Finding::bad("kernel", text(&parts))
            .remedy("make [capture] ring_bytes larger, or watch less");
    }
    let n_all =
        emitted + skipped + REASONS.iter().filter_map(|(r, _)| filtered.get(r)).sum::<u64>();
    if n_all == 0 {
        return Finding::bad("kernel", "the programs saw none of its segments")
            .remedy("something takes the packets before tc: see XDP and tc in `observer doctor`");
    }
    Finding::good("kernel", text(&parts))
}

fn flow_table(evidence: &Evidence) -> Finding {
    match evidence.entry {
        Some(entry) => Finding::good("flow table", entry),
        None if evidence.ledger.emitted > 0 => {
            Finding::good("flow table", "the entry made room for another flow meanwhile")
        }
        None => Finding::warning("flow table", "no entry: nothing of it began like HTTP or TLS")
            .remedy("see the first bytes above; what is not HTTP is not followed"),
    }
}

fn engine(evidence: &Evidence) -> Finding {
    if evidence.told.is_empty() {
        let finding = Finding::warning("engine", "no exchange was told");
        return match evidence.ledger.emitted {
            0 => finding.remedy("nothing reached it"),
            _ => finding.remedy("an exchange is told when its response has ended: look for longer"),
        };
    }
    Finding::good("engine", evidence.told.join("; "))
}

/// Whether the daemon has told of it as well.
fn reported(evidence: &Evidence) -> Option<Finding> {
    let Daemon::Attached { n_events } = evidence.daemon else { return None };
    Some(match (n_events, evidence.told.len()) {
        (0, 0) => return None,
        (0, _) => Finding::bad("reported", "the daemon told nothing of it")
            .remedy("see ports, hosts and interfaces above; its account is in observer.stats"),
        (n, _) => Finding::good("reported", format!("events of it by the daemon: {n}")),
    })
}

#[cfg(test)]
mod tests;
