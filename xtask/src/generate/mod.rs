//! Owns `cargo xtask generate`: a capture of made HTTP traffic of any size, the same on every
//! machine, for measurements. `memory` has traffic of its own, with the accidents of real networks;
//! this one is clean and looks like what servers see: real heads, keep-alive, many connections.

mod connection;
mod mix;
mod packet;

use std::{fs::File, io::Write as _, path::PathBuf};

use anyhow::{Context as _, Result};

pub(crate) use self::mix::Mix;
use self::{connection::Connection, packet::Random};

/// Time from one packet to the next: 200,000 packets a second.
const STEP_NS: u64 = 5_000;

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Size of the capture, with a suffix or without: 200M, 1G
    #[arg(long, value_name = "N", default_value = "200M", value_parser = parse_size)]
    bytes: u64,
    /// What the exchanges are like
    #[arg(long, value_enum, default_value_t = Mix::Mixed)]
    mix: Mix,
    /// Connections open at once
    #[arg(long, value_name = "N", default_value_t = 1000)]
    connections: usize,
    /// The pcap file to write
    file: PathBuf,
}

/// What was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Made {
    pub(crate) bytes: u64,
    pub(crate) packets: u64,
    pub(crate) connections: u64,
    pub(crate) exchanges: u64,
}

pub(crate) fn generate(options: &Options) -> Result<()> {
    let name = options.file.display();
    let mut file = File::create(&options.file).with_context(|| format!("cannot create {name}"))?;
    let made = write(options.mix, options.connections, options.bytes, |bytes| {
        file.write_all(bytes).with_context(|| format!("cannot write to {name}"))
    })?;
    println!(
        "{name}: {} bytes, {} packets, {} connections, {} exchanges",
        made.bytes, made.packets, made.connections, made.exchanges
    );
    Ok(())
}

/// Hands a capture of `n_bytes` or a little more to `sink`, in large pieces. Every exchange that was
/// begun is in it to its end.
pub(crate) fn write(
    mix: Mix,
    n_connections: usize,
    n_bytes: u64,
    mut sink: impl FnMut(&[u8]) -> Result<()>,
) -> Result<Made> {
    let mut random = Random::new();
    let mut made = Made::default();
    let mut connections: Vec<Connection> = (0..n_connections.max(1))
        .map(|_| Connection::open(&mut made.connections, &mut random))
        .collect();
    let mut buffer = packet::file_header();
    let mut time_ns = 1_700_000_000_000_000_000;
    // At the end every connection says what it still has to say, in turn.
    let mut n_ended = 0;
    let mut turn = 0;
    while n_ended < connections.len() {
        let enough = made.bytes + buffer.len() as u64 >= n_bytes;
        turn = (turn + 1) % connections.len();
        let Some(connection) = connections.get_mut(turn) else { break };
        let Some(packet) = connection.next(enough, mix, &mut random) else {
            if enough {
                n_ended += usize::from(!std::mem::replace(&mut connection.is_over, true));
            } else {
                *connection = Connection::open(&mut made.connections, &mut random);
            }
            continue;
        };
        time_ns += STEP_NS;
        made.packets += 1;
        made.exchanges += u64::from(packet.ends_exchange);
        packet::write(&mut buffer, time_ns, connection.number, &packet);
        if buffer.len() >= 1 << 20 {
            made.bytes += buffer.len() as u64;
            sink(&buffer)?;
            buffer.clear();
        }
    }
    made.bytes += buffer.len() as u64;
    sink(&buffer)?;
    Ok(made)
}

/// A number of bytes; K, M and G are powers of 1000.
fn parse_size(text: &str) -> Result<u64, String> {
    let (digits, unit) = match text.as_bytes().last() {
        Some(b'k' | b'K') => (&text[..text.len() - 1], 1_000),
        Some(b'M') => (&text[..text.len() - 1], 1_000_000),
        Some(b'G') => (&text[..text.len() - 1], 1_000_000_000),
        _ => (text, 1),
    };
    let number: u64 = digits.parse().map_err(|_| format!("`{text}` is no size; try 200M or 1G"))?;
    number.checked_mul(unit).ok_or_else(|| format!("`{text}` is too large"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn make(mix: Mix, n_bytes: u64) -> (Made, Vec<u8>) {
        let mut file = Vec::new();
        let made = write(mix, 10, n_bytes, |bytes| {
            file.extend_from_slice(bytes);
            Ok(())
        });
        (made.unwrap(), file)
    }

    #[test]
    fn the_file_is_a_row_of_whole_packets() {
        for mix in [Mix::Mixed, Mix::Small] {
            let (made, file) = make(mix, 3_000_000);
            let (mut at, mut n_packets) = (24, 0);
            while at < file.len() {
                let size = u32::from_le_bytes(file[at + 8..at + 12].try_into().unwrap());
                let total = u16::from_be_bytes(file[at + 32..at + 34].try_into().unwrap());
                assert_eq!(size, u32::from(total) + 14);
                at += 16 + size as usize;
                n_packets += 1;
            }
            assert_eq!((at, n_packets), (file.len(), made.packets));
            assert!(made.exchanges > 300 && made.connections >= 10, "{made:?}");
            assert_eq!(made.bytes, file.len() as u64);
        }
    }

    #[test]
    fn the_same_traffic_comes_every_time() {
        assert!(make(Mix::Mixed, 500_000) == make(Mix::Mixed, 500_000));
    }

    #[test]
    fn a_size_has_a_suffix_or_none() {
        assert_eq!(parse_size("12"), Ok(12));
        assert_eq!(parse_size("200M"), Ok(200_000_000));
        assert!(parse_size("1 G").is_err() && parse_size("99999999999G").is_err());
    }
}
