//! Which flows are HTTP, or watched for another reason.

use core::mem::MaybeUninit;

use aya_ebpf::bindings::__sk_buff;
use observer_common::detect::{WINDOW, Window, begins_like_http, begins_like_tls, n_empty_line};
use observer_common::flow::{
    Flow, FlowKey, STATE_HTTP, STATE_NEW, STATE_OFF, STATE_QUIET, STATE_TLS, STATE_WATCHED,
};
use observer_common::headers::{ACK, DTH, SYN, Tcp};
use observer_common::record::Hook;
use observer_common::stats::Outcome;

use crate::handshake;
use crate::maps::{FLOWS, WATCH_DTH, WATCH_TLS};
use crate::skb::Skb;

/// The entry of a flow that is watched, and whether this very segment told what it speaks.
#[inline(always)]
pub fn find(
    skb: &Skb,
    tcp: &Tcp,
    key: &FlowKey,
    from_high: bool,
) -> Result<(*mut Flow, bool), Outcome> {
    let opens = tcp.flags & (SYN | ACK) == SYN;
    let announces = WATCH_DTH.load() != 0 && tcp.flags & DTH != 0;
    let known = FLOWS.get_ptr_mut(key);
    if let Some(entry) = known {
        // SAFETY: entries of an LRU map stay readable and writable until the program ends (RCU).
        let flow = unsafe { &mut *entry };
        let state = flow.state;
        match state {
            STATE_HTTP => return Ok((entry, false)),
            STATE_QUIET | STATE_TLS if !opens => return Ok((entry, false)),
            STATE_OFF if !opens && !announces => return Err(Outcome::TurnedOff),
            _ => {}
        }
        if opens {
            // Another connection between the same ends; the verdict was on the last.
            handshake::remember(tcp, key, from_high);
            flow.renew();
        }
        if announces {
            flow.state = STATE_WATCHED;
        }
        let code = observe_detect(skb.raw(), tcp);
        match code {
            HTTP => flow.state = STATE_HTTP,
            TLS => flow.begin_tls(from_high, tcp.seq, tcp.ack),
            // Who watched the connection before has to hear of its end.
            _ if opens && state != STATE_OFF && state != STATE_NEW => return Ok((entry, false)),
            _ if flow.state == STATE_WATCHED => return Ok((entry, false)),
            _ => return Err(Outcome::from_code(code)),
        }
        return Ok((entry, true));
    }
    if opens {
        handshake::remember(tcp, key, from_high);
    }
    let code = observe_detect(skb.raw(), tcp);
    let new = match code {
        HTTP => &NEW_FLOW,
        TLS => &TLS_FLOW,
        _ if announces => &WATCHED_FLOW,
        _ => return Err(Outcome::from_code(code)),
    };
    FLOWS.insert(key, new, 0).map_err(|_| Outcome::FlowTable)?;
    let Some(entry) = FLOWS.get_ptr_mut(key) else { return Err(Outcome::FlowTable) };
    if code == TLS {
        // SAFETY: as above.
        unsafe { (*entry).begin_tls(from_high, tcp.seq, tcp.ack) };
    }
    Ok((entry, code == HTTP || code == TLS))
}

/// What the segment begins like: `HTTP`, `TLS`, or the code of an outcome. Global, for the reasons
/// in `headers`.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn observe_detect(raw: *mut __sk_buff, tcp: *const Tcp) -> u32 {
    // SAFETY: the caller's; the verifier takes it for a pointer that may be null.
    match unsafe { tcp.as_ref() }.map(|tcp| detect(raw, tcp)) {
        Some(Ok(code)) => code,
        Some(Err(outcome)) => outcome as u32,
        None => Outcome::Unreadable as u32,
    }
}

#[inline(always)]
fn detect(raw: *mut __sk_buff, tcp: &Tcp) -> Result<u32, Outcome> {
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
    if begins_like_http(first) {
        Ok(HTTP)
    } else if WATCH_TLS.load() != 0 && begins_like_tls(first) {
        Ok(TLS)
    } else {
        Err(Outcome::NotHttp)
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

/// No outcome yet.
const HTTP: u32 = Outcome::Emitted as u32;

/// The same, and no outcome's number.
const TLS: u32 = 64;

/// What a new entry holds; in `.rodata`, because the stack has no room to make one.
static NEW_FLOW: Flow = Flow { state: STATE_HTTP, ..Flow::EMPTY };
static TLS_FLOW: Flow = Flow { state: STATE_TLS, ..Flow::EMPTY };
static WATCHED_FLOW: Flow = Flow { state: STATE_WATCHED, ..Flow::EMPTY };
