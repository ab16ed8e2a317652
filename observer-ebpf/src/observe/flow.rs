//! Which flows are HTTP, or watched for another reason.

use core::hint::cold_path;

use observer_common::flow::{
    Flow, FlowKey, STATE_HTTP, STATE_NEW, STATE_OFF, STATE_QUIET, STATE_SAMPLED, STATE_TLS,
    STATE_WATCHED,
};
use observer_common::headers::{ACK, DTH, SYN, Tcp};
use observer_common::stats::{Counters, Outcome};

use crate::detect::{HTTP, RESPONSE, SAMPLED, TLS, first_look, observe_detect};
use crate::handshake;
use crate::maps::{FLOWS, WATCH_DTH};
use crate::skb::Skb;

/// What a segment is to its flow.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// One of many.
    Next,
    /// The one that told what the flow speaks.
    Detected,
    /// The first of a flow that is watched for DTH.
    Watched,
}

/// The entry of a flow that is watched, and what this segment is to it.
#[inline(always)]
pub fn find(
    skb: &Skb,
    tcp: &Tcp,
    key: &FlowKey,
    from_high: bool,
    counters: &mut Counters,
) -> Result<(*mut Flow, Part), Outcome> {
    let opens = tcp.flags & (SYN | ACK) == SYN;
    let announces = WATCH_DTH.load() != 0 && tcp.flags & DTH != 0;
    let known = FLOWS.get_ptr_mut(key);
    if let Some(entry) = known {
        // SAFETY: entries of an LRU map stay readable and writable until the program ends (RCU).
        let flow = unsafe { &mut *entry };
        let state = flow.state;
        if state == STATE_HTTP {
            return Ok((entry, Part::Next));
        }
        cold_path();
        match state {
            STATE_QUIET | STATE_TLS if !opens => return Ok((entry, Part::Next)),
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
        let code = observe_detect(skb.raw(), tcp, key);
        match code {
            HTTP => flow.state = STATE_HTTP,
            // One that was sampled out comes back with a request alone: never with a response to
            // what was left out.
            _ if state == STATE_SAMPLED && !opens => return Err(Outcome::Sampled),
            RESPONSE => flow.state = STATE_HTTP,
            TLS => flow.begin_tls(from_high, tcp.seq, tcp.ack),
            SAMPLED => {
                flow.state = STATE_SAMPLED;
                counters.flows_sampled += 1;
                return Err(Outcome::Sampled);
            }
            // Who watched the connection before has to hear of its end.
            _ if opens && !matches!(state, STATE_OFF | STATE_NEW | STATE_SAMPLED) => {
                return Ok((entry, Part::Next));
            }
            _ if flow.state == STATE_WATCHED => return Ok((entry, Part::Next)),
            _ => return Err(Outcome::from_code(code)),
        }
        return Ok((entry, Part::Detected));
    }
    if opens {
        cold_path();
        handshake::remember(tcp, key, from_high);
    }
    let code = first_look(skb, tcp, key);
    let new = match code {
        SAMPLED => &SAMPLED_FLOW,
        HTTP | RESPONSE => &NEW_FLOW,
        TLS => &TLS_FLOW,
        _ if announces => &WATCHED_FLOW,
        _ => return Err(Outcome::from_code(code)),
    };
    cold_path();
    FLOWS.insert(key, new, 0).map_err(|_| Outcome::FlowTable)?;
    if code == SAMPLED {
        counters.flows_sampled += 1;
        return Err(Outcome::Sampled);
    }
    let Some(entry) = FLOWS.get_ptr_mut(key) else { return Err(Outcome::FlowTable) };
    if code == TLS {
        // SAFETY: as above.
        unsafe { (*entry).begin_tls(from_high, tcp.seq, tcp.ack) };
    }
    Ok((entry, if code >= TLS || code == HTTP { Part::Detected } else { Part::Watched }))
}

/// What a new entry holds; in `.rodata`, because the stack has no room to make one.
static NEW_FLOW: Flow = Flow { state: STATE_HTTP, ..Flow::EMPTY };
static TLS_FLOW: Flow = Flow { state: STATE_TLS, ..Flow::EMPTY };
static SAMPLED_FLOW: Flow = Flow { state: STATE_SAMPLED, ..Flow::EMPTY };
static WATCHED_FLOW: Flow = Flow { state: STATE_WATCHED, ..Flow::EMPTY };
