//! Somebody else's tc program: it counts packets and lets them go on. Assembled by hand, because
//! it must be nothing of ours.

use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, FromRawFd as _, OwnedFd};

use aya::maps::{Array, Map, MapData};
use aya::programs::tc::{NlOptions, SchedClassifier, TcAttachOptions, qdisc_add_clsact};
use aya::programs::{LinkOrder, TcAttachType, loaded_programs};

use super::namespace::Namespace;

/// A program that counts what enters an interface; gone when dropped.
pub(crate) struct Counter {
    count: Array<MapData, u64>,
    // Holds the link, which its drop removes.
    _program: SchedClassifier,
}

/// How it is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Tcx,
    /// As the last of the chain, ending it: it takes each packet itself, as Cilium's do.
    TcxEnds,
    /// At the head of the chain as it is now.
    TcxFirst,
    /// With a clsact qdisc that it makes.
    Clsact,
}

impl Counter {
    pub(crate) fn attach(namespace: &Namespace, interface: &str, way: Way) -> Self {
        let map = new_map().expect("a BPF map");
        let verdict = if way == Way::TcxEnds { TC_ACT_OK } else { TC_ACT_UNSPEC };
        let fd = new_program(&map, verdict).expect("a BPF program");
        let mut program = classifier(&fd);
        namespace.inside(|| {
            let options = match way {
                Way::Tcx | Way::TcxEnds => TcAttachOptions::TcxOrder(LinkOrder::last()),
                Way::TcxFirst => TcAttachOptions::TcxOrder(LinkOrder::first()),
                Way::Clsact => {
                    qdisc_add_clsact(interface).unwrap();
                    let options = NlOptions { priority: 50, ..NlOptions::default() };
                    TcAttachOptions::Netlink(options)
                }
            };
            program.attach_with_options(interface, TcAttachType::Ingress, options).unwrap();
        });
        let map = MapData::from_fd(map).unwrap();
        Self { count: Map::Array(map).try_into().unwrap(), _program: program }
    }

    pub(crate) fn count(&self) -> u64 {
        self.count.get(&0, 0).unwrap()
    }
}

/// An array of one u64.
fn new_map() -> io::Result<OwnedFd> {
    #[repr(C)]
    #[derive(Default)]
    struct Attr {
        map_type: u32,
        key_size: u32,
        value_size: u32,
        max_entries: u32,
        map_flags: u32,
        unused: [u32; 3],
    }
    let attr = Attr {
        map_type: MAP_TYPE_ARRAY,
        key_size: 4,
        value_size: 8,
        max_entries: 1,
        ..Attr::default()
    };
    bpf(MAP_CREATE, &attr)
}

/// Adds one to the entry and returns the verdict.
fn new_program(map: &OwnedFd, verdict: i32) -> io::Result<OwnedFd> {
    let instructions = [
        instruction(0x62, 10, 0, -4, 0), // *(u32 *)(r10 - 4) = 0
        instruction(0xbf, 2, 10, 0, 0),  // r2 = r10
        instruction(0x07, 2, 0, 0, -4),  // r2 += -4
        instruction(0x18, 1, 1, 0, map.as_fd().as_raw_fd()), // r1 = map, in two halves
        instruction(0, 0, 0, 0, 0),
        instruction(0x85, 0, 0, 0, 1), // r0 = bpf_map_lookup_elem(r1, r2)
        instruction(0x15, 0, 0, 2, 0), // if r0 == 0 goto +2
        instruction(0xb7, 1, 0, 0, 1), // r1 = 1
        instruction(0xdb, 0, 1, 0, 0), // lock *(u64 *)(r0 + 0) += r1
        instruction(0xb7, 0, 0, 0, verdict), // r0 = verdict
        instruction(0x95, 0, 0, 0, 0), // exit
    ];
    #[repr(C)]
    #[derive(Default)]
    struct Attr {
        program_type: u32,
        n_instructions: u32,
        instructions: u64,
        license: u64,
        log_level: u32,
        log_size: u32,
        log: u64,
        kernel_version: u32,
        flags: u32,
        name: [u8; 16],
    }
    let mut name = [0; 16];
    name[..NAME.len()].copy_from_slice(NAME.as_bytes());
    let attr = Attr {
        program_type: PROGRAM_TYPE_SCHED_CLS,
        n_instructions: instructions.len() as u32,
        instructions: instructions.as_ptr() as u64,
        license: c"GPL".as_ptr() as u64,
        name,
        ..Attr::default()
    };
    bpf(PROGRAM_LOAD, &attr)
}

/// include/uapi/linux/bpf.h, `struct bpf_insn`, on a little-endian machine.
fn instruction(code: u8, destination: u8, source: u8, offset: i16, immediate: i32) -> u64 {
    let [low, high] = offset.to_le_bytes();
    let [a, b, c, d] = immediate.to_le_bytes();
    u64::from_le_bytes([code, source << 4 | destination, low, high, a, b, c, d])
}

fn bpf<T>(command: libc::c_long, attr: &T) -> io::Result<OwnedFd> {
    // SAFETY: the attributes are as long as the call is told, and what they point to is alive.
    let fd = unsafe { libc::syscall(libc::SYS_bpf, command, attr, size_of::<T>()) };
    match i32::try_from(fd) {
        // SAFETY: the descriptor is new and nobody else's.
        Ok(fd) if fd >= 0 => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
        _ => Err(io::Error::last_os_error()),
    }
}

/// aya attaches programs that it knows, and finds this one by the id of the descriptor.
fn classifier(program: &OwnedFd) -> SchedClassifier {
    let info = format!("/proc/self/fdinfo/{}", program.as_raw_fd());
    let info = std::fs::read_to_string(info).unwrap();
    let id = info.lines().find_map(|line| line.strip_prefix("prog_id:")).unwrap();
    let id: u32 = id.trim().parse().unwrap();
    let mut programs = loaded_programs().filter_map(Result::ok);
    let info = programs.find(|program| program.id() == id).unwrap();
    SchedClassifier::from_program_info(info, FILTER_NAME.into()).unwrap()
}

// include/uapi/linux/pkt_cls.h; TC_ACT_UNSPEC is TCX_NEXT, and TC_ACT_OK is TCX_PASS.
const TC_ACT_UNSPEC: i32 = -1;
const TC_ACT_OK: i32 = 0;
// include/uapi/linux/bpf.h
const MAP_CREATE: libc::c_long = 0;
const PROGRAM_LOAD: libc::c_long = 5;
const MAP_TYPE_ARRAY: u32 = 2;
const PROGRAM_TYPE_SCHED_CLS: u32 = 3;
/// As bpftool and tc show it.
pub(crate) const NAME: &str = "foreign_counter";
/// The name that its filter in a clsact qdisc gets; the first letters of the other one.
pub(crate) const FILTER_NAME: &str = "foreign";
