//! Makes the rings and puts them where the programs look for them.

use std::os::fd::AsFd;

use aya::Ebpf;
use aya::Pod;
use aya::maps::{Array, ArrayOfMaps, Map, MapData, MapType};
use observer_common::config;
use observer_common::ring::Sleeper;

use super::super::CaptureError;

/// One ring, and where its reader says that it sleeps.
pub(in super::super) struct Ring {
    pub(super) map: MapData,
    pub(super) n_bytes: u32,
    pub(super) number: u32,
    pub(super) sleepers: Array<MapData, Word>,
}

/// As plain bytes.
#[repr(transparent)]
#[derive(Clone, Copy)]
pub(super) struct Word(pub(super) Sleeper);

// SAFETY: `repr(C)` of integers, without padding.
unsafe impl Pod for Word {}

/// Makes `n_rings` rings of `n_bytes` bytes each. From here on the programs find them.
pub(in super::super) fn make(
    ebpf: &mut Ebpf,
    n_rings: u32,
    n_bytes: u32,
) -> Result<Vec<Ring>, CaptureError> {
    let sleepers = match ebpf.map(config::SLEEPERS) {
        Some(Map::Array(map)) => map.fd().as_fd().try_clone_to_owned(),
        _ => return Err(CaptureError::Incomplete(config::SLEEPERS)),
    };
    let sleepers = sleepers.map_err(CaptureError::system("share a map"))?;
    // It stays where it is: the programs are loaded with its descriptor.
    let slots = ebpf.map_mut(config::RINGS).ok_or(CaptureError::Incomplete(config::RINGS))?;
    let mut slots: ArrayOfMaps<&mut MapData, MapData> = slots.try_into()?;
    let make = |number| {
        let kind = MapType::RingBuf as u32;
        let map = aya_obj::Map::new_from_params(kind, 0, 0, n_bytes, 0);
        let map = MapData::create(map, "RING", None)?;
        slots.set(number, &map, 0)?;
        let fd = sleepers.try_clone().map_err(CaptureError::system("share a map"))?;
        let sleepers = Array::try_from(Map::Array(MapData::from_fd(fd)?))?;
        Ok(Ring { map, n_bytes, number, sleepers })
    };
    (0..n_rings).map(make).collect()
}
