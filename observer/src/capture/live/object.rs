//! The loaded eBPF object: its globals before the load, its maps and programs after.

use std::net::IpAddr;
use std::os::fd::{AsFd as _, OwnedFd};

use aya::maps::{Array, Map, MapData, MapType, PerCpuArray, ProgramArray};
use aya::programs::{ProgramError, SchedClassifier, SocketFilter};
use aya::{Ebpf, EbpfLoader, Pod};
use observer_common::config::{self, HOSTS_MAX, Network, PORT_WORDS};
use observer_common::sample;
use observer_common::stats::Counters;

use super::flows::Flows;
use super::netns::Hall;
use super::ring::{Layout, Ring, RingBell};
use super::survey::version;
use super::{Backend, CaptureError, HostFilter, Ledger, Options, privileges};

/// Built by `build.rs` from `observer-ebpf`.
static BYTES: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/observe"));

pub(super) struct Object {
    ebpf: Ebpf,
    pub(super) flows: Flows,
    stats: PerCpuArray<MapData, Wire<Counters>>,
    stats_fd: OwnedFd,
    sampling: Array<MapData, u32>,
    layout: Layout,
}

/// A type that both sides share, as plain bytes.
#[repr(transparent)]
#[derive(Clone, Copy)]
struct Wire<T>(T);

// SAFETY: `observer_common` makes it `repr(C)` of integers with their padding spelled out.
unsafe impl Pod for Wire<Counters> {}

impl Object {
    /// Creates the maps and sets the globals; the programs load later, those that are needed.
    pub(super) fn load(options: &Options) -> Result<Self, CaptureError> {
        let settings = Settings::new(options)?;
        let mut loader = EbpfLoader::new();
        settings.apply(&mut loader);
        loader.map_max_entries(config::FLOWS, options.max_flows.max(1));
        let layout = Layout::new(options.rings, options.ring_bytes);
        layout.apply(&mut loader);
        let mut ebpf = match loader.load(BYTES) {
            Ok(ebpf) => ebpf,
            Err(error) => return Err(explain(error, options.backend)),
        };
        let flows = Flows::new(take(&mut ebpf, config::FLOWS)?)?;
        let stats = take(&mut ebpf, config::STATS)?;
        let stats_fd = descriptor(&stats, config::STATS)?;
        let sampling = take(&mut ebpf, config::SAMPLING)?.try_into()?;
        Ok(Self { ebpf, flows, stats: stats.try_into()?, stats_fd, sampling, layout })
    }

    pub(super) fn load_tc(&mut self) -> Result<(), CaptureError> {
        for program in [config::TC_INGRESS, config::TC_EGRESS] {
            let classifier = self.classifier(program)?;
            load(program, || classifier.load())?;
        }
        Ok(())
    }

    pub(super) fn load_socket(&mut self) -> Result<(), CaptureError> {
        let program = config::SOCKET;
        let filter = self.socket_filter()?;
        load(program, || filter.load())
    }

    pub(super) fn classifier(
        &mut self,
        name: &'static str,
    ) -> Result<&mut SchedClassifier, CaptureError> {
        let program = self.ebpf.program_mut(name).ok_or(CaptureError::Incomplete(name))?;
        program.try_into().map_err(|source| CaptureError::Program { program: name, source })
    }

    pub(super) fn socket_filter(&mut self) -> Result<&mut SocketFilter, CaptureError> {
        let name = config::SOCKET;
        let program = self.ebpf.program_mut(name).ok_or(CaptureError::Incomplete(name))?;
        program.try_into().map_err(|source| CaptureError::Program { program: name, source })
    }

    /// The rings, for whoever reads them; to be made once.
    pub(super) fn rings(&mut self) -> Result<Vec<Ring>, CaptureError> {
        self.layout.rings(&mut self.ebpf)
    }

    /// A bell beside theirs, for who sleeps for all of them.
    pub(super) fn bell(&mut self) -> Result<RingBell, CaptureError> {
        self.layout.bell(&mut self.ebpf)
    }

    /// Opens the classifiers, once they are loaded, to entrances.
    pub(super) fn hall(&mut self) -> Result<Hall, CaptureError> {
        let classifiers = take(&mut self.ebpf, config::ENTRANCES)?;
        let classifiers_fd = descriptor(&classifiers, config::ENTRANCES)?;
        let mut classifiers = ProgramArray::try_from(classifiers)?;
        for (index, program) in [
            (config::ENTRANCE_INGRESS, config::TC_INGRESS),
            (config::ENTRANCE_EGRESS, config::TC_EGRESS),
        ] {
            let fd = self.classifier(program)?.fd();
            let fd = fd.map_err(|source| CaptureError::Program { program, source })?;
            classifiers.set(index, fd, 0)?;
        }
        let stats = self.stats_fd.try_clone();
        let stats = stats.map_err(CaptureError::system("duplicate a descriptor"))?;
        Ok(Hall::new(stats, classifiers, classifiers_fd))
    }

    pub(super) fn ledger(&self) -> Result<Ledger, CaptureError> {
        let per_cpu = self.stats.get(&0, 0)?;
        Ok(Ledger::sum(per_cpu.iter().map(|counters| &counters.0)))
    }

    pub(super) fn sample(&mut self, shift: u32) -> Result<(), CaptureError> {
        Ok(self.sampling.set(0, sample::mask(shift), 0)?)
    }
}

