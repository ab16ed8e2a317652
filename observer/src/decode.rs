//! Record bytes from the ring to a [`Segment`], every length checked, no copy. It does no I/O and
//! asks no clock: the offset from the kernel's clock to Unix time is an argument. It must not know
//! where the bytes were read from, nor what the payload means.

use std::mem::offset_of;

use observer_common::record::{
    self, HEADER_LEN, NOTE_BY_INITIATOR, NOTE_FROM_START, NOTE_SKIPS, RecordHeader, VLAN_NONE,
};

use crate::segment::{Endpoint, Hook, Origin, Segment, SeqNumber, TcpFlags, Timestamp};

/// What to add to `bpf_ktime_get_ns` (`CLOCK_MONOTONIC`) to get Unix time, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClockOffset(pub i64);

impl ClockOffset {
    fn apply(self, time_ns: u64) -> Timestamp {
        Timestamp(time_ns.saturating_add_signed(self.0))
    }
}

/// Why bytes are no record. The kernel side writes none of these; a ring that holds one was made
/// by another version of the programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    #[error("the record is shorter than its header")]
    ShortHeader,
    #[error("the record promises {promised} captured bytes and has {present}")]
    ShortPayload { promised: u32, present: usize },
    #[error("the record captured more bytes ({captured}) than the segment had ({payload})")]
    CapturedTooMuch { captured: u32, payload: u32 },
    #[error("the record names hook {0}, which is unknown")]
    UnknownHook(u8),
}

/// Reads one record.
pub fn decode(record: &[u8], clock: ClockOffset) -> Result<Segment<'_>, DecodeError> {
    let (header, rest) =
        record.split_first_chunk::<HEADER_LEN>().ok_or(DecodeError::ShortHeader)?;
    let field = Header(header);
    let payload_len = field.u32::<{ offset_of!(RecordHeader, payload_len) }>();
    let captured = field.u32::<{ offset_of!(RecordHeader, captured_len) }>();
    if captured > payload_len {
        return Err(DecodeError::CapturedTooMuch { captured, payload: payload_len });
    }
    let short = DecodeError::ShortPayload { promised: captured, present: rest.len() };
    let payload = rest.get(..captured as usize).ok_or(short)?;
    let [hook] = field.bytes::<{ offset_of!(RecordHeader, hook) }, 1>();
    let [notes] = field.bytes::<{ offset_of!(RecordHeader, notes) }, 1>();
    let vlan = field.u16::<{ offset_of!(RecordHeader, vlan) }>();
    Ok(Segment {
        time: clock.apply(field.u64::<{ offset_of!(RecordHeader, time_ns) }>()),
        source: Endpoint {
            addr: field.bytes::<{ offset_of!(RecordHeader, source) }, 16>(),
            port: field.u16::<{ offset_of!(RecordHeader, source_port) }>(),
        },
        destination: Endpoint {
            addr: field.bytes::<{ offset_of!(RecordHeader, destination) }, 16>(),
            port: field.u16::<{ offset_of!(RecordHeader, destination_port) }>(),
        },
        seq: SeqNumber(field.u32::<{ offset_of!(RecordHeader, seq) }>()),
        ack: SeqNumber(field.u32::<{ offset_of!(RecordHeader, ack) }>()),
        flags: TcpFlags(field.u16::<{ offset_of!(RecordHeader, flags) }>() & 0x0fff),
        window: field.u16::<{ offset_of!(RecordHeader, window) }>(),
        payload_len,
        payload,
        origin: Origin {
            ifindex: field.u32::<{ offset_of!(RecordHeader, ifindex) }>(),
            netns: field.u32::<{ offset_of!(RecordHeader, netns) }>(),
            hook: match record::Hook::from_byte(hook) {
                Some(record::Hook::TcIngress) => Hook::TcIngress,
                Some(record::Hook::TcEgress) => Hook::TcEgress,
                Some(record::Hook::Socket) => Hook::Socket,
                None => return Err(DecodeError::UnknownHook(hook)),
            },
            vlan: (vlan != VLAN_NONE).then_some(vlan),
            socket_cookie: field.u64::<{ offset_of!(RecordHeader, socket_cookie) }>(),
            cgroup_id: field.u64::<{ offset_of!(RecordHeader, cgroup_id) }>(),
            srtt_us: field.u32::<{ offset_of!(RecordHeader, srtt_us) }>(),
            retransmits: field.u32::<{ offset_of!(RecordHeader, retransmits) }>(),
            records_lost: field.u32::<{ offset_of!(RecordHeader, records_lost) }>(),
            skip_until: (notes & NOTE_SKIPS != 0)
                .then(|| SeqNumber(field.u32::<{ offset_of!(RecordHeader, skip_until) }>())),
            from_start: (notes & NOTE_FROM_START != 0).then_some(notes & NOTE_BY_INITIATOR != 0),
            ..Origin::default()
        },
    })
}

