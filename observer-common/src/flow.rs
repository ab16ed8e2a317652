//! The LRU table of flows known to speak HTTP: key, value, and who owns each half.
//!
//! The kernel writes entries without a lock. Segments of one half pass one hook after another, so
//! two writers meet only when both halves are busy on two CPUs, and those touch different
//! [`Half`]s. What a race can cost is one duplicate or one late change of owner.

use core::mem::offset_of;

use crate::config::{LOOPBACK_IFINDEX, OWNER_SILENCE_NS, words};
use crate::headers::{ACK, FIN, SYN, Tcp};

#[cfg(test)]
mod tests;

/// Both endpoints; the lower one, as bytes of address then port, comes first. The order does not
/// depend on who sent the segment, and is the one of `observer::segment::FlowKey`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowKey {
    /// Address words as `config::words` makes them.
    pub low: [u64; 2],
    pub high: [u64; 2],
    pub low_port: u16,
    pub high_port: u16,
    /// What [`key_netns`] says.
    pub netns: u32,
}

const _: () = assert!(size_of::<FlowKey>() == 40);

/// Which [`Half`] a segment belongs to: 0 when the lower endpoint sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HalfIndex(pub bool);

impl FlowKey {
    /// The key of a segment, and the half that it belongs to.
    #[inline(always)]
    pub fn new(
        source: ([u64; 2], u16),
        destination: ([u64; 2], u16),
        netns: u32,
    ) -> (Self, HalfIndex) {
        let source_is_low = precedes(source, destination);
        let (low, high) = if source_is_low { (source, destination) } else { (destination, source) };
        let key = Self { low: low.0, high: high.0, low_port: low.1, high_port: high.1, netns };
        (key, HalfIndex(!source_is_low))
    }

    /// The key of two endpoints that are in order already.
    pub fn in_order(low: ([u8; 16], u16), high: ([u8; 16], u16), netns: u32) -> Self {
        let (low, low_port) = (words(low.0), low.1);
        let (high, high_port) = (words(high.0), high.1);
        Self { low, high, low_port, high_port, netns }
    }
}

/// The network namespace as far as it tells one flow from another. What passes a loopback device
/// never leaves its namespace, and each has the same addresses there. Everything else may pass
/// several namespaces on its way, and is one flow wherever it is seen.
#[inline(always)]
pub const fn key_netns(netns: u32, ifindex: u32) -> u32 {
    if ifindex == LOOPBACK_IFINDEX { netns } else { 0 }
}

/// Lexicographic order of the address bytes, then the port. Two endpoints that are equal (a socket
/// connected to itself) count as low first.
#[inline(always)]
fn precedes(a: ([u64; 2], u16), b: ([u64; 2], u16)) -> bool {
    let ([a0, a1], [b0, b1]) = (a.0, b.0);
    if a0 != b0 {
        return u64::from_be(a0) < u64::from_be(b0);
    }
    if a1 != b1 {
        return u64::from_be(a1) < u64::from_be(b1);
    }
    a.1 <= b.1
}

/// Speaks HTTP: both halves are emitted.
pub const STATE_HTTP: u32 = 1;
/// Turned off by user space: nothing is emitted until a SYN starts the flow anew.
pub const STATE_OFF: u32 = 2;
/// A tunnel that nobody looks into: no payload, but bare records of what must be known and of
/// progress (`skip`), until a SYN starts the flow anew.
pub const STATE_QUIET: u32 = 3;
/// Not known as HTTP, and watched like a quiet flow because a segment of it had DTH set.
pub const STATE_WATCHED: u32 = 4;
/// Begins like TLS: the first bytes of both halves are emitted ([`Half::begin`]), the rest is quiet.
pub const STATE_TLS: u32 = 5;
/// A SYN has started the flow anew, and was emitted; the next bytes tell what it is.
pub const STATE_NEW: u32 = 6;
/// Sampled out ([`crate::sample`]): nothing is emitted until a SYN starts the flow anew, or until
/// more flows are kept and a request begins.
pub const STATE_SAMPLED: u32 = 7;

