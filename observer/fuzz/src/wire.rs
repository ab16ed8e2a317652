//! A small network in the fuzzer's hands: four connections, and operations that send, lose, repeat,
//! reorder and contradict their segments.
//!
//! An operation is one byte and its arguments: bits 0–1 name the flow, bit 2 the side that sends,
//! bits 3–5 what it does ([`Wire::operate`]), bits 6–7 what it acknowledges: everything sent so far,
//! more, less, or nothing.

use observer::segment::{Endpoint, Origin, Segment, SeqNumber, TcpFlags, Timestamp};

use super::feed::Feed;

pub const N_FLOWS: usize = 4;

/// The most payload one operation sends.
pub const MAX_PAYLOAD: usize = 2048;

/// Operations of one input; more would only cost time.
const MAX_OPERATIONS: usize = 256;

/// What happens next.
#[derive(Debug)]
pub enum Act {
    Send(Sent),
    /// The clock says this, and nothing was captured.
    Wait(Timestamp),
}

/// One segment, with the bytes that it owns.
#[derive(Clone, Debug)]
pub struct Sent {
    pub time: Timestamp,
    pub flow: usize,
    /// 0 for the side that connects, 1 for the other.
    pub side: usize,
    pub seq: u32,
    pub ack: u32,
    pub flags: TcpFlags,
    pub payload: Vec<u8>,
    pub payload_len: u32,
    pub damaged: bool,
    pub from_start: Option<bool>,
}

impl Sent {
    /// The sequence number of the first payload byte (RFC 9293 §3.4: a SYN has one of its own).
    pub fn data_seq(&self) -> u32 {
        self.seq.wrapping_add(u32::from(self.flags.contains(TcpFlags::SYN)))
    }

    pub fn segment(&self) -> Segment<'_> {
        let (a, b) = endpoints(self.flow);
        let (source, destination) = if self.side == 0 { (a, b) } else { (b, a) };
        Segment {
            time: self.time,
            source,
            destination,
            seq: SeqNumber(self.seq),
            ack: SeqNumber(self.ack),
            flags: self.flags,
            window: 1024,
            payload_len: self.payload_len,
            payload: &self.payload,
            origin: Origin {
                damaged: self.damaged,
                from_start: self.from_start,
                ..Origin::default()
            },
        }
    }
}

/// The endpoint that connects, and the one it connects to. In the odd flows the one that connects
/// sorts behind the other, so that both orders of a flow's key occur.
pub fn endpoints(flow: usize) -> (Endpoint, Endpoint) {
    let net = if flow.is_multiple_of(2) { 1 } else { 9 };
    let client = Endpoint::v4([10, 0, net, 1], 40_000 + flow as u16);
    (client, Endpoint::v4([10, 0, 5, 1], 80))
}

/// What a side's stream consists of: flow, side, position behind the SYN, and a number that is 0
/// except where a repetition contradicts.
pub type Content<'a> = &'a dyn Fn(usize, usize, u32, u8) -> u8;

pub struct Wire<'a> {
    feed: Feed<'a>,
    content: Content<'a>,
    time: Timestamp,
    sides: [[End; 2]; N_FLOWS],
    /// Handshakes that are still to be sent: flow and step.
    handshakes: Vec<(usize, usize)>,
    left: usize,
    traced: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct End {
    isn: u32,
    /// The sequence number behind the last byte that was sent for the first time.
    next: u32,
}

