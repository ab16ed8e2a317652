//! `obs.timing`: what the times of an exchange's first and last bytes say.

use crate::message::{Exchange, Message};

/// Nanoseconds. Absent where an end was not seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timing {
    /// First byte of the request to last byte of the response.
    pub total_ns: Option<u64>,
    /// First to last byte of the request.
    pub request_ns: Option<u64>,
    /// Last byte of the request to first byte of the final response.
    pub ttfb_ns: Option<u64>,
    /// First to last byte of the final response.
    pub response_ns: Option<u64>,
    /// SYN to the client's ACK.
    pub handshake_ns: Option<u64>,
}

impl Timing {
    #[inline]
    pub(super) fn new(exchange: &Exchange, handshake_ns: Option<u64>) -> Self {
        let span = |m: &Message| m.last.time.since(m.first.time);
        let request = exchange.request.as_ref();
        let response = exchange.response.as_ref();
        let both = request.zip(response);
        Self {
            total_ns: both.map(|(q, r)| r.last.time.max(q.last.time).since(q.first.time)),
            request_ns: request.filter(|m| m.complete).map(span),
            ttfb_ns: both
                .filter(|(q, r)| q.complete && r.first.time >= q.last.time)
                .map(|(q, r)| r.first.time.since(q.last.time)),
            response_ns: response.filter(|m| m.complete).map(span),
            handshake_ns,
        }
    }
}
