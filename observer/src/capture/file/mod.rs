//! Capture files: pcap and pcapng, from a path or any `Read`, to segments.
//!
//! ```text
//! Read → window → container (pcap | pcapng) → frame → Segment
//!                                               ↑↓
//!                                            fragments
//! ```
//!
//! Streams with flat memory; the payload of a segment is lent from the window the file is read
//! into. `frame` is independent of the file, `container` of what packets hold. Nothing here
//! knows what TCP carries.
#![warn(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used)]

mod container;
mod error;
mod fragments;
pub mod frame;
mod pcap;
mod pcapng;
mod window;

#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::path::Path;

use self::container::{Container, Packet};
pub use self::error::FileError;
use self::fragments::Fragments;
use self::frame::{Decoded, Skip, Tcp};
use crate::segment::{Hook, Origin, Segment, Timestamp};

/// Datagrams within datagrams that are themselves in fragments.
const MAX_NESTED_DATAGRAMS: usize = 4;

/// How to read a capture.
#[derive(Clone, Copy, Debug)]
pub struct ReaderOptions {
    /// Compute IP and TCP checksums; a wrong one sets [`Origin::damaged`].
    pub verify_checksums: bool,
}

impl Default for ReaderOptions {
    fn default() -> Self {
        Self { verify_checksums: true }
    }
}

/// What became of the packets so far. Each packet counts once:
/// `packets = segments + not_tcp + fragments + cut_short + malformed + too_deep + unknown_link`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    pub packets: u64,
    pub segments: u64,
    /// Another protocol, or one that hides what it carries.
    pub not_tcp: u64,
    /// Pieces of IP datagrams, except those that completed one: they count as what it held.
    pub fragments: u64,
    /// Cut by a snap length inside the headers.
    pub cut_short: u64,
    /// Headers that contradict themselves.
    pub malformed: u64,
    /// More layers or tunnels than are followed.
    pub too_deep: u64,
    /// Of a link type that is not read.
    pub unknown_link: u64,

    /// Datagrams put together from fragments.
    pub reassembled: u64,
    /// Datagrams that were never completed, up to now.
    pub incomplete_datagrams: u64,
    /// Segments whose payload a snap length cut.
    pub cut_payloads: u64,
    /// Segments with a wrong IP or TCP checksum that offloading does not explain.
    pub bad_checksum: u64,
    /// Segments with a wrong checksum, or lengths that contradict each other.
    pub damaged: u64,
}

/// Reads segments out of one capture.
pub struct Reader {
    container: Container,
    options: ReaderOptions,
    fragments: Fragments,
    /// The last datagram put together; a segment may be lent from it.
    datagram: Vec<u8>,
    counters: Counters,
    /// After an error or the end there is nothing more.
    is_done: bool,
}

impl Reader {
    /// Opens the capture at `path`.
    pub fn open(path: &Path) -> Result<Self, FileError> {
        let name = path.display().to_string();
        match File::open(path) {
            Ok(file) => Self::new(file, name),
            Err(source) => Err(FileError::Open { name, source }),
        }
    }

    /// Reads a capture from anything; `name` stands for it in messages.
    pub fn new(
        source: impl Read + Send + 'static,
        name: impl Into<String>,
    ) -> Result<Self, FileError> {
        Ok(Self {
            container: Container::open(Box::new(source), name.into())?,
            options: ReaderOptions::default(),
            fragments: Fragments::default(),
            datagram: Vec::new(),
            counters: Counters::default(),
            is_done: false,
        })
    }

    #[must_use]
    pub fn with_options(mut self, options: ReaderOptions) -> Self {
        self.options = options;
        self
    }

