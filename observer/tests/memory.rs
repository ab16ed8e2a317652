//! What the engine holds of connections: how many bytes an idle one costs, and that everything
//! comes back when they have ended. Counted by the allocator, to the byte.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use observer::pipeline::{Config, Pipeline};
use observer::segment::{Endpoint, Origin, Segment, SeqNumber, TcpFlags, Timestamp};

/// Bytes that were asked for and not given back. One test runs in this process, and no other thread
/// of it allocates meanwhile to speak of.
static HELD: AtomicUsize = AtomicUsize::new(0);

struct Counting;

// SAFETY: every call is passed on to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        HELD.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps the contract, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps the contract, which is the same.
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const START: u64 = 1_700_000_000_000_000_000;
const SECOND: u64 = 1_000_000_000;
const REQUEST: &[u8] = b"GET /a HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: test\r\n\r\n";
const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nServer: test\r\n\r\nok";

/// The most that an idle connection may cost, with its share of the tables.
const MOST_BYTES: usize = 690;

/// What is left when the connections have ended, at most: the engine's own few tables.
const MOST_LEFT: usize = 64 << 10;

struct Wire {
    pipeline: Pipeline,
    n_events: usize,
}

impl Wire {
    /// Sends from one side of connection `i`; `seq` and `ack` count from the handshake.
    fn send(&mut self, i: u32, side: usize, flags: TcpFlags, payload: &[u8], seq: u32, ack: u32) {
        let [a, b, c] = [(i >> 16) as u8, (i >> 8) as u8, i as u8];
        let ends = [Endpoint::v4([10, a, b, c], 40_000), Endpoint::v4([192, 0, 2, 1], 80)];
        self.pipeline.handle_segment(&Segment {
            time: Timestamp(START + u64::from(i) * 1_000),
            source: ends[side],
            destination: ends[1 - side],
            seq: SeqNumber(1_000 + seq),
            ack: SeqNumber(1_000 + ack),
            flags,
            window: 512,
            payload_len: payload.len() as u32,
            payload,
            origin: Origin::default(),
        });
        while self.pipeline.poll_event().is_some() {
            self.n_events += 1;
        }
    }

    fn open(&mut self, i: u32) {
        let synack = TcpFlags::SYN.union(TcpFlags::ACK);
        let (n, m) = (REQUEST.len() as u32, RESPONSE.len() as u32);
        self.send(i, 0, TcpFlags::SYN, b"", 0, 0);
        self.send(i, 1, synack, b"", 0, 1);
        self.send(i, 0, TcpFlags::ACK, REQUEST, 1, 1);
        self.send(i, 1, TcpFlags::ACK, RESPONSE, 1, 1 + n);
        self.send(i, 0, TcpFlags::ACK, b"", 1 + n, 1 + m);
    }

    fn close(&mut self, i: u32) {
        let fin = TcpFlags::FIN.union(TcpFlags::ACK);
        let (n, m) = (REQUEST.len() as u32, RESPONSE.len() as u32);
        self.send(i, 0, fin, b"", 1 + n, 1 + m);
        self.send(i, 1, fin, b"", 1 + m, 2 + n);
    }
}

#[test]
fn an_idle_connection_costs_little_and_gives_it_back() {
    const N: u32 = 20_000;
    let mut wire = Wire { pipeline: Pipeline::new(Config::live()), n_events: 0 };
    wire.open(0);
    let before = HELD.load(Ordering::Relaxed);
    for i in 1..=N {
        wire.open(i);
    }
    assert_eq!(wire.n_events, N as usize + 1);
    let each = (HELD.load(Ordering::Relaxed) - before) / N as usize;
    println!("an idle connection holds {each} bytes");
    assert!(each <= MOST_BYTES, "{each} bytes");
    for i in 1..=N {
        wire.close(i);
    }
    // A minute later, when what remembers the connections that have ended has forgotten them.
    let now = Timestamp(START + 71 * SECOND);
    wire.pipeline.handle_timeout(now);
    let left = HELD.load(Ordering::Relaxed).saturating_sub(before);
    println!("{left} bytes are left of {}", each * N as usize);
    assert_eq!(wire.pipeline.stats().table.flows, 1);
    assert!(left <= MOST_LEFT, "{left} bytes are left");
}
