//! A watch that runs: exchanges as they come, one by one, by what they are, or as a stream.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_core::Stream;

use super::file::File;
use super::held::Held;
#[cfg(feature = "live")]
use super::live::Live;
use super::{Error, Exchange, Report, Wait};
use crate::drive::monotonic;

/// A running watch. What happens is seen whether or not anybody waits for it; dropping it ends the
/// capture.
///
/// As a [`Stream`] it gives each exchange as it ends, without a time limit, until the source ends.
pub struct Watching {
    source: Source,
    timeout: Duration,
}

pub(super) enum Source {
    File(Box<File>),
    #[cfg(feature = "live")]
    Live(Live),
}

impl Watching {
    pub(super) fn new(source: Source, timeout: Duration) -> Self {
        Self { source, timeout }
    }

    /// The next exchange, in the order in which they ended.
    pub fn next_exchange(&mut self) -> Wait<'_, Result<Exchange, Error>> {
        Wait::new(self.until("exchange", |held| held.take(&mut 0, &mut |_| true)))
    }

    /// The first exchange that `matches`, of those that came and were not taken, then of those that
    /// come. The others stay where they are, in their order, for later calls.
    pub fn next_matching<'a>(
        &'a mut self,
        mut matches: impl FnMut(&Exchange) -> bool + Send + 'a,
    ) -> Wait<'a, Result<Exchange, Error>> {
        // Nothing is taken while this waits, so those that did not match need no second look.
        let mut looked = 0;
        Wait::new(self.until("matching exchange", move |held| held.take(&mut looked, &mut matches)))
    }

    /// The next `n` exchanges, in the order in which they ended. When fewer come in time, the error
    /// names them, and they stay to be taken.
    pub fn next_n(&mut self, n: usize) -> Wait<'_, Result<Vec<Exchange>, Error>> {
        Wait::new(self.until("such number of exchanges", move |held| {
            (held.len() >= n).then(|| held.take_first(n))
        }))
    }

    /// Ends the watch: takes in what has happened up to here, detaches, and reports what nobody
    /// took and what was lost. A capture file is read to its end.
    pub fn stop(self) -> Wait<'static, Result<Report, Error>> {
        Wait::new(async move {
            match self.source {
                Source::File(file) => file.stop(),
                #[cfg(feature = "live")]
                Source::Live(live) => poll_fn(|context| live.poll_stop(context)).await,
            }
        })
    }

    /// What `look` finds among the exchanges that wait to be taken, within the time limit.
    async fn until<T>(
        &mut self,
        wanted: &'static str,
        mut look: impl FnMut(&mut Held) -> Option<T> + Send,
    ) -> Result<T, Error> {
        let deadline = monotonic().checked_add(self.timeout);
        let source = &mut self.source;
        let found = poll_fn(|context| source.poll_until(context, deadline, &mut look)).await?;
        found.ok_or_else(|| self.source.missing(wanted, self.timeout))
    }
}

#[cfg_attr(not(feature = "live"), expect(unused_variables, reason = "files need no waiting"))]
impl Source {
    fn poll_until<T>(
        &mut self,
        context: &mut Context<'_>,
        deadline: Option<Instant>,
        look: &mut dyn FnMut(&mut Held) -> Option<T>,
    ) -> Poll<Result<Option<T>, Error>> {
        match self {
            Self::File(file) => Poll::Ready(file.until(look)),
            #[cfg(feature = "live")]
            Self::Live(live) => live.poll_until(context, deadline, look),
        }
    }

    fn missing(&self, wanted: &'static str, after: Duration) -> Error {
        match self {
            Self::File(file) => Error::Ended { wanted, came: file.came() },
            #[cfg(feature = "live")]
            Self::Live(live) if live.has_ended() => Error::Ended { wanted, came: live.came() },
            #[cfg(feature = "live")]
            Self::Live(live) => Error::TimedOut { wanted, after, came: live.came() },
        }
    }
}

impl Stream for Watching {
    type Item = Result<Exchange, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let look = &mut |held: &mut Held| held.take(&mut 0, &mut |_| true);
        self.source.poll_until(context, None, look).map(Result::transpose)
    }
}

impl std::fmt::Debug for Watching {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watching").field("timeout", &self.timeout).finish_non_exhaustive()
    }
}
