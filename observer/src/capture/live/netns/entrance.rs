//! The entrances of one network namespace: programs of a few instructions that stand in front of
//! the classifiers there and say which namespace it is (`observer_common::config::ENTRANCES`).
//!
//! They are put together here, instruction by instruction, because one number in them differs from
//! namespace to namespace: a pair loads in a fraction of a millisecond and shares everything else.
//! It must not know how a namespace is found or entered.

use std::ffi::c_char;
use std::io;
use std::mem::{offset_of, zeroed};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::{Arc, Mutex, PoisonError};

use aya::maps::{MapData, ProgramArray};
use aya::programs::{ProgramError, SchedClassifier, loaded_programs};
use aya_obj::generated::{bpf_attr, bpf_cmd, bpf_insn, bpf_prog_type};
use observer_common::config::{ENTRANCE_EGRESS, ENTRANCE_INGRESS, TC_EGRESS, TC_INGRESS};
use observer_common::stats::Counters;

use super::super::{CaptureError, tc};

/// What entrances have in common.
pub(in super::super) struct Hall {
    /// The counters, in which an entrance leaves its number.
    stats: OwnedFd,
    /// The classifiers. The kernel empties the array when nobody has it open.
    classifiers: Mutex<ProgramArray<MapData>>,
    classifiers_fd: OwnedFd,
}

impl Hall {
    pub(in super::super) fn new(
        stats: OwnedFd,
        classifiers: ProgramArray<MapData>,
        classifiers_fd: OwnedFd,
    ) -> Self {
        Self { stats, classifiers: Mutex::new(classifiers), classifiers_fd }
    }

    /// From here on no entrance leads anywhere, and nothing that came through one is under way. To
    /// detach them one by one takes the kernel a grace period each.
    pub(super) fn close(&self) {
        let mut classifiers = self.classifiers.lock().unwrap_or_else(PoisonError::into_inner);
        for index in [ENTRANCE_INGRESS, ENTRANCE_EGRESS] {
            // What is not there need not be taken out.
            let _ = classifiers.clear_index(&index);
        }
        // Waits until every CPU has left what it was in (`synchronize_rcu`, membarrier(2)). Where
        // it is forbidden, to detach at home waits as well.
        // SAFETY: no pointers.
        unsafe { libc::syscall(libc::SYS_membarrier, libc::MEMBARRIER_CMD_GLOBAL, 0, 0) };
    }
}

/// The pair of one namespace, each loaded when it is needed.
pub(super) struct Entrances {
    hall: Arc<Hall>,
    netns: u32,
    ingress: Option<SchedClassifier>,
    egress: Option<SchedClassifier>,
}

impl Entrances {
    pub(super) fn new(hall: &Arc<Hall>, netns: u32) -> Self {
        Self { hall: Arc::clone(hall), netns, ingress: None, egress: None }
    }

    /// Lets go of the one that loopback devices have no use for.
    pub(super) fn unload_ingress(&mut self) {
        self.ingress = None;
    }
}

impl tc::Programs for Entrances {
    fn classifier(&mut self, name: &'static str) -> Result<&mut SchedClassifier, CaptureError> {
        let (slot, index) = match name {
            TC_INGRESS => (&mut self.ingress, ENTRANCE_INGRESS),
            TC_EGRESS => (&mut self.egress, ENTRANCE_EGRESS),
            other => return Err(CaptureError::Incomplete(other)),
        };
        if let Some(loaded) = slot {
            return Ok(loaded);
        }
        let Hall { stats, classifiers_fd, .. } = &*self.hall;
        let code = code(stats.as_raw_fd(), classifiers_fd.as_raw_fd(), index, self.netns);
        let loaded = load(name, &code)
            .map_err(CaptureError::system("load the entrance of a network namespace"))?;
        Ok(slot.insert(classifier(name, &loaded)?))
    }
}

/// The program. Where the jump fails, which takes an empty array, it takes its number back: the
/// next segment on this CPU may be of our own namespace.
fn code(stats: RawFd, classifiers: RawFd, index: u32, netns: u32) -> Vec<bpf_insn> {
    let number = offset_of!(Counters, netns) as i16;
    let [stats, stats_end] = load_map(R1, stats);
    let [classifiers, classifiers_end] = load_map(R2, classifiers);
    vec![
        // The context survives the call.
        instruction(MOVE, R6, R1, 0, 0),
        // The only key of the counters is 0.
        instruction(STORE_WORD, R10, 0, -4, 0),
        instruction(MOVE, R2, R10, 0, 0),
        instruction(ADD_NUMBER, R2, 0, 0, -4),
        stats,
        stats_end,
        instruction(CALL, 0, 0, 0, BPF_MAP_LOOKUP_ELEM),
        instruction(JUMP_IF_NUMBER, R0, 0, 8, 0),
        instruction(MOVE, R7, R0, 0, 0),
        instruction(STORE_WORD, R7, 0, number, netns.cast_signed()),
        instruction(MOVE, R1, R6, 0, 0),
        classifiers,
        classifiers_end,
        instruction(MOVE_NUMBER, R3, 0, 0, index.cast_signed()),
        instruction(CALL, 0, 0, 0, BPF_TAIL_CALL),
        instruction(STORE_WORD, R7, 0, number, 0),
        instruction(MOVE_NUMBER, R0, 0, 0, TC_ACT_UNSPEC),
        instruction(EXIT, 0, 0, 0, 0),
    ]
}

