//! The kernel's counters with names: what became of every segment that reached a program.

use observer_common::stats::{Counters, Outcome};

/// `seen = emitted + skipped + filtered + lost`, to the unit, whenever no segment is under way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    /// Segments and other packets that reached a program.
    pub seen: u64,
    /// Segments all of which is on the ring.
    pub emitted: u64,
    /// Segments that had nothing to tell: inside a body that is left out, or bare acknowledgements of
    /// what is known.
    pub skipped: u64,
    /// What was looked at and not wanted.
    pub filtered: Filtered,
    /// What was wanted and did not get through.
    pub lost: Lost,

    /// Records on the ring: a very large segment takes several.
    pub records: u64,
    /// Payload bytes on the ring.
    pub bytes: u64,
    /// Flows that were found to be HTTP.
    pub flows: u64,
    /// Times that a flow was sampled out.
    pub flows_sampled: u64,
    /// Halves that another interface or hook took over.
    pub owner_moves: u64,
    /// Wake-ups the kernel sent.
    pub wakeups: u64,
    /// Records that user space could not decode; not part of the sum above.
    pub undecodable: u64,
}

/// The reasons behind `Ledger::filtered`, as `observer_common::stats::Outcome` has them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Filtered {
    pub not_ip: u64,
    pub not_tcp: u64,
    pub fragment: u64,
    pub malformed: u64,
    pub unknown_link: u64,
    pub loopback: u64,
    pub port: u64,
    pub host: u64,
    pub no_payload: u64,
    pub not_http: u64,
    pub turned_off: u64,
    pub duplicate: u64,
    pub sampled: u64,
}

/// The reasons behind `Ledger::lost`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lost {
    pub ring_full: u64,
    pub flow_table: u64,
    pub unreadable: u64,
}

impl Filtered {
    pub fn total(&self) -> u64 {
        let Self { not_ip, not_tcp, fragment, malformed, unknown_link, loopback, .. } = *self;
        let Self { port, host, no_payload, not_http, turned_off, duplicate, sampled, .. } = *self;
        [not_ip, not_tcp, fragment, malformed, unknown_link, loopback]
            .into_iter()
            .chain([port, host, no_payload, not_http, turned_off, duplicate, sampled])
            .sum()
    }
}

impl Lost {
    pub fn total(&self) -> u64 {
        self.ring_full + self.flow_table + self.unreadable
    }
}

impl Ledger {
    /// Whether every segment seen has exactly one outcome.
    pub fn is_balanced(&self) -> bool {
        self.seen == self.emitted + self.skipped + self.filtered.total() + self.lost.total()
    }

    /// Sums the counters of all CPUs.
    pub fn sum<'a>(per_cpu: impl IntoIterator<Item = &'a Counters>) -> Self {
        let mut ledger = Self::default();
        for counters in per_cpu {
            ledger.add(counters);
        }
        ledger
    }

    fn add(&mut self, counters: &Counters) {
        let of = |outcome: Outcome| counters.outcomes[outcome as usize];
        let Self { filtered, lost, .. } = self;
        filtered.not_ip += of(Outcome::NotIp);
        filtered.not_tcp += of(Outcome::NotTcp);
        filtered.fragment += of(Outcome::Fragment);
        filtered.malformed += of(Outcome::Malformed);
        filtered.unknown_link += of(Outcome::UnknownLink);
        filtered.loopback += of(Outcome::Loopback);
        filtered.port += of(Outcome::Port);
        filtered.host += of(Outcome::Host);
        filtered.no_payload += of(Outcome::NoPayload);
        filtered.not_http += of(Outcome::NotHttp);
        filtered.turned_off += of(Outcome::TurnedOff);
        filtered.duplicate += of(Outcome::Duplicate);
        filtered.sampled += of(Outcome::Sampled);
        lost.ring_full += of(Outcome::RingFull);
        lost.flow_table += of(Outcome::FlowTable);
        lost.unreadable += of(Outcome::Unreadable);
        self.seen += counters.seen;
        self.emitted += of(Outcome::Emitted);
        self.skipped += of(Outcome::Skipped);
        self.records += counters.records;
        self.bytes += counters.bytes;
        self.flows += counters.flows;
        self.flows_sampled += counters.flows_sampled;
        self.owner_moves += counters.owner_moves;
        self.wakeups += counters.wakeups;
    }
}

#[cfg(test)]
mod tests {
    use observer_common::stats::OUTCOME_SLOTS;

    use super::*;

    /// A CPU whose outcome `i` happened `2^i` times: a reason left out or counted twice shows.
    fn counters() -> Counters {
        let outcomes =
            std::array::from_fn(|i| if i <= Outcome::Sampled as usize { 1 << i } else { 0 });
        let seen = outcomes.iter().sum();
        assert_eq!(outcomes.len(), OUTCOME_SLOTS);
        Counters {
            seen,
            records: 1,
            bytes: 2,
            flows: 3,
            owner_moves: 4,
            wakeups: 5,
            netns: 0,
            produced_ring: 0,
            produced: 6,
            flows_sampled: 7,
            outcomes,
        }
    }

    #[test]
    fn every_outcome_is_summed_once() {
        let ledger = Ledger::sum([&counters(), &counters()]);
        assert!(ledger.is_balanced(), "{ledger:?}");
        assert_eq!(ledger.seen, 2 * counters().seen);
        assert_eq!((ledger.emitted, ledger.lost.ring_full), (2, 2 << Outcome::RingFull as u32));
    }

    #[test]
    fn a_segment_without_outcome_shows() {
        let mut odd = counters();
        odd.seen += 1;
        assert!(!Ledger::sum([&odd]).is_balanced());
    }
}