/// The read-only globals, in the shapes of `observer_common::config`.
struct Settings {
    ports_on: u32,
    ports: [u64; PORT_WORDS],
    hosts_len: u32,
    hosts: [[u64; 4]; HOSTS_MAX],
    capture_limit: u32,
    skip_bodies: u32,
    body_prefix: u32,
    watch_dth: u32,
    watch_tls: u32,
}

impl Settings {
    fn new(options: &Options) -> Result<Self, CaptureError> {
        Ok(Self {
            ports_on: u32::from(!options.ports.is_empty()),
            ports: port_bits(&options.ports),
            hosts_len: options.hosts.len() as u32,
            hosts: host_words(&options.hosts)?,
            capture_limit: options.capture_limit,
            skip_bodies: u32::from(options.body_prefix.is_some()),
            body_prefix: options.body_prefix.unwrap_or(0),
            watch_dth: u32::from(options.watch_dth),
            watch_tls: u32::from(options.watch_tls),
        })
    }

    fn apply<'a>(&'a self, loader: &mut EbpfLoader<'a>) {
        loader
            .override_global(config::PORTS_ON, &self.ports_on, true)
            .override_global(config::PORTS, &self.ports, true)
            .override_global(config::HOSTS_LEN, &self.hosts_len, true)
            .override_global(config::HOSTS, &self.hosts, true)
            .override_global(config::CAPTURE_LIMIT, &self.capture_limit, true)
            .override_global(config::SKIP_BODIES, &self.skip_bodies, true)
            .override_global(config::BODY_PREFIX, &self.body_prefix, true)
            .override_global(config::WATCH_DTH, &self.watch_dth, true)
            .override_global(config::WATCH_TLS, &self.watch_tls, true);
    }
}

/// The global `PORTS`.
pub(super) fn port_bits(ports: &[u16]) -> [u64; PORT_WORDS] {
    let mut bits = [0; PORT_WORDS];
    for port in ports {
        bits[usize::from(port >> 6)] |= 1 << (port & 63);
    }
    bits
}

/// The global `HOSTS`.
pub(super) fn host_words(hosts: &[HostFilter]) -> Result<[[u64; 4]; HOSTS_MAX], CaptureError> {
    let n_hosts = hosts.len();
    if n_hosts > HOSTS_MAX {
        return Err(CaptureError::TooManyHosts { n_hosts, max: HOSTS_MAX });
    }
    let mut words = [[0; 4]; HOSTS_MAX];
    for (slot, host) in words.iter_mut().zip(hosts) {
        let Network { network, mask } = network(*host);
        *slot = [network[0], network[1], mask[0], mask[1]];
    }
    Ok(words)
}

fn network(host: HostFilter) -> Network {
    match host.address {
        // The prefix counts from the IPv4 address, which is the end of a mapped one.
        IpAddr::V4(v4) => Network::new(v4.to_ipv6_mapped().octets(), host.prefix.min(32) + 96),
        IpAddr::V6(v6) => Network::new(v6.octets(), host.prefix),
    }
}

pub(super) fn take(ebpf: &mut Ebpf, name: &'static str) -> Result<Map, CaptureError> {
    ebpf.take_map(name).ok_or(CaptureError::Incomplete(name))
}

fn descriptor(map: &Map, name: &'static str) -> Result<OwnedFd, CaptureError> {
    let (Map::PerCpuArray(data) | Map::ProgramArray(data)) = map else {
        return Err(CaptureError::Incomplete(name));
    };
    let duplicate = data.fd().as_fd().try_clone_to_owned();
    duplicate.map_err(CaptureError::system("duplicate a descriptor"))
}

/// A failure to create the maps, with its cause where that can be found out.
fn explain(error: aya::EbpfError, backend: Backend) -> CaptureError {
    if let Err(missing) = privileges::check(backend) {
        return missing;
    }
    if let Ok(false) = aya::sys::is_map_supported(MapType::RingBuf) {
        return CaptureError::TooOld { release: version::release() };
    }
    CaptureError::Load(error)
}

/// Loads a program. The verifier gives up with EAGAIN when a signal waits for the thread (do_check,
/// kernel/bpf/verifier.c), which says nothing of the program.
pub(super) fn load(
    program: &'static str,
    mut attempt: impl FnMut() -> Result<(), ProgramError>,
) -> Result<(), CaptureError> {
    let mut n_left = ATTEMPTS;
    loop {
        n_left -= 1;
        match attempt() {
            Err(ProgramError::LoadError { io_error, .. })
                if n_left > 0 && io_error.raw_os_error() == Some(libc::EAGAIN) => {}
            result => return result.map_err(|error| refused(program, error)),
        }
    }
}

/// As many as libbpf makes.
const ATTEMPTS: u32 = 5;

fn refused(program: &'static str, error: ProgramError) -> CaptureError {
    match error {
        ProgramError::LoadError { io_error, .. }
            if io_error.raw_os_error() == Some(libc::EPERM) =>
        {
            CaptureError::Forbidden(io_error)
        }
        // Distributions carry back what later kernels can, so only who is refused is told.
        ProgramError::LoadError { io_error, verifier_log } => match version::too_old() {
            Some(release) => CaptureError::TooOld { release },
            None => {
                CaptureError::Refused { program, source: io_error, log: verifier_log.to_string() }
            }
        },
        source => CaptureError::Program { program, source },
    }
}
