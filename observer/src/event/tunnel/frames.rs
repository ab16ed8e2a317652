//! The frames of a WebSocket as serde sees them: counts by direction and opcode, and what the
//! control frames told.

use serde::Serialize;

use super::super::parts::is_zero;
use super::super::text::Text;
use crate::tunnel::Both;
use crate::tunnel::websocket::{Close, Count, Counts, Report, RoundTrip};

#[derive(Serialize)]
pub(super) struct Frames {
    to_server: Half,
    to_client: Half,
}

#[derive(Serialize)]
struct Half {
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<Frame>,
    #[serde(skip_serializing_if = "Option::is_none")]
    binary: Option<Frame>,
    #[serde(skip_serializing_if = "Option::is_none")]
    continuation: Option<Frame>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ping: Option<Frame>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pong: Option<Frame>,
    #[serde(skip_serializing_if = "Option::is_none")]
    close: Option<Frame>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reserved: Option<Frame>,
    messages: u64,
    #[serde(skip_serializing_if = "is_zero")]
    fragmented: u64,
    #[serde(skip_serializing_if = "is_zero")]
    compressed: u64,
    /// Counting ended at a gap that hid where frames begin.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    cut_by_gap: bool,
}

#[derive(Serialize)]
struct Frame {
    count: u64,
    bytes: u64,
}

impl Frames {
    pub(super) fn new(report: &Report) -> Self {
        let Both { to_server, to_client } = &report.counts;
        Self {
            to_server: Half::new(to_server, report.blind.to_server),
            to_client: Half::new(to_client, report.blind.to_client),
        }
    }
}

impl Half {
    fn new(counts: &Counts, cut_by_gap: bool) -> Self {
        let frame = |count: Count| {
            (count.n_frames > 0).then_some(Frame { count: count.n_frames, bytes: count.n_bytes })
        };
        Self {
            text: frame(counts.text),
            binary: frame(counts.binary),
            continuation: frame(counts.continuation),
            ping: frame(counts.ping),
            pong: frame(counts.pong),
            close: frame(counts.close),
            reserved: frame(counts.reserved),
            messages: counts.n_messages,
            fragmented: counts.n_fragmented,
            compressed: counts.n_compressed,
            cut_by_gap,
        }
    }
}

/// What is special about this WebSocket; absent when nothing is.
#[derive(Serialize)]
pub(super) struct WebSocket<'a> {
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    deflate: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    ping: Option<Pings>,
    #[serde(skip_serializing_if = "Option::is_none")]
    close: Option<Closes<'a>>,
}

/// By who sent the ping.
#[derive(Serialize)]
struct Pings {
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<Ping>,
    #[serde(skip_serializing_if = "Option::is_none")]
    server: Option<Ping>,
}

#[derive(Serialize)]
struct Ping {
    answered: u64,
    min_ns: u64,
    max_ns: u64,
    last_ns: u64,
}

/// By who sent the close frame.
#[derive(Serialize)]
struct Closes<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<CloseObject<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    server: Option<CloseObject<'a>>,
}

#[derive(Serialize)]
struct CloseObject<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<Text<'a>>,
}

impl<'a> WebSocket<'a> {
    pub(super) fn new(report: &'a Report) -> Option<Self> {
        let ping = |trip: RoundTrip| {
            (trip.n_answered > 0).then_some(Ping {
                answered: trip.n_answered,
                min_ns: trip.min_ns,
                max_ns: trip.max_ns,
                last_ns: trip.last_ns,
            })
        };
        let close = |close: &'a Option<Close>| {
            close.as_ref().map(|c| CloseObject {
                code: c.code,
                reason: Some(c.reason.as_slice()).filter(|r| !r.is_empty()).map(Text),
            })
        };
        let pings = Pings {
            client: ping(report.round_trip.to_server),
            server: ping(report.round_trip.to_client),
        };
        let closes = Closes {
            client: close(&report.close.to_server),
            server: close(&report.close.to_client),
        };
        let object = Self {
            deflate: report.deflate,
            ping: Some(pings).filter(|p| p.client.is_some() || p.server.is_some()),
            close: Some(closes).filter(|c| c.client.is_some() || c.server.is_some()),
        };
        let has_news = object.deflate || object.ping.is_some() || object.close.is_some();
        has_news.then_some(object)
    }
}
