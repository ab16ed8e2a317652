//! The tap only reads: which helpers the object calls. That it does not write the fields of
//! `__sk_buff` either (`mark`, `priority`, `cb`) is asserted with every frame, in `rig`.

use std::collections::BTreeSet;

use aya_obj::Object;

use crate::rig::{OBJECT, Rig, Settings};

/// Numbers of include/uapi/linux/bpf.h. None of these writes an skb, makes it linear, or sends it
/// anywhere.
const ALLOWED: [(i32, &str); 12] = [
    (1, "bpf_map_lookup_elem"),
    (2, "bpf_map_update_elem"),
    (5, "bpf_ktime_get_ns"),
    (26, "bpf_skb_load_bytes"),
    (46, "bpf_get_socket_cookie"),
    (68, "bpf_skb_load_bytes_relative"),
    (79, "bpf_skb_cgroup_id"),
    (95, "bpf_sk_fullsock"),
    (96, "bpf_tcp_sock"),
    (131, "bpf_ringbuf_reserve"),
    (133, "bpf_ringbuf_discard"),
    (160, "bpf_ktime_get_coarse_ns"),
];

/// BPF_JMP | BPF_CALL
const CALL: u8 = 0x85;

#[test]
fn observe_calls_no_helper_that_writes_or_pulls_an_skb() {
    let allowed: BTreeSet<i32> = ALLOWED.iter().map(|(number, _)| *number).collect();
    assert_eq!(called(OBJECT, 3), allowed, "helpers called, and helpers allowed");
}

/// What `mark` may call, too: it writes with these two, and neither drops nor redirects.
#[test]
fn mark_writes_and_does_nothing_else_to_a_packet() {
    const READS: [i32; 3] = [1, 26, 68];
    const BPF_SKB_STORE_BYTES: i32 = 9;
    const BPF_L4_CSUM_REPLACE: i32 = 11;
    const BPF_SKB_ANCESTOR_CGROUP_ID: i32 = 83;
    const BPF_MAP_POP_ELEM: i32 = 88;
    let mut allowed = BTreeSet::from(READS);
    allowed.extend([BPF_SKB_STORE_BYTES, BPF_L4_CSUM_REPLACE]);
    allowed.extend([BPF_SKB_ANCESTOR_CGROUP_ID, BPF_MAP_POP_ELEM]);
    assert_eq!(called(crate::mark::OBJECT, 1), allowed);
}

/// The helpers that an object calls; it has so many programs.
#[track_caller]
fn called(object: &[u8], n_programs: usize) -> BTreeSet<i32> {
    let object = Object::parse(object).unwrap();
    assert_eq!(object.programs.len(), n_programs, "{:?}", object.programs.keys());
    let mut called = BTreeSet::new();
    for function in object.functions.values() {
        for instruction in &function.instructions {
            match (instruction.code, instruction.src_reg()) {
                (CALL, 0) => {
                    called.insert(instruction.imm);
                }
                // BPF_PSEUDO_CALL is a function of this object.
                (CALL, 1) => {}
                // BPF_PSEUDO_KFUNC_CALL would be a function of the kernel.
                (CALL, kind) => panic!("a call of kind {kind} in {}", function.name),
                _ => {}
            }
        }
    }
    called
}

/// Before 6.8 a socket holds no filter of more than `net.core.optmem_max`, 20,480 bytes by default,
/// counted over the program and a header of less than 200 bytes (__sk_filter_charge).
#[test]
fn the_socket_filter_fits_the_sockets_of_older_kernels() {
    for rings in [1, 4] {
        let settings = Settings { rings: Some(rings), ..Settings::default() };
        let Some(rig) = Rig::new(&settings) else { return };
        let n_bytes = rig.program_bytes(observer_common::config::SOCKET);
        println!("{rings} rings: {n_bytes} bytes");
        assert!((1000..20_480 - 200).contains(&n_bytes), "{rings} rings: {n_bytes} bytes");
    }
}
