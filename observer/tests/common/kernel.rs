//! What the kernel makes of the segments of one flow: which of their bytes stay in it, and what its
//! records say. By the very code that decides it there, in the order of `observe/tap.rs`; what is
//! written again here is the little that stands around it.

use observer::segment::{Directive, SeqNumber, TcpFlags, Timestamp};
use observer_common::flow::{Flow, Half, STATE_HTTP, STATE_OFF, STATE_QUIET, Sight, millis};
use observer_common::head::{PART, Part, begins_response};
use observer_common::headers::Tcp;
use observer_common::record::VLAN_NONE;
use observer_common::skip::Cut;

/// The flow's entry in the kernel's table.
pub(crate) struct Kernel {
    flow: Flow,
    body_prefix: u32,
}

/// A segment as it comes to the kernel; the client has the lower address.
#[derive(Clone, Copy)]
pub(crate) struct Sent<'a> {
    pub(crate) from_client: bool,
    pub(crate) seq: u32,
    pub(crate) ack: u32,
    pub(crate) flags: TcpFlags,
    pub(crate) payload: &'a [u8],
    pub(crate) time: Timestamp,
}

/// What of it a record shows.
pub(crate) struct Shown<'a> {
    pub(crate) seq: u32,
    pub(crate) payload_len: usize,
    pub(crate) captured: &'a [u8],
    pub(crate) skip_until: Option<SeqNumber>,
    pub(crate) records_lost: u32,
}

impl Kernel {
    pub(crate) fn new(body_prefix: usize) -> Self {
        let flow = Flow { state: STATE_HTTP, ..Flow::EMPTY };
        Self { flow, body_prefix: body_prefix as u32 }
    }

    /// Passes a segment through; nothing where it stays in the kernel.
    pub(crate) fn pass<'a>(&mut self, sent: &Sent<'a>) -> Option<Shown<'a>> {
        let Sent { from_client, flags, payload, time, .. } = *sent;
        let Flow { state, from_low, from_high, .. } = &mut self.flow;
        if *state == STATE_OFF {
            return None;
        }
        let (half, opposite) =
            if from_client { (from_low, from_high) } else { (from_high, from_low) };
        let tcp = tcp(sent);
        let is_next = half.owner == 0 || half.next_seq == tcp.seq;
        half.admit(&Sight::of(&tcp), 1, time.0);
        let is_known = payload.is_empty() && opposite.has_shown(tcp.ack);
        let begins_body = is_next
            && half.skip == 0
            && *state == STATE_HTTP
            && leave_out(half, &tcp, payload, self.body_prefix);
        if !payload.is_empty() {
            half.data_ack = tcp.ack;
            half.has_data = 1;
        }
        let (skips, skip_until, now) = (half.skip != 0, half.skip_until, millis(time.0));
        let mut cut = half.cut(&tcp, *state, is_known, now);
        if begins_body && cut == Cut::Nothing {
            cut = Cut::Bare;
        }
        let left_out = half.left_out(&tcp, *state, skips, skip_until);
        let n_gone = if let Cut::Tail(n) = cut { n } else { 0 };
        let rest = &payload[n_gone as usize..];
        let captured = match cut {
            Cut::Whole | Cut::Tail(_) => rest,
            Cut::Front(n) => &rest[..n as usize],
            Cut::Bare => &[],
            Cut::Nothing => return None,
        };
        assert!(flags == TcpFlags(tcp.flags));
        half.record_time = now;
        Some(Shown {
            seq: tcp.seq.wrapping_add(n_gone),
            payload_len: rest.len(),
            captured,
            skip_until: left_out.map(SeqNumber),
            records_lost: half.records_lost,
        })
    }

    /// The ring was full when the segment's record was made.
    pub(crate) fn lose(&mut self, from_client: bool) {
        let Flow { from_low, from_high, .. } = &mut self.flow;
        let half = if from_client { from_low } else { from_high };
        half.records_lost += 1;
    }

    pub(crate) fn obey(&mut self, directive: Directive) {
        match directive {
            Directive::Skip { from_high: true, until, .. } => {
                self.flow.from_high.skip_all(until.0);
            }
            Directive::Skip { from_high: false, until, .. } => {
                self.flow.from_low.skip_all(until.0);
            }
            Directive::Quiet(_) => self.flow.state = STATE_QUIET,
            Directive::Forget(_) | Directive::LeaveOut(_) => self.flow.state = STATE_OFF,
        }
    }
}

/// `observe/body.rs`, but that no segment and no body is too short to look at.
fn leave_out(half: &mut Half, tcp: &Tcp, payload: &[u8], prefix: u32) -> bool {
    if payload.is_empty() {
        return false;
    }
    let mut part = Part::EMPTY;
    let front = &payload[..payload.len().min(PART)];
    for (word, bytes) in part.words.iter_mut().zip(front.chunks(8)) {
        let mut eight = [0; 8];
        eight[..bytes.len()].copy_from_slice(bytes);
        *word = u64::from_ne_bytes(eight);
    }
    if half.may_begin_body(tcp, prefix)
        && payload.len() >= 8
        && !begins_response(u64::from_le(part.words[0]))
    {
        half.begin_body();
        return true;
    }
    if half.may_begin(tcp, 1) {
        part.n_bytes = front.len() as u64;
        let n_head = part.find(Part::line);
        half.leave_body_out(tcp, n_head, part.length, prefix, 1);
    }
    false
}

fn tcp(sent: &Sent<'_>) -> Tcp {
    Tcp {
        source: [0; 2],
        destination: [0; 2],
        source_port: 1,
        destination_port: 2,
        seq: sent.seq,
        ack: sent.ack,
        flags: sent.flags.0,
        window: 0,
        payload_offset: 54,
        payload_len: sent.payload.len() as u32,
        vlan: VLAN_NONE,
        header_len: 20,
        reserved: [0; 2],
    }
}
