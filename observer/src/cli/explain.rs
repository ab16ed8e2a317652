//! `observer explain`: the steps as lines for people or as one JSON object.

use std::net::SocketAddr;

use anyhow::Context as _;
use clap::ColorChoice;

use super::args::ExplainArgs;
use super::doctor::lines;
use super::run::lay_over;
use super::{Failure, complain, print, signals, wants_colour};
use crate::config::Config;
use crate::doctor;
use crate::explain::watch::{Question, watch};
use crate::explain::{is_told, judge};

pub(super) fn run(args: &ExplainArgs, color: ColorChoice) -> Result<(), Failure> {
    let config = args.config.as_deref().map(Config::load).transpose();
    let mut config = config.map_err(|err| Failure::Config(err.into()))?.unwrap_or_default();
    lay_over(&args.capture, &mut config.capture);
    config.check_all().map_err(|message| Failure::Config(anyhow::Error::msg(message)))?;
    let stop = signals::stop_flag()?;
    if !args.json && !args.probe {
        complain(format_args!(
            "looking for {} for up to {:?}: make a request now, or use --probe",
            args.target, args.duration
        ));
    }
    let socket = args.socket.as_deref().or_else(|| {
        let socket = config.control.socket.as_path();
        (!socket.as_os_str().is_empty()).then_some(socket)
    });
    let evidence = watch(&Question {
        target: args.target,
        wanted: config.capture.clone(),
        socket,
        duration: args.duration,
        probe: args.probe,
        stop: &stop,
    })?;
    let findings = judge(&evidence);
    let text = match args.json {
        true => doctor::json(&findings).context("cannot write the findings")? + "\n",
        false => lines(&findings, wants_colour(color)),
    };
    print(text.as_bytes())?;
    // The findings have said why.
    if is_told(&evidence) { Ok(()) } else { Err(Failure::Said) }
}

/// What to explain, as it is written on the command line.
pub(super) fn endpoint(text: &str) -> Result<SocketAddr, String> {
    let target = text.parse().ok().filter(|target: &SocketAddr| target.port() != 0);
    target.ok_or_else(|| "write an address and a port: 127.0.0.1:8080, [::1]:80".to_owned())
}
