//! Syslog messages after RFC 5424, one an event, with the event's JSON as the message's text.

use std::fs;
use std::io::Write as _;
use std::sync::{Arc, Mutex};

use super::Target;
use super::datagram::Datagrams;
use super::stream::{Framing, Stream};
use crate::config::sinks::{Facility, SyslogAddress};

/// What is the same in each message.
#[derive(Debug)]
pub(in crate::sink) struct Message {
    priority: u8,
    host: String,
}

pub(super) fn open(address: &SyslogAddress, facility: Facility) -> Arc<Mutex<dyn Target>> {
    let message = Message::new(facility, &host_name());
    match address {
        SyslogAddress::Unix(path) => {
            Arc::new(Mutex::new(Datagrams::syslog_unix(path.clone(), message)))
        }
        SyslogAddress::Udp(address) => {
            Arc::new(Mutex::new(Datagrams::syslog_udp(address.clone(), message)))
        }
        SyslogAddress::Tcp(address) => {
            Arc::new(Mutex::new(Stream::tcp(address.clone(), Framing::Counted(message))))
        }
    }
}

impl Message {
    fn new(facility: Facility, host: &str) -> Self {
        // RFC 5424 §6.2.1, and §6.2.4 for what a host name may consist of.
        let clean = host.bytes().filter(u8::is_ascii_graphic).take(255).map(char::from);
        let host: String = clean.collect();
        let host = if host.is_empty() { NIL.to_owned() } else { host };
        Self { priority: facility.code() * 8 + INFORMATIONAL, host }
    }

    /// Appends the message for one line.
    pub(super) fn write(&self, line: &[u8], out: &mut Vec<u8>) {
        let (priority, host, process) = (self.priority, &self.host, std::process::id());
        // Writing to memory does not fail.
        let _ = write!(out, "<{priority}>1 ");
        write_time(line, out);
        let _ = write!(out, " {host} observer {process} ");
        out.extend_from_slice(event_name(line).unwrap_or(NIL.as_bytes()));
        out.extend_from_slice(b" - ");
        out.extend_from_slice(line.strip_suffix(b"\n").unwrap_or(line));
    }
}

/// The event's own time. RFC 5424 §6.2.3 allows six digits of a second's fraction; events have
/// nine.
fn write_time(line: &[u8], out: &mut Vec<u8>) {
    let value = line.strip_prefix(br#"{"timestamp":""#).unwrap_or_default();
    match value.get(..b"2026-11-21T13:03:22.118000".len()) {
        Some(time) if time.iter().all(u8::is_ascii_graphic) => {
            out.extend_from_slice(time);
            out.push(b'Z');
        }
        _ => out.extend_from_slice(NIL.as_bytes()),
    }
}

/// What stands in `event.name`: the second key of each of our lines.
pub(super) fn event_name(line: &[u8]) -> Option<&[u8]> {
    const KEY: &[u8] = br#""event":{"name":""#;
    let head = line.get(..line.len().min(128))?;
    let start = memchr::memmem::find(head, KEY)? + KEY.len();
    let rest = head.get(start..)?;
    let name = rest.get(..memchr::memchr(b'"', rest)?)?;
    // RFC 5424 §6.2.7: at most 32 printable characters.
    (!name.is_empty() && name.len() <= 32 && name.iter().all(u8::is_ascii_graphic)).then_some(name)
}

fn host_name() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim().to_owned()
}

/// RFC 5424 §6: the absence of a value.
const NIL: &str = "-";
/// RFC 5424 §6.2.1, table 2.
const INFORMATIONAL: u8 = 6;

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, want: &str) {
        let mut out = Vec::new();
        Message::new(Facility::Daemon, "box").write(line.as_bytes(), &mut out);
        let want = want.replace("PID", &std::process::id().to_string());
        assert_eq!(String::from_utf8(out).unwrap(), want);
    }

    #[test]
    fn a_message_has_the_events_time_and_name() {
        let line =
            r#"{"timestamp":"2026-11-21T13:03:22.118000123Z","event":{"name":"http.exchange"}}"#;
        let want =
            format!("<30>1 2026-11-21T13:03:22.118000Z box observer PID http.exchange - {line}");
        check(&format!("{line}\n"), &want);
        check("{}\n", "<30>1 - box observer PID - - {}");
    }

    #[test]
    fn a_host_name_is_made_to_fit() {
        assert_eq!(Message::new(Facility::Daemon, "a b\n").host, "ab");
        assert_eq!(Message::new(Facility::Daemon, "").host, "-");
        assert_eq!(Message::new(Facility::Local7, "").priority, 23 * 8 + 6);
    }
}
