//! Owns what the machine's console says: which tests passed, which events the binary wrote, and
//! what is missing among them.

use serde_json::Value;

/// What has come over the console so far.
#[derive(Default)]
pub(super) struct Console {
    kernel: Option<String>,
    n_passed: u32,
    n_skipped: u32,
    faults: Vec<String>,
    /// With the name of the run that wrote them.
    events: Vec<(String, Value)>,
    /// Where the programs cannot be loaded: with which code each command ended.
    refused: Vec<String>,
    /// And all they said.
    said: Vec<String>,
    is_done: bool,
}

impl Console {
    pub(super) fn see(&mut self, line: &str) {
        if let Some(said) = line.strip_prefix("vm: ") {
            self.see_said(said);
        } else if line.starts_with("SKIP") {
            self.n_skipped += 1;
        } else if let Some(counts) = line.strip_prefix("test result: ") {
            // `ok. 64 passed; 0 failed; ...`
            let passed = counts.split_whitespace().nth(1).and_then(|word| word.parse().ok());
            self.n_passed += passed.unwrap_or(0);
            // The line of the test itself may be broken up by what its commands print.
            if !counts.starts_with("ok.") {
                self.faults.push(line.to_owned());
            }
        } else if line.contains("Kernel panic")
            || line.starts_with("test ") && line.ends_with("FAILED")
        {
            self.faults.push(line.to_owned());
        }
    }

    fn see_said(&mut self, said: &str) {
        match said.split_once(' ') {
            None if said == "done" => self.is_done = true,
            Some(("kernel", release)) => self.kernel = Some(release.to_owned()),
            Some(("refused", command)) => self.refused.push(command.to_owned()),
            Some(("said", line)) => self.said.push(line.to_owned()),
            Some(("fault:", fault)) => self.faults.push(fault.to_owned()),
            Some(("event", rest)) => {
                let (run, event) = rest.split_once(' ').unwrap_or((rest, ""));
                match serde_json::from_str(event) {
                    Ok(event) => self.events.push((run.to_owned(), event)),
                    Err(error) => self.faults.push(format!("an event that is no JSON: {error}")),
                }
            }
            _ => {}
        }
    }

    pub(super) fn summary(&self) -> String {
        let release = self.kernel.as_deref().unwrap_or("did not boot");
        let Self { n_passed, n_skipped, events, .. } = self;
        format!("{release}, {n_passed} tests passed, {n_skipped} skips, {} events", events.len())
    }

    /// Everything that is not as it has to be.
    pub(super) fn faults(&self) -> Vec<String> {
        let mut faults = self.faults.clone();
        if !self.is_done {
            faults.push("the machine did not get to the end".to_owned());
        }
        if self.n_passed == 0 {
            faults.push("no kernel test passed".to_owned());
        }
        for backend in ["tc", "socket"] {
            for (device, n_bytes) in [("lo", "loopback".len()), ("vm0", "over-veth".len())] {
                let is_it = |event: &&Value| is_post(event, device, n_bytes);
                let n_events = self.of(backend).filter(is_it).count();
                if n_events != 1 {
                    faults.push(format!("{backend}: {n_events} POSTs on {device}, not 1"));
                }
            }
        }
        if !self.of("dth").any(|event| event["event"]["name"] == "tcp.dth") {
            faults.push("no announced death was seen".to_owned());
        }
        for (run, event) in &self.events {
            if event["obs"]["stats"]["capture"]["lost"]
                .as_object()
                .is_some_and(|lost| lost.values().any(|n| n.as_u64() != Some(0)))
            {
                faults.push(format!("{run}: segments were lost: {event}"));
            }
        }
        faults
    }

    /// The same where the programs cannot be loaded: each command says which kernel it takes, ends
    /// with 1, and asks nobody to report what a verifier said.
    pub(super) fn faults_of_a_refusal(&self) -> Vec<String> {
        let mut faults = self.faults.clone();
        let n_told =
            self.said.iter().filter(|line| line.contains("use Linux 5.13 or later")).count();
        let is_bad = |command: &&String| !command.starts_with("1 ");
        faults.extend(
            self.refused.iter().filter(is_bad).map(|command| format!("ended with {command}")),
        );
        if !self.is_done || self.refused.len() < 3 || n_told < 3 {
            faults
                .push(format!("{n_told} commands told the kernel that they need: {:?}", self.said));
        }
        if self.said.iter().any(|line| line.contains("please report")) || self.said.len() > 60 {
            faults.push("a verifier's log was shown".to_owned());
        }
        faults
    }