impl<'a> Wire<'a> {
    /// The first byte of `feed` says where sequence numbers start and which flows shake hands.
    pub fn new(mut feed: Feed<'a>, content: Content<'a>) -> Self {
        let first = feed.u8();
        let isn: u32 = match first & 3 {
            0 => 1000,
            1 => u32::MAX - 100,
            2 => i32::MAX as u32 - 50,
            _ => 0,
        };
        let mut sides = [[End::default(); 2]; N_FLOWS];
        for (flow, ends) in sides.iter_mut().enumerate() {
            for (side, end) in ends.iter_mut().enumerate() {
                end.isn = isn.wrapping_add(flow as u32 * 7919 + side as u32 * 5_000_000);
                end.next = end.isn.wrapping_add(1);
            }
        }
        let with_handshake = |flow: &usize| first >> (4 + flow) & 1 == 1;
        let mut handshakes: Vec<(usize, usize)> = (0..N_FLOWS)
            .filter(with_handshake)
            .flat_map(|flow| [(flow, 0), (flow, 1), (flow, 2)])
            .collect();
        handshakes.reverse();
        let time = Timestamp(1_700_000_000_000_000_000);
        let traced = std::env::var_os("OBSERVER_FUZZ_TRACE").is_some();
        Self { feed, content, time, sides, handshakes, left: MAX_OPERATIONS, traced }
    }

    pub fn time(&self) -> Timestamp {
        self.time
    }

    /// The next thing that happens; `None` at the end of the input. With `OBSERVER_FUZZ_TRACE` in
    /// the environment each is printed, which makes a finding readable.
    pub fn next(&mut self) -> Option<Act> {
        let act = self.operate();
        if self.traced
            && let Some(act) = &act
        {
            eprintln!("{act:?}");
        }
        act
    }

    fn operate(&mut self) -> Option<Act> {
        self.time = self.time.after(1_000);
        if let Some((flow, step)) = self.handshakes.pop() {
            return Some(Act::Send(self.handshake(flow, step)));
        }
        self.left = self.left.checked_sub(1)?;
        if self.feed.is_empty() {
            return None;
        }
        let op = self.feed.u8();
        let (flow, side) = (usize::from(op & 3), usize::from(op >> 2 & 1));
        let mode = op >> 6;
        let next = self.sides[flow][side].next;
        Some(Act::Send(match op >> 3 & 7 {
            // In order.
            0 => {
                let n = usize::from(self.feed.u8()) + 1;
                self.data(flow, side, next, n, n, 0, mode)
            }
            // Behind a hole.
            1 => {
                let hole = u32::from(self.feed.u8()) * 8;
                let n = usize::from(self.feed.u8()) + 1;
                self.data(flow, side, next.wrapping_add(hole), n, n, 0, mode)
            }
            // Again, or what a hole left out.
            2 => {
                let back = u32::from(self.feed.u16() % 4096);
                let n = usize::from(self.feed.u8()) + 1;
                self.data(flow, side, next.wrapping_sub(back), n, n, 0, mode)
            }
            // Again, with other bytes.
            3 => {
                let (back, salt) = (u32::from(self.feed.u8()), self.feed.u8());
                let n = usize::from(self.feed.u8()) + 1;
                self.data(flow, side, next.wrapping_sub(back), n, n, salt, mode)
            }
            // Cut by a snap length.
            4 => {
                let n = usize::from(self.feed.u16()) % MAX_PAYLOAD + 1;
                let captured = n * usize::from(self.feed.u8()) / 255;
                self.data(flow, side, next, n, captured, 0, mode)
            }
            5 => self.control(flow, side, mode),
            6 => {
                // From a nanosecond to ten hours.
                let wait = 1u64 << (self.feed.u8() % 46);
                self.time = self.time.after(wait);
                return Some(Act::Wait(self.time));
            }
            // Anything.
            _ => {
                let (seq, ack) = (self.feed.u32(), self.feed.u32());
                let bits = self.feed.u16();
                let flags = TcpFlags(bits & 0x0fff);
                let from_start = (bits >> 12 & 7 == 7).then_some(bits >> 15 == 1);
                let n = usize::from(self.feed.u8());
                let payload = self.bytes(flow, side, seq, n, 0);
                Sent { ack, flags, from_start, ..self.sent(flow, side, seq, payload) }
            }
        }))
    }

