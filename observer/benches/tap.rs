//! What one segment costs at the hook, by kind: each frame is shown to the program many times over
//! by the kernel itself (`BPF_PROG_TEST_RUN`), which says how long a run took.
//!
//! `cargo bench -p observer --bench tap` as root. One CPU does everything here, and the caches are
//! warm, so a busy server pays more; what this is good for is to compare two builds to the
//! nanosecond, and `cargo xtask bench` says what it comes to. An argument names another object file
//! to measure in place of the one built in.

use std::path::PathBuf;

use aya::programs::{Program, SchedClassifier, TestRun as _, TestRunOptions};
use aya::{Ebpf, EbpfLoader};
use observer::capture::live::ring::Layout;
use observer_common::config;

#[path = "../tests/kernel/frames.rs"]
#[allow(dead_code, reason = "the tests build more kinds of frames than are measured")]
mod frames;

use frames::{ACK, Tcp, ethernet, ipv4};

static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/observe"));

/// Runs a batch: its records fit into the ring.
const N_RUNS: u32 = 20_000;
const N_BATCHES: usize = 25;
const RING_BYTES: u32 = 64 << 20;

fn main() {
    // Cargo passes `--bench`.
    let object = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let bytes = match object.map(PathBuf::from) {
        Some(path) => std::fs::read(path).expect("a readable object"),
        None => OBJECT.to_vec(),
    };
    let layout = Layout::new(1, RING_BYTES);
    let mut loader = EbpfLoader::new();
    layout.apply(&mut loader);
    loader.override_global(config::SKIP_BODIES, &1u32, true);
    let mut ebpf = loader.load(&bytes).expect("the object, loaded as root");
    let mut rings = layout.rings(&mut ebpf).expect("a ring");
    let ring = &mut rings[0];
    for name in [config::TC_EGRESS, config::TC_INGRESS] {
        let program = classifier(&mut ebpf, name);
        program.load().expect("the verifier's consent");
        let info = program.info().expect("what the kernel knows of it");
        println!(
            "{name}: {:?} instructions verified, {:?} bytes translated, {} bytes of machine code",
            info.verified_instruction_count().unwrap_or(0),
            info.size_translated().unwrap_or(0),
            info.size_jitted(),
        );
    }

    let request = b"GET /tiny HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nUser-Agent: made/1.0\r\n\r\n";
    let response = [b"HTTP/1.1 200 OK\r\nContent-Length: 200\r\n\r\n".as_slice(), &[b'x'; 200]];
    let response = response.concat();
    let http = Tcp::data(request);
    let binary = |tcp: Tcp| Tcp { source_port: 40_001, destination_port: 6379, ..tcp };
    let mut datagram = ipv4(&[0; 60]);
    datagram[9] = 17;
    let kinds = [
        ("request of a known flow", http.frame()),
        ("response of a known flow", Tcp { payload: response, ..http.clone() }.answer()),
        ("bare ACK of a known flow", Tcp::bare(ACK).frame()),
        ("data that is not HTTP", binary(Tcp::data(&[0x2a; 100])).frame()),
        ("bare ACK of another flow", binary(Tcp::bare(ACK)).frame()),
        ("UDP", ethernet(0x0800, &datagram)),
    ];
    let program = classifier(&mut ebpf, config::TC_EGRESS);
    for (name, frame) in kinds {
        let mut times: Vec<u128> = (0..N_BATCHES)
            .map(|_| {
                let options = TestRunOptions {
                    data_in: Some(&frame),
                    repeat: N_RUNS,
                    ..TestRunOptions::default()
                };
                let result = program.test_run(options).expect("a run of the program");
                ring.drain(|_| ());
                result.duration.as_nanos()
            })
            .collect();
        times.sort_unstable();
        println!("{name:<26} {:>5} ns, median {:>5}", times[0], times[N_BATCHES / 2]);
    }
}

fn classifier<'a>(ebpf: &'a mut Ebpf, name: &str) -> &'a mut SchedClassifier {
    match ebpf.program_mut(name) {
        Some(Program::SchedClassifier(program)) => program,
        _ => panic!("no classifier {name}"),
    }
}
