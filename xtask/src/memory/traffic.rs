//! Traffic without end, as a pcap file: many connections that take turns, keep-alive, bodies of all
//! sizes, and the usual accidents: one packet in 700 lost, one in 400 late, one in 500 twice, one
//! connection in 300 never closed. The same on every machine.

use std::collections::VecDeque;

/// Payload of a full segment.
const MSS: u32 = 1448;

const CLIENT: usize = 0;
const SERVER: usize = 1;

const SYN: u8 = 0x02;
const ACK: u8 = 0x10;
const FIN_ACK: u8 = 0x11;
const PSH_ACK: u8 = 0x18;

/// Time from one packet to the next.
const STEP_NS: u64 = 250_000;

pub(super) struct Traffic {
    connections: Vec<Connection>,
    random: Random,
    turn: usize,
    time_ns: u64,
    /// A packet that is late: it comes behind the next one.
    late: Option<Vec<u8>>,
    pub(super) n_packets: u64,
    pub(super) n_connections: u64,
    pub(super) n_requests: u64,
}

struct Connection {
    number: u64,
    /// Next sequence numbers of client and server.
    next: [u32; 2],
    n_left: u32,
    queue: VecDeque<Segment>,
}

struct Segment {
    from: usize,
    flags: u8,
    seq: u32,
    ack: u32,
    /// What it begins with; the rest is filling.
    text: Vec<u8>,
    len: u32,
}

/// The header of a pcap file with nanoseconds and raw IP.
pub(super) fn file_header() -> Vec<u8> {
    let mut header = Vec::new();
    for word in [0xa1b2_3c4d_u32, 0x0004_0002, 0, 0, 65_535, 101] {
        header.extend_from_slice(&word.to_le_bytes());
    }
    header
}

impl Traffic {
    pub(super) fn new(n_connections: usize) -> Self {
        let mut traffic = Self {
            connections: Vec::new(),
            random: Random(0x9401),
            turn: 0,
            time_ns: 1_700_000_000_000_000_000,
            late: None,
            n_packets: 0,
            n_connections: 0,
            n_requests: 0,
        };
        for _ in 0..n_connections.max(1) {
            let connection = traffic.open();
            traffic.connections.push(connection);
        }
        traffic
    }

    /// Appends what comes next; nothing where a packet is lost.
    pub(super) fn write_packet(&mut self, out: &mut Vec<u8>) {
        self.turn = (self.turn + 1) % self.connections.len();
        let Some(segment) = self.connections[self.turn].queue.pop_front() else {
            self.refill();
            return;
        };
        self.time_ns += STEP_NS;
        let mut packet = Vec::new();
        write(&mut packet, self.time_ns, self.connections[self.turn].number, &segment);
        self.n_packets += 1;
        match self.random.below(2800) {
            0..4 => return,
            4..11 if self.late.is_none() => {
                self.late = Some(packet);
                return;
            }
            11..17 => out.extend_from_slice(&packet),
            _ => {}
        }
        out.extend_from_slice(&packet);
        out.extend(self.late.take().into_iter().flatten());
    }

    /// The next exchange of the connection whose turn it is, or another connection in its place.
    fn refill(&mut self) {
        let connection = &mut self.connections[self.turn];
        if connection.n_left > 0 {
            self.n_requests += 1;
            let size = match self.random.below(100) {
                0 => 1 << 20,
                1..20 => self.random.below(200_000) as u32,
                _ => self.random.below(4000) as u32,
            };
            connection.exchange(self.n_requests, size, self.random.below(10) == 0);
            return;
        }
        let next = self.open();
        self.connections[self.turn] = next;
    }

    fn open(&mut self) -> Connection {
        self.n_connections += 1;
        let isn = [self.random.below(1 << 32) as u32, self.random.below(1 << 32) as u32];
        let n_left = self.random.below(60) as u32 + 1;
        let mut connection =
            Connection { number: self.n_connections, next: isn, n_left, queue: VecDeque::new() };
        connection.send(CLIENT, SYN, Vec::new(), 0);
        connection.send(SERVER, SYN | ACK, Vec::new(), 0);
        connection.send(CLIENT, ACK, Vec::new(), 0);
        connection
    }
}

