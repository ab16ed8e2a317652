//! What bounds the flow table, and what it counts. Vocabulary only.

/// Bounds and times of the flow table. Each bound has a counter in [`TableStats`].
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Flows held at once; above it the longest idle one is evicted.
    pub flows: usize,
    /// Out-of-order bytes held for one half; above it the hole before them is given up.
    pub half_bytes: usize,
    /// Out-of-order pieces held for one half; the same.
    pub half_pieces: usize,
    /// Out-of-order bytes held in all; above it the flow that adds more gives up its holes.
    pub total_bytes: usize,
    /// Wait for bytes that the peer acknowledged, or of which no acknowledgement is captured.
    pub reorder_ns: u64,
    /// Wait for bytes that the peer still misses: a retransmission should bring them.
    pub gap_ns: u64,
    /// Idle time after which a flow is ended.
    pub idle_ns: u64,
    /// Wait for segments in flight after a reset.
    pub linger_ns: u64,
    /// How long the end of a flow is remembered, so that late copies are told from a new flow.
    pub time_wait_ns: u64,
    /// Ask the capture to leave out what the application does not want. Off for files: they hold
    /// what they hold.
    pub skip: bool,
    /// How far from the expected position a reset is believed, bytes.
    pub reset_window: u64,
}

impl Default for Limits {
    fn default() -> Self {
        const SECOND: u64 = 1_000_000_000;
        Self {
            flows: 262_144,
            half_bytes: 4 << 20,
            half_pieces: 2048,
            total_bytes: 64 << 20,
            reorder_ns: SECOND / 4,
            gap_ns: 30 * SECOND,
            idle_ns: 3600 * SECOND,
            linger_ns: SECOND / 5,
            time_wait_ns: 60 * SECOND,
            skip: false,
            reset_window: 4 << 20,
        }
    }
}

/// Running totals, except `flows` and `buffered_bytes`, which are current.
#[derive(Clone, Copy, Debug, Default)]
pub struct TableStats {
    pub segments: u64,
    pub flows: u64,
    pub flows_opened: u64,
    pub flows_evicted: u64,
    pub flows_timed_out: u64,
    pub buffered_bytes: u64,
    /// Segments of flows that nothing is known of and that carry nothing to begin with.
    pub ignored: u64,
    /// Flows that were let go because fewer are followed, and segments of such flows.
    pub flows_sampled: u64,
    pub segments_sampled: u64,
    /// Times a flow gave up its holes because all flows together held too much.
    pub budget_exceeded: u64,
}
