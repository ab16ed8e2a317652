//! One made connection: its handshake, its exchanges one after the other, its close.

use std::collections::VecDeque;

use super::{
    mix::{Exchange, Mix},
    packet::{ACK, CLIENT, FIN_ACK, PSH_ACK, Packet, Random, SERVER, SYN, SYN_ACK},
};

/// Payload of a full segment on Ethernet, beside the timestamps option.
const MSS: usize = 1448;

pub(super) struct Connection {
    pub(super) number: u64,
    pub(super) is_over: bool,
    /// Next sequence numbers of client and server.
    next: [u32; 2],
    n_left: u64,
    queue: VecDeque<Packet>,
}

impl Connection {
    /// The next connection; `n_connections` counts it.
    pub(super) fn open(n_connections: &mut u64, random: &mut Random) -> Self {
        *n_connections += 1;
        let next = [random.below(1 << 32) as u32, random.below(1 << 32) as u32];
        let mut connection = Self {
            number: *n_connections,
            is_over: false,
            next,
            n_left: random.between(1, 200),
            queue: VecDeque::new(),
        };
        connection.send(CLIENT, SYN, Vec::new());
        connection.send(SERVER, SYN_ACK, Vec::new());
        connection.send(CLIENT, ACK, Vec::new());
        connection
    }

    /// Its next packet; `None` when it has closed. `enough`: it begins no exchange any more.
    pub(super) fn next(&mut self, enough: bool, mix: Mix, random: &mut Random) -> Option<Packet> {
        if self.queue.is_empty() && self.n_left > 0 {
            self.n_left = if enough { 0 } else { self.n_left - 1 };
            if !enough {
                self.exchange(&mix.exchange(random), random.below(3) == 0);
            }
            if self.n_left == 0 {
                self.send(CLIENT, FIN_ACK, Vec::new());
                self.send(SERVER, FIN_ACK, Vec::new());
                self.send(CLIENT, ACK, Vec::new());
            }
        }
        self.queue.pop_front()
    }

    /// `pause`: the client waits so long before its next request that it acknowledges on its own.
    fn exchange(&mut self, exchange: &Exchange, pause: bool) {
        self.message(CLIENT, &exchange.request);
        self.message(SERVER, &exchange.response);
        if let Some(last) = self.queue.back_mut() {
            last.ends_exchange = true;
        }
        if pause {
            self.send(CLIENT, ACK, Vec::new());
        }
    }

    /// Full segments, every other one acknowledged.
    fn message(&mut self, from: usize, bytes: &[u8]) {
        let pieces = bytes.chunks(MSS);
        let n_pieces = pieces.len();
        for (i, piece) in pieces.enumerate() {
            self.send(from, PSH_ACK, piece.to_vec());
            if i % 2 == 1 && i + 1 < n_pieces {
                self.send(1 - from, ACK, Vec::new());
            }
        }
    }

    fn send(&mut self, from: usize, flags: u8, payload: Vec<u8>) {
        let ack = if flags == SYN { 0 } else { self.next[1 - from] };
        let seq = self.next[from];
        // SYN and FIN have a sequence number of their own.
        let n = payload.len() as u32 + u32::from(flags & 0x03 != 0);
        self.next[from] = seq.wrapping_add(n);
        self.queue.push_back(Packet { from, flags, seq, ack, payload, ends_exchange: false });
    }
}
