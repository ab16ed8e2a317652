//! Records as the kernel lays them out, little-endian as on the machines we run on, and some that
//! it never writes.

use std::mem::offset_of;

use observer_common::record::{HEADER_LEN, Hook, RecordHeader, VLAN_NONE};

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";

pub(super) fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    let whole = record(REQUEST.len() as u32, REQUEST.len() as u32, Hook::TcIngress as u8, REQUEST);
    let mut cut = record(10, 9000, Hook::Socket as u8, &REQUEST[..10]);
    // IPv6 on one side only, and every flag.
    cut[offset_of!(RecordHeader, destination)..][..16].fill(0xfd);
    cut[offset_of!(RecordHeader, flags)..][..2].fill(0xff);
    vec![
        ("whole", whole.clone()),
        ("cut", cut),
        ("stale_tail", [&whole[..], b"STALE"].concat()),
        ("bare", record(0, 0, Hook::TcEgress as u8, b"")),
        ("unknown_hook", record(0, 0, 9, b"")),
        ("more_captured_than_sent", record(20, 5, 1, REQUEST)),
        ("more_promised_than_there", record(500, 500, 1, REQUEST)),
        ("short_header", whole[..HEADER_LEN - 1].to_vec()),
    ]
}

fn record(captured: u32, payload: u32, hook: u8, room: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; HEADER_LEN];
    let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
    put(offset_of!(RecordHeader, time_ns), &1_000u64.to_le_bytes());
    put(offset_of!(RecordHeader, source), &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 10, 0, 0, 1]);
    put(
        offset_of!(RecordHeader, destination),
        &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 10, 0, 0, 2],
    );
    put(offset_of!(RecordHeader, source_port), &40000u16.to_le_bytes());
    put(offset_of!(RecordHeader, destination_port), &80u16.to_le_bytes());
    put(offset_of!(RecordHeader, seq), &u32::MAX.to_le_bytes());
    put(offset_of!(RecordHeader, flags), &0x18u16.to_le_bytes());
    put(offset_of!(RecordHeader, payload_len), &payload.to_le_bytes());
    put(offset_of!(RecordHeader, captured_len), &captured.to_le_bytes());
    put(offset_of!(RecordHeader, vlan), &VLAN_NONE.to_le_bytes());
    put(offset_of!(RecordHeader, hook), &[hook]);
    bytes.extend_from_slice(room);
    bytes
}
