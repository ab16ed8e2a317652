//! The daemon's configuration: a TOML file, its defaults, and errors that say where and what.
//!
//! docs/observer.example.toml explains each key to users, and a test holds the two together. This
//! module knows no command line; `cli` lays its options over the values read here.

mod check;
pub mod governor;
pub mod metrics;
pub mod route;
pub mod sinks;

use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;
use serde::Deserialize;
use toml::de::{DeTable, DeValue};

use self::check::Wrong;
use self::governor::Governor;
use self::metrics::Metrics;
use self::sinks::Sink;
use crate::capture::namespaces::Namespace;

/// Everything `observer run` can be told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    pub capture: Capture,
    pub http: Http,
    pub engine: Engine,
    pub governor: Governor,
    pub output: Output,
    pub sinks: Vec<Sink>,
    pub control: Control,
    pub stats: Stats,
    pub metrics: Metrics,
    pub shutdown: Shutdown,
}

/// What to capture, and how.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Capture {
    /// Names of interfaces; `any` among them means all, later ones included.
    pub interfaces: Vec<String>,
    /// Other network namespaces to watch.
    #[serde(deserialize_with = "namespaces")]
    pub netns: Vec<Namespace>,
    /// How often to look whether what is attached is what exists.
    #[serde(deserialize_with = "interval")]
    pub reconcile: Duration,
    /// TCP ports, of which one must be at either end; empty for all.
    pub ports: Vec<u16>,
    /// Networks, of which one must hold either address; empty for all.
    pub hosts: Vec<Network>,
    pub backend: Backend,
    /// Bytes of the ring buffer; rounded up to a power of two.
    pub ring_bytes: u32,
    /// Rings of that size, each with a worker of its own; 0: one for every four CPUs, 16 at most,
    /// and two where there are two CPUs or more.
    pub rings: u32,
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

/// How much the engine keeps at most.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Engine {
    /// Flows held at once.
    pub max_flows: u32,
    /// Bytes held in all that came out of order.
    pub buffer_bytes: u32,
}

/// The simple way to say where events go.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Output {
    /// A file to append to; `-` is standard output. `None` when there are [`Config::sinks`] and
    /// nothing was said about this.
    pub file: Option<PathBuf>,
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

/// How the daemon ends.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Shutdown {
    /// How long sinks may take to write what is there.
    #[serde(deserialize_with = "interval")]
    pub deadline: Duration,
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
        Self::read(text).map_err(|(at, message)| (at, shortened(&message)))
    }

    fn read(text: &str) -> Result<Self, (usize, String)> {
        let at = |err: &toml::de::Error| err.span().map_or(0, |span| span.start);
        let tree = DeTable::parse(text).map_err(|err| (at(&err), err.message().to_owned()))?;
        let tree = tree.get_ref();
        unknown_key(tree)?;
        let mut config: Self =
            toml::from_str(text).map_err(|err| (at(&err), err.message().to_owned()))?;
        let place = |section: &str, key: &str| {
            let section = tree.get_key_value(section)?;
            let table = section.1.get_ref().as_table();
            let key = table.and_then(|table| table.get_key_value(key));
            Some(key.map_or(section.0, |(key, _)| key).span().start)
        };
        if !config.sinks.is_empty() && place("output", "file").is_none() {
            config.output.file = None;
        }
        config.check().map_err(|Wrong { section, key, message }| {
            (place(section, key).unwrap_or(0), message)
        })?;
        Ok(config)
    }

    /// Every sink: what `[output]` names, then `[[sinks]]`.
    pub fn all_sinks(&self) -> Vec<Sink> {
        let plain = self.output.file.clone().map(Sink::plain);
        plain.into_iter().chain(self.sinks.iter().cloned()).collect()
    }
}

/// A value that is wrong is repeated in the message, and may be long.
fn shortened(message: &str) -> String {
    match message.char_indices().nth(MAX_MESSAGE) {
        Some((end, _)) => format!("{}…", message.get(..end).unwrap_or_default()),
        None => message.to_owned(),
    }
}

/// Characters of a message.
const MAX_MESSAGE: usize = 500;

