//! The classic pcap format (draft-ietf-opsawg-pcap): both byte orders, micro- and nanoseconds,
//! and the "modified" format of old Linux kernels' patches (magic 0xa1b2cd34).

use pcap_parser::nom;
use pcap_parser::pcap::{parse_pcap_frame, parse_pcap_frame_be, parse_pcap_frame_modified};
use pcap_parser::{LegacyPcapBlock, PcapError, PcapHeader, parse_pcap_header};

use super::container::{MAX_PACKET_SIZE, Packet, Step};
use crate::segment::Timestamp;

type ParseFrame =
    for<'a> fn(&'a [u8]) -> nom::IResult<&'a [u8], LegacyPcapBlock<'a>, PcapError<&'a [u8]>>;

pub(super) struct Pcap {
    header: PcapHeader,
    parse: ParseFrame,
    /// Bytes of a record header.
    record_header: usize,
    ns_per_tick: u64,
}

impl Pcap {
    pub(super) const HEADER_SIZE: usize = 24;

    pub(super) fn is_magic(start: &[u8]) -> bool {
        const MAGICS: [u32; 3] = [0xa1b2_c3d4, 0xa1b2_3c4d, 0xa1b2_cd34];
        let Some(&magic) = start.first_chunk() else { return false };
        // The library reads the modified format in little-endian order alone.
        MAGICS.contains(&u32::from_le_bytes(magic))
            || MAGICS[..2].contains(&u32::from_be_bytes(magic))
    }

    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let (_, header) = parse_pcap_header(bytes).ok()?;
        let (parse, record_header): (ParseFrame, usize) = if header.is_modified_format() {
            (parse_pcap_frame_modified, 24)
        } else if header.is_bigendian() {
            (parse_pcap_frame_be, 16)
        } else {
            (parse_pcap_frame, 16)
        };
        let ns_per_tick = if header.is_nanosecond_precision() { 1 } else { 1_000 };
        Some(Self { header, parse, record_header, ns_per_tick })
    }

    pub(super) fn step(&self, bytes: &[u8]) -> Step {
        match (self.parse)(bytes) {
            Ok((rest, block)) => {
                let size = bytes.len() - rest.len();
                Step::Packet { packet: self.packet(&block), size }
            }
            Err(nom::Err::Incomplete(nom::Needed::Size(missing))) => {
                let n_bytes = bytes.len().saturating_add(missing.get());
                if n_bytes > MAX_PACKET_SIZE {
                    let what = "a packet's length is beyond 16 MiB".to_owned();
                    return Step::Corrupt { what };
                }
                let inside =
                    if bytes.len() < self.record_header { "a packet header" } else { "a packet" };
                Step::Need { n_bytes, inside }
            }
            Err(_) => Step::Corrupt { what: "a packet header cannot be parsed".to_owned() },
        }
    }

    fn packet(&self, block: &LegacyPcapBlock<'_>) -> Packet {
        let ns =
            u64::from(block.ts_sec) * 1_000_000_000 + u64::from(block.ts_usec) * self.ns_per_tick;
        Packet {
            time: Timestamp(ns),
            interface: 0,
            // The upper bits tell about a frame check sequence (draft-ietf-opsawg-pcap §4);
            // lengths in the network headers trim it away.
            link: (self.header.network.0 & 0xffff) as u16,
            wire_len: block.data.len().max(block.origlen as usize),
            bytes: self.record_header..self.record_header + block.data.len(),
        }
    }
}
