//! SIGHUP: the configuration is read again and what can be is applied, without letting go of the
//! traffic. What was fixed when the programs were loaded is named, and stays as it is until a
//! restart.

use super::worker::Worker;
use crate::config::governor::Governor;
use crate::config::metrics::Metrics;
use crate::config::{Capture, Config, Control, Engine, Http, Output, Shutdown, Stats};
use crate::drive::Source;
use crate::sink::Sinks;

/// What a reload has done so far.
#[derive(Debug, Default)]
pub(super) struct Reloaded {
    changed: Vec<String>,
    fixed: Vec<&'static str>,
    /// Beside that.
    said: Vec<String>,
}

impl Reloaded {
    /// What to say when the sinks have followed, and said that.
    pub(super) fn said(mut self, sinks: Vec<String>) -> Vec<String> {
        self.changed.extend(sinks);
        let mut said = vec![match self.changed.is_empty() {
            true => "reloaded: nothing has changed; files were opened anew".to_owned(),
            false => format!("reloaded: {}", self.changed.join("; ")),
        }];
        if !self.fixed.is_empty() {
            let fixed = self.fixed.join(", ");
            said.push(format!("changed, and needs a restart to apply: {fixed}"));
        }
        said.extend(self.said);
        said
    }

    /// Another one had begun before, and was not through.
    pub(super) fn goes_on(&mut self, before: Self) {
        self.changed.splice(..0, before.changed);
        self.said.splice(..0, before.said);
    }

    pub(super) fn add(&mut self, said: impl IntoIterator<Item = String>) {
        self.said.extend(said);
    }
}

/// Applies `new` to what runs under `running`, and makes `running` what holds from now on. The sinks
/// are told, and follow when they can ([`Sinks::changed`]). `can_govern`: one engine has all flows, so
/// that a budget can be kept.
pub(super) fn apply<S: Source>(
    new: Config,
    running: &mut Config,
    worker: &mut Worker<S>,
    sinks: &mut Sinks,
    can_govern: bool,
) -> Reloaded {
    let mut fixed = needs_restart(running, &new);
    let mut changed = Vec::new();
    if running.http.headers != new.http.headers {
        running.http.headers = new.http.headers;
        worker.report_headers(new.http.headers);
        changed.push(format!("[http] headers is {}", new.http.headers));
    }
    if running.stats != new.stats {
        changed.push(format!("[stats] interval is {:?}", new.stats.interval));
        running.stats = new.stats.clone();
    }
    if running.shutdown != new.shutdown {
        changed.push(format!("[shutdown] deadline is {:?}", new.shutdown.deadline));
        running.shutdown = new.shutdown.clone();
    }
    if running.governor != new.governor && !can_govern {
        fixed.push("[governor] (there are several rings)");
    } else if running.governor != new.governor {
        let Governor { cpu_percent, memory_bytes, max_adjusted_count } = &new.governor;
        changed.push(format!(
            "[governor] cpu_percent is {cpu_percent}, memory_bytes {memory_bytes}, \
             max_adjusted_count {max_adjusted_count}"
        ));
        running.governor = new.governor.clone();
    }
    sinks.change(&new.all_sinks());
    running.sinks = new.sinks;
    running.output = new.output;
    Reloaded { changed, fixed, said: Vec::new() }
}

/// The keys that differ and are fixed while the daemon runs. Each key is taken out of its struct by
/// name, so that the compiler asks for those that are added.
fn needs_restart(old: &Config, new: &Config) -> Vec<&'static str> {
    let Config {
        capture,
        http,
        engine,
        governor: _,
        output,
        sinks: _,
        control,
        stats,
        metrics,
        shutdown,
    } = new;
    let Metrics { listen, routes, max_series } = metrics;
    let Capture {
        interfaces,
        netns,
        reconcile,
        ports,
        hosts,
        backend,
        ring_bytes,
        rings,
        max_flows,
        tls,
    } = capture;
    let Http { headers: _, body_bytes, ws_messages, ws_message_bytes } = http;
    let Engine { max_flows: engine_flows, buffer_bytes } = engine;
    let Control { socket } = control;
    let (Output { file: _ }, Stats { interval: _ }, Shutdown { deadline: _ }) =
        (output, stats, shutdown);
    let keys = [
        ("[capture] interfaces", *interfaces != old.capture.interfaces),
        ("[capture] netns", *netns != old.capture.netns),
        ("[capture] reconcile", *reconcile != old.capture.reconcile),
        ("[capture] ports", *ports != old.capture.ports),
        ("[capture] hosts", *hosts != old.capture.hosts),
        ("[capture] backend", *backend != old.capture.backend),
        ("[capture] ring_bytes", *ring_bytes != old.capture.ring_bytes),
        ("[capture] rings", *rings != old.capture.rings),
        ("[capture] max_flows", *max_flows != old.capture.max_flows),
        ("[capture] tls", *tls != old.capture.tls),
        ("[http] body_bytes", *body_bytes != old.http.body_bytes),
        ("[http] ws_messages", *ws_messages != old.http.ws_messages),
        ("[http] ws_message_bytes", *ws_message_bytes != old.http.ws_message_bytes),
        ("[engine] max_flows", *engine_flows != old.engine.max_flows),
        ("[engine] buffer_bytes", *buffer_bytes != old.engine.buffer_bytes),
        ("[metrics] listen", *listen != old.metrics.listen),
        ("[metrics] routes", *routes != old.metrics.routes),
        ("[metrics] max_series", *max_series != old.metrics.max_series),
        ("[control] socket", *socket != old.control.socket),
    ];
    keys.into_iter().filter(|(_, differs)| *differs).map(|(key, _)| key).collect()
}
