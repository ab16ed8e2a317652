//! A look at what the kernel has and what others have put there: whose programs hang on an
//! interface and in which order, and whether ours are accepted. It attaches nothing, and it must
//! not judge: `doctor` does.

mod offload;
pub(crate) mod version;

use aya::programs::{ProgramInfo, SchedClassifier, TcAttachType, loaded_programs};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkMessage, LinkXdp};
use netlink_packet_route::tc::TcHandle;
use observer_common::config::{TC_EGRESS, TC_INGRESS};
use observer_common::mark::MARK_EGRESS;

pub use super::netns::survey::{missing_namespaces, n_other_namespaces, namespaces};
use super::object::Object;
use super::{Backend, CaptureError, Options, clsact, netlink, privileges, with_causes};

/// An interface and what hangs on it.
#[derive(Clone, Debug)]
pub struct Device {
    pub name: String,
    pub is_up: bool,
    pub is_loopback: bool,
    /// The program at XDP, which sees packets before tc and may keep them.
    pub xdp: Option<String>,
    /// Filters may be handed to the hardware, and packets that match them never reach tc.
    pub offloads_tc: bool,
    /// What stands at ingress and egress, the first to see a packet first. An error says why it
    /// cannot be told.
    pub ingress: Result<Vec<Resident>, String>,
    pub egress: Result<Vec<Resident>, String>,
}

/// A program or filter at a tc hook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resident {
    pub name: String,
    pub place: Place,
    pub is_ours: bool,
}

/// Where it stands; TCX comes before every filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Tcx,
    /// A filter of a clsact or ingress qdisc.
    Filter,
}

/// What loading the programs has shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    pub is_jitted: bool,
    /// Instructions that the verifier has walked, over all programs; from 5.16 on.
    pub n_verified: Option<u32>,
}

/// Loads the programs of a backend into the smallest of maps and lets go of them again.
pub fn try_programs(backend: Backend) -> Result<Accepted, CaptureError> {
    privileges::check(backend)?;
    let options = Options { ring_bytes: 0, max_flows: 1, ..Options::default() };
    let mut object = Object::load(&options)?;
    let infos = match backend {
        Backend::Tc | Backend::Auto => {
            object.load_tc()?;
            vec![object.classifier(TC_INGRESS)?.info(), object.classifier(TC_EGRESS)?.info()]
        }
        Backend::Socket => {
            object.load_socket()?;
            vec![object.socket_filter()?.info()]
        }
    };
    let failed = |source| CaptureError::Program { program: TC_INGRESS, source };
    let infos = infos.into_iter().collect::<Result<Vec<_>, _>>().map_err(failed)?;
    Ok(Accepted {
        is_jitted: infos.iter().all(|info| info.size_jitted() > 0),
        n_verified: infos.iter().map(ProgramInfo::verified_instruction_count).sum(),
    })
}

/// The capabilities that a backend needs and this process lacks.
pub fn missing_capabilities(backend: Backend) -> Vec<&'static str> {
    match privileges::check(backend) {
        Err(CaptureError::MissingPrivileges { missing }) => missing,
        _ => Vec::new(),
    }
}

/// Programs that move data between sockets, past every interface (sockmap, sockhash): their names.
/// `None` without the privilege to list programs.
pub fn socket_redirectors() -> Option<Vec<String>> {
    let mut found = Vec::new();
    for info in loaded_programs() {
        let info = info.ok()?;
        if matches!(info.program_type() as u32, PROGRAM_TYPE_SK_SKB | PROGRAM_TYPE_SK_MSG) {
            found.push(named(&info));
        }
    }
    Some(found)
}

/// Every interface of this network namespace.
pub fn devices() -> Result<Vec<Device>, CaptureError> {
    let mut found = Vec::new();
    netlink::dump(RouteNetlinkMessage::GetLink(LinkMessage::default()), |message| {
        if let RouteNetlinkMessage::NewLink(link) = message {
            found.extend(device(&link));
        }
    })?;
    Ok(found)
}

fn device(link: &LinkMessage) -> Option<Device> {
    let mut name = None;
    let mut xdp = None;
    for attribute in &link.attributes {
        match attribute {
            LinkAttribute::IfName(text) => name = Some(text.clone()),
            LinkAttribute::Xdp(parts) => {
                xdp = parts.iter().find_map(|part| match part {
                    LinkXdp::ProgId(id) if *id != 0 => Some(program_name(*id)),
                    _ => None,
                });
            }
            _ => {}
        }
    }
    let name = name?;
    let ifindex = link.header.index;
    Some(Device {
        is_up: link.header.flags.contains(LinkFlags::Up),
        is_loopback: link.header.flags.contains(LinkFlags::Loopback),
        xdp,
        offloads_tc: offload::is_on(&name, "hw-tc-offload").unwrap_or(false),
        ingress: residents(&name, ifindex, TcAttachType::Ingress, TcHandle::MIN_INGRESS),
        egress: residents(&name, ifindex, TcAttachType::Egress, TcHandle::MIN_EGRESS),
        name,
    })
}

/// TCX first, then the filters in the order of their priorities, which is that of the dump.
fn residents(
    name: &str,
    ifindex: u32,
    hook: TcAttachType,
    parent: u16,
) -> Result<Vec<Resident>, String> {
    let mut found = Vec::new();
    match SchedClassifier::query_tcx(name, hook) {
        Ok((_, programs)) => found.extend(programs.iter().map(|program| Resident {
            name: named(program),
            place: Place::Tcx,
            is_ours: is_ours(&named(program)),
        })),
        // Before 6.6 there is no TCX, and nothing in it.
        Err(error) if super::tc::is_without_tcx(&error) => {}
        Err(error) => return Err(with_causes(&error)),
    }
    let filters = clsact::filters(ifindex, parent).map_err(|error| with_causes(&error))?;
    found.extend(filters.into_iter().map(|filter| {
        let name = filter.name.unwrap_or(filter.kind);
        Resident { is_ours: is_ours(&name), name, place: Place::Filter }
    }));
    Ok(found)
}

/// Whether the running kernel has TCX; `None` when it does not say. Asks at the loopback device,
/// which every network namespace has.
pub fn has_tcx() -> Option<bool> {
    match SchedClassifier::query_tcx("lo", TcAttachType::Ingress) {
        Ok(_) => Some(true),
        Err(error) if super::tc::is_without_tcx(&error) => Some(false),
        Err(_) => None,
    }
}

fn is_ours(name: &str) -> bool {
    [TC_INGRESS, TC_EGRESS, MARK_EGRESS].contains(&name)
}

fn named(program: &ProgramInfo) -> String {
    match program.name_as_str() {
        Some(name) if !name.is_empty() => name.to_owned(),
        _ => format!("program {}", program.id()),
    }
}

fn program_name(id: u32) -> String {
    let mut programs = loaded_programs().filter_map(Result::ok);
    programs.find(|program| program.id() == id).map_or(format!("program {id}"), |it| named(&it))
}

// include/uapi/linux/bpf.h
const PROGRAM_TYPE_SK_SKB: u32 = 14;
const PROGRAM_TYPE_SK_MSG: u32 = 16;
