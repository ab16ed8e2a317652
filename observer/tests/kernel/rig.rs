//! One loaded set of programs without an interface: frames go in, outcomes and records come out.

use aya::maps::{Array, HashMap, MapData, MapType, PerCpuArray};
use aya::programs::{Program, TestRun, TestRunOptions};
use aya::{Ebpf, EbpfLoader, Pod};
use observer::capture::live::Ledger;
use observer::capture::live::ring::{Layout, Ring};
use observer::decode::{ClockOffset, decode};
use observer::segment::Segment;
use observer_common::config::{self, PORT_WORDS};
use observer_common::flow::{Flow, FlowKey};
use observer_common::stats::{Counters, Outcome};

use crate::needs::{missing, namespace};

pub(crate) static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/observe"));

#[repr(transparent)]
#[derive(Clone, Copy)]
pub(crate) struct Wire<T>(pub(crate) T);

// SAFETY: `repr(C)` of integers with their padding spelled out.
unsafe impl Pod for Wire<Counters> {}
// SAFETY: as above.
unsafe impl Pod for Wire<FlowKey> {}
// SAFETY: as above.
unsafe impl Pod for Wire<Flow> {}

/// The read-only globals that tests set.
#[derive(Default)]
pub(crate) struct Settings {
    pub(crate) port: Option<u16>,
    pub(crate) host: Option<config::Network>,
    pub(crate) capture_limit: Option<u32>,
    pub(crate) ring_bytes: Option<u32>,
    pub(crate) rings: Option<u32>,
    pub(crate) body_prefix: Option<u32>,
    pub(crate) watch_dth: bool,
    pub(crate) watch_tls: bool,
}

pub(crate) struct Rig {
    ebpf: Ebpf,
    rings: Vec<Ring>,
    /// Whether records are read once a frame has been sent.
    pub(crate) is_reading: bool,
    stats: PerCpuArray<MapData, Wire<Counters>>,
    pub(crate) flows: HashMap<MapData, Wire<FlowKey>, Wire<Flow>>,
    sampling: Array<MapData, u32>,
}

/// What one frame came to.
pub(crate) struct Seen {
    pub(crate) outcome: Outcome,
    pub(crate) records: Vec<Vec<u8>>,
    /// The ring of the last record.
    pub(crate) ring: Option<usize>,
}

impl Rig {
    /// None where the machine cannot run it.
    pub(crate) fn new(settings: &Settings) -> Option<Self> {
        if !namespace() {
            return None;
        }
        if !matches!(aya::sys::is_map_supported(MapType::RingBuf), Ok(true)) {
            missing("the kernel has no ring buffer");
            return None;
        }
        let mut ports = [0u64; PORT_WORDS];
        if let Some(port) = settings.port {
            ports[usize::from(port >> 6)] = 1 << (port & 63);
        }
        let ports_on = u32::from(settings.port.is_some());
        let hosts_len = u32::from(settings.host.is_some());
        let host = settings.host.unwrap_or_default();
        let mut hosts = [[0u64; 4]; config::HOSTS_MAX];
        hosts[0] = [host.network[0], host.network[1], host.mask[0], host.mask[1]];
        let limit = settings.capture_limit.unwrap_or(u32::MAX);
        let skip_bodies = u32::from(settings.body_prefix.is_some());
        let body_prefix = settings.body_prefix.unwrap_or(0);
        let watch_dth = u32::from(settings.watch_dth);
        let watch_tls = u32::from(settings.watch_tls);
        let n_rings = settings.rings.unwrap_or(1);
        let layout = Layout::new(n_rings, settings.ring_bytes.unwrap_or(1 << 20));
        let mut loader = EbpfLoader::new();
        layout.apply(&mut loader);
        let mut ebpf = loader
            .override_global(config::PORTS, &ports, true)
            .override_global(config::PORTS_ON, &ports_on, true)
            .override_global(config::HOSTS, &hosts, true)
            .override_global(config::HOSTS_LEN, &hosts_len, true)
            .override_global(config::CAPTURE_LIMIT, &limit, true)
            .override_global(config::SKIP_BODIES, &skip_bodies, true)
            .override_global(config::BODY_PREFIX, &body_prefix, true)
            .override_global(config::WATCH_DTH, &watch_dth, true)
            .override_global(config::WATCH_TLS, &watch_tls, true)
            .load(OBJECT)
            .unwrap();
        for (_, program) in ebpf.programs_mut() {
            match program {
                Program::SchedClassifier(program) => program.load().unwrap(),
                Program::SocketFilter(program) => program.load().unwrap(),
                _ => unreachable!("the object has only these two kinds"),
            }
        }
        Some(Self {
            rings: layout.rings(&mut ebpf).unwrap(),
            is_reading: true,
            stats: ebpf.take_map(config::STATS).unwrap().try_into().unwrap(),
            flows: ebpf.take_map(config::FLOWS).unwrap().try_into().unwrap(),
            sampling: ebpf.take_map(config::SAMPLING).unwrap().try_into().unwrap(),
            ebpf,
        })
    }

