//! What can be wrong with the frames of a WebSocket, as values.

/// A rule of RFC 6455 that a frame broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Anomaly {
    /// A client masks every frame (§5.1).
    UnmaskedFromClient,
    /// A server masks none (§5.1).
    MaskedFromServer,
    /// A reserved bit that no extension gave a meaning (§5.2).
    ReservedBits,
    /// An opcode that nobody defined (§5.2).
    ReservedOpcode,
    /// A length not written in the shortest way, or of more than 63 bits (§5.2).
    InvalidFrameLength,
    /// A control frame that is fragmented or longer than 125 bytes (§5.5).
    InvalidControlFrame,
    /// A continuation of nothing, or a new message inside another (§5.4).
    BrokenFragments,
    /// A close frame of one byte, or with a code that may not be sent (§7.4).
    InvalidCloseCode,
    /// A frame behind the close frame (§5.5.1).
    FrameAfterClose,
}

impl Anomaly {
    pub const ALL: &[Self] = &[
        Self::UnmaskedFromClient,
        Self::MaskedFromServer,
        Self::ReservedBits,
        Self::ReservedOpcode,
        Self::InvalidFrameLength,
        Self::InvalidControlFrame,
        Self::BrokenFragments,
        Self::InvalidCloseCode,
        Self::FrameAfterClose,
    ];

    /// The name in `obs.anomalies`.
    pub fn name(self) -> &'static str {
        match self {
            Self::UnmaskedFromClient => "unmasked_from_client",
            Self::MaskedFromServer => "masked_from_server",
            Self::ReservedBits => "reserved_bits",
            Self::ReservedOpcode => "reserved_opcode",
            Self::InvalidFrameLength => "invalid_frame_length",
            Self::InvalidControlFrame => "invalid_control_frame",
            Self::BrokenFragments => "broken_fragments",
            Self::InvalidCloseCode => "invalid_close_code",
            Self::FrameAfterClose => "frame_after_close",
        }
    }
}

/// A set of [`Anomaly`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Anomalies(u16);

impl Anomalies {
    pub fn insert(&mut self, anomaly: Anomaly) {
        self.0 |= 1 << anomaly as u8;
    }

    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub fn iter(self) -> impl Iterator<Item = Anomaly> {
        Anomaly::ALL.iter().copied().filter(move |&a| self.0 & (1 << a as u8) != 0)
    }
}
