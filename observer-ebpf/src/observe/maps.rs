//! The maps and the read-only globals; names and shapes as `observer_common::config` has them.
//! User space sets the sizes and the globals before the programs load.

use aya_ebpf::bindings::BPF_F_MMAPABLE;
use aya_ebpf::btf_maps::{ArrayOfMaps, RingBuf};
use aya_ebpf::macros::{btf_map, map};
use aya_ebpf::maps::{Array, LruHashMap, PerCpuArray, ProgramArray};
use observer_common::config::{HOSTS_MAX, Network, PORT_WORDS};
use observer_common::flow::{Flow, FlowKey, Handshake};
use observer_common::head::Part;
use observer_common::ring::{Places, RINGS_MAX, STRIDE};
use observer_common::stats::Counters;

use crate::ring::Record;
use crate::setting::Setting;

/// A block of a ring (`observer_common::ring`).
#[repr(C, align(64))]
pub struct Block([u8; STRIDE as usize]);

/// The rings, block by block, one ring behind the other. User space says how many blocks there are.
#[map]
pub static RINGS: Array<Block> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// One for each ring.
#[map]
pub static PLACES: Array<Places> = Array::with_max_entries(RINGS_MAX, BPF_F_MMAPABLE);

/// What wakes a reader: a ring of the kernel's that nothing is kept in. User space makes one for each
/// ring, and one more for who sleeps for all of them.
pub type Bell = RingBuf<u64, 4096>;

#[btf_map]
pub static BELLS: ArrayOfMaps<Bell, { RINGS_MAX as usize + 1 }> = ArrayOfMaps::new();

#[map]
pub static FLOWS: LruHashMap<FlowKey, Flow> = LruHashMap::with_max_entries(65536, 0);

/// Connections that were opened and have not shown yet what they speak.
#[map]
pub static HANDSHAKES: LruHashMap<FlowKey, Handshake> = LruHashMap::with_max_entries(16384, 0);

#[map]
pub static STATS: PerCpuArray<Counters> = PerCpuArray::with_max_entries(1, 0);

/// Where the socket filter makes a header: too large for a stack.
#[map]
pub static DRAFTS: PerCpuArray<Record> = PerCpuArray::with_max_entries(1, 0);

/// Where the first part of a segment is looked at: too large for a stack.
#[map]
pub static PARTS: PerCpuArray<Part> = PerCpuArray::with_max_entries(1, 0);

/// The classifiers, for the entrances of other network namespaces; nothing here reads it.
#[map]
pub static ENTRANCES: ProgramArray = ProgramArray::with_max_entries(2, 0);

/// Which flows are kept (`observer_common::sample::mask`); 0 keeps all.
#[map]
pub static SAMPLING: Array<u32> = Array::with_max_entries(1, 0);

#[unsafe(no_mangle)]
pub static PORTS_ON: Setting<u32> = Setting(0);

#[unsafe(no_mangle)]
pub static PORTS: Setting<[u64; PORT_WORDS]> = Setting([0; PORT_WORDS]);

#[unsafe(no_mangle)]
pub static HOSTS_LEN: Setting<u32> = Setting(0);

#[unsafe(no_mangle)]
pub static HOSTS: Setting<[Network; HOSTS_MAX]> =
    Setting([Network { network: [0; 2], mask: [0; 2] }; HOSTS_MAX]);

#[unsafe(no_mangle)]
pub static CAPTURE_LIMIT: Setting<u32> = Setting(u32::MAX);

#[unsafe(no_mangle)]
pub static SKIP_BODIES: Setting<u32> = Setting(0);

#[unsafe(no_mangle)]
pub static BODY_PREFIX: Setting<u32> = Setting(0);

#[unsafe(no_mangle)]
pub static WATCH_DTH: Setting<u32> = Setting(0);

#[unsafe(no_mangle)]
pub static WATCH_TLS: Setting<u32> = Setting(0);

#[unsafe(no_mangle)]
pub static N_RINGS: Setting<u32> = Setting(1);

#[unsafe(no_mangle)]
pub static RING_BYTES: Setting<u64> = Setting(1 << 20);

#[unsafe(no_mangle)]
pub static SEAL_KEY: Setting<u64> = Setting(0);

#[unsafe(no_mangle)]
pub static FILL_MARK: Setting<u64> = Setting(1 << 20);
