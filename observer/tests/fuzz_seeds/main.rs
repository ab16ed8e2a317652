//! The fuzz targets on a stable toolchain: every committed seed, and a bounded number of seeds that
//! were damaged in ways that are the same on every machine.
//!
//! The seeds in `observer/fuzz/seeds` are ours: `made` writes most of them, from values that a
//! person can read; `OBSERVER_WRITE_SEEDS=1 cargo test --test fuzz_seeds` brings the folder up to
//! date. A file whose name begins with `found_` is an input that broke an invariant once.

#[expect(unreachable_pub, reason = "the same source is a library in the fuzz crate")]
#[path = "../../fuzz/src/lib.rs"]
mod fuzz;
mod made;

use std::collections::BTreeMap;
use std::fs;
use std::panic::catch_unwind;
use std::path::PathBuf;

/// Damaged copies of each seed; `cargo xtask fuzz` tries as many in a second.
const N_DAMAGED: u64 = 100;

fn folder(target: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "fuzz", "seeds", target].iter().collect()
}

fn committed(target: &str) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder(target)).expect("the target has seeds");
    entries
        .map(|entry| {
            let path = entry.expect("readable").path();
            let name = path.file_name().expect("a file").to_string_lossy().into_owned();
            (name, fs::read(path).expect("readable"))
        })
        .collect()
}

#[track_caller]
fn replay(target: &str, at_least: usize) {
    let (_, check) = *fuzz::TARGETS.iter().find(|(name, _)| *name == target).expect("a target");
    let seeds = committed(target);
    assert!(seeds.len() >= at_least, "{target} lost seeds: {} are left", seeds.len());
    let all: Vec<&Vec<u8>> = seeds.values().collect();
    for (name, seed) in &seeds {
        assert!(catch_unwind(|| check(seed)).is_ok(), "{target}: seed {name} breaks an invariant");
        let mut random =
            Random(name.bytes().fold(0x9401_u64, |a, b| a.rotate_left(7) ^ u64::from(b)));
        for n in 0..N_DAMAGED {
            let input = damage(seed, &all, &mut random);
            let hex: String = input.iter().map(|b| format!("{b:02x}")).collect();
            let outcome = catch_unwind(|| check(&input));
            assert!(
                outcome.is_ok(),
                "{target}: {name}, damaged the {n}th way, breaks an invariant: {hex}"
            );
        }
    }
}

/// A copy with one to four changes: a byte, a bit, a cut, a part of another seed.
fn damage(seed: &[u8], all: &[&Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len() + 1);
        match random.below(5) {
            0 => bytes.insert(at, random.below(256) as u8),
            1 => bytes.truncate(at),
            2 => {
                let other = all[random.below(all.len())];
                let from = random.below(other.len() + 1);
                let part = other[from..].iter().take(64).copied();
                bytes.splice(at..at, part);
            }
            _ => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << random.below(8);
                }
            }
        }
    }
    bytes
}

/// xorshift64*: the same everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % n
    }
}

#[test]
fn records_keep_their_invariants() {
    replay("record", 5);
}

#[test]
fn captures_keep_their_invariants() {
    replay("capture", 8);
}

#[test]
fn tcp_keeps_its_invariants() {
    replay("tcp", 12);
}

#[test]
fn http1_keeps_its_invariants() {
    replay("http1", 20);
}

#[test]
fn the_pipeline_keeps_its_invariants() {
    replay("pipeline", 10);
}

#[test]
fn the_made_seeds_are_the_committed_ones() {
    let write = std::env::var_os("OBSERVER_WRITE_SEEDS").is_some();
    for (target, _) in fuzz::TARGETS {
        let made = made::seeds(target);
        for (name, bytes) in &made {
            let path = folder(target).join(name);
            if write {
                fs::create_dir_all(folder(target)).expect("writable");
                fs::write(&path, bytes).expect("writable");
            }
            let there = fs::read(&path).unwrap_or_default();
            assert_eq!(there, *bytes, "{}: OBSERVER_WRITE_SEEDS=1 mends it", path.display());
        }
        for name in committed(target).keys() {
            let known = made.iter().any(|(made, _)| made == name) || name.starts_with("found_");
            assert!(known, "{target}/{name} is neither made nor found");
        }
    }
}
