//! Which flows are HTTP, and which hook owns each half of them.

use core::mem::MaybeUninit;

use aya_ebpf::bindings::__sk_buff;
use observer_common::config::OWNER_SILENCE_NS;
use observer_common::detect::{WINDOW, Window, begins_like_http, n_empty_line};
use observer_common::flow::{Flow, FlowKey, Half, STATE_HTTP, STATE_OFF, is_after};
use observer_common::headers::{ACK, FIN, SYN, Tcp};
use observer_common::record::Hook;
use observer_common::stats::Outcome;

use crate::maps::FLOWS;
use crate::skb::Skb;

/// The entry of a flow known as HTTP, and whether this very segment made it known.
#[inline(always)]
pub fn find(skb: &Skb, tcp: &Tcp, key: &FlowKey) -> Result<(*mut Flow, bool), Outcome> {
    if let Some(flow) = FLOWS.get_ptr_mut(key) {
        // SAFETY: entries of an LRU map stay readable until the program ends (RCU).
        if unsafe { (*flow).state } != STATE_OFF {
            return Ok((flow, false));
        }
        // A SYN starts another connection between the same ends; the verdict was on the last one.
        if tcp.flags & (SYN | ACK) != SYN {
            return Err(Outcome::TurnedOff);
        }
        if FLOWS.remove(key).is_err() {
            return Err(Outcome::TurnedOff);
        }
    }
    match enter(skb.raw(), tcp, key) {
        Outcome::Emitted => {}
        outcome => return Err(outcome),
    }
    match FLOWS.get_ptr_mut(key) {
        Some(flow) => Ok((flow, true)),
        None => Err(Outcome::FlowTable),
    }
}

/// Enters the flow when the segment begins like HTTP; `Emitted` stands for "entered". A function
/// of its own, for the stack (see `headers`).
#[inline(never)]
fn enter(raw: *mut __sk_buff, tcp: &Tcp, key: &FlowKey) -> Outcome {
    if tcp.payload_len == 0 {
        return Outcome::NoPayload;
    }
    // The hook makes no difference here.
    let skb = Skb::new(raw, Hook::TcIngress);
    let mut window = MaybeUninit::uninit();
    let Some(mut first) = look(&skb, tcp, 0, &mut window) else { return Outcome::Unreadable };
    if n_empty_line(first) != 0 {
        match look(&skb, tcp, n_empty_line(first), &mut window) {
            Some(next) => first = next,
            None => return Outcome::NotHttp,
        }
    }
    if !begins_like_http(first) {
        return Outcome::NotHttp;
    }
    match FLOWS.insert(key, &NEW_FLOW, 0) {
        Ok(()) => Outcome::Emitted,
        Err(_) => Outcome::FlowTable,
    }
}

/// The first bytes of the payload past `skip`.
#[inline(always)]
fn look<'a>(
    skb: &Skb,
    tcp: &Tcp,
    skip: u32,
    window: &'a mut MaybeUninit<Window>,
) -> Option<&'a Window> {
    let words = window.as_mut_ptr().cast::<u64>();
    for i in 0..WINDOW / 8 {
        // SAFETY: the window is that many words. Volatile, or the compiler makes a loop over bytes
        // of it, as it does of every array that is cleared.
        unsafe { words.add(i).write_volatile(0) };
    }
    let n_bytes = tcp.payload_len.saturating_sub(skip).min(WINDOW as u32);
    let is_read = skb.copy(tcp.payload_offset + skip, words.cast(), n_bytes, WINDOW as u32);
    // SAFETY: every byte was written above.
    is_read.then(|| unsafe { window.assume_init_ref() })
}

/// What a new entry holds; in `.rodata`, because the stack has no room to make one.
static NEW_FLOW: Flow = Flow { state: STATE_HTTP, ..Flow::EMPTY };

/// Ok when `owner` owns the half, by now; true when it took the half over from another.
///
/// The first hook that sees a half owns it. Copies on a bridge, a veth pair, a VLAN's parent or a
/// second hook come after and are refused. The half changes hands when the owner has been silent
/// and something new shows elsewhere (an interface went away, a route changed), and when a SYN
/// with another number starts a new connection.
#[inline(always)]
pub fn claim(half: &mut Half, tcp: &Tcp, owner: u32, now_ns: u64) -> Result<bool, Outcome> {
    let syn = tcp.flags & SYN != 0;
    let marks = u32::from(syn) + u32::from(tcp.flags & FIN != 0);
    let next_seq = tcp.seq.wrapping_add(tcp.payload_len).wrapping_add(marks);
    let has_ack = tcp.flags & ACK != 0;
    let starts_anew = syn && (half.has_isn == 0 || half.isn != tcp.seq);
    let is_news = is_after(next_seq, half.next_seq) || (has_ack && is_after(tcp.ack, half.ack));
    let moved = half.owner != 0 && half.owner != owner;
    if moved && !starts_anew {
        let silence_ns = now_ns.saturating_sub(half.owner_time_ns);
        if silence_ns < OWNER_SILENCE_NS || !is_news {
            return Err(Outcome::Duplicate);
        }
    }
    if starts_anew {
        half.isn = tcp.seq;
        half.has_isn = 1;
    }
    let fresh = half.owner == 0 || starts_anew;
    if fresh || is_after(next_seq, half.next_seq) {
        half.next_seq = next_seq;
    }
    if has_ack && (fresh || is_after(tcp.ack, half.ack)) {
        half.ack = tcp.ack;
    }
    half.owner = owner;
    half.owner_time_ns = now_ns;
    Ok(moved)
}