    /// The next segment, or `None` at the end. Packets that hold none are counted and passed
    /// over. An error comes once, after everything that could be read; then comes `None`.
    pub fn next_segment(&mut self) -> Result<Option<Segment<'_>>, FileError> {
        let found = loop {
            if self.is_done {
                return Ok(None);
            }
            match self.container.next_packet() {
                Ok(Some(packet)) => {
                    self.counters.packets += 1;
                    if let Some(found) = self.handle_packet(&packet) {
                        break found;
                    }
                }
                Ok(None) => self.is_done = true,
                Err(error) => {
                    self.is_done = true;
                    return Err(error);
                }
            }
        };
        Ok(Some(self.lend(found)))
    }

    /// What became of the packets so far.
    pub fn counters(&self) -> Counters {
        Counters {
            incomplete_datagrams: self.fragments.dropped() + self.fragments.waiting(),
            ..self.counters
        }
    }

    /// The name of an interface that a segment's origin tells the index of, where the file has
    /// one. Indexes count within a section of a pcapng file: ask while the segment is there.
    pub fn interface_name(&self, ifindex: u32) -> Option<&str> {
        self.container.interface_name(ifindex)
    }

    #[inline(always)]
    fn handle_packet(&mut self, packet: &Packet) -> Option<Found> {
        let bytes = self.container.bytes(packet);
        let Some(tcp) = frame::plain(packet.link, bytes, self.options.verify_checksums) else {
            return self.handle_odd_packet(packet);
        };
        self.counters.segments += 1;
        let (time, ifindex) = (packet.time, packet.interface);
        Some(Found { time, ifindex, tcp, base: Some(packet.bytes.clone()) })
    }

    #[inline(never)]
    fn handle_odd_packet(&mut self, packet: &Packet) -> Option<Found> {
        let bytes = self.container.bytes(packet);
        let verify = self.options.verify_checksums;
        let mut decoded = frame::layers(packet.link, bytes, packet.wire_len, verify);
        let mut is_datagram = false;
        for _ in 0..MAX_NESTED_DATAGRAMS {
            let Ok(Decoded::Fragment(fragment)) = &decoded else { break };
            let from = if is_datagram { &self.datagram } else { bytes };
            let piece = from.get(fragment.bytes.clone()).unwrap_or_default();
            let Some(whole) = self.fragments.handle(packet.time, fragment, piece) else { break };
            self.counters.reassembled += 1;
            self.datagram = whole.bytes;
            is_datagram = true;
            decoded = frame::resume(whole.walk, whole.addresses, whole.protocol, &self.datagram);
        }
        match self.count(decoded) {
            Some(tcp) => {
                let (time, ifindex) = (packet.time, packet.interface);
                let base = if is_datagram { None } else { Some(packet.bytes.clone()) };
                Some(Found { time, ifindex, tcp, base })
            }
            None => None,
        }
    }

    fn count(&mut self, decoded: Result<Decoded, Skip>) -> Option<Tcp> {
        let counters = &mut self.counters;
        let reason = match decoded {
            Ok(Decoded::Tcp(tcp)) => {
                counters.segments += 1;
                counters.bad_checksum += u64::from(tcp.walk.bad_checksum);
                counters.damaged += u64::from(tcp.walk.damaged);
                counters.cut_payloads += u64::from(tcp.payload.len() < tcp.payload_len as usize);
                return Some(tcp);
            }
            Ok(Decoded::Fragment(_)) => &mut counters.fragments,
            Err(Skip::NotTcp) => &mut counters.not_tcp,
            Err(Skip::CutShort) => &mut counters.cut_short,
            Err(Skip::Malformed) => &mut counters.malformed,
            Err(Skip::TooDeep) => &mut counters.too_deep,
            Err(Skip::UnknownLink) => &mut counters.unknown_link,
        };
        *reason += 1;
        None
    }

    #[inline(always)]
    fn lend(&self, found: Found) -> Segment<'_> {
        let Found { time, ifindex, tcp, base } = found;
        let bytes = match base {
            Some(range) => self.container.window_bytes(range),
            None => &self.datagram,
        };
        Segment {
            time,
            source: tcp.source,
            destination: tcp.destination,
            seq: tcp.seq,
            ack: tcp.ack,
            flags: tcp.flags,
            window: tcp.window,
            payload_len: tcp.payload_len,
            payload: bytes.get(tcp.payload).unwrap_or_default(),
            origin: Origin {
                ifindex,
                hook: Hook::File,
                vlan: tcp.walk.vlan,
                encapsulation: tcp.walk.encapsulation,
                damaged: tcp.walk.damaged,
                ..Origin::default()
            },
        }
    }
}

/// A segment that was found, and where its payload lies.
struct Found {
    time: Timestamp,
    ifindex: u32,
    tcp: Tcp,
    /// The packet's place in the window; `None` when it lies in the datagram put together last.
    base: Option<Range<usize>>,
}