/// What the kernel knows of one direction.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Half {
    /// `bpf_ktime_get_ns` of the last segment at the owner.
    pub owner_time_ns: u64,
    /// The interface and hook that see this half, made by [`owner`]; 0 while nobody does.
    pub owner: u32,
    /// The sequence number after the newest byte that the owner saw.
    pub next_seq: u32,
    /// The newest acknowledgement that the owner saw.
    pub ack: u32,
    /// The sequence number of the SYN, when one was seen since the flow is known.
    pub isn: u32,
    /// Records of this half that found the ring full.
    pub records_lost: u32,
    /// Payload from here up to `skip_until` stays in the kernel, where `skip` says so.
    pub skip_from: u32,
    pub skip_until: u32,
    /// The acknowledgement on the last segment with payload.
    pub data_ack: u32,
    /// When the last record was made, as [`millis`] has it.
    pub record_time: u32,
    /// When the last record was made that tells of the sending socket.
    pub socket_time: u32,
    /// 1 when a head has shown the stretch, and its body has not begun to come; says nothing without
    /// `has_data`.
    pub awaits_body: u8,
    /// 1 when large bodies have come in segments behind that of their head, be it of an earlier
    /// connection between the same ends.
    pub heads_apart: u8,
    pub to_word: [u8; 2],
    /// 1 when `isn` holds something.
    pub has_isn: u8,
    /// 1 when `data_ack` holds something.
    pub has_data: u8,
    /// 1 while a stretch is skipped.
    pub skip: u8,
    /// 1 when bytes passed that the owner did not see.
    pub has_hole: u8,
}

const _: () = assert!(size_of::<Half>() == 56);

impl Half {
    pub const EMPTY: Self = Self {
        owner_time_ns: 0,
        owner: 0,
        next_seq: 0,
        ack: 0,
        isn: 0,
        records_lost: 0,
        skip_from: 0,
        skip_until: 0,
        data_ack: 0,
        record_time: 0,
        socket_time: 0,
        awaits_body: 0,
        heads_apart: 0,
        to_word: [0; 2],
        has_isn: 0,
        has_data: 0,
        skip: 0,
        has_hole: 0,
    };
}

impl Half {
    #[inline(always)]
    fn renew(&mut self) {
        self.owner = 0;
        self.has_isn = 0;
        self.has_data = 0;
        self.skip = 0;
        self.has_hole = 0;
        self.records_lost = 0;
        self.record_time = 0;
        self.socket_time = 0;
    }

    /// Whether an acknowledgement of this half tells user space nothing: what it acknowledges was
    /// shown, or is left out on purpose.
    #[inline(always)]
    pub fn has_shown(&self, ack: u32) -> bool {
        let has_all = self.owner != 0 && self.has_hole == 0 && self.records_lost == 0;
        self.skip != 0 || has_all && !is_after(ack, self.next_seq)
    }
}

/// A clock of 1,048,576 ns ticks: near enough to milliseconds, and a shift.
#[inline(always)]
pub const fn millis(time_ns: u64) -> u32 {
    (time_ns >> TICK_SHIFT) as u32
}

pub const TICK_SHIFT: u32 = 20;

/// Whether `n` of its ticks have passed between `since` and `now`. The two may be of two clocks, of
/// which one goes by the kernel's own ticks (`bpf_ktime_get_coarse_ns`) and lies up to 10 ms behind: so
/// `since` may be a little ahead, and is as good as now.
#[inline(always)]
pub const fn has_passed(now: u32, since: u32, n: u32) -> bool {
    const BEHIND: u32 = 32;
    now.wrapping_add(BEHIND).wrapping_sub(since) >= n + BEHIND
}

/// What [`Half::admit`] looks at in a segment.
#[derive(Clone, Copy, Debug)]
pub struct Sight {
    pub seq: u32,
    /// The number after the last byte, SYN and FIN counted (RFC 9293 §3.4).
    pub next_seq: u32,
    pub ack: Option<u32>,
    /// The sequence number, when the segment is a SYN.
    pub isn: Option<u32>,
}

impl Sight {
    #[inline(always)]
    pub fn of(tcp: &Tcp) -> Self {
        let syn = tcp.flags & SYN != 0;
        let marks = u32::from(syn) + u32::from(tcp.flags & FIN != 0);
        Self {
            seq: tcp.seq,
            next_seq: tcp.seq.wrapping_add(tcp.payload_len).wrapping_add(marks),
            ack: if tcp.flags & ACK != 0 { Some(tcp.ack) } else { None },
            isn: if syn { Some(tcp.seq) } else { None },
        }
    }
}