/// Finds the first key that is not in [`KEYS`].
fn unknown_key(tree: &DeTable<'_>) -> Result<(), (usize, String)> {
    let sections: Vec<_> = KEYS.iter().map(|(section, _)| *section).collect();
    for (name, value) in tree {
        let known = KEYS.iter().find(|(section, _)| section == name.get_ref());
        let Some((section, keys)) = known else {
            return Err((name.span().start, unknown(name.get_ref(), "", &sections)));
        };
        let tables: Vec<&DeTable<'_>> = match value.get_ref() {
            DeValue::Table(table) => vec![table],
            DeValue::Array(array) => array.iter().filter_map(|v| v.get_ref().as_table()).collect(),
            _ => Vec::new(),
        };
        for key in tables.into_iter().flat_map(|table| table.keys()) {
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
    duration(&text).map_err(serde::de::Error::custom)
}

fn namespaces<'de, D>(deserializer: D) -> Result<Vec<Namespace>, D::Error>
where
    D: serde::Deserializer<'de>,
{
    let list = Vec::<String>::deserialize(deserializer)?;
    list.iter().map(|text| text.parse().map_err(serde::de::Error::custom)).collect()
}

fn some_duration<'de, D>(deserializer: D) -> Result<Option<Duration>, D::Error>
where
    D: serde::Deserializer<'de>,
{
    interval(deserializer).map(Some)
}

fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is no duration: write 10s, 2m or 1h");
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

impl Capture {
    /// How many rings there are on a machine of so many CPUs. One serves 250,000 exchanges a second
    /// and more; two are for small machines, where one worker would take its time from one CPU, and
    /// whoever is busy on the others would wait for that one.
    pub fn n_rings(&self, n_cpus: usize) -> u32 {
        match self.rings {
            0 => {
                let by_four = u32::try_from(n_cpus / 4).unwrap_or(MAX_AUTO_RINGS);
                by_four.clamp(if n_cpus > 1 { 2 } else { 1 }, MAX_AUTO_RINGS)
            }
            rings => rings,
        }
    }
}

const MAX_AUTO_RINGS: u32 = 16;

impl Default for Capture {
    fn default() -> Self {
        Self {
            interfaces: vec!["any".to_owned()],
            netns: Vec::new(),
            reconcile: Duration::from_secs(60),
            ports: Vec::new(),
            hosts: Vec::new(),
            backend: Backend::Auto,
            // Room for the bursts of a busy server between two wake-ups; touched only when used.
            ring_bytes: 8 << 20,
            rings: 0,
            max_flows: 65536,
            tls: true,
        }
    }
}

impl Default for Engine {
    fn default() -> Self {
        Self { max_flows: 262_144, buffer_bytes: 64 << 20 }
    }
}

impl Default for Output {
    fn default() -> Self {
        Self { file: Some(PathBuf::from("-")) }
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

impl Default for Shutdown {
    fn default() -> Self {
        Self { deadline: Duration::from_secs(5) }
    }
}

/// Of each body or message at most so many bytes are reported: they are held until it ends.
pub const MAX_PREFIX_BYTES: u32 = 16 << 20;

/// Where the daemon listens and `tail` looks, unless told otherwise.
pub const DEFAULT_SOCKET: &str = "/run/observer/observer.sock";

/// All keys, by section. serde would find an unknown key as well, but could not name the nearest.
const KEYS: &[(&str, &[&str])] = &[
    (
        "capture",
        &[
            "interfaces",
            "netns",
            "reconcile",
            "ports",
            "hosts",
            "backend",
            "ring_bytes",
            "rings",
            "max_flows",
            "tls",
        ],
    ),
    ("http", &["headers", "body_bytes", "ws_messages", "ws_message_bytes"]),
    ("engine", &["max_flows", "buffer_bytes"]),
    ("governor", &["cpu_percent", "memory_bytes", "max_adjusted_count"]),
    ("output", &["file"]),
    ("sinks", sinks::KEYS),
    ("control", &["socket"]),
    ("stats", &["interval"]),
    ("metrics", &["listen", "routes", "max_series"]),
    ("shutdown", &["deadline"]),
];

#[cfg(test)]
mod tests;
#[cfg(test)]
mod mutations;
