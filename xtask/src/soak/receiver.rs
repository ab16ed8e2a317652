//! Who reads what the observer sends: one receiver that takes everything and counts it, and one
//! that goes away again and again.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader, Read as _},
    os::unix::net::UnixListener,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::ledger;

/// What has come so far.
#[derive(Default)]
pub(super) struct Received {
    /// Complete exchanges by the first word of their path.
    pub(super) complete: BTreeMap<String, u64>,
    pub(super) n_events: u64,
    /// `obs.stats` of the last account.
    pub(super) stats: Value,
    /// What must never be.
    pub(super) faults: Vec<String>,
}

pub(super) type Shared = Arc<Mutex<Received>>;

/// Takes all events.
pub(super) fn all(socket: &Path) -> Result<Shared> {
    let listener = UnixListener::bind(socket).context("cannot listen for events")?;
    let received = Shared::default();
    let shared = Arc::clone(&received);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
                shared.lock().unwrap_or_else(PoisonError::into_inner).take(&line);
            }
        }
    });
    Ok(received)
}

/// Takes what comes in a second or so, hangs up, and lets nobody in for another.
pub(super) fn fickle(socket: &Path) -> Result<()> {
    let listener = UnixListener::bind(socket).context("cannot listen for events")?;
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.set_read_timeout(Some(Duration::from_secs(1)));
            let mut buffer = vec![0; 1 << 16];
            for _ in 0..10 {
                if stream.read(&mut buffer).is_ok_and(|n| n == 0) {
                    break;
                }
            }
            drop(stream);
            thread::sleep(Duration::from_secs(1));
        }
    });
    Ok(())
}

impl Received {
    fn take(&mut self, line: &[u8]) {
        self.n_events += 1;
        let Ok(event) = serde_json::from_slice::<Value>(line) else {
            self.faults.push(format!("no JSON: {}", String::from_utf8_lossy(line)));
            return;
        };
        match event["event"]["name"].as_str() {
            Some("observer.stats") => {
                let stats = &event["obs"]["stats"];
                self.faults.extend(ledger::sink_faults(stats));
                self.stats = stats.clone();
            }
            Some("http.exchange") if event["obs"]["state"] == "complete" => {
                let path = event["url"]["path"].as_str().unwrap_or_default();
                let word = path.split('/').nth(1).unwrap_or_default();
                *self.complete.entry(word.to_owned()).or_default() += 1;
            }
            _ => {}
        }
    }
}
