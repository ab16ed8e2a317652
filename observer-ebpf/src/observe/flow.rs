//! Which flows are HTTP, or watched for another reason.

use core::mem::MaybeUninit;

use aya_ebpf::bindings::__sk_buff;
use observer_common::detect::{WINDOW, Window, begins_like_http, n_empty_line};
use observer_common::flow::{Flow, FlowKey, STATE_HTTP, STATE_QUIET, STATE_WATCHED};
use observer_common::headers::{ACK, DTH, SYN, Tcp};
use observer_common::record::Hook;
use observer_common::stats::Outcome;

use crate::handshake;
use crate::maps::{FLOWS, WATCH_DTH};
use crate::skb::Skb;

/// The entry of a flow known as HTTP, and whether this very segment made it known; or of one that is
/// watched for another reason.
#[inline(always)]
pub fn find(
    skb: &Skb,
    tcp: &Tcp,
    key: &FlowKey,
    from_high: bool,
) -> Result<(*mut Flow, bool), Outcome> {
    let opens = tcp.flags & (SYN | ACK) == SYN;
    if let Some(entry) = FLOWS.get_ptr_mut(key) {
        // SAFETY: entries of an LRU map stay readable and writable until the program ends (RCU).
        let flow = unsafe { &mut *entry };
        match flow.state {
            STATE_HTTP => return Ok((entry, false)),
            STATE_WATCHED => {
                let becomes_http = observe_detect(skb.raw(), tcp) == HTTP;
                if becomes_http {
                    flow.state = STATE_HTTP;
                }
                return Ok((entry, becomes_http));
            }
            // A SYN starts another connection between the same ends; the verdict was on the last.
            STATE_QUIET => {
                if opens {
                    flow.state = STATE_HTTP;
                }
                return Ok((entry, false));
            }
            _ if opens => {
                if FLOWS.remove(key).is_err() {
                    return Err(Outcome::TurnedOff);
                }
            }
            _ => return Err(Outcome::TurnedOff),
        }
    }
    if opens {
        handshake::remember(tcp, key, from_high);
    }
    let new = match observe_detect(skb.raw(), tcp) {
        HTTP => &NEW_FLOW,
        _ if WATCH_DTH.load() != 0 && tcp.flags & DTH != 0 => &WATCHED_FLOW,
        code => return Err(Outcome::from_code(code)),
    };
    FLOWS.insert(key, new, 0).map_err(|_| Outcome::FlowTable)?;
    match FLOWS.get_ptr_mut(key) {
        Some(flow) => Ok((flow, new.state == STATE_HTTP)),
        None => Err(Outcome::FlowTable),
    }
}

/// Whether the segment begins like HTTP: `HTTP`, or the code of an outcome. Global, for the reasons
/// in `headers`.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn observe_detect(raw: *mut __sk_buff, tcp: *const Tcp) -> u32 {
    // SAFETY: the caller's; the verifier takes it for a pointer that may be null.
    match unsafe { tcp.as_ref() }.map(|tcp| detect(raw, tcp)) {
        Some(Ok(())) => HTTP,
        Some(Err(outcome)) => outcome as u32,
        None => Outcome::Unreadable as u32,
    }
}

#[inline(always)]
fn detect(raw: *mut __sk_buff, tcp: &Tcp) -> Result<(), Outcome> {
    if tcp.payload_len == 0 {
        return Err(Outcome::NoPayload);
    }
    // The hook makes no difference here.
    let skb = Skb::new(raw, Hook::TcIngress);
    let mut window = MaybeUninit::uninit();
    let Some(mut first) = look(&skb, tcp, 0, &mut window) else {
        return Err(Outcome::Unreadable);
    };
    if n_empty_line(first) != 0 {
        match look(&skb, tcp, n_empty_line(first), &mut window) {
            Some(next) => first = next,
            None => return Err(Outcome::NotHttp),
        }
    }
    if !begins_like_http(first) {
        return Err(Outcome::NotHttp);
    }
    Ok(())
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

/// No outcome yet.
const HTTP: u32 = Outcome::Emitted as u32;

/// What a new entry holds; in `.rodata`, because the stack has no room to make one.
static NEW_FLOW: Flow = Flow { state: STATE_HTTP, ..Flow::EMPTY };
static WATCHED_FLOW: Flow = Flow { state: STATE_WATCHED, ..Flow::EMPTY };
