//! Packets out of a capture file: which format it is, and where each packet lies in the window.
//!
//! Knows nothing of what a packet holds; [`super::frame`] knows nothing of files.

use std::io::{self, Read};
use std::ops::Range;

use super::error::FileError;
use super::pcap::Pcap;
use super::pcapng::Pcapng;
use super::window::Window;
use crate::segment::Timestamp;

/// No packet is longer: libpcap's own bound is 256 KiB, BIG TCP reaches 512 KiB, and Wireshark
/// allows D-Bus messages up to 128 MiB, which carry no TCP. A length beyond it is corruption.
pub(super) const MAX_PACKET_SIZE: usize = 16 * 1024 * 1024;

/// One packet, as the file describes it.
#[derive(Clone, Debug)]
pub(super) struct Packet {
    pub(super) time: Timestamp,
    /// Interface of the section (pcapng); 0 in pcap.
    pub(super) interface: u32,
    /// LINKTYPE_ value.
    pub(super) link: u16,
    /// Length on the wire; at least as long as `bytes`.
    pub(super) wire_len: usize,
    /// Where the captured bytes lie in the container's window.
    pub(super) bytes: Range<usize>,
}

/// What one step of a format's parser found at the start of the window.
pub(super) enum Step {
    /// A packet that ends, with everything that belongs to it, after `size` bytes.
    Packet {
        packet: Packet,
        size: usize,
    },
    /// Something else of `size` bytes.
    Other {
        size: usize,
    },
    /// The window must hold this many bytes before anything can be said. `inside` names the
    /// thing that is cut when the file ends first.
    Need {
        n_bytes: usize,
        inside: &'static str,
    },
    Corrupt {
        what: String,
    },
}

enum Format {
    Pcap(Pcap),
    Pcapng(Pcapng),
}

pub(super) struct Container {
    name: String,
    window: Window,
    format: Format,
    packets: u64,
    /// Size of what the last step handed out: still in the window, because it was lent.
    lent: usize,
}

impl Container {
    pub(super) fn open(source: Box<dyn Read + Send>, name: String) -> Result<Self, FileError> {
        let mut window = Window::new(source);
        if let Err(source) = window.fill(4) {
            return Err(if source.kind() == io::ErrorKind::IsADirectory {
                FileError::Directory { name }
            } else {
                FileError::Read { name, offset: 0, source }
            });
        }
        let format =
            match recognise(window.bytes(), &name)? {
                Recognised::Pcapng => Format::Pcapng(Pcapng::default()),
                Recognised::Pcap => {
                    let whole = window.fill(Pcap::HEADER_SIZE).map_err(|source| {
                        FileError::Read { name: name.clone(), offset: 0, source }
                    })?;
                    let Some(pcap) = Pcap::parse(window.bytes()).filter(|_| whole) else {
                        let (offset, inside) = (window.bytes().len() as u64, "the file header");
                        return Err(FileError::Truncated { name, offset, packets: 0, inside });
                    };
                    window.consume(Pcap::HEADER_SIZE);
                    Format::Pcap(pcap)
                }
            };
        Ok(Self { name, window, format, packets: 0, lent: 0 })
    }

    /// The next packet; its bytes stay in place until the next call.
    pub(super) fn next_packet(&mut self) -> Result<Option<Packet>, FileError> {
        loop {
            self.window.consume(self.lent);
            self.lent = 0;
            let step = match &mut self.format {
                Format::Pcap(pcap) => pcap.step(self.window.bytes()),
                Format::Pcapng(pcapng) => pcapng.step(self.window.bytes()),
            };
            match step {
                Step::Packet { packet, size } => {
                    self.lent = size;
                    self.packets += 1;
                    return Ok(Some(packet));
                }
                Step::Other { size } => self.lent = size,
                Step::Need { n_bytes, inside } => {
                    if !self.fill(n_bytes)? {
                        return self.end(inside);
                    }
                }
                Step::Corrupt { what } => {
                    return Err(FileError::Corrupt {
                        name: self.name.clone(),
                        offset: self.window.offset(),
                        packets: self.packets,
                        what,
                    });
                }
            }
        }
    }

    /// The bytes of the packet that `next_packet` returned last.
    pub(super) fn bytes(&self, packet: &Packet) -> &[u8] {
        self.window_bytes(packet.bytes.clone())
    }

    /// The same, by the packet's place in the window.
    pub(super) fn window_bytes(&self, range: Range<usize>) -> &[u8] {
        self.window.bytes().get(range).unwrap_or_default()
    }

    pub(super) fn interface_name(&self, interface: u32) -> Option<&str> {
        match &self.format {
            Format::Pcap(_) => None,
            Format::Pcapng(pcapng) => pcapng.interface_name(interface),
        }
    }

    fn fill(&mut self, n_bytes: usize) -> Result<bool, FileError> {
        self.window.fill(n_bytes).map_err(|source| FileError::Read {
            name: self.name.clone(),
            offset: self.window.offset() + self.window.bytes().len() as u64,
            source,
        })
    }

    /// The source ended: between two packets, or inside something.
    fn end(&self, inside: &'static str) -> Result<Option<Packet>, FileError> {
        let rest = self.window.bytes().len() as u64;
        if rest == 0 {
            return Ok(None);
        }
        Err(FileError::Truncated {
            name: self.name.clone(),
            offset: self.window.offset() + rest,
            packets: self.packets,
            inside,
        })
    }
}

enum Recognised {
    Pcap,
    Pcapng,
}

/// Formats by their first bytes: ours, and those that users hand over by mistake.
fn recognise(start: &[u8], name: &str) -> Result<Recognised, FileError> {
    let name = || name.to_owned();
    let compressed = |format, tool| Err(FileError::Compressed { name: name(), format, tool });
    let other = |format| Err(FileError::OtherFormat { name: name(), format });
    match *start {
        [] => Err(FileError::Empty { name: name() }),
        [0x0a, 0x0d, 0x0d, 0x0a, ..] => Ok(Recognised::Pcapng),
        _ if Pcap::is_magic(start) => Ok(Recognised::Pcap),
        [0x1f, 0x8b, ..] => compressed("gzip", "zcat"),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => compressed("zstd", "zstdcat"),
        [0xfd, b'7', b'z', b'X', ..] => compressed("xz", "xzcat"),
        [b'B', b'Z', b'h', ..] => compressed("bzip2", "bzcat"),
        [0x04, 0x22, 0x4d, 0x18, ..] => compressed("lz4", "lz4cat"),
        [b'P', b'K', 0x03, 0x04, ..] => compressed("zip", "unzip -p"),
        [b's', b'n', b'o', b'o', ..] => other("snoop"),
        [b'G', b'M', b'B', b'U', ..] => other("Microsoft Network Monitor"),
        [b'T', b'R', b'S', b'N', ..] => other("Sniffer"),
        _ => {
            let start = start.iter().take(4).map(|byte| format!("{byte:02x}"));
            Err(FileError::Foreign { name: name(), start: start.collect::<Vec<_>>().join(" ") })
        }
    }
}
