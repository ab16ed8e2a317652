//! The maps and the read-only globals of `mark`; names and shapes as `observer_common::mark` and
//! `config` have them.

use aya_ebpf::macros::map;
use aya_ebpf::maps::{PerCpuArray, Queue};
use observer_common::config::{HOSTS_MAX, Network, PORT_WORDS};
use observer_common::mark::{Marks, TABLE_LEN, WINDOW};

use crate::setting::Setting;

#[map]
pub static MARKS: PerCpuArray<Marks> = PerCpuArray::with_max_entries(1, 0);

#[map]
pub static TICKETS: Queue<u32> = Queue::with_max_entries(1, 0);

/// The payload that a text is looked for in: too large for a stack.
#[map]
pub static WINDOWS: PerCpuArray<[u8; WINDOW]> = PerCpuArray::with_max_entries(1, 0);

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
pub static LIMITED: Setting<u32> = Setting(0);

#[unsafe(no_mangle)]
pub static CGROUP: Setting<u64> = Setting(0);

#[unsafe(no_mangle)]
pub static TEXT_ON: Setting<u32> = Setting(0);

#[unsafe(no_mangle)]
pub static TEXT_TABLE: Setting<[u8; TABLE_LEN]> = Setting([0; TABLE_LEN]);
