//! The sender's side of RFC 9401: loads the object `mark`, which sets the DTH bit on chosen segments
//! of real connections as they leave, and lets go of them again. It must not know who asked.

use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use aya::maps::{MapData, PerCpuArray, Queue};
use aya::programs::tc::SchedClassifierLink;
use aya::programs::{LinkOrder, SchedClassifier, TcAttachType};
use aya::{EbpfLoader, Pod};
use observer_common::config;
use observer_common::mark::{self, MARK_EGRESS, Marks, TABLE_LEN, TEXT_MAX, TICKETS_MAX};

use super::clsact::{self, Clsact};
use super::links::Links;
use super::object::{host_words, load, port_bits, take};
use super::tc::attach;
use super::{Backend, CaptureError, HostFilter, TcAttach, privileges};

/// Built by `build.rs` from `observer-ebpf`.
static BYTES: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/mark"));

/// Which segments to mark: those that fit all of what is said. A SYN never does.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Names; all have to be there.
    pub interfaces: Vec<String>,
    /// One of these ports at either end.
    pub ports: Vec<u16>,
    /// An address in one of these networks at either end.
    pub hosts: Vec<HostFilter>,
    /// The sending socket belongs to this directory of cgroup2, or to one below it.
    pub cgroup: Option<PathBuf>,
    /// The payload holds this text in its first 2 KiB; 1 to 64 bytes.
    pub text: Option<String>,
    /// So many segments, then no more; at most a million.
    pub limit: Option<u32>,
}

/// What has been marked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marked {
    pub segments: u64,
    /// What they become on the wire: the device cuts a super-segment up, and each part is marked.
    pub on_wire: u64,
    /// Segments that the kernel would not let us write.
    pub failed: u64,
}

/// Marks while it lives. When the process is killed, TCX takes the program away with it, and
/// from clsact the next start of a marker or a capture does.
pub struct Marker {
    // Filters go before the qdiscs they are in.
    _links: Vec<SchedClassifierLink>,
    _clsact: Clsact,
    marks: PerCpuArray<MapData, Wire>,
}

#[repr(transparent)]
#[derive(Clone, Copy)]
struct Wire(Marks);

// SAFETY: `repr(C)` of integers without padding.
unsafe impl Pod for Wire {}

impl Selection {
    /// Whether it says anything but where: marking everything is nobody's wish.
    pub fn is_empty(&self) -> bool {
        let Self { ports, hosts, cgroup, text, .. } = self;
        ports.is_empty() && hosts.is_empty() && cgroup.is_none() && text.is_none()
    }
}

impl Marker {
    pub fn start(selection: &Selection) -> Result<Self, CaptureError> {
        privileges::check(Backend::Tc)?;
        let present = Links::open()?.list()?;
        let is_wanted = |name: &String| selection.interfaces.contains(name);
        let chosen: Vec<_> = present.iter().filter(|link| is_wanted(&link.name)).collect();
        let is_there = |name: &&String| present.iter().any(|link| link.name == **name);
        let missing: Vec<_> =
            selection.interfaces.iter().filter(|name| !is_there(name)).cloned().collect();
        if !missing.is_empty() {
            let present = present.iter().map(|link| link.name.clone()).collect();
            return Err(CaptureError::NoSuchInterface { missing, present });
        }
        clsact::sweep(&present);

        let hosts = host_words(&selection.hosts)?;
        let ports = port_bits(&selection.ports);
        let table = text_table(selection.text.as_deref())?;
        let cgroup = selection.cgroup.as_deref().map(cgroup_id).transpose()?.unwrap_or(0);
        let n_tickets = selection.limit.unwrap_or(1).clamp(1, TICKETS_MAX);
        let mut ebpf = EbpfLoader::new()
            .override_global(config::PORTS_ON, &u32::from(!selection.ports.is_empty()), true)
            .override_global(config::PORTS, &ports, true)
            .override_global(config::HOSTS_LEN, &(selection.hosts.len() as u32), true)
            .override_global(config::HOSTS, &hosts, true)
            .override_global(mark::CGROUP, &cgroup, true)
            .override_global(mark::TEXT_ON, &u32::from(selection.text.is_some()), true)
            .override_global(mark::TEXT_TABLE, table.as_ref(), true)
            .override_global(mark::LIMITED, &u32::from(selection.limit.is_some()), true)
            .map_max_entries(mark::TICKETS, n_tickets)
            .load(BYTES)?;
        let mut tickets: Queue<_, u32> = take(&mut ebpf, mark::TICKETS)?.try_into()?;
        for _ in 0..n_tickets {
            tickets.push(0, 0)?;
        }
        let marks = take(&mut ebpf, mark::MARKS)?.try_into()?;

        let failed = |source| CaptureError::Program { program: MARK_EGRESS, source };
        let program = ebpf.program_mut(MARK_EGRESS).ok_or(CaptureError::Incomplete(MARK_EGRESS))?;
        let program: &mut SchedClassifier = program.try_into().map_err(failed)?;
        load(MARK_EGRESS, || program.load())?;
        let mut mode = TcAttach::Auto;
        let mut clsact = Clsact::new();
        let mut links = Vec::new();
        for link in chosen {
            // At the head, so that a capture on the same hook sees the marks.
            let (hook, order) = (TcAttachType::Egress, LinkOrder::first());
            links.push(attach(program, link, hook, order, &mut mode, &mut clsact).map_err(failed)?);
        }
        Ok(Self { _links: links, _clsact: clsact, marks })
    }

    /// What has been marked so far, on all CPUs.
    pub fn marked(&self) -> Result<Marked, CaptureError> {
        let mut sum = Marked::default();
        for Wire(Marks { marked, on_wire, failed }) in self.marks.get(&0, 0)?.iter() {
            sum.segments += marked;
            sum.on_wire += on_wire;
            sum.failed += failed;
        }
        Ok(sum)
    }
}

/// The automaton for a text; zeros when there is none. On the heap: it has 16 KiB.
fn text_table(text: Option<&str>) -> Result<Box<[u8; TABLE_LEN]>, CaptureError> {
    let mut table = Box::new([0; TABLE_LEN]);
    match text {
        Some(text) if !mark::fill(&mut table, text.as_bytes()) => {
            Err(CaptureError::TextLength { n_bytes: text.len(), max: TEXT_MAX })
        }
        _ => Ok(table),
    }
}

/// What `bpf_skb_ancestor_cgroup_id` calls a cgroup: the inode of its directory (`cgroup_id`).
fn cgroup_id(path: &Path) -> Result<u64, CaptureError> {
    let no_cgroup = || CaptureError::NoCgroup { path: path.to_owned() };
    let name = std::ffi::CString::new(path.as_os_str().as_bytes()).map_err(|_| no_cgroup())?;
    let metadata = std::fs::metadata(path).map_err(|_| no_cgroup())?;
    let mut about = std::mem::MaybeUninit::<libc::statfs>::uninit();
    // SAFETY: the name ends in 0 and the buffer is as large as the call wants it.
    if unsafe { libc::statfs(name.as_ptr(), about.as_mut_ptr()) } != 0 {
        return Err(CaptureError::system("look at a cgroup")(io::Error::last_os_error()));
    }
    // SAFETY: the call has filled it.
    let about = unsafe { about.assume_init() };
    // Both have another type on each C library and machine.
    let is_cgroup = i128::from(about.f_type) == i128::from(libc::CGROUP2_SUPER_MAGIC);
    if is_cgroup && metadata.is_dir() { Ok(metadata.ino()) } else { Err(no_cgroup()) }
}