fn instruction(code: u8, destination: u8, source: u8, off: i16, imm: i32) -> bpf_insn {
    let registers = bpf_insn::new_bitfield_1(destination, source);
    bpf_insn { code, _bitfield_align_1: [], _bitfield_1: registers, off, imm }
}

/// The address of a map takes two instructions.
fn load_map(register: u8, map: RawFd) -> [bpf_insn; 2] {
    [instruction(LOAD_ADDRESS, register, PSEUDO_MAP_FD, 0, map), instruction(0, 0, 0, 0, 0)]
}

/// BPF_PROG_LOAD; aya loads from ELF files only.
fn load(name: &str, code: &[bpf_insn]) -> io::Result<OwnedFd> {
    // SAFETY: a union of integers; what is not set has to be 0.
    let mut attributes: bpf_attr = unsafe { zeroed() };
    // SAFETY: as above.
    let program = unsafe { &mut attributes.__bindgen_anon_3 };
    program.prog_type = bpf_prog_type::BPF_PROG_TYPE_SCHED_CLS as u32;
    program.insn_cnt = code.len() as u32;
    program.insns = code.as_ptr() as u64;
    // It calls nothing that is open to GPL-compatible programs only, but the classifiers do, and
    // one jumps to another of its kind only.
    program.license = c"Dual MIT/GPL".as_ptr() as u64;
    // Always ends with a zero: the field has one byte more than names have.
    for (to, byte) in program.prog_name.iter_mut().zip(name.bytes().take(15)) {
        *to = byte as c_char;
    }
    // SAFETY: the attributes, and what they point to, outlive the call.
    let fd = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            bpf_cmd::BPF_PROG_LOAD as i32,
            &raw mut attributes,
            size_of::<bpf_attr>() as u32,
        )
    };
    let fd = i32::try_from(fd).unwrap_or(-1);
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor is new and nobody else's.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// A loaded program as aya has it. aya takes them over by what the kernel lists alone.
fn classifier(name: &'static str, loaded: &OwnedFd) -> Result<SchedClassifier, CaptureError> {
    let failed = |source| CaptureError::Program { program: name, source };
    let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", loaded.as_raw_fd()))
        .map_err(CaptureError::system("read what /proc says of a program"))?;
    let id = info.lines().find_map(|line| line.strip_prefix("prog_id:"));
    let id: Option<u32> = id.and_then(|id| id.trim().parse().ok());
    for program in loaded_programs() {
        let program = program.map_err(failed)?;
        if Some(program.id()) == id {
            return SchedClassifier::from_program_info(program, name.into()).map_err(failed);
        }
    }
    Err(failed(ProgramError::NotLoaded))
}

// include/uapi/linux/bpf_common.h and bpf.h
const R0: u8 = 0;
const R1: u8 = 1;
const R2: u8 = 2;
const R3: u8 = 3;
const R6: u8 = 6;
const R7: u8 = 7;
const R10: u8 = 10;
/// BPF_ALU64 | BPF_MOV, from a register and from a number.
const MOVE: u8 = 0xbf;
const MOVE_NUMBER: u8 = 0xb7;
/// BPF_ALU64 | BPF_ADD | BPF_K
const ADD_NUMBER: u8 = 0x07;
/// BPF_ST | BPF_MEM | BPF_W
const STORE_WORD: u8 = 0x62;
/// BPF_LD | BPF_IMM | BPF_DW
const LOAD_ADDRESS: u8 = 0x18;
const PSEUDO_MAP_FD: u8 = 1;
/// BPF_JMP | BPF_JEQ | BPF_K
const JUMP_IF_NUMBER: u8 = 0x15;
const CALL: u8 = 0x85;
const EXIT: u8 = 0x95;
const BPF_MAP_LOOKUP_ELEM: i32 = 1;
const BPF_TAIL_CALL: i32 = 12;
/// Let the next program decide (include/uapi/linux/pkt_cls.h).
const TC_ACT_UNSPEC: i32 = -1;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn an_entrance_looks_up_and_jumps_and_does_nothing_else() {
        let code = code(3, 4, ENTRANCE_EGRESS, u32::MAX);
        let calls = code.iter().filter(|it| it.code == CALL).map(|it| it.imm);
        assert_eq!(calls.collect::<BTreeSet<_>>(), [BPF_MAP_LOOKUP_ELEM, BPF_TAIL_CALL].into());
        let stores = code.iter().filter(|it| it.code == STORE_WORD).map(bpf_insn::dst_reg);
        assert!(stores.into_iter().all(|register| register == R7 || register == R10));
        let [.., verdict, end] = &code[..] else { panic!("it is longer") };
        assert_eq!((verdict.code, verdict.dst_reg(), verdict.imm), (MOVE_NUMBER, R0, -1));
        assert_eq!(end.code, EXIT);
        // A failed look-up leads to the verdict.
        let jump = code.iter().position(|it| it.code == JUMP_IF_NUMBER).unwrap();
        assert_eq!(code.len() - 2, jump + 1 + usize::try_from(code[jump].off).unwrap());
    }
}