    /// A frame on its way out of the loopback device.
    #[track_caller]
    pub(crate) fn send(&mut self, frame: &[u8]) -> Seen {
        self.run(config::TC_EGRESS, 1, frame)
    }

    /// A frame at a program, on an interface. Asserts what holds for every frame: the verdict
    /// leaves the packet alone, its bytes are unchanged, and the ledger gained one segment with
    /// one outcome.
    #[track_caller]
    pub(crate) fn run(&mut self, program: &str, ifindex: u32, frame: &[u8]) -> Seen {
        let before = self.outcomes();
        let mut out = vec![0; frame.len() + 64];
        let context = context(ifindex);
        let mut context_out = [0; CONTEXT_LEN];
        let options = TestRunOptions {
            data_in: Some(frame),
            data_out: Some(&mut out),
            // A socket filter takes no context, and sees the loopback device.
            ctx_in: (program != config::SOCKET).then_some(&context),
            ctx_out: (program != config::SOCKET).then_some(&mut context_out),
            ..TestRunOptions::default()
        };
        let (result, verdict) = match self.ebpf.program(program).unwrap() {
            Program::SchedClassifier(program) => (program.test_run(options), -1i32 as u32),
            Program::SocketFilter(program) => (program.test_run(options), 0),
            _ => unreachable!("the object has only these two kinds"),
        };
        let result = result.unwrap();
        assert_eq!(result.return_value, verdict, "the verdict of {program}");
        // For a socket filter the kernel clears the Ethernet header by itself.
        let (from, to) = (14, result.data_size_out as usize);
        assert_eq!(out.get(from..to), frame.get(from..), "the frame after {program}");
        if program != config::SOCKET {
            assert_eq!(out[..14], frame[..14], "the frame after {program}");
            assert_eq!(context_out[WRITABLE], context[WRITABLE], "the context after {program}");
        }

        let after = self.outcomes();
        assert_eq!(after.0, before.0 + 1, "seen");
        let gained: Vec<_> = (0..after.1.len()).filter(|i| after.1[*i] != before.1[*i]).collect();
        let [outcome] = gained[..] else { panic!("outcomes {gained:?}") };
        assert_eq!(after.1[outcome], before.1[outcome] + 1);
        assert!(self.ledger().is_balanced());
        let (mut records, mut from) = (Vec::new(), None);
        let read = self.rings.iter_mut().filter(|_| self.is_reading);
        for (number, ring) in read.enumerate() {
            ring.drain(|record| {
                records.push(record.to_vec());
                from = Some(number);
            });
        }
        Seen { outcome: Outcome::from_code(outcome as u32), records, ring: from }
    }

    /// From here on one flow in 2 to the power of `shift` is kept.
    pub(crate) fn sample(&mut self, shift: u32) {
        self.sampling.set(0, observer_common::sample::mask(shift), 0).unwrap();
    }

    /// The size of a program as the kernel holds it.
    pub(crate) fn program_bytes(&self, program: &str) -> u32 {
        let info = self.ebpf.program(program).unwrap().info().unwrap();
        info.size_translated().unwrap_or(0)
    }

    pub(crate) fn ledger(&self) -> Ledger {
        Ledger::sum(self.stats.get(&0, 0).unwrap().iter().map(|counters| &counters.0))
    }

    fn outcomes(&self) -> (u64, Vec<u64>) {
        let per_cpu = self.stats.get(&0, 0).unwrap();
        let n = per_cpu[0].0.outcomes.len();
        let sum = |i: usize| per_cpu.iter().map(|counters| counters.0.outcomes[i]).sum();
        (per_cpu.iter().map(|counters| counters.0.seen).sum(), (0..n).map(sum).collect())
    }
}

impl Seen {
    /// The only record.
    #[track_caller]
    pub(crate) fn segment(&self) -> Segment<'_> {
        assert_eq!(self.outcome, Outcome::Emitted);
        assert_eq!(self.records.len(), 1, "records");
        decode(&self.records[0], ClockOffset(0)).unwrap()
    }

    #[track_caller]
    pub(crate) fn is(&self, outcome: Outcome) {
        assert_eq!(self.outcome, outcome);
        let n_records = usize::from(outcome == Outcome::Emitted);
        assert_eq!(self.records.len(), n_records, "records of {outcome:?}");
    }
}

/// A `struct __sk_buff` (include/uapi/linux/bpf.h) that says on which interface the packet is. The
/// fields that a program may write hold something, so that a change would show; the kernel wants
/// the others 0 (`convert___skb_to_skb`).
fn context(ifindex: u32) -> [u8; CONTEXT_LEN] {
    let mut context = [0; CONTEXT_LEN];
    let mut put = |at: usize, value: u32| context[at..at + 4].copy_from_slice(&value.to_ne_bytes());
    let (mark, priority, cb) = (8, 32, 48);
    put(mark, 0x1234_5678);
    put(priority, 5);
    put(40, ifindex);
    for i in 0..5 {
        put(cb + 4 * i, 100 + i as u32);
    }
    context
}

const CONTEXT_LEN: usize = 192;
/// From `mark` to the end of `cb`.
const WRITABLE: std::ops::Range<usize> = 8..68;
