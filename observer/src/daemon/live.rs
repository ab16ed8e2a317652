//! Live capture as the daemon and `tail` want it: options from the configuration, the kernel's
//! ledger under the names of `observer.stats`.

use std::time::Duration;

use super::worker::Source;
use crate::capture::live::{Backend, Capture, Interfaces, Options};
use crate::config;
use crate::event::stats::Ledger;
use crate::segment::Segment;

/// A running capture.
#[derive(Debug)]
pub struct Live(pub Capture);

/// Attaches to the kernel; says what could not be had.
pub fn start(config: &config::Capture, say: &dyn Fn(&str)) -> anyhow::Result<Live> {
    let named = config.interfaces.iter().all(|name| name != "any") && !config.interfaces.is_empty();
    let capture = Capture::start(&Options {
        interfaces: if named {
            Interfaces::Named(config.interfaces.clone())
        } else {
            Interfaces::Any
        },
        backend: match config.backend {
            config::Backend::Auto => Backend::Auto,
            config::Backend::Tc => Backend::Tc,
            config::Backend::Socket => Backend::Socket,
        },
        ports: config.ports.clone(),
        hosts: config.hosts.iter().map(|network| network.0).collect(),
        ring_bytes: config.ring_bytes,
    })?;
    for warning in capture.warnings() {
        say(&format!("warning: {warning}"));
    }
    Ok(Live(capture))
}

impl Source for Live {
    fn poll(
        &mut self,
        timeout: Duration,
        handle: impl FnMut(&Segment<'_>),
    ) -> anyhow::Result<usize> {
        Ok(self.0.poll(timeout, handle)?)
    }

    fn ledger(&self) -> anyhow::Result<Ledger> {
        Ok(self.0.ledger()?)
    }
}
