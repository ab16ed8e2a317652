//! What is left to say when watching ends: what nobody took, what was seen, what was lost.

use super::Exchange;
use crate::capture::file::Counters;
use crate::event::stats::Ledger;

/// The end of a watch.
#[derive(Debug)]
#[non_exhaustive]
pub struct Report {
    /// The exchanges that came and were not taken, in their order. What was under way at the end
    /// is among them, with the state `Pending`.
    pub exchanges: Vec<Exchange>,
    /// Exchanges that came in all, taken ones included.
    pub n_exchanges: u64,
    /// Exchanges that came while too many waited to be taken; see
    /// [`Watch::hold`](super::Watch::hold).
    pub n_dropped: u64,
    /// The kernel's account of every segment, for a live capture:
    /// `seen = emitted + skipped + filtered + lost`.
    pub ledger: Option<Ledger>,
    /// What became of each packet, for a capture file.
    pub packets: Option<Counters>,
    /// What went wrong without stopping the capture.
    pub warnings: Vec<String>,
}

impl Report {
    /// Segments and exchanges that were lost on the way; 0 means that nothing is missing.
    pub fn n_lost(&self) -> u64 {
        let kernel = self.ledger.as_ref().map_or(0, |ledger| ledger.n_lost() + ledger.undecodable);
        kernel + self.n_dropped
    }
}
