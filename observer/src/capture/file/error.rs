//! What can go wrong with a capture file, in words a user can act on.

use std::io;

use thiserror::Error;

/// Why a capture file could not be read, or not to its end. All packets that came before the
/// error have been handed out.
#[derive(Debug, Error)]
pub enum FileError {
    #[error("cannot open {name}: check the path and its permissions")]
    Open { name: String, source: io::Error },

    #[error("{name} is a directory: name the capture files in it, for example {name}/*.pcap")]
    Directory { name: String },

    #[error("{name} is empty: not even the header of a capture was written to it")]
    Empty { name: String },

    #[error(
        "{name} is compressed with {format}: unpack it first, for example with \
             `{tool} FILE | observer read -`"
    )]
    Compressed { name: String, format: &'static str, tool: &'static str },

    #[error(
        "{name} is a {format} capture, which is not read here: convert it first, for \
             example with `editcap -F pcapng FILE converted.pcapng`"
    )]
    OtherFormat { name: String, format: &'static str },

    #[error(
        "{name} is neither pcap nor pcapng (it starts with {start}): write captures with \
             `tcpdump -w` or dumpcap"
    )]
    Foreign { name: String, start: String },

    #[error("cannot read {name} after byte {offset}: what came before it was read")]
    Read { name: String, offset: u64, source: io::Error },

    #[error(
        "{name} breaks off at byte {offset}, inside {inside} (packets read before it: {packets}): \
         the capture was cut short or is still being written"
    )]
    Truncated { name: String, offset: u64, packets: u64, inside: &'static str },

    #[error(
        "{name} is corrupt at byte {offset} (packets read before it: {packets}): {what}; \
         `pcapfix` may salvage the rest"
    )]
    Corrupt { name: String, offset: u64, packets: u64, what: String },
}
