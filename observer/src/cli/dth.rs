//! `observer dth`: sets the RFC 9401 bit on chosen segments until it is told to end, and watches for
//! it.

use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::anyhow;
use clap::ColorChoice;

use super::args::{DthCommand, MarkArgs};
use super::{Failure, complain, plural, signals, tail};
use crate::capture::live::{HostFilter, Marked, Marker, Selection};
use crate::drive::monotonic;

pub(super) fn run(command: &DthCommand, color: ColorChoice) -> Result<(), Failure> {
    match command {
        DthCommand::Mark(args) => mark(args),
        DthCommand::Watch(args) => tail::show(args, color, Some("tcp.dth")),
    }
}

fn mark(args: &MarkArgs) -> Result<(), Failure> {
    let selection = selection(args);
    if selection.is_empty() {
        let message = "dth mark marks nothing without a selection: add --port, --host, --cgroup \
                       or --when";
        return Err(Failure::Config(anyhow!(message)));
    }
    let stop = signals::stop_flag()?;
    let end = args.duration.map(|duration| monotonic() + duration);
    let marker = Marker::start(&selection)?;
    complain(format_args!("marking on {}; Ctrl-C ends", args.interfaces.join(", ")));
    let mut told = Marked::default();
    loop {
        let marked = marker.marked()?;
        if marked != told {
            complain(format_args!("marked {}", describe(&marked)));
            told = marked;
        }
        let n_handled = marked.segments + marked.failed;
        let is_done = args.count.is_some_and(|count| n_handled >= u64::from(count));
        let is_over = end.is_some_and(|end| monotonic() >= end);
        if is_done || is_over || stop.load(Ordering::Relaxed) {
            break;
        }
        std::thread::sleep(LOOK);
    }
    // What was marked between the last look and the end counts as well.
    let marked = marker.marked()?;
    drop(marker);
    complain(format_args!("marked {} in all, detached", describe(&marked)));
    if marked.failed > 0 {
        let n = plural(marked.failed, "chosen segment");
        return Err(anyhow!("the kernel would not write {n}").into());
    }
    Ok(())
}

fn selection(args: &MarkArgs) -> Selection {
    let host = |network: &crate::config::Network| HostFilter {
        address: network.0.addr(),
        prefix: network.0.prefix_len(),
    };
    Selection {
        interfaces: args.interfaces.clone(),
        ports: args.ports.clone(),
        hosts: args.hosts.iter().map(host).collect(),
        cgroup: args.cgroup.clone(),
        text: args.when.clone(),
        limit: args.count,
    }
}

/// `2 segments`, and how many that makes on the wire when it is another number.
fn describe(marked: &Marked) -> String {
    let segments = plural(marked.segments, "segment");
    match marked.on_wire {
        on_wire if on_wire == marked.segments => segments,
        on_wire => format!("{segments} ({on_wire} on the wire)"),
    }
}

/// How often the counters are looked at.
const LOOK: Duration = Duration::from_millis(100);
