//! What can go wrong while watching, in words that a failing test can print as they are.

use std::time::Duration;

use super::Exchange;
use crate::capture::file::FileError;
#[cfg(feature = "live")]
use crate::capture::live::CaptureError;

/// Why there is no exchange to hand out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The capture did not start or broke off. Needs root, or CAP_BPF, CAP_NET_ADMIN and
    /// CAP_PERFMON; see [`Error::is_missing_privileges`].
    #[cfg(feature = "live")]
    #[error("cannot capture: {0}")]
    Capture(#[from] CaptureError),

    /// No capture can be what was asked for: no interface, port 0, a ring of no bytes.
    #[cfg(feature = "live")]
    #[error("cannot watch that: {0}")]
    Asked(String),

    /// The capture file cannot be read, or not to its end.
    #[error(transparent)]
    File(#[from] FileError),

    /// The system gives no thread to capture in.
    #[cfg(feature = "live")]
    #[error("cannot start a thread")]
    Thread(#[source] std::io::Error),

    /// What was waited for did not come in time. Nothing is lost by it: what came instead can
    /// still be taken.
    #[error("no {wanted} within {after:?}; {came}")]
    TimedOut { wanted: &'static str, after: Duration, came: Came },

    /// The source has ended (a file is finite) and what was waited for was not in it.
    #[error("no {wanted} before the capture ended; {came}")]
    Ended { wanted: &'static str, came: Came },

    /// The capturing thread has gone without a word, which is a bug of observer.
    #[error("the capturing thread has ended unexpectedly: please report it")]
    Gone,
}

impl Error {
    /// Whether the process may not capture here, so that a test can say so and pass.
    pub fn is_missing_privileges(&self) -> bool {
        match self {
            #[cfg(feature = "live")]
            Self::Capture(error) => {
                matches!(error, CaptureError::MissingPrivileges { .. } | CaptureError::Forbidden(_))
            }
            _ => false,
        }
    }
}

/// The exchanges that were there when something else was waited for: a line each, the first few.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Came {
    /// How many.
    pub n_exchanges: usize,
    /// [`Exchange::summary`] of the first [`Came::SHOWN`].
    pub summaries: Vec<String>,
}

impl Came {
    /// So many are named; a message must stay readable.
    pub const SHOWN: usize = 12;

    pub(super) fn new<'a>(exchanges: impl ExactSizeIterator<Item = &'a Exchange>) -> Self {
        let n_exchanges = exchanges.len();
        Self {
            n_exchanges,
            summaries: exchanges.take(Self::SHOWN).map(Exchange::summary).collect(),
        }
    }
}

impl std::fmt::Display for Came {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.n_exchanges == 0 {
            return f.write_str("nothing else came either");
        }
        f.write_str("what came: ")?;
        for (i, summary) in self.summaries.iter().enumerate() {
            write!(f, "{}{summary}", if i == 0 { "" } else { ", " })?;
        }
        match self.n_exchanges - self.summaries.len().min(self.n_exchanges) {
            0 => Ok(()),
            more => f.write_fmt(format_args!(" and {more} more")),
        }
    }
}