impl Connection {
    /// A request, with a body or without, and its response; at last the close.
    fn exchange(&mut self, number: u64, size: u32, chunked: bool) {
        self.n_left -= 1;
        let body = if number.is_multiple_of(7) { size / 4 } else { 0 };
        let method = if body > 0 { "POST" } else { "GET" };
        let head = format!(
            "{method} /item/{number}?page=2 HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: \
             made/1.0\r\nContent-Length: {body}\r\n\r\n"
        );
        self.message(CLIENT, head, body);
        if chunked {
            let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
            self.message(SERVER, format!("{head}{size:x}\r\n"), size);
            let end = if size == 0 { "\r\n" } else { "\r\n0\r\n\r\n" };
            self.send(SERVER, PSH_ACK, end.into(), end.len() as u32);
        } else {
            self.message(
                SERVER,
                format!("HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n"),
                size,
            );
        }
        // One connection in 300 is left open for good.
        if self.n_left == 0 && !self.number.is_multiple_of(300) {
            for from in [CLIENT, SERVER] {
                self.send(from, FIN_ACK, Vec::new(), 0);
            }
            self.send(CLIENT, ACK, Vec::new(), 0);
        }
    }

    /// A head and `body` bytes, in full segments, every other one acknowledged.
    fn message(&mut self, from: usize, head: String, body: u32) {
        let mut left = head.len() as u32 + body;
        let mut text = head.into_bytes();
        let mut n_sent = 0u32;
        while left > 0 {
            let len = left.min(MSS);
            left -= len;
            self.send(from, PSH_ACK, std::mem::take(&mut text), len);
            n_sent += 1;
            if n_sent.is_multiple_of(2) {
                self.send(1 - from, ACK, Vec::new(), 0);
            }
        }
    }

    fn send(&mut self, from: usize, flags: u8, text: Vec<u8>, len: u32) {
        let ack = if flags == SYN { 0 } else { self.next[1 - from] };
        self.queue.push_back(Segment { from, flags, seq: self.next[from], ack, text, len });
        // SYN and FIN have a sequence number of their own.
        let n = len + u32::from(flags & 0x03 != 0);
        self.next[from] = self.next[from].wrapping_add(n);
    }
}

/// One pcap record: IPv4 and TCP, checksums left zero as a card that fills them in would.
fn write(out: &mut Vec<u8>, time_ns: u64, connection: u64, segment: &Segment) {
    let size = 40 + segment.len;
    let (seconds, nanoseconds) = (time_ns / 1_000_000_000, time_ns % 1_000_000_000);
    for word in [seconds as u32, nanoseconds as u32, size, size] {
        out.extend_from_slice(&word.to_le_bytes());
    }
    // 10.0.0.0/8 and the port number the connections apart: 60,000 ports for each address.
    let [_, a, b, c] = ((connection / 60_000) as u32 + 1).to_be_bytes();
    let client = [10, a, b, c];
    let server = [192, 0, 2, 1];
    let client_port = (connection % 60_000) as u16 + 2000;
    let (source, destination) =
        if segment.from == CLIENT { (client, server) } else { (server, client) };
    let ports = if segment.from == CLIENT { [client_port, 80] } else { [80, client_port] };
    out.extend_from_slice(&[0x45, 0]);
    out.extend_from_slice(&(size as u16).to_be_bytes());
    out.extend_from_slice(&[0, 0, 0x40, 0, 64, 6, 0, 0]);
    out.extend_from_slice(&source);
    out.extend_from_slice(&destination);
    for port in ports {
        out.extend_from_slice(&port.to_be_bytes());
    }
    out.extend_from_slice(&segment.seq.to_be_bytes());
    out.extend_from_slice(&segment.ack.to_be_bytes());
    out.extend_from_slice(&[0x50, segment.flags, 0xff, 0xff, 0, 0, 0, 0]);
    out.extend_from_slice(&segment.text);
    let end = out.len() + segment.len as usize - segment.text.len();
    out.resize(end, b'x');
}

/// xorshift64*: the same everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 31) % n
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_a_row_of_whole_packets() {
        let mut traffic = Traffic::new(20);
        let mut file = Vec::new();
        for _ in 0..20_000 {
            traffic.write_packet(&mut file);
        }
        let (mut at, mut n_packets) = (0, 0);
        while at < file.len() {
            let size = u32::from_le_bytes(file[at + 8..at + 12].try_into().unwrap());
            let total = u16::from_be_bytes(file[at + 18..at + 20].try_into().unwrap());
            assert_eq!(size, u32::from(total));
            at += 16 + size as usize;
            n_packets += 1;
        }
        assert_eq!(at, file.len());
        assert!(n_packets > 15_000 && n_packets != traffic.n_packets, "{n_packets}");
        assert!(traffic.n_requests > 100 && traffic.n_connections > 20);
    }

    #[test]
    fn the_same_traffic_comes_every_time() {
        let make = || {
            let (mut traffic, mut file) = (Traffic::new(5), Vec::new());
            (0..1000).for_each(|_| traffic.write_packet(&mut file));
            file
        };
        assert!(make() == make());
    }
}
