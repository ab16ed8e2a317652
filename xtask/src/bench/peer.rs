//! What watches the server, observer among others: how it is started, when it is ready, how it
//! ends, and what it says it saw.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result};

use super::{
    lab::Lab,
    lines,
    process::Process,
    server::{Nginx, PORT},
};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, clap::ValueEnum)]
pub(crate) enum Peer {
    /// `observer run -o FILE`
    Observer,
    /// nginx's own access log
    AccessLog,
    /// `tcpdump -w FILE`: packets, no HTTP
    Tcpdump,
    /// `tcpflow -c`: streams as text, no pairs
    Tcpflow,
    /// `ngrep`: segments as text
    Ngrep,
    /// `httpry -o FILE`: a line for each request and response
    Httpry,
    /// `tshark`: a line for each response
    Tshark,
}

/// A peer at work.
pub(super) struct Watcher {
    peer: Peer,
    pub(super) process: Option<Process>,
    /// What it writes.
    pub(super) output: PathBuf,
}

/// What it says it saw.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Report {
    /// Exchanges, or responses where it makes no pairs; absent where it knows none.
    pub(super) exchanges: Option<u64>,
    /// What it says it lost: segments, or packets.
    pub(super) lost: Option<u64>,
    pub(super) ours: Option<Ledger>,
}

/// What observer says of the kernel side.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ledger {
    /// Segments at the hooks.
    pub(super) seen: u64,
    pub(super) records: u64,
    pub(super) wakeups: u64,
}

impl Peer {
    pub(super) const ALL: [Self; 7] = [
        Self::Observer,
        Self::AccessLog,
        Self::Tcpdump,
        Self::Tcpflow,
        Self::Ngrep,
        Self::Httpry,
        Self::Tshark,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Observer => "observer",
            Self::AccessLog => "access_log",
            Self::Tcpdump => "tcpdump -w",
            Self::Tcpflow => "tcpflow",
            Self::Ngrep => "ngrep",
            Self::Httpry => "httpry",
            Self::Tshark => "tshark",
        }
    }

    /// Programs that have to be there.
    pub(super) fn program(self) -> Option<&'static str> {
        match self {
            Self::Observer | Self::AccessLog => None,
            Self::Tcpdump => Some("tcpdump"),
            Self::Tcpflow => Some("tcpflow"),
            Self::Ngrep => Some("ngrep"),
            Self::Httpry => Some("httpry"),
            Self::Tshark => Some("tshark"),
        }
    }
}

impl Watcher {
    /// `rings`: how many observer is told to use, if it is told.
    pub(super) fn start(
        lab: &Lab,
        peer: Peer,
        observer: &Path,
        rings: Option<u32>,
    ) -> Result<Self> {
        // What writes to standard output writes there (`Process::start`).
        let output = lab.folder().join("watched.out");
        let process = match peer {
            Peer::AccessLog => None,
            Peer::Observer => {
                let mut command = lab.command(&observer.display().to_string(), None);
                command.args(["run", "--no-socket", "-o"]).arg(&output);
                if let Some(rings) = rings {
                    command.args(["--rings", &rings.to_string()]);
                }
                let mut process = Process::start(lab, "observer", &mut command)?;
                lab.wait("observer to watch", READY, || {
                    process.is_alive()?;
                    Ok(process.said().contains("watching through"))
                })?;
                Some(process)
            }
            _ => Some(sniffer(lab, peer, &output)?),
        };
        Ok(Self { peer, process, output })
    }

    /// Ends it, and asks what it saw.
    pub(super) fn finish(mut self, lab: &Lab, nginx: &Nginx) -> Result<Report> {
        if let Some(process) = &mut self.process {
            process.is_alive()?;
            process.stop(lab, "-INT")?;
        }
        let report = match (self.peer, &self.process) {
            (Peer::AccessLog, _) => {
                Report { exchanges: Some(nginx.take_log()?), ..Report::default() }
            }
            (Peer::Observer, _) => observer(&self.output)?,
            (Peer::Tcpdump, process) => {
                let said = process.as_ref().map(Process::said).unwrap_or_default();
                Report { lost: number(&said, " packets dropped by kernel"), ..Report::default() }
            }
            (Peer::Tcpflow | Peer::Ngrep, _) => self.counted("HTTP/1.1 200 OK")?,
            (Peer::Httpry, _) => self.counted("\t<\t")?,
            (Peer::Tshark, _) => self.counted("200")?,
        };
        if self.output.exists() {
            fs::remove_file(&self.output)?;
        }
        Ok(report)
    }
}

impl Watcher {
    /// A report of the lines that tell of a response.
    fn counted(&self, text: &str) -> Result<Report> {
        let exchanges = Some(lines::count(&self.output, text)?);
        Ok(Report { exchanges, ..Report::default() })
    }
}

/// Starts a tool that reads packets, as somebody would who wants to see HTTP with it, and waits until
/// it has a packet socket: nothing else in the namespace has one.
fn sniffer(lab: &Lab, peer: Peer, output: &Path) -> Result<Process> {
    let mut command = lab.command(peer.program().unwrap_or_default(), None);
    let port = format!("tcp port {PORT}");
    match peer {
        Peer::Observer | Peer::AccessLog => {}
        // As root, because the folder is root's; a buffer as large as observer's ring.
        Peer::Tcpdump => {
            command.args(["-i", "lo", "-Z", "root", "-B", "16384", "-w"]).arg(output).arg(&port);
        }
        Peer::Tcpflow => {
            command.args(["-i", "lo", "-c", &port]);
        }
        Peer::Ngrep => {
            command.args(["-d", "lo", "-q", "-W", "byline", "", &port]);
        }
        Peer::Httpry => {
            command.args(["-i", "lo", "-o"]).arg(output).arg(&port);
        }
        Peer::Tshark => {
            command.args(["-i", "lo", "-n", "-f", &port, "-Y", "http.response"]);
            command.args(["-T", "fields", "-e", "http.response.code"]);
        }
    }
    command.current_dir(lab.folder());
    let mut process = Process::start(lab, "watched", &mut command)?;
    lab.wait(&format!("{} to watch", peer.name()), READY, || {
        process.is_alive()?;
        let sockets = fs::read_to_string(format!("/proc/{}/net/packet", process.id()))?;
        Ok(sockets.lines().count() > 1)
    })?;
    // The ring is set up a moment after the socket.
    lab.pause(Duration::from_millis(200))?;
    Ok(process)
}

fn observer(file: &Path) -> Result<Report> {
    let stats = lines::last_stats(file)?;
    let kernel = &stats["capture"];
    let number = |key: &str| kernel[key].as_u64().context("observer's account lacks a number");
    let lost = kernel["lost"].as_object().context("observer's account has no losses")?;
    let lost = lost.values().filter_map(serde_json::Value::as_u64).sum::<u64>();
    Ok(Report {
        exchanges: Some(lines::count(file, r#""state":"complete""#)?),
        lost: Some(lost + kernel["undecodable"].as_u64().unwrap_or(0)),
        ours: Some(Ledger {
            seen: number("seen")?,
            records: number("records")?,
            wakeups: number("wakeups")?,
        }),
    })
}

/// The number in front of `text`.
fn number(said: &str, text: &str) -> Option<u64> {
    let (front, _) = said.split_once(text)?;
    front.rsplit(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

const READY: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tools_own_loss_is_read() {
        let said = "120 packets captured\n240 packets received by filter\n17 packets dropped by \
                    kernel\n";
        assert_eq!(number(said, " packets dropped by kernel"), Some(17));
        assert_eq!(number("", " packets dropped by kernel"), None);
    }
}
