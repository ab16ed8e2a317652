//! The pcapng format (draft-ietf-opsawg-pcapng): sections in either byte order, interfaces with
//! their own link type and clock, enhanced, simple and obsolete packet blocks.

use pcap_parser::nom;
use pcap_parser::pcapng::{
    Block, EnhancedPacketBlock, InterfaceDescriptionBlock, OptionCode, SimplePacketBlock,
    UnknownBlock, parse_block_be, parse_block_le,
};

use super::container::{MAX_PACKET_SIZE, Packet, Step};
use crate::segment::Timestamp;

const SECTION_HEADER: u32 = 0x0a0d_0d0a;
/// Replaced by the enhanced packet block in 2007; dumpcap of that age still wrote it.
const OBSOLETE_PACKET: u32 = 2;
/// More interfaces in one section are corruption, or an attempt on our memory.
const MAX_INTERFACES: usize = 4096;

#[derive(Default)]
pub(super) struct Pcapng {
    big_endian: bool,
    /// Of the current section; a packet names its interface by position.
    interfaces: Vec<Interface>,
    /// A packet without a time of its own (simple packet block) gets the last one seen.
    last_time: Timestamp,
}

struct Interface {
    link: u16,
    snaplen: u32,
    clock: Clock,
    name: Option<String>,
}

/// How an interface counts time.
#[derive(Clone, Copy)]
struct Clock {
    ticks_per_second: u128,
    offset_seconds: i64,
}

impl Pcapng {
    pub(super) fn step(&mut self, bytes: &[u8]) -> Step {
        let (Some(&kind), Some(&len)) = (bytes.first_chunk(), u32_at(bytes, 4)) else {
            return Step::Need { n_bytes: 8, inside: "a block header" };
        };
        // The type of a section header reads the same in both orders; its byte-order magic
        // says how to read its length and all that follows.
        if u32::from_le_bytes(kind) == SECTION_HEADER {
            match u32_at(bytes, 8) {
                None => return Step::Need { n_bytes: 12, inside: "a section header" },
                Some([0x4d, 0x3c, 0x2b, 0x1a]) => self.big_endian = false,
                Some([0x1a, 0x2b, 0x3c, 0x4d]) => self.big_endian = true,
                Some(_) => return corrupt("a section header has no byte-order magic"),
            }
        }
        let size = self.number(&len) as usize;
        if size < 12 || !size.is_multiple_of(4) {
            return Step::Corrupt { what: format!("a block says it is {size} bytes long") };
        }
        if size > MAX_PACKET_SIZE {
            return corrupt("a block's length is beyond 16 MiB");
        }
        let Some(block) = bytes.get(..size) else {
            return Step::Need { n_bytes: size, inside: "a block" };
        };
        if u32_at(block, size - 4) != Some(&len) {
            return corrupt("the two lengths of a block differ");
        }
        self.block(block)
    }

    pub(super) fn interface_name(&self, interface: u32) -> Option<&str> {
        self.interfaces.get(interface as usize)?.name.as_deref()
    }

    /// A whole block: what the library then finds incomplete is a contradiction inside it.
    fn block(&mut self, bytes: &[u8]) -> Step {
        let size = bytes.len();
        let parse = if self.big_endian { parse_block_be } else { parse_block_le };
        let packet = match parse(bytes) {
            Ok((_, Block::EnhancedPacket(block))) => self.enhanced(&block),
            Ok((_, Block::SimplePacket(block))) => self.simple(&block),
            Ok((_, Block::Unknown(block))) if self.is_obsolete_packet(&block) => {
                self.obsolete(&block)
            }
            Ok((_, Block::SectionHeader(_))) => {
                self.interfaces.clear();
                return Step::Other { size };
            }
            Ok((_, Block::InterfaceDescription(block))) => {
                if self.interfaces.len() >= MAX_INTERFACES {
                    return corrupt("a section describes more than 4096 interfaces");
                }
                let interface = self.interface(&block);
                self.interfaces.push(interface);
                return Step::Other { size };
            }
            Ok(_) => return Step::Other { size },
            Err(nom::Err::Incomplete(_)) => return corrupt("a block holds less than it says"),
            Err(_) => return corrupt("a block cannot be parsed"),
        };
        match packet {
            Some(packet) => {
                self.last_time = packet.time;
                Step::Packet { packet, size }
            }
            None => corrupt("a packet names an interface that was not described"),
        }
    }

