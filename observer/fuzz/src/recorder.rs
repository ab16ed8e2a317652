//! An application that keeps what the flow table tells it, and objects at once to what no reader of
//! a stream could use: a position that does not follow, something after the end, nothing at all.

use observer::segment::{FlowKey, Offset, TcpFlags, Timestamp};
use observer::tcp::{Application, Cause, Delivery, Facts, Side, What, Wish};

/// What the flows told, and when.
#[derive(Debug, Default)]
pub struct Log {
    /// Set by the caller: the number of the call that the table is working on.
    pub step: usize,
    pub closed: Vec<Stream>,
}

/// Everything that one flow told.
#[derive(Debug)]
pub struct Stream {
    pub key: FlowKey,
    /// Halves by the side that sent: low, high.
    pub halves: [Vec<Told>; 2],
    /// Whether the half was picked up without its SYN.
    pub midstream: [bool; 2],
}

#[derive(Debug)]
pub struct Told {
    pub step: usize,
    pub offset: u64,
    pub what: Part,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Part {
    Bytes(Vec<u8>),
    Gap(u64),
    End(Cause),
}

impl Told {
    pub fn end(&self) -> u64 {
        self.offset
            + match &self.what {
                Part::Bytes(bytes) => bytes.len() as u64,
                Part::Gap(n) => *n,
                Part::End(_) => 0,
            }
    }
}

impl Stream {
    /// The bytes from `offset` up to the next gap.
    pub fn run_at(&self, side: Side, offset: Offset) -> Vec<u8> {
        let mut run = Vec::new();
        let mut at = offset.0;
        for told in &self.halves[index(side)] {
            let Part::Bytes(bytes) = &told.what else { continue };
            if (told.offset..told.end()).contains(&at) {
                run.extend_from_slice(&bytes[(at - told.offset) as usize..]);
                at = told.end();
            }
        }
        run
    }
}

pub fn index(side: Side) -> usize {
    match side {
        Side::Low => 0,
        Side::High => 1,
    }
}

#[derive(Debug)]
pub struct Recorder {
    stream: Stream,
    /// The half told bytes whose sender had received more of the other than was told: where it
    /// stood then. Only right if the other half's next bytes wait for this half's in turn.
    early: [Option<u64>; 2],
}

impl Recorder {
    /// Delivery is causal: bytes come after what their sender had received when it sent them.
    fn check_order(
        &mut self,
        ours: usize,
        theirs: usize,
        what: &Part,
        delivery: &Delivery<'_>,
        fin: bool,
    ) {
        if let Some(position) = self.early[theirs].take() {
            let mutual = match (what, delivery.acked) {
                (Part::Bytes(_) | Part::Gap(_), Some(acked)) if acked.0 > position + 1 => true,
                // Or a FIN waited, and bytes behind it came before it was told.
                (Part::Bytes(_) | Part::Gap(_), _) => fin,
                (Part::End(_), _) => true,
            };
            assert!(mutual, "bytes came before what their sender had received");
        }
        if let (Part::Bytes(_), Some(acked), Some(last)) =
            (what, delivery.acked, self.stream.halves[theirs].last())
            && !matches!(last.what, Part::End(_))
            && acked.0 > last.end() + 1
        {
            self.early[ours].get_or_insert(delivery.offset.0);
        }
    }
}

impl Application for Recorder {
    type Output = Log;

    fn open(facts: &Facts) -> Self {
        let halves = [Vec::new(), Vec::new()];
        Self { stream: Stream { key: facts.key, halves, midstream: [false; 2] }, early: [None; 2] }
    }

    fn deliver(&mut self, facts: &Facts, delivery: Delivery<'_>, log: &mut Log) -> Wish {
        let [ours, theirs] = match delivery.side {
            Side::Low => [0, 1],
            Side::High => [1, 0],
        };
        self.stream.midstream[ours] = facts.half(delivery.side).midstream;
        let what = match delivery.what {
            What::Bytes(bytes) => {
                assert!(!bytes.is_empty(), "nothing is not told");
                Part::Bytes(bytes.to_vec())
            }
            What::Skipped(_) => unreachable!("nothing was left out on request"),
            What::Gap(n) => {
                assert!(n > 0, "a gap has a size");
                Part::Gap(n)
            }
            What::End(cause) => Part::End(cause),
        };
        let fin = facts.half(delivery.side).flags.contains(TcpFlags::FIN);
        self.check_order(ours, theirs, &what, &delivery, fin);
        if let Some(last) = self.stream.halves[ours].last() {
            assert!(!matches!(last.what, Part::End(_)), "nothing comes after the end: {what:?}");
            assert_eq!(delivery.offset.0, last.end(), "a half's offsets follow each other");
        }
        let offset = delivery.offset.0;
        self.stream.halves[ours].push(Told { step: log.step, offset, what });
        Wish::All
    }

    fn close(self, _facts: &Facts, _now: Timestamp, _cause: Cause, log: &mut Log) {
        for half in &self.stream.halves {
            let last = half.last().map(|told| &told.what);
            assert!(matches!(last, Some(Part::End(_))), "both halves end before the flow does");
        }
        log.closed.push(self.stream);
    }
}