/// The bytes of a [`RecordHeader`]. A field is read at its offset, whatever the alignment of the
/// record, and an offset past the end does not compile.
struct Header<'a>(&'a [u8; HEADER_LEN]);

impl Header<'_> {
    fn bytes<const AT: usize, const N: usize>(&self) -> [u8; N] {
        const { assert!(AT + N <= HEADER_LEN) };
        std::array::from_fn(|i| self.0[AT + i])
    }

    fn u16<const AT: usize>(&self) -> u16 {
        u16::from_ne_bytes(self.bytes::<AT, 2>())
    }

    fn u32<const AT: usize>(&self) -> u32 {
        u32::from_ne_bytes(self.bytes::<AT, 4>())
    }

    fn u64<const AT: usize>(&self) -> u64 {
        u64::from_ne_bytes(self.bytes::<AT, 8>())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A record as the kernel lays it out: fields at their offsets, then `room` bytes.
    fn record(captured: u32, payload: u32, room: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; HEADER_LEN];
        let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
        put(offset_of!(RecordHeader, time_ns), &1_000u64.to_ne_bytes());
        put(offset_of!(RecordHeader, socket_cookie), &77u64.to_ne_bytes());
        put(offset_of!(RecordHeader, cgroup_id), &88u64.to_ne_bytes());
        let mapped = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, 1];
        put(offset_of!(RecordHeader, source), &mapped);
        put(offset_of!(RecordHeader, destination), &[0xfd; 16]);
        put(offset_of!(RecordHeader, source_port), &40000u16.to_ne_bytes());
        put(offset_of!(RecordHeader, destination_port), &80u16.to_ne_bytes());
        put(offset_of!(RecordHeader, seq), &0xdead_beef_u32.to_ne_bytes());
        put(offset_of!(RecordHeader, ack), &0x0102_0304_u32.to_ne_bytes());
        put(offset_of!(RecordHeader, flags), &0x0818u16.to_ne_bytes());
        put(offset_of!(RecordHeader, window), &512u16.to_ne_bytes());
        put(offset_of!(RecordHeader, payload_len), &payload.to_ne_bytes());
        put(offset_of!(RecordHeader, captured_len), &captured.to_ne_bytes());
        put(offset_of!(RecordHeader, ifindex), &3u32.to_ne_bytes());
        put(offset_of!(RecordHeader, netns), &4_026_532_277_u32.to_ne_bytes());
        put(offset_of!(RecordHeader, srtt_us), &250u32.to_ne_bytes());
        put(offset_of!(RecordHeader, retransmits), &2u32.to_ne_bytes());
        put(offset_of!(RecordHeader, records_lost), &9u32.to_ne_bytes());
        put(offset_of!(RecordHeader, vlan), &100u16.to_ne_bytes());
        put(offset_of!(RecordHeader, hook), &[record::Hook::TcEgress as u8]);
        bytes.extend_from_slice(room);
        bytes
    }

    #[test]
    fn every_field_arrives() {
        let bytes = record(3, 5, b"abcSTALE");
        let segment = decode(&bytes, ClockOffset(500)).unwrap();
        assert_eq!(segment.time, Timestamp(1_500));
        assert_eq!(segment.source, Endpoint::v4([10, 0, 0, 1], 40000));
        assert_eq!(segment.destination, Endpoint::v6([0xfd; 16], 80));
        assert_eq!(segment.seq, SeqNumber(0xdead_beef));
        assert_eq!(segment.ack, SeqNumber(0x0102_0304));
        assert_eq!(segment.flags, TcpFlags(0x818));
        assert_eq!(segment.window, 512);
        assert_eq!((segment.payload_len, segment.payload), (5, &b"abc"[..]));
        let expected = Origin {
            ifindex: 3,
            netns: 4_026_532_277,
            hook: Hook::TcEgress,
            vlan: Some(100),
            socket_cookie: 77,
            cgroup_id: 88,
            srtt_us: 250,
            retransmits: 2,
            records_lost: 9,
            ..Origin::default()
        };
        assert_eq!(segment.origin, expected);
    }

    #[test]
    fn a_skip_is_one_only_where_the_note_says_so() {
        let mut bytes = record(0, 0, b"");
        bytes[offset_of!(RecordHeader, skip_until)..][..4].copy_from_slice(&7u32.to_ne_bytes());
        assert_eq!(decode(&bytes, ClockOffset(0)).unwrap().origin.skip_until, None);
        bytes[offset_of!(RecordHeader, notes)] = NOTE_SKIPS;
        let segment = decode(&bytes, ClockOffset(0)).unwrap();
        assert_eq!(segment.origin.skip_until, Some(SeqNumber(7)));
    }

    #[test]
    fn no_tag_is_no_vlan() {
        let mut bytes = record(0, 0, b"");
        bytes[offset_of!(RecordHeader, vlan)..][..2].copy_from_slice(&VLAN_NONE.to_ne_bytes());
        assert_eq!(decode(&bytes, ClockOffset(0)).unwrap().origin.vlan, None);
    }

    #[test]
    fn a_cut_record_is_refused_at_every_length() {
        let whole = record(4, 4, b"body");
        for n in 0..whole.len() {
            assert!(decode(&whole[..n], ClockOffset(0)).is_err(), "cut to {n} bytes");
        }
        assert!(decode(&whole, ClockOffset(0)).is_ok());
    }

    #[test]
    fn lengths_that_lie_are_refused() {
        let error = decode(&record(u32::MAX, u32::MAX, b"x"), ClockOffset(0)).unwrap_err();
        assert_eq!(error, DecodeError::ShortPayload { promised: u32::MAX, present: 1 });
        let error = decode(&record(4, 3, b"body"), ClockOffset(0)).unwrap_err();
        assert_eq!(error, DecodeError::CapturedTooMuch { captured: 4, payload: 3 });
    }

    #[test]
    fn a_hook_nobody_knows_is_refused() {
        let mut bytes = record(0, 0, b"");
        bytes[offset_of!(RecordHeader, hook)] = 9;
        let error = decode(&bytes, ClockOffset(0)).unwrap_err();
        assert_eq!(error, DecodeError::UnknownHook(9));
    }

    #[test]
    fn a_clock_offset_never_wraps() {
        let bytes = record(0, 0, b"");
        assert_eq!(decode(&bytes, ClockOffset(i64::MIN)).unwrap().time, Timestamp(0));
    }

    proptest! {
        #[test]
        fn garbage_is_decoded_or_refused_and_never_read_past(
            bytes in proptest::collection::vec(any::<u8>(), 0..400),
            offset in any::<i64>(),
        ) {
            if let Ok(segment) = decode(&bytes, ClockOffset(offset)) {
                prop_assert!(segment.payload.len() <= bytes.len() - HEADER_LEN);
                prop_assert!(segment.payload.len() <= segment.payload_len as usize);
            }
        }
    }
}
