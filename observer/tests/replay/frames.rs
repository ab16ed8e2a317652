//! The frames of a capture file as they were on the wire, and the device that can carry them.

use std::path::Path;

use pcap_parser::data::{NfAttrType, parse_nflog};
use pcap_parser::pcapng::Block;
use pcap_parser::{Linktype, PcapBlockOwned, create_reader};

/// What a device carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wire {
    Ethernet,
    /// Bare packets.
    Ip,
}

/// What the link layers of a capture leave for a device.
pub(crate) struct Frames {
    pub(crate) wire: Wire,
    pub(crate) frames: Vec<Vec<u8>>,
    /// Frames whose link layer no device of ours has.
    pub(crate) n_refused: usize,
}

/// Reads a capture. One that is cut gives what it holds, as `observer read` does.
pub(crate) fn read(path: &Path) -> Frames {
    let packets = packets(path);
    let is_ethernet = packets.iter().any(|(link, _)| *link == Linktype::ETHERNET);
    let wire = if is_ethernet { Wire::Ethernet } else { Wire::Ip };
    let n_packets = packets.len();
    let strip = |(link, bytes): (Linktype, Vec<u8>)| match (wire, link) {
        (Wire::Ethernet, Linktype::ETHERNET) => Some(bytes),
        // Interfaces of both kinds in one file: none in the corpus.
        (Wire::Ethernet, _) => None,
        (Wire::Ip, link) => packet(link, &bytes).map(<[u8]>::to_vec),
    };
    let frames: Vec<_> = packets.into_iter().filter_map(strip).collect();
    Frames { wire, n_refused: n_packets - frames.len(), frames }
}

/// The IP packet in a frame of a link type without Ethernet.
fn packet(link: Linktype, bytes: &[u8]) -> Option<&[u8]> {
    // Numbers that the library has no name for.
    /// Raw IP, on the platforms that wrote most captures.
    const PLATFORMS_RAW: Linktype = Linktype(12);
    const CISCO_HDLC: Linktype = Linktype(104);
    match link {
        Linktype::RAW | Linktype::IPV4 | Linktype::IPV6 | PLATFORMS_RAW => Some(bytes),
        Linktype::NULL | Linktype::LOOP => bytes.get(4..),
        // Address, control, EtherType.
        CISCO_HDLC => bytes.get(4..),
        Linktype::LINUX_SLL => bytes.get(16..),
        Linktype::LINUX_SLL2 => bytes.get(20..),
        Linktype::NFLOG => nflog(bytes),
        _ => None,
    }
}

/// Netfilter's log: the attribute that holds the packet.
fn nflog(bytes: &[u8]) -> Option<&[u8]> {
    let (_, log) = parse_nflog(bytes).ok()?;
    let packet = log.data.into_iter().find(|part| part.t == NfAttrType::Payload as u16)?;
    Some(packet.v)
}

/// Each packet with its link type.
fn packets(path: &Path) -> Vec<(Linktype, Vec<u8>)> {
    let file = std::fs::read(path).unwrap_or_else(|err| panic!("{}: {err}", path.display()));
    // A buffer that holds the file is filled at once, so that what is incomplete is cut.
    let mut reader = create_reader(file.len(), file.as_slice()).unwrap();
    let mut packets = Vec::new();
    // One in pcap; in pcapng those of the section, which packets name by position.
    let mut links = Vec::new();
    // An error is the end, or a cut or broken block: what came before it counts.
    while let Ok((offset, block)) = reader.next() {
        match block {
            PcapBlockOwned::LegacyHeader(header) => links = vec![header.network],
            PcapBlockOwned::Legacy(block) => packets.push((links[0], block.data.to_vec())),
            PcapBlockOwned::NG(block) => handle_block(&block, &mut links, &mut packets),
        }
        reader.consume(offset);
    }
    packets
}

fn handle_block(
    block: &Block<'_>,
    links: &mut Vec<Linktype>,
    packets: &mut Vec<(Linktype, Vec<u8>)>,
) {
    match block {
        Block::SectionHeader(_) => links.clear(),
        Block::InterfaceDescription(block) => links.push(block.linktype),
        Block::EnhancedPacket(block) => {
            let n_bytes = block.data.len().min(block.caplen as usize);
            packets.push((links[block.if_id as usize], block.data[..n_bytes].to_vec()));
        }
        Block::SimplePacket(block) => {
            let n_bytes = block.data.len().min(block.origlen as usize);
            packets.push((links[0], block.data[..n_bytes].to_vec()));
        }
        // Names, statistics, and what else has no packet.
        _ => {}
    }
}