    fn enhanced(&self, block: &EnhancedPacketBlock<'_>) -> Option<Packet> {
        let interface = self.interfaces.get(block.if_id as usize)?;
        let n_captured = (block.caplen as usize).min(block.data.len());
        Some(Packet {
            time: interface.clock.time(block.ts_high, block.ts_low),
            interface: block.if_id,
            link: interface.link,
            wire_len: n_captured.max(block.origlen as usize),
            bytes: 28..28 + n_captured,
        })
    }

    /// No interface (it is the first one), no time, and no captured length: that is the
    /// original length, cut by the interface's snap length (§4.4).
    fn simple(&self, block: &SimplePacketBlock<'_>) -> Option<Packet> {
        let interface = self.interfaces.first()?;
        let snaplen = if interface.snaplen == 0 { u32::MAX } else { interface.snaplen };
        let n_captured = (block.origlen.min(snaplen) as usize).min(block.data.len());
        Some(Packet {
            time: self.last_time,
            interface: 0,
            link: interface.link,
            wire_len: block.origlen as usize,
            bytes: 12..12 + n_captured,
        })
    }

    fn is_obsolete_packet(&self, block: &UnknownBlock<'_>) -> bool {
        // The library keeps the type as little-endian whatever the section's order is.
        self.number(&block.block_type.to_le_bytes()) == OBSOLETE_PACKET
    }

    /// Like the enhanced block, with a 16-bit interface and a drop counter (appendix A).
    fn obsolete(&self, block: &UnknownBlock<'_>) -> Option<Packet> {
        let field = |at| u32_at(block.data, at).map(|raw| self.number(raw));
        let &interface = block.data.first_chunk::<2>()?;
        let interface = match self.big_endian {
            true => u16::from_be_bytes(interface),
            false => u16::from_le_bytes(interface),
        };
        let description = self.interfaces.get(usize::from(interface))?;
        let n_captured = (field(12)? as usize).min(block.data.len().saturating_sub(20));
        Some(Packet {
            time: description.clock.time(field(4)?, field(8)?),
            interface: u32::from(interface),
            link: description.link,
            wire_len: n_captured.max(field(16)? as usize),
            bytes: 28..28 + n_captured,
        })
    }

    fn interface(&self, block: &InterfaceDescriptionBlock<'_>) -> Interface {
        // The library reads `if_tsoffset` as little-endian in every section.
        let offset = block.options.iter().find(|option| option.code == OptionCode::IfTsoffset);
        let offset = offset.and_then(|option| option.value().first_chunk().copied());
        let offset_seconds = offset.map_or(0, |raw| match self.big_endian {
            true => i64::from_be_bytes(raw),
            false => i64::from_le_bytes(raw),
        });
        Interface {
            link: (block.linktype.0 & 0xffff) as u16,
            snaplen: block.snaplen,
            clock: Clock { ticks_per_second: resolution(block.if_tsresol), offset_seconds },
            name: block.if_name().and_then(Result::ok).map(str::to_owned),
        }
    }

    fn number(&self, raw: &[u8; 4]) -> u32 {
        if self.big_endian { u32::from_be_bytes(*raw) } else { u32::from_le_bytes(*raw) }
    }
}

impl Clock {
    fn time(self, high: u32, low: u32) -> Timestamp {
        let ticks = u64::from(high) << 32 | u64::from(low);
        let ns = match self.ticks_per_second {
            1_000_000 => u128::from(ticks) * 1_000,
            1_000_000_000 => u128::from(ticks),
            // At most 2^64 * 10^9: fits.
            per_second => u128::from(ticks) * 1_000_000_000 / per_second,
        };
        let ns = i128::try_from(ns).unwrap_or(i128::MAX);
        let ns = ns.saturating_add(i128::from(self.offset_seconds) * 1_000_000_000);
        Timestamp(u64::try_from(ns.max(0)).unwrap_or(u64::MAX))
    }
}

/// Ticks a second from `if_tsresol` (§4.2): a power of ten, or of two with the top bit set. The
/// library's own conversion refuses every power of two.
fn resolution(if_tsresol: u8) -> u128 {
    let exponent = u32::from(if_tsresol & 0x7f);
    let base: u128 = if if_tsresol & 0x80 == 0 { 10 } else { 2 };
    // Finer than any clock is nonsense; so coarse that everything becomes 0, instead of a panic.
    base.checked_pow(exponent).unwrap_or(u128::MAX)
}

fn corrupt(what: &str) -> Step {
    Step::Corrupt { what: what.to_owned() }
}

fn u32_at(bytes: &[u8], at: usize) -> Option<&[u8; 4]> {
    bytes.get(at..)?.first_chunk()
}