    /// SYN, SYN-ACK, ACK.
    fn handshake(&self, flow: usize, step: usize) -> Sent {
        let [client, server] = self.sides[flow];
        let (side, seq, ack, flags) = match step {
            0 => (0, client.isn, 0, TcpFlags::SYN),
            1 => (1, server.isn, client.next, TcpFlags::SYN.union(TcpFlags::ACK)),
            _ => (0, client.next, server.next, TcpFlags::ACK),
        };
        Sent { ack, flags, ..self.sent(flow, side, seq, Vec::new()) }
    }

    #[expect(clippy::too_many_arguments, reason = "the arguments of one operation")]
    fn data(
        &mut self,
        flow: usize,
        side: usize,
        seq: u32,
        n: usize,
        captured: usize,
        salt: u8,
        mode: u8,
    ) -> Sent {
        let payload = self.bytes(flow, side, seq, captured, salt);
        let sent = Sent {
            payload_len: n as u32,
            flags: TcpFlags::PSH,
            ..self.sent(flow, side, seq, payload)
        };
        self.advance(flow, side, seq.wrapping_add(n as u32));
        self.acknowledge(sent, mode)
    }

    /// Flags by the bits of one byte: SYN, FIN, RST, another initial sequence number, data, a
    /// keep-alive's sequence number, DTH and URG, damage.
    fn control(&mut self, flow: usize, side: usize, mode: u8) -> Sent {
        let bits = self.feed.u8();
        let has = |bit: u8| bits >> bit & 1 == 1;
        let mut flags = TcpFlags::default();
        for (bit, flag) in [(0, TcpFlags::SYN), (1, TcpFlags::FIN), (2, TcpFlags::RST)] {
            if has(bit) {
                flags = flags.union(flag);
            }
        }
        if has(6) {
            flags = flags.union(TcpFlags::DTH).union(TcpFlags::URG);
        }
        if has(3) {
            let isn = self.feed.u32();
            self.sides[flow][side] = End { isn, next: isn.wrapping_add(1) };
        }
        let n = if has(4) { usize::from(self.feed.u8()) + 1 } else { 0 };
        let End { isn, next } = self.sides[flow][side];
        let seq = match (has(0), has(5)) {
            (true, _) => isn,
            (false, true) => next.wrapping_sub(1),
            (false, false) => next,
        };
        let data_seq = seq.wrapping_add(u32::from(has(0)));
        let payload = self.bytes(flow, side, data_seq, n, 0);
        let sent = Sent { flags, damaged: has(7), ..self.sent(flow, side, seq, payload) };
        if !has(2) {
            self.advance(flow, side, data_seq.wrapping_add(n as u32 + u32::from(has(1))));
        }
        self.acknowledge(sent, mode)
    }

    fn sent(&self, flow: usize, side: usize, seq: u32, payload: Vec<u8>) -> Sent {
        Sent {
            time: self.time,
            flow,
            side,
            seq,
            ack: 0,
            flags: TcpFlags::default(),
            payload_len: payload.len() as u32,
            payload,
            damaged: false,
            from_start: None,
        }
    }

    fn acknowledge(&mut self, mut sent: Sent, mode: u8) -> Sent {
        let peer = self.sides[sent.flow][1 - sent.side].next;
        sent.ack = match mode {
            0 => peer,
            1 => peer.wrapping_add(u32::from(self.feed.u8()) * 16),
            2 => peer.wrapping_sub(u32::from(self.feed.u8()) * 16),
            _ => return sent,
        };
        sent.flags = sent.flags.union(TcpFlags::ACK);
        sent
    }

    fn advance(&mut self, flow: usize, side: usize, to: u32) {
        let next = &mut self.sides[flow][side].next;
        if to.wrapping_sub(*next) < 1 << 31 {
            *next = to;
        }
    }

    fn bytes(&self, flow: usize, side: usize, seq: u32, n: usize, salt: u8) -> Vec<u8> {
        let first = self.sides[flow][side].isn.wrapping_add(1);
        (0..n as u32)
            .map(|i| (self.content)(flow, side, seq.wrapping_add(i).wrapping_sub(first), salt))
            .collect()
    }
}
