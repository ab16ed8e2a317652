//! One capture through both ways.

use std::path::Path;
use std::process::Command;

use super::compare::{Difference, Exchange, without};
use super::device::{Device, NAME};
use super::frames;
use super::harness::event::{Account, Event};
use super::harness::namespace::Namespace;
use super::harness::observer::{BINARY, Observer};

/// What both ways made of a capture.
pub(crate) struct Outcome {
    pub(crate) n_frames: usize,
    /// Frames that the device did not take.
    pub(crate) n_refused: usize,
    pub(crate) read: Vec<Exchange>,
    live: Vec<Exchange>,
    /// The kernel's, at the end.
    pub(crate) account: Account,
}

impl Outcome {
    pub(crate) fn difference(&self) -> Difference {
        Difference { n_missing: self.missing().len(), n_extra: self.extra().len() }
    }

    /// What makes the comparison worthless: frames that the tap has not seen, or lost.
    pub(crate) fn harm(&self) -> Option<String> {
        let n_sent = (self.n_frames - self.n_refused) as u64;
        let Account { seen, lost, records, segments, .. } = self.account;
        if seen != n_sent {
            return Some(format!("{n_sent} frames were sent and {seen} were seen"));
        }
        if lost != 0 || segments != records {
            return Some(format!("lost {lost}; {segments} of {records} records arrived"));
        }
        None
    }

    pub(crate) fn details(&self) -> String {
        let side = |sign: char, side: Vec<&Exchange>| {
            let lines = side.into_iter().take(SHOWN).map(move |it| format!("    {sign} {it}\n"));
            lines.collect::<String>()
        };
        side('-', self.missing()) + &side('+', self.extra())
    }

    fn missing(&self) -> Vec<&Exchange> {
        without(&self.read, &self.live)
    }

    fn extra(&self) -> Vec<&Exchange> {
        without(&self.live, &self.read)
    }
}

pub(crate) fn replay(path: &Path) -> Outcome {
    let frames = frames::read(path);
    let namespace = Namespace::new();
    let mut device = Device::new(&namespace, frames.wire);
    let observer = Observer::start(&namespace, &["run", "--no-socket", "-i", NAME]);
    let n_refused = frames.frames.iter().filter(|frame| !device.send(frame)).count();
    // The tap has seen each frame when its write returned; what is in the ring is read to the end.
    let end = observer.end(libc::SIGTERM);
    let account = end.account.expect("statistics come last");
    account.assert_balanced();
    Outcome {
        n_frames: frames.frames.len() + frames.n_refused,
        n_refused: n_refused + frames.n_refused,
        read: read(path),
        live: exchanges(end.events),
        account,
    }
}

fn read(path: &Path) -> Vec<Exchange> {
    let output = Command::new(BINARY).args(["read", "-f", "ndjson"]).arg(path).output().unwrap();
    // A capture that is cut is read up to there, with a word on standard error and exit code 1.
    let lines = String::from_utf8(output.stdout).unwrap();
    exchanges(lines.lines().map(Event::parse).collect())
}

fn exchanges(events: Vec<Event>) -> Vec<Exchange> {
    let is_exchange = |event: &&Event| event.name() == "http.exchange";
    events.iter().filter(is_exchange).map(Exchange::of).collect()
}

/// Exchanges that a failure shows, of either side.
const SHOWN: usize = 8;
