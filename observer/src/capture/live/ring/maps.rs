//! Says how large the rings are before the programs load, and puts them where they look for them.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use aya::maps::{ArrayOfMaps, Map, MapData, MapType};
use aya::{Ebpf, EbpfLoader};
use observer_common::config;
use observer_common::ring::{RINGS_MAX, n_blocks};

use super::super::CaptureError;
use super::consumer::Consumer;
use super::mapping::{Bell, Mapping, Shared, page};

/// The rings of one set of programs.
pub struct Layout {
    n_rings: u32,
    /// Bytes of each.
    size: u64,
    key: u64,
    fill_mark: u64,
}

/// One ring, and what wakes its reader.
pub struct Ring {
    pub(super) records: Consumer<Mapping>,
    pub(super) bell: RingBell,
}

/// What programs wake a reader with.
pub struct RingBell {
    pub(super) number: u32,
    map: MapData,
    bell: Bell,
}

impl Layout {
    /// `n_rings` rings of `n_bytes` bytes each, rounded up to a power of two.
    pub fn new(n_rings: u32, n_bytes: u32) -> Self {
        let size = u64::from(n_bytes.clamp(RING_MIN, RING_MAX).next_power_of_two());
        // Its keys are the operating system's random numbers, and differ from call to call.
        let key = RandomState::new().build_hasher().finish();
        let fill_mark = (size / FILL_MARK_PART).min(FILL_MARK_MAX);
        Self { n_rings: n_rings.clamp(1, RINGS_MAX), size, key, fill_mark }
    }

    /// Tells the programs, before they load.
    pub fn apply<'a>(&'a self, loader: &mut EbpfLoader<'a>) {
        loader
            .map_max_entries(config::RINGS, self.n_rings * n_blocks(self.size))
            .override_global(config::N_RINGS, &self.n_rings, true)
            .override_global(config::RING_BYTES, &self.size, true)
            .override_global(config::SEAL_KEY, &self.key, true)
            .override_global(config::FILL_MARK, &self.fill_mark, true);
    }

    /// The rings of the programs that were told.
    pub fn rings(&self, ebpf: &mut Ebpf) -> Result<Vec<Ring>, CaptureError> {
        let rings = array(ebpf, config::RINGS)?;
        let places = array(ebpf, config::PLACES)?;
        let shared = Shared::new(rings, places, self.n_rings, self.size);
        let shared = Arc::new(shared.map_err(CaptureError::system("map the rings"))?);
        let make = |number| {
            let mapping = Mapping::new(Arc::clone(&shared), number);
            let records = Consumer::new(mapping, self.key);
            Ok(Ring { records, bell: RingBell::new(ebpf, number)? })
        };
        (0..self.n_rings).map(make).collect()
    }

    /// The bell of a reader that has no ring, and sleeps for all of them; to be made once.
    pub fn bell(&self, ebpf: &mut Ebpf) -> Result<RingBell, CaptureError> {
        RingBell::new(ebpf, self.n_rings)
    }
}

impl RingBell {
    fn new(ebpf: &mut Ebpf, number: u32) -> Result<Self, CaptureError> {
        let slots = ebpf.map_mut(config::BELLS).ok_or(CaptureError::Incomplete(config::BELLS))?;
        let mut slots: ArrayOfMaps<&mut MapData, MapData> = slots.try_into()?;
        let n_bytes = page().ok().and_then(|page| u32::try_from(page).ok()).unwrap_or(RING_MIN);
        let kind = MapType::RingBuf as u32;
        let map = aya_obj::Map::new_from_params(kind, 0, 0, n_bytes, 0);
        let map = MapData::create(map, "BELL", None)?;
        slots.set(number, &map, 0)?;
        let bell = Bell::new(map.fd().as_fd());
        let bell = bell.map_err(CaptureError::system("map the bell of a ring"))?;
        Ok(Self { number, map, bell })
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.map.fd().as_fd()
    }

    /// From here on only what rings after this counts.
    pub(super) fn silence(&self) {
        self.bell.silence();
    }
}

impl Ring {
    /// Hands out the records that wait, for tests and benchmarks.
    pub fn drain(&mut self, sink: impl FnMut(&[u8])) -> usize {
        self.records.drain(usize::MAX, sink)
    }
}

fn array<'a>(ebpf: &'a Ebpf, name: &'static str) -> Result<BorrowedFd<'a>, CaptureError> {
    match ebpf.map(name) {
        Some(Map::Array(map)) => Ok(map.fd().as_fd()),
        _ => Err(CaptureError::Incomplete(name)),
    }
}

/// A page of most machines, for tests; `config` allows no ring that small.
const RING_MIN: u32 = 4096;
/// More than anybody needs.
const RING_MAX: u32 = 1 << 30;
/// The reader is woken early enough to leave most of the ring for what comes meanwhile,
const FILL_MARK_PART: u64 = 8;
/// and not so late that a large ring falls out of the cache.
const FILL_MARK_MAX: u64 = 1 << 20;
