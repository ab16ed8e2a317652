//! The daemon's configuration: a TOML file, its defaults, and errors that say where and what.
//!
//! docs/observer.example.toml explains each key to users, and a test holds the two together. This
//! module knows no command line; `cli` lays its options over the values read here.

use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;
use serde::Deserialize;
use toml::de::{DeTable, DeValue};

/// Everything `observer run` can be told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    pub capture: Capture,
    pub http: Http,
    pub output: Output,
    pub control: Control,
    pub stats: Stats,
}

/// What to capture, and how.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Capture {
    /// Names of interfaces; `any` among them means all, later ones included.
    pub interfaces: Vec<String>,
    /// TCP ports, of which one must be at either end; empty for all.
    pub ports: Vec<u16>,
    /// Networks, of which one must hold either address; empty for all.
    pub hosts: Vec<Network>,
    pub backend: Backend,
    /// Bytes of the ring buffer; rounded up to a power of two.
    pub ring_bytes: u32,
    /// Flows that the kernel remembers as HTTP.
    pub max_flows: u32,
    /// Tell of flows that are TLS.
    pub tls: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Backend {
    #[default]
    Auto,
    Tc,
    Socket,
}

/// What events tell beyond the promoted keys.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Http {
    pub headers: bool,
    /// Bytes of each body to report.
    pub body_bytes: u32,
    /// Report each WebSocket message, with so many bytes of it.
    pub ws_messages: bool,
    pub ws_message_bytes: u32,
}

/// Where events go.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Output {
    /// A file to append to; `-` is standard output.
    pub file: PathBuf,
}

/// The socket that `observer tail` attaches to.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Control {
    /// Empty for none.
    pub socket: PathBuf,
}

/// observer's own numbers.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Stats {
    #[serde(deserialize_with = "interval")]
    pub interval: Duration,
}

/// A network, or a single address as the network that holds it alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Network(pub IpNet);

/// What is wrong with a configuration file.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot read the configuration {}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{}:{line}: {message}", path.display())]
    Invalid { path: PathBuf, line: usize, message: String },
}

impl Config {
    pub fn load(path: &Path) -> Result<Self, Error> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| Error::Read { path: path.to_owned(), source })?;
        Self::parse(&text).map_err(|(at, message)| {
            let line = 1 + text.bytes().take(at).filter(|byte| *byte == b'\n').count();
            Error::Invalid { path: path.to_owned(), line, message }
        })
    }

    /// The configuration in `text`, or the offset of what is wrong with it and a message.
    fn parse(text: &str) -> Result<Self, (usize, String)> {
        let at = |err: &toml::de::Error| err.span().map_or(0, |span| span.start);
        let tree = DeTable::parse(text).map_err(|err| (at(&err), err.message().to_owned()))?;
        unknown_key(tree.get_ref())?;
        toml::from_str(text).map_err(|err| (at(&err), err.message().to_owned()))
    }
}

/// Finds the first key that is not in [`KEYS`].
fn unknown_key(tree: &DeTable<'_>) -> Result<(), (usize, String)> {
    let sections: Vec<_> = KEYS.iter().map(|(section, _)| *section).collect();
    for (name, value) in tree {
        let known = KEYS.iter().find(|(section, _)| section == name.get_ref());
        let Some((section, keys)) = known else {
            return Err((name.span().start, unknown(name.get_ref(), "", &sections)));
        };
        let DeValue::Table(table) = value.get_ref() else { continue };
        for key in table.keys() {
            if !keys.contains(&key.get_ref().as_ref()) {
                return Err((key.span().start, unknown(key.get_ref(), section, keys)));
            }
        }
    }
    Ok(())
}

/// Names the key the user may have meant: the nearest here, or the same one in another section.
fn unknown(key: &str, section: &str, keys: &[&str]) -> String {
    let place = if section.is_empty() { String::new() } else { format!(" in [{section}]") };
    let elsewhere = KEYS.iter().find(|(_, keys)| keys.contains(&key));
    if let Some((elsewhere, _)) = elsewhere {
        return format!("unknown key `{key}`{place}; it belongs in [{elsewhere}]");
    }
    let nearest = keys
        .iter()
        .max_by(|a, b| strsim::jaro_winkler(key, a).total_cmp(&strsim::jaro_winkler(key, b)));
    match nearest.filter(|nearest| strsim::jaro_winkler(key, nearest) > 0.7) {
        Some(nearest) => format!("unknown key `{key}`{place}; did you mean `{nearest}`?"),
        None => format!("unknown key `{key}`{place}; known are {}", keys.join(", ")),
    }
}

/// Longer waits than a year are mistakes, and some of them exceed what a clock can hold.
pub const MAX_DURATION: Duration = Duration::from_secs(366 * 24 * 3600);

fn interval<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    let wrong =
        || serde::de::Error::custom(format!("`{text}` is no duration: write 10s, 2m or 1h"));
    let parsed: jiff::SignedDuration = text.parse().map_err(|_| wrong())?;
    Duration::try_from(parsed).ok().filter(|d| !d.is_zero() && *d <= MAX_DURATION).ok_or_else(wrong)
}

impl std::str::FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let address = || text.parse::<std::net::IpAddr>().map(IpNet::from);
        text.parse().or_else(|_| address()).map(Self).map_err(|_| {
            format!("`{text}` is no address and no network: write 10.0.0.0/8 or 192.0.2.7")
        })
    }
}

