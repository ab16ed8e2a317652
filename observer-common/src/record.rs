//! One entry on the ring: a fixed header, then the captured bytes. The kernel writes it field by
//! field into the reservation; user space reads it with every length checked (`observer::decode`).
//! It must not know what the bytes mean.

use core::mem::{offset_of, size_of};

/// What stands in front of the captured bytes of every record.
///
/// A segment of more than [`PIECE_MAX`] bytes becomes several records, each complete in itself:
/// `seq` moves on by the bytes of the pieces before, SYN stays on the first, FIN, PSH and RST on
/// the last, and [`NOTE_CONTINUES`] stands on all but the last.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordHeader {
    /// `bpf_ktime_get_ns`: nanoseconds of `CLOCK_MONOTONIC`.
    pub time_ns: u64,
    /// `bpf_get_socket_cookie`; 0 where the skb has no socket. What comes from the socket stands on
    /// the first record of a half and on one a second after that; on the others all of it is 0.
    pub socket_cookie: u64,
    /// `bpf_skb_cgroup_id`; 0 where the skb has no socket or the hook has no such helper.
    pub cgroup_id: u64,
    /// IPv4 addresses are IPv4-mapped (RFC 4291 §2.5.5.2).
    pub source: [u8; 16],
    pub destination: [u8; 16],
    /// Ports and every number below are in the byte order of the host.
    pub source_port: u16,
    pub destination_port: u16,
    pub seq: u32,
    pub ack: u32,
    /// All twelve bits between Data Offset and Window.
    pub flags: u16,
    pub window: u16,
    /// Bytes of payload that this record stands for.
    pub payload_len: u32,
    /// Bytes that follow the header; fewer than `payload_len` only where [`NOTE_CUT`] is set.
    pub captured_len: u32,
    pub ifindex: u32,
    /// Smoothed round-trip time in microseconds; 0 when unknown.
    pub srtt_us: u32,
    /// Retransmissions the sending socket has made so far.
    pub retransmits: u32,
    /// Records of this half that found the ring full, so far.
    pub records_lost: u32,
    /// VLAN identifier of the outermost tag, or [`VLAN_NONE`].
    pub vlan: u16,
    /// A [`Hook`].
    pub hook: u8,
    /// A set of `NOTE_*`.
    pub notes: u8,
    /// With [`NOTE_SKIPS`]: payload below this number, beyond what this record carries, stays in
    /// the kernel; 0 without.
    pub skip_until: u32,
    /// The network namespace in which it was seen, as the number of its inode; 0 is observer's own.
    pub netns: u32,
    pub reserved: u32,
}

/// Bytes of [`RecordHeader`]; the captured bytes start here.
pub const HEADER_LEN: usize = size_of::<RecordHeader>();

const _: () = assert!(HEADER_LEN == 112);
const _: () = assert!(offset_of!(RecordHeader, source) == 24);
const _: () = assert!(offset_of!(RecordHeader, reserved) == HEADER_LEN - 4);

/// Most payload bytes one record holds. A super-segment is at most 64 KiB unless the device was
/// set to BIG TCP.
pub const PIECE_MAX: u32 = 65536;

/// Records one segment may become: the kernel's `GSO_MAX_SIZE` is `8 * GSO_LEGACY_MAX_SIZE`,
/// 524,280 bytes (include/linux/netdevice.h, 6.3), which is less than eight pieces.
pub const PIECES_MAX: u32 = 8;

/// The value of `vlan` where the frame carried no tag; identifiers end at 4095.
pub const VLAN_NONE: u16 = u16::MAX;

/// The payload is cut, by the capture limit or a skip: `captured_len` is below `payload_len`.
pub const NOTE_CUT: u8 = 1 << 0;
/// The next record of this half continues the same segment.
pub const NOTE_CONTINUES: u8 = 1 << 1;
/// The bytes of this segment made the flow known as HTTP.
pub const NOTE_DETECTED: u8 = 1 << 2;
/// The half was seen by another interface or hook before this segment.
pub const NOTE_OWNER_MOVED: u8 = 1 << 3;
/// The flow's SYN was seen, and nothing of it was missed before this segment.
pub const NOTE_FROM_START: u8 = 1 << 4;
/// With [`NOTE_FROM_START`]: the sender of this segment is who sent the SYN.
pub const NOTE_BY_INITIATOR: u8 = 1 << 5;

/// A stretch of body is being left out of this half: `skip_until` says up to where.
pub const NOTE_SKIPS: u8 = 1 << 6;

/// Which program made the record.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    TcIngress = 1,
    TcEgress = 2,
    Socket = 3,
}

impl Hook {
    pub fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::TcIngress),
            2 => Some(Self::TcEgress),
            3 => Some(Self::Socket),
            _ => None,
        }
    }
}