    fn of<'a>(&'a self, run: &'a str) -> impl Iterator<Item = &'a Value> {
        self.events.iter().filter(move |(of, _)| of == run).map(|(_, event)| event)
    }
}

fn is_post(event: &Value, device: &str, n_bytes: usize) -> bool {
    event["http"]["request"]["method"] == "POST"
        && event["http"]["request"]["body"]["size"] == n_bytes
        && event["http"]["response"]["status_code"] == 201
        && event["obs"]["state"] == "complete"
        && event["obs"]["capture"]["interface"] == device
}

#[cfg(test)]
mod tests {
    use super::*;

    const POST: &str = r#"{"event":{"name":"http.exchange"},"http":{"request":{"method":"POST","body":{"size":@SIZE@}},"response":{"status_code":201}},"obs":{"state":"complete","capture":{"interface":"@DEVICE@"}}}"#;

    fn post(device: &str, n_bytes: usize) -> String {
        POST.replace("@DEVICE@", device).replace("@SIZE@", &n_bytes.to_string())
    }

    fn complete() -> Vec<String> {
        let mut lines = vec!["vm: kernel 6.1.0".to_owned(), "test a ... ok".to_owned()];
        lines.push("test result: ok. 3 passed; 0 failed; 0 ignored".to_owned());
        for run in ["tc", "socket"] {
            lines.push(format!("vm: event {run} {}", post("lo", 8)));
            lines.push(format!("vm: event {run} {}", post("vm0", 9)));
        }
        lines.push(r#"vm: event dth {"event":{"name":"tcp.dth"}}"#.to_owned());
        lines.push("vm: done".to_owned());
        lines
    }

    #[track_caller]
    fn check(lines: &[String], faults: &[&str]) {
        let mut console = Console::default();
        for line in lines {
            console.see(line);
        }
        assert_eq!(console.faults(), faults);
    }

    #[test]
    fn a_complete_run_has_no_faults() {
        check(&complete(), &[]);
    }

    #[test]
    fn what_is_missing_is_named() {
        let without = |text: &str| -> Vec<String> {
            complete().into_iter().filter(|line| !line.contains(text)).collect()
        };
        check(&without("done"), &["the machine did not get to the end"]);
        check(&without("test result"), &["no kernel test passed"]);
        check(&without("tcp.dth"), &["no announced death was seen"]);
        check(&without(r#"event tc"#), &["tc: 0 POSTs on lo, not 1", "tc: 0 POSTs on vm0, not 1"]);
    }

    #[test]
    fn a_refusal_is_good_when_each_command_says_why() {
        let lines = |code: u32, why: &str| {
            let mut console = Console::default();
            for command in ["run", "tail", "doctor"] {
                console.see(&format!("vm: refused {code} {command}"));
                console.see(&format!("vm: said observer: too old: {why}"));
            }
            console.see("vm: done");
            console.faults_of_a_refusal().len()
        };
        assert_eq!(lines(1, "use Linux 5.13 or later"), 0);
        assert_eq!(lines(0, "use Linux 5.13 or later"), 3);
        assert_eq!(lines(1, "please report it"), 2);
    }

    #[test]
    fn what_went_wrong_is_told() {
        let with = |line: &str| {
            let mut lines = complete();
            lines.push(line.to_owned());
            lines
        };
        check(&with("test x::y ... FAILED"), &["test x::y ... FAILED"]);
        let failed = "test result: FAILED. 22 passed; 1 failed; 0 ignored";
        check(&with(failed), &[failed]);
        check(&with("vm: fault: no veth"), &["no veth"]);
        let twice = format!("vm: event tc {}", post("lo", 8));
        check(&with(&twice), &["tc: 2 POSTs on lo, not 1"]);
    }
}