impl Half {
    /// Whether the segment counts at `owner`, an interface and hook; false when it is a copy of
    /// what another one sees.
    ///
    /// The first that sees a half owns it. Copies on a bridge, a veth pair, a VLAN's parent or a
    /// second hook come after and are refused. The half changes hands when the owner has been
    /// silent and something new shows elsewhere (an interface went away, a route changed), and
    /// when a SYN with another number starts a new connection.
    #[inline(always)]
    pub fn admit(&mut self, sight: &Sight, owner: u32, now_ns: u64) -> bool {
        let starts_anew = match sight.isn {
            Some(isn) => self.has_isn == 0 || self.isn != isn,
            None => false,
        };
        let newer_ack = match sight.ack {
            Some(ack) => is_after(ack, self.ack),
            None => false,
        };
        let newer_seq = is_after(sight.next_seq, self.next_seq);
        if self.owner != 0 && self.owner != owner && !starts_anew {
            let silence_ns = now_ns.saturating_sub(self.owner_time_ns);
            if silence_ns < OWNER_SILENCE_NS || !(newer_seq || newer_ack) {
                return false;
            }
        }
        if self.owner == 0 || starts_anew {
            // Nothing before it counts.
            self.next_seq = sight.next_seq;
            if let Some(ack) = sight.ack {
                self.ack = ack;
            }
        }
        if starts_anew {
            // What is known of the last connection's stream says nothing of this one's.
            self.skip = 0;
            self.has_data = 0;
            self.has_hole = 0;
            self.records_lost = 0;
        }
        if let Some(isn) = sight.isn {
            self.isn = isn;
            self.has_isn = 1;
        }
        self.owner = owner;
        self.advance(sight, now_ns);
        true
    }

    /// Takes note of a segment that the owner sees.
    #[inline(always)]
    pub fn advance(&mut self, sight: &Sight, now_ns: u64) {
        if is_after(sight.seq, self.next_seq) {
            self.has_hole = 1;
        }
        if is_after(sight.next_seq, self.next_seq) {
            self.next_seq = sight.next_seq;
        }
        if let Some(ack) = sight.ack
            && is_after(ack, self.ack)
        {
            self.ack = ack;
        }
        self.owner_time_ns = now_ns;
    }
}

/// The value of the table.
///
/// The halves are busy on different CPUs, so each has a cache line of its own, and what both read
/// and hardly anybody writes has a third. Entries lie behind each other in memory that begins on a
/// page: 48 bytes of the kernel's (`struct htab_elem`, kernel/bpf/hashtab.c), the key, the value.
/// Where that differs, lines are shared and that is all.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flow {
    /// A `STATE_*`.
    pub state: u32,
    pub reserved: u32,
    pub to_line: [u64; 4],
    /// What the lower endpoint sends.
    pub from_low: Half,
    pub to_next_line: u64,
    /// What the higher endpoint sends.
    pub from_high: Half,
    pub to_end: u64,
}

const KERNELS: usize = 48 + size_of::<FlowKey>();
const LINE: usize = 64;
const _: () = assert!((KERNELS + offset_of!(Flow, from_low)).is_multiple_of(LINE));
const _: () = assert!((KERNELS + offset_of!(Flow, from_high)).is_multiple_of(LINE));
const _: () = assert!((KERNELS + size_of::<Flow>()).is_multiple_of(LINE));

impl Flow {
    pub const EMPTY: Self = Self {
        state: 0,
        reserved: 0,
        to_line: [0; 4],
        from_low: Half::EMPTY,
        to_next_line: 0,
        from_high: Half::EMPTY,
        to_end: 0,
    };

    /// A segment of one half begins like TLS.
    #[inline(always)]
    pub fn begin_tls(&mut self, from_high: bool, seq: u32, ack: u32) {
        self.state = STATE_TLS;
        let (low, high) = if from_high { (ack, seq) } else { (seq, ack) };
        self.from_low.begin(low);
        self.from_high.begin(high);
    }

    /// Forgets what was known of the last connection between the same ends. The SYN that shows it
    /// is emitted by whoever sees it first.
    #[inline(always)]
    pub fn renew(&mut self) {
        self.state = STATE_NEW;
        self.from_low.renew();
        self.from_high.renew();
    }
}

/// What is kept of a SYN until the flow shows what it speaks.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handshake {
    /// The sequence number of the SYN.
    pub isn: u32,
    /// 1 when the higher endpoint sent it.
    pub from_high: u32,
}

/// Ways a segment can pass one interface.
pub const WAY_IN: u32 = 0;
pub const WAY_OUT: u32 = 1;

/// The number of an owner, an interface of a namespace and a way through it: never 0.
///
/// Namespaces number their interfaces by themselves, from 1 on, so the namespace is mixed in: the
/// multiplication by an odd number (2^32 divided by the golden ratio) spreads numbers that follow
/// each other far apart. Should two ever meet, a copy of a segment counts as a retransmission.
#[inline(always)]
pub const fn owner(netns: u32, ifindex: u32, way: u32) -> u32 {
    match ((ifindex << 1) | way) ^ netns.wrapping_mul(0x9e37_79b1) {
        0 => u32::MAX,
        owner => owner,
    }
}

/// Whether `a` lies after `b` on the circle of sequence numbers (RFC 9293 §3.4).
#[inline(always)]
pub const fn is_after(a: u32, b: u32) -> bool {
    (a.wrapping_sub(b) as i32) > 0
}
