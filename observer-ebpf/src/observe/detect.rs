//! What a segment begins like, by its first bytes.

use core::mem::MaybeUninit;

use aya_ebpf::bindings::__sk_buff;
use observer_common::detect::{
    WINDOW, Window, begins_like_http, begins_like_tls, is_response, may_begin, n_empty_line,
};
use observer_common::flow::FlowKey;
use observer_common::headers::Tcp;
use observer_common::record::Hook;
use observer_common::stats::Outcome;

use crate::maps::{SAMPLING, WATCH_TLS};
use crate::skb::Skb;

/// [`observe_detect`] for a segment of a flow that is not known. On many machines nearly all are, and
/// are nothing of what it looks for: then one byte is looked at, and no function of ours called.
#[inline(always)]
pub fn first_look(skb: &Skb, tcp: &Tcp, key: &FlowKey) -> u32 {
    if tcp.payload_len == 0 {
        return Outcome::NoPayload as u32;
    }
    match skb.byte(tcp.payload_offset) {
        Some(first) if !may_begin(first) => Outcome::NotHttp as u32,
        Some(_) => observe_detect(skb.raw(), tcp, key),
        None => Outcome::Unreadable as u32,
    }
}

/// What the segment begins like: `HTTP`, `RESPONSE`, `TLS`, or the code of an outcome. Global, for the reasons
/// in `headers`.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn observe_detect(raw: *mut __sk_buff, tcp: *const Tcp, key: *const FlowKey) -> u32 {
    // SAFETY: the callers'; the verifier takes them for pointers that may be null.
    let (tcp, key) = unsafe { (tcp.as_ref(), key.as_ref()) };
    match tcp.map(|tcp| detect(raw, tcp)) {
        Some(Ok(_)) if key.is_some_and(|key| !is_kept(key)) => SAMPLED,
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
        Ok(if is_response(first) { RESPONSE } else { HTTP })
    } else if WATCH_TLS.load() != 0 && begins_like_tls(first) {
        Ok(TLS)
    } else {
        Err(Outcome::NotHttp)
    }
}

/// Whether the flow is among those that are kept now (`observer_common::sample`). Looked at when a
/// flow shows what it speaks, and while it is left out: one that is being watched costs nothing here.
#[inline(always)]
fn is_kept(key: &FlowKey) -> bool {
    match SAMPLING.get(0) {
        None | Some(0) => true,
        Some(mask) => key.is_within(*mask),
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
pub const HTTP: u32 = Outcome::Emitted as u32;

/// The same, and no outcome's number.
pub const TLS: u32 = 64;
/// HTTP as well, and no request.
pub const RESPONSE: u32 = 65;

/// One of these, in a flow that is not among those that are kept now.
pub const SAMPLED: u32 = Outcome::Sampled as u32;
