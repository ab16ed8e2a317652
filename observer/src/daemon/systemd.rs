//! What the daemon tells systemd (sd_notify(3)): that it is ready, that it reloads, how it is doing,
//! and that its work loop turns. Without a NOTIFY_SOCKET all of it does nothing.

use std::time::{Duration, Instant};

use sd_notify::NotifyState;

use crate::drive::monotonic;
use crate::event::stats::{Ledger, Snapshot};

/// The line to the service manager. Lives in the work loop: a loop that hangs sends no ping, and
/// that is the point.
#[derive(Debug)]
pub(super) struct Manager {
    is_there: bool,
    /// How often to ping: a third of what WatchdogSec allows, so that one late turn is no failure.
    ping: Option<Duration>,
    pinged: Instant,
    told: Option<Told>,
}

/// The numbers of the last status line.
#[derive(Debug)]
struct Told {
    at: Instant,
    exchanges: u64,
    seen: u64,
}

impl Manager {
    pub(super) fn from_environment() -> Self {
        let is_there = std::env::var_os("NOTIFY_SOCKET").is_some();
        let ping = sd_notify::watchdog_enabled().filter(|_| is_there).map(|allowed| allowed / 3);
        Self { is_there, ping, pinged: monotonic(), told: None }
    }

    /// The programs are attached; also after a reload.
    pub(super) fn ready(&self, status: &str) {
        self.tell(&[NotifyState::Ready, NotifyState::Status(status)]);
    }

    pub(super) fn reloading(&self) {
        match NotifyState::monotonic_usec_now() {
            Ok(now) => self.tell(&[NotifyState::Reloading, now]),
            Err(_) => self.tell(&[NotifyState::Reloading]),
        }
    }

    pub(super) fn stopping(&self) {
        self.tell(&[NotifyState::Stopping, NotifyState::Status("writing what is left")]);
    }

    /// Called once a turn of the work loop. `snapshot` is made only for a status line.
    pub(super) fn turned(&mut self, moment: Instant, snapshot: impl FnOnce() -> Snapshot) {
        if !self.is_there {
            return;
        }
        if self.ping.is_some_and(|ping| moment - self.pinged >= ping) {
            self.pinged = moment;
            self.tell(&[NotifyState::Watchdog]);
        }
        if self.told.as_ref().is_none_or(|told| moment - told.at >= STATUS_EVERY) {
            let told = Told::of(moment, &snapshot());
            if let Some(status) = self.told.as_ref().map(|before| told.0.since(before, &told.1)) {
                self.tell(&[NotifyState::Status(&status)]);
            }
            self.told = Some(told.0);
        }
    }

    fn tell(&self, state: &[NotifyState<'_>]) {
        if self.is_there {
            // A service manager that has gone is nothing that the capture should end for.
            let _ = sd_notify::notify(state);
        }
    }
}

impl Told {
    fn of(at: Instant, snapshot: &Snapshot) -> (Self, Losses) {
        let ledger = snapshot.capture.as_ref();
        let exchanges = snapshot.engine.as_ref().and_then(|engine| engine.get("exchanges"));
        let told = Self {
            at,
            exchanges: exchanges.copied().unwrap_or(0),
            seen: ledger.map_or(0, |ledger| ledger.seen),
        };
        let events = snapshot.sinks.iter().map(|sink| sink.lost).sum();
        (told, Losses { segments: ledger.map_or(0, Ledger::n_lost), events })
    }

    /// Rates since `before`, and what was lost since the start.
    fn since(&self, before: &Self, lost: &Losses) -> String {
        let seconds = (self.at - before.at).as_secs_f64().max(0.001);
        let rate = |now: u64, then: u64| now.saturating_sub(then) as f64 / seconds;
        format!(
            "{:.1} exchanges/s, {:.1} segments/s; lost so far: {} segments, {} events",
            rate(self.exchanges, before.exchanges),
            rate(self.seen, before.seen),
            lost.segments,
            lost.events
        )
    }
}

/// Totals since the start.
struct Losses {
    segments: u64,
    events: u64,
}

const STATUS_EVERY: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::stats::SinkStats;

    #[test]
    fn the_status_line_has_rates_and_losses() {
        let snapshot = |exchanges, seen, lost| Snapshot {
            capture: Some(Ledger { seen, lost: [("ring_full", lost)].into(), ..Ledger::default() }),
            engine: Some([("exchanges", exchanges)].into()),
            sinks: vec![SinkStats { lost, ..SinkStats::default() }],
            ..Snapshot::default()
        };
        let start = monotonic();
        let (before, _) = Told::of(start, &snapshot(10, 100, 0));
        let (now, lost) = Told::of(start + Duration::from_secs(5), &snapshot(20, 350, 3));
        assert_eq!(
            now.since(&before, &lost),
            "2.0 exchanges/s, 50.0 segments/s; lost so far: 3 segments, 3 events"
        );
    }
}
