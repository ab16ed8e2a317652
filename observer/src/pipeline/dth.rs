//! The DTH bit (RFC 9401) of a flow's halves as events, and on the messages of an exchange.

use super::Output;
use super::ending::{closed, towards};
use crate::event::{Closed, DthPhase, Event, TcpDth};
use crate::message::Message;
use crate::segment::Timestamp;
use crate::tcp::{Cause, DthFacts, Facts, Side};

/// Tells that `side` has set the bit for the first time. `client` where it is known; `index` is that
/// of the exchange it came with.
pub(super) fn tell_flagged(
    side: Side,
    client: Option<Side>,
    index: Option<u64>,
    facts: &Facts,
    out: &mut Output,
) {
    let Some(dth) = facts.half(side).dth() else { return };
    push(dth, side, client, index, DthPhase::Flagged, dth.time, facts, out);
}

/// Tells what became of each side that had set it.
pub(super) fn tell_end(
    client: Option<Side>,
    facts: &Facts,
    now: Timestamp,
    cause: Cause,
    out: &mut Output,
) {
    for side in [Side::Low, Side::High] {
        let half = facts.half(side);
        let Some(dth) = half.dth() else { continue };
        let closed = match client {
            Some(client) => closed(cause, client, None),
            None => Closed { direction: None, ..closed(cause, side, None) },
        };
        let now = now.max(dth.time);
        let phase = DthPhase::End {
            after_ns: now.since(dth.time),
            bytes_after: half.delivered.since(dth.at),
            closed,
        };
        push(dth, side, client, None, phase, now, facts, out);
    }
}

#[expect(clippy::too_many_arguments, reason = "one call passes on what an event consists of")]
fn push(
    dth: &DthFacts,
    side: Side,
    client: Option<Side>,
    index: Option<u64>,
    phase: DthPhase,
    time: Timestamp,
    facts: &Facts,
    out: &mut Output,
) {
    let event = TcpDth {
        time,
        flow_id: facts.id,
        adjusted_count: facts.adjusted_count,
        source: facts.endpoint(side),
        destination: facts.endpoint(side.opposite()),
        direction: client.map(|client| towards(side, client)),
        index: index.filter(|_| !dth.bare),
        handshake: dth.handshake,
        offset: (!facts.half(side).midstream).then_some(dth.at.since(facts.half(side).begin())),
        n_segments: dth.n_segments,
        phase,
        capture: out.capture(&facts.origin),
    };
    out.push(Event::Dth(Box::new(event)));
}

/// Whether segments of this message carried the bit: those between the first and the last that did.
pub(super) fn is_flagged(message: Option<&Message>, dth: Option<&DthFacts>) -> bool {
    let Some((start, end)) = dth.and_then(|dth| dth.carried) else { return false };
    message.is_some_and(|m| start < m.last.offset && m.first.offset < end)
}
