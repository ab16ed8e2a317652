//! `[[sinks]]`: where events go, each with its queue and what happens when that is full.
//!
//! A table is read flat, as the user writes it, and then made into what its `type` means; a key
//! that another type has is refused by name.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

/// One place that events go to.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Table")]
pub struct Sink {
    /// What statistics and messages call it; unique.
    pub name: String,
    pub to: To,
    pub queue_bytes: u32,
    pub when_full: WhenFull,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum To {
    Stdout,
    File(FileSink),
    Unix { path: PathBuf },
    UnixDatagram { path: PathBuf },
    Tcp { address: String },
    Syslog { address: SyslogAddress, facility: Facility },
    Journald,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileSink {
    pub path: PathBuf,
    pub rotate: Rotate,
}

/// When a file is put aside for a new one, and what becomes of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rotate {
    /// 0: whatever its size.
    pub bytes: u64,
    pub every: Option<Duration>,
    /// Files that are kept; 0: all of them.
    pub keep: u32,
    pub compress: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WhenFull {
    DropOldest,
    DropNewest,
    Spool { folder: PathBuf, max_bytes: u64 },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SyslogAddress {
    Unix(PathBuf),
    Udp(String),
    Tcp(String),
}

/// RFC 5424 §6.2.1, those that a service may want.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Facility {
    User,
    #[default]
    Daemon,
    Local0,
    Local1,
    Local2,
    Local3,
    Local4,
    Local5,
    Local6,
    Local7,
}

impl Facility {
    pub fn code(self) -> u8 {
        match self {
            Self::User => 1,
            Self::Daemon => 3,
            Self::Local0 => 16,
            Self::Local1 => 17,
            Self::Local2 => 18,
            Self::Local3 => 19,
            Self::Local4 => 20,
            Self::Local5 => 21,
            Self::Local6 => 22,
            Self::Local7 => 23,
        }
    }
}

impl Sink {
    /// A file, or standard output for `-`, as `[output]` and `--output` name it.
    pub fn plain(file: PathBuf) -> Self {
        let to = match file.as_os_str() == "-" {
            true => To::Stdout,
            false => To::File(FileSink { path: file, rotate: Rotate::default() }),
        };
        Self { name: to.name(), to, queue_bytes: QUEUE_BYTES, when_full: WhenFull::DropOldest }
    }
}

impl To {
    /// What it is called unless it was given a name.
    fn name(&self) -> String {
        match self {
            Self::Stdout => "stdout".to_owned(),
            Self::File(file) => file.path.display().to_string(),
            Self::Unix { path } | Self::UnixDatagram { path } => path.display().to_string(),
            Self::Tcp { address } => format!("tcp://{address}"),
            Self::Syslog { .. } => "syslog".to_owned(),
            Self::Journald => "journald".to_owned(),
        }
    }
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Type {
    Stdout,
    File,
    Unix,
    UnixDatagram,
    Tcp,
    Syslog,
    Journald,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Full {
    #[default]
    DropOldest,
    DropNewest,
    Spool,
}

/// The table as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    r#type: Type,
    name: Option<String>,
    path: Option<PathBuf>,
    address: Option<String>,
    facility: Option<Facility>,
    rotate_bytes: Option<u64>,
    #[serde(default, deserialize_with = "super::some_duration")]
    rotate_every: Option<Duration>,
    keep: Option<u32>,
    compress: Option<bool>,
    queue_bytes: Option<u32>,
    when_full: Option<Full>,
    spool_path: Option<PathBuf>,
    spool_bytes: Option<u64>,
}

/// The keys of [`Table`], for the search for the nearest.
pub(super) const KEYS: &[&str] = &[
    "type",
    "name",
    "path",
    "address",
    "facility",
    "rotate_bytes",
    "rotate_every",
    "keep",
    "compress",
    "queue_bytes",
    "when_full",
    "spool_path",
    "spool_bytes",
];

impl TryFrom<Table> for Sink {
    type Error = String;

    fn try_from(mut table: Table) -> Result<Self, String> {
        let to = table.to()?;
        let when_full = table.when_full(&to)?;
        table.refuse_the_rest(&to)?;
        let name = table.name.take().unwrap_or_else(|| to.name());
        if name.is_empty() || name == "tail" || name.chars().any(char::is_control) {
            return Err(format!(
                "`name = {name:?}` cannot be used: it is empty, holds control characters, or is \
                 `tail`, which stands for the control socket"
            ));
        }
        let queue_bytes = table.queue_bytes.unwrap_or(QUEUE_BYTES);
        in_range("queue_bytes", queue_bytes.into(), MIN_QUEUE, MAX_QUEUE)?;
        Ok(Self { name, to, queue_bytes, when_full })
    }
}

impl Table {
    /// Takes the keys that belong to the type.
    fn to(&mut self) -> Result<To, String> {
        Ok(match self.r#type {
            Type::Stdout => To::Stdout,
            Type::Journald => To::Journald,
            Type::File => To::File(self.file()?),
            Type::Unix => To::Unix { path: self.path("unix")? },
            Type::UnixDatagram => To::UnixDatagram { path: self.path("unix_datagram")? },
            Type::Tcp => {
                let address = self.address.take().ok_or(
                    "a sink of type \"tcp\" needs `address`, for example \"logs.example:5170\"",
                )?;
                To::Tcp { address: host_and_port(&address)? }
            }
            Type::Syslog => {
                let address = self.address.take().ok_or(
                    "a sink of type \"syslog\" needs `address`: \"udp://HOST:514\", \
                     \"tcp://HOST:601\" or \"unix:///dev/log\"",
                )?;
                let facility = self.facility.take().unwrap_or_default();
                To::Syslog { address: syslog_address(&address)?, facility }
            }
        })
    }

    fn file(&mut self) -> Result<FileSink, String> {
        let path = self.path("file")?;
        let bytes = self.rotate_bytes.take().unwrap_or(0);
        if bytes > 0 {
            in_range("rotate_bytes", bytes, MIN_ROTATE, u64::MAX)?;
        }
        let every = self.rotate_every.take();
        if every.is_some_and(|every| every < Duration::from_secs(1)) {
            return Err("`rotate_every` is less than a second: write 1h or 24h".to_owned());
        }
        if bytes == 0 && every.is_none() && (self.keep.is_some() || self.compress.is_some()) {
            return Err("`keep` and `compress` are for files that are rotated: set \
                        `rotate_bytes` or `rotate_every`"
                .to_owned());
        }
        let keep = self.keep.take().unwrap_or(0);
        let compress = self.compress.take().unwrap_or(false);
        Ok(FileSink { path, rotate: Rotate { bytes, every, keep, compress } })
    }

    fn path(&mut self, kind: &str) -> Result<PathBuf, String> {
        let path = self.path.take().filter(|path| !path.as_os_str().is_empty());
        path.ok_or_else(|| format!("a sink of type \"{kind}\" needs `path`, and not an empty one"))
    }

    fn when_full(&mut self, to: &To) -> Result<WhenFull, String> {
        match self.when_full.take().unwrap_or_default() {
            Full::DropOldest => Ok(WhenFull::DropOldest),
            Full::DropNewest => Ok(WhenFull::DropNewest),
            // A write to a shared descriptor may wait; nobody would fill the spool meanwhile.
            Full::Spool if *to == To::Stdout => {
                Err("a sink of type \"stdout\" cannot spool: use drop_oldest or drop_newest"
                    .to_owned())
            }
            Full::Spool => {
                let folder = self.spool_path.take().filter(|path| !path.as_os_str().is_empty());
                let folder = folder.ok_or(
                    "`when_full = \"spool\"` needs `spool_path`, a directory for this sink alone",
                )?;
                let max_bytes = self.spool_bytes.take().unwrap_or(SPOOL_BYTES);
                in_range("spool_bytes", max_bytes, MIN_SPOOL, u64::MAX)?;
                Ok(WhenFull::Spool { folder, max_bytes })
            }
        }
    }

    /// What nobody has taken does not belong here.
    fn refuse_the_rest(&self, to: &To) -> Result<(), String> {
        let left = [
            ("path", self.path.is_some()),
            ("address", self.address.is_some()),
            ("facility", self.facility.is_some()),
            ("rotate_bytes", self.rotate_bytes.is_some()),
            ("rotate_every", self.rotate_every.is_some()),
            ("keep", self.keep.is_some()),
            ("compress", self.compress.is_some()),
        ];
        if let Some((key, _)) = left.iter().find(|(_, is_left)| *is_left) {
            let name = to.name();
            return Err(format!("`{key}` does not apply to a sink of this type ({name})"));
        }
        if self.spool_path.is_some() || self.spool_bytes.is_some() {
            return Err("`spool_path` and `spool_bytes` need `when_full = \"spool\"`".to_owned());
        }
        Ok(())
    }
}

fn syslog_address(text: &str) -> Result<SyslogAddress, String> {
    match text.split_once("://") {
        Some(("unix", path)) if !path.is_empty() => Ok(SyslogAddress::Unix(path.into())),
        Some(("udp", address)) => host_and_port(address).map(SyslogAddress::Udp),
        Some(("tcp", address)) => host_and_port(address).map(SyslogAddress::Tcp),
        _ => Err(format!(
            "`address = {text:?}` is none of \"udp://HOST:514\", \"tcp://HOST:601\" and \
             \"unix:///dev/log\""
        )),
    }
}

fn host_and_port(text: &str) -> Result<String, String> {
    let parts = text.rsplit_once(':');
    let is_port = |port: &str| port.parse::<u16>().is_ok_and(|port| port > 0);
    // An address with colons stands in brackets.
    let is_host = |host: &str| {
        !host.is_empty() && (!host.contains(':') || (host.starts_with('[') && host.ends_with(']')))
    };
    match parts {
        Some((host, port)) if is_host(host) && is_port(port) => Ok(text.to_owned()),
        _ => Err(format!(
            "`address = {text:?}` is no host and port: write \"logs.example:5170\", \
             \"192.0.2.7:5170\" or \"[2001:db8::7]:5170\""
        )),
    }
}

pub(super) fn in_range(key: &str, value: u64, min: u64, max: u64) -> Result<(), String> {
    if (min..=max).contains(&value) {
        return Ok(());
    }
    Err(match max {
        u64::MAX => format!("`{key} = {value}` is too small: at least {min}"),
        _ => format!("`{key} = {value}` is out of range: {min} to {max}"),
    })
}

/// Some seconds of a busy server.
const QUEUE_BYTES: u32 = 16 << 20;
/// Half a piece of lines: of those one is taken always, however large.
const MIN_QUEUE: u64 = 64 << 10;
const MAX_QUEUE: u64 = 1 << 30;
const MIN_ROTATE: u64 = 4096;
const SPOOL_BYTES: u64 = 1 << 30;
const MIN_SPOOL: u64 = 1 << 20;
