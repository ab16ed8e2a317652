//! The interfaces: who else stands at tc and who comes first, and what keeps packets from tc.

use super::{Finding, State};
use crate::capture::live::survey::{self, Device, Place, Resident};

pub(crate) fn examine() -> Vec<Finding> {
    match survey::devices() {
        Ok(devices) => devices.iter().map(judge).collect(),
        Err(error) => {
            vec![Finding::warning("interfaces", format!("cannot list them: {error}"))]
        }
    }
}

fn judge(device: &Device) -> Finding {
    let mut worst = State::Good;
    let mut remarks = Vec::new();
    let mut remedies = Vec::new();
    let mut worry = |message: String, remedy: &str| {
        remarks.push(message);
        remedies.push(remedy.to_owned());
        worst = State::Warning;
    };
    if let Some(xdp) = &device.xdp {
        worry(
            format!("XDP program {xdp} comes before tc: what it keeps or redirects is not seen"),
            "watch where its packets go instead, if traffic is missing",
        );
    }
    if device.offloads_tc {
        let name = &device.name;
        worry(
            "hw-tc-offload is on: flows that the hardware forwards are not seen".to_owned(),
            &format!("ethtool -K {name} hw-tc-offload off, if traffic is missing"),
        );
    }
    let mut chains = Vec::new();
    for (hook, chain) in [("ingress", &device.ingress), ("egress", &device.egress)] {
        match chain {
            Ok(chain) => {
                if let Some(text) = told(chain) {
                    chains.push(format!("{hook}: {text}"));
                }
                if let Some(first) = in_front(chain) {
                    worry(
                        format!("{first} comes before observer at {hook} and may hide packets"),
                        "restart observer: it goes to the head of the chain",
                    );
                }
            }
            Err(error) => worry(
                format!("cannot tell who is at {hook}: {error}"),
                "run `observer doctor` as root",
            ),
        }
    }
    remedies.dedup();
    if chains.is_empty() && remarks.is_empty() {
        let state = if device.is_up { "nobody else at tc" } else { "down; nobody else at tc" };
        chains.push(state.to_owned());
    }
    remarks.extend(chains);
    let finding = Finding::new(format!("interface {}", device.name), worst, remarks.join("; "));
    match remedies.is_empty() {
        true => finding,
        false => finding.remedy(remedies.join("; ")),
    }
}

/// The chain in its order; none when it is empty.
fn told(chain: &[Resident]) -> Option<String> {
    let names = chain.iter().map(|resident| {
        let place = match resident.place {
            Place::Tcx => "tcx",
            Place::Filter => "filter",
        };
        let whose = if resident.is_ours { "observer's " } else { "" };
        format!("{whose}{} ({place})", resident.name)
    });
    let text = names.collect::<Vec<_>>().join(", then ");
    let is_ours_there = chain.iter().any(|resident| resident.is_ours);
    match (chain, is_ours_there) {
        ([], _) => None,
        (_, true) => Some(text),
        (_, false) => Some(format!("{text}; observer will go before")),
    }
}

/// Somebody else's program that sees packets before ours, where ours is there.
fn in_front(chain: &[Resident]) -> Option<&str> {
    let ours = chain.iter().position(|resident| resident.is_ours)?;
    let before = chain.get(..ours)?;
    before.first().map(|resident| resident.name.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resident(name: &str, place: Place, is_ours: bool) -> Resident {
        Resident { name: name.to_owned(), place, is_ours }
    }

    fn device(ingress: Vec<Resident>) -> Device {
        Device {
            name: "eth0".to_owned(),
            is_up: true,
            is_loopback: false,
            xdp: None,
            offloads_tc: false,
            ingress: Ok(ingress),
            egress: Ok(Vec::new()),
        }
    }

    #[track_caller]
    fn check(device: &Device, state: State, message: &str) {
        let finding = judge(device);
        assert_eq!((finding.state, finding.message.as_str()), (state, message));
        assert_eq!(finding.remedy.is_some(), state != State::Good);
    }

    #[test]
    fn an_empty_interface_is_good() {
        check(&device(Vec::new()), State::Good, "nobody else at tc");
    }

    #[test]
    fn foreign_programs_are_named_in_their_order() {
        let foreign = || resident("cil_from_netdev", Place::Tcx, false);
        let filter = || resident("flower", Place::Filter, false);
        let ours = || resident("observe_ingress", Place::Tcx, true);
        check(
            &device(vec![foreign(), filter()]),
            State::Good,
            "ingress: cil_from_netdev (tcx), then flower (filter); observer will go before",
        );
        check(
            &device(vec![ours(), foreign()]),
            State::Good,
            "ingress: observer's observe_ingress (tcx), then cil_from_netdev (tcx)",
        );
        check(
            &device(vec![foreign(), ours()]),
            State::Warning,
            "cil_from_netdev comes before observer at ingress and may hide packets; \
             ingress: cil_from_netdev (tcx), then observer's observe_ingress (tcx)",
        );
    }

    #[test]
    fn what_hides_packets_is_a_warning() {
        let xdp = Device { xdp: Some("katran".to_owned()), ..device(Vec::new()) };
        check(
            &xdp,
            State::Warning,
            "XDP program katran comes before tc: what it keeps or redirects is not seen",
        );
        let offload = Device { offloads_tc: true, ..device(Vec::new()) };
        assert_eq!(judge(&offload).state, State::Warning);
        let unknown = Device { ingress: Err("no".to_owned()), ..device(Vec::new()) };
        check(&unknown, State::Warning, "cannot tell who is at ingress: no");
    }
}