impl TryFrom<String> for Network {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl Default for Http {
    fn default() -> Self {
        Self { headers: false, body_bytes: 0, ws_messages: false, ws_message_bytes: 256 }
    }
}

impl Default for Capture {
    fn default() -> Self {
        Self {
            interfaces: vec!["any".to_owned()],
            ports: Vec::new(),
            hosts: Vec::new(),
            backend: Backend::Auto,
            // Room for the bursts of a busy server between two wake-ups; touched only when used.
            ring_bytes: 16 << 20,
            max_flows: 65536,
            tls: true,
        }
    }
}

impl Default for Output {
    fn default() -> Self {
        Self { file: PathBuf::from("-") }
    }
}

impl Default for Control {
    fn default() -> Self {
        Self { socket: PathBuf::from(DEFAULT_SOCKET) }
    }
}

impl Default for Stats {
    fn default() -> Self {
        Self { interval: Duration::from_secs(60) }
    }
}

/// Where the daemon listens and `tail` looks, unless told otherwise.
pub const DEFAULT_SOCKET: &str = "/run/observer/observer.sock";

/// All keys, by section. serde would find an unknown key as well, but could not name the nearest.
const KEYS: &[(&str, &[&str])] = &[
    ("capture", &["interfaces", "ports", "hosts", "backend", "ring_bytes", "max_flows", "tls"]),
    ("http", &["headers", "body_bytes", "ws_messages", "ws_message_bytes"]),
    ("output", &["file"]),
    ("control", &["socket"]),
    ("stats", &["interval"]),
];

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = include_str!("../../docs/observer.example.toml");

    #[test]
    fn the_example_shows_every_key_with_its_default() {
        assert_eq!(Config::parse(EXAMPLE).unwrap(), Config::default());
        let tree = DeTable::parse(EXAMPLE).unwrap();
        for (section, keys) in KEYS {
            let shown = tree.get_ref().get(*section).unwrap().get_ref();
            let shown: Vec<_> = shown.as_table().unwrap().keys().collect();
            assert_eq!(shown.len(), keys.len(), "[{section}]");
        }
    }

    #[test]
    fn an_empty_file_is_the_default() {
        assert_eq!(Config::parse("").unwrap(), Config::default());
    }

    #[test]
    fn values_are_taken() {
        let text = "[capture]\ninterfaces = ['lo']\nports = [80]\nhosts = ['10.0.0.0/8', '::1']\n\
                    backend = 'socket'\nring_bytes = 65536\nmax_flows = 9\ntls = false\n[http]\nheaders = true\n\
                    body_bytes = 100\n[output]\nfile = '/tmp/x'\n[control]\nsocket = ''\n\
                    [stats]\ninterval = '1h 30m'";
        let config = Config::parse(text).unwrap();
        let hosts = vec!["10.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()];
        assert_eq!(
            config,
            Config {
                capture: Capture {
                    interfaces: vec!["lo".into()],
                    ports: vec![80],
                    hosts,
                    backend: Backend::Socket,
                    ring_bytes: 65536,
                    max_flows: 9,
                    tls: false,
                },
                http: Http { headers: true, body_bytes: 100, ..Http::default() },
                output: Output { file: "/tmp/x".into() },
                control: Control { socket: "".into() },
                stats: Stats { interval: Duration::from_secs(5400) },
            }
        );
    }

    /// `text` is refused at `line` with `message`.
    #[track_caller]
    fn check(text: &str, line: usize, message: &str) {
        let (at, got) = Config::parse(text).unwrap_err();
        let got_line = 1 + text[..at].matches('\n').count();
        assert_eq!((got_line, got.as_str()), (line, message));
    }

    #[test]
    fn an_unknown_key_names_the_nearest() {
        check(
            "\n[capture]\nprot = [80]",
            3,
            "unknown key `prot` in [capture]; did you mean `ports`?",
        );
        check("[captur]", 1, "unknown key `captur`; did you mean `capture`?");
        check("[http]\nports = [80]", 2, "unknown key `ports` in [http]; it belongs in [capture]");
        check("[stats]\nqqq = 1", 2, "unknown key `qqq` in [stats]; known are interval");
        check("capture.prts = [80]", 1, "unknown key `prts` in [capture]; did you mean `ports`?");
    }

    #[test]
    fn a_wrong_value_says_where_and_what() {
        check("[stats]\ninterval = 'soon'", 2, "`soon` is no duration: write 10s, 2m or 1h");
        check("[stats]\n\ninterval = '0s'", 3, "`0s` is no duration: write 10s, 2m or 1h");
        check(
            "[capture]\nhosts = ['example.org']",
            2,
            "`example.org` is no address and no network: write 10.0.0.0/8 or 192.0.2.7",
        );
        check(
            "[capture]\nbackend = 'tcx'",
            2,
            "unknown variant `tcx`, expected one of `auto`, `tc`, `socket`",
        );
        check("[capture]\nring_bytes = -1", 2, "invalid value: integer `-1`, expected u32");
    }

    #[test]
    fn what_is_no_toml_says_where() {
        let (at, _) = Config::parse("[capture]\nports = [80\n[http]").unwrap_err();
        assert!(at > 10, "{at}");
    }
}
