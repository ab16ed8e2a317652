//! What can be typed: the one place that knows clap.

use std::path::PathBuf;
#[cfg(feature = "live")]
use std::time::Duration;

use clap::{Args, ColorChoice, Parser, Subcommand, ValueEnum};

#[cfg(feature = "live")]
use crate::capture::namespaces::Namespace;
use crate::config::Network;

/// Watches HTTP on this host from outside the programs that speak it.
///
/// Nothing needs to be restarted or configured: eBPF programs copy what crosses the network
/// interfaces, observer puts the exchanges together.
#[derive(Debug, Parser)]
#[command(name = "observer", version, after_help = EXAMPLES, max_term_width = 100)]
#[command(propagate_version = true, disable_help_subcommand = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
    /// Colour the output; `auto` means on a terminal, unless NO_COLOR is set
    #[arg(long, global = true, display_order = 900, value_name = "WHEN", default_value_t = ColorChoice::Auto)]
    pub(crate) color: ColorChoice,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show HTTP as it happens, one line an exchange
    ///
    /// Attaches to the daemon when one runs (`observer run`); otherwise captures in this process,
    /// which needs root. Ctrl-C ends it and says on standard error what was seen and what was lost.
    #[cfg(feature = "live")]
    Tail(TailArgs),
    /// Show the HTTP in capture files (pcap, pcapng); needs no privileges
    ///
    /// Each file is read on its own, in the order given. To read the parts of one long capture as a
    /// whole, join them first: `mergecap -F pcap -w - part* | observer read -`.
    Read(ReadArgs),
    /// Run the daemon: events to standard output or a file, and a socket for `observer tail`
    ///
    /// Writes one JSON object a line and serves `observer tail`. Options override the configuration
    /// file; SIGHUP reads that again and opens files anew. SIGTERM or Ctrl-C ends it: what is half
    /// done is reported as it stands, everything is written, and a summary with the losses goes to
    /// standard error.
    #[cfg(feature = "live")]
    Run(Box<RunArgs>),
    /// Set the TCP flag DTH (RFC 9401) on segments of this host
    #[cfg(feature = "live")]
    #[command(subcommand)]
    Dth(DthCommand),
    /// Say what this host can do, what is missing, and what to do about it
    ///
    /// Looks at the kernel, the privileges, each interface and who else is attached to it, the
    /// daemon, and the TLS libraries of local servers. Changes nothing. Exits with 1 when live
    /// capture cannot work.
    #[cfg(feature = "live")]
    Doctor(DoctorArgs),
    /// Say why a flow is or is not seen, step by step
    ///
    /// Follows the next flow with this address and port at either end: which interfaces it crosses,
    /// what its first bytes are, what the kernel and the engine made of it, and which filter drops
    /// it. Works beside a running daemon, and tells whether that reports the flow. Attaches nothing
    /// to an interface. Exits with 0 when the flow was told as an event, 1 when it was not.
    #[cfg(feature = "live")]
    Explain(Box<ExplainArgs>),
    /// Print the JSON Schema of the events
    Schema,
    /// Print the manual page, or write a page for each command into a folder
    Man {
        /// Folder to write `observer.1`, `observer-tail.1` and so on into
        #[arg(long, value_name = "FOLDER")]
        out: Option<PathBuf>,
    },
    /// Print completions for a shell
    ///
    /// For bash: observer completions bash > ~/.local/share/bash-completion/completions/observer
    Completions { shell: clap_complete::Shell },
}

#[cfg(feature = "live")]
#[derive(Debug, Args)]
#[command(after_help = TAIL_EXAMPLES)]
pub(crate) struct TailArgs {
    #[command(flatten)]
    pub(crate) capture: CaptureArgs,
    #[command(flatten)]
    pub(crate) show: ShowArgs,
    /// Stop after this time: 10s, 2m, 1h30m
    #[arg(long = "for", value_name = "DURATION", value_parser = duration)]
    pub(crate) duration: Option<Duration>,
    /// Socket of the daemon to attach to [default: /run/observer/observer.sock, if it is there]
    #[arg(long, value_name = "PATH")]
    pub(crate) socket: Option<PathBuf>,
    /// Capture in this process even when a daemon runs
    #[arg(long, conflicts_with = "socket")]
    pub(crate) no_daemon: bool,
}

#[derive(Debug, Args)]
#[command(after_help = READ_EXAMPLES)]
pub(crate) struct ReadArgs {
    /// Files to read; `-` is standard input
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// Only flows with this TCP port at either end; may be repeated or a list: 80,8080
    #[arg(short, long = "port", value_name = "PORT", value_delimiter = ',')]
    #[arg(value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) ports: Vec<u16>,
    /// Only flows with an address in this network at either end: 10.0.0.0/8, ::1
    #[arg(long = "host", value_name = "CIDR", value_delimiter = ',')]
    pub(crate) hosts: Vec<Network>,
    #[command(flatten)]
    pub(crate) show: ShowArgs,
    /// Read on N threads; the lines then come in no particular order
    ///
    /// Several files are read side by side; the flows of a single one are shared out. Every flow
    /// gives the lines that it gives in order, but a pipe is read ahead in larger pieces.
    #[arg(short, long, value_name = "N", default_value_t = 1, value_parser = jobs)]
    pub(crate) jobs: usize,
    /// Say on standard error what each file held
    #[arg(short, long)]
    pub(crate) verbose: bool,
}

#[cfg(feature = "live")]
#[derive(Debug, Args)]
#[command(after_help = RUN_EXAMPLES)]
pub(crate) struct RunArgs {
    /// Configuration file (TOML); docs/observer.example.toml explains every key
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Look whether the configuration, with these options over it, can be used; start nothing
    #[arg(long)]
    pub(crate) check_config: bool,
    #[command(flatten)]
    pub(crate) capture: CaptureArgs,
    /// Report all header fields, secrets masked, not only the promoted ones
    #[arg(long)]
    pub(crate) headers: bool,
    /// Report the first N bytes of each body
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(..=MAX_PREFIX))]
    pub(crate) body: Option<u32>,
    /// Report each WebSocket message, with its first N bytes unmasked
    #[arg(long, value_name = "N", num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "256", value_parser = clap::value_parser!(u32).range(..=MAX_PREFIX))]
    pub(crate) ws_messages: Option<u32>,
    /// Leave things out when observer uses so much CPU time, in percent of one CPU; 0: never
    #[arg(long, value_name = "PERCENT")]
    pub(crate) cpu_percent: Option<u32>,
    /// Leave things out when observer holds so many bytes of memory; 0: never
    #[arg(long, value_name = "BYTES")]
    pub(crate) memory_bytes: Option<u64>,
    /// File to append the events to; `-` is standard output
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Rings, each with a worker of its own [default: one for every four CPUs, 2 to 16; with one CPU 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=64))]
    pub(crate) rings: Option<u32>,
    /// Socket for `observer tail`
    #[arg(long, value_name = "PATH")]
    pub(crate) socket: Option<PathBuf>,
    /// Serve no socket
    #[arg(long, conflicts_with = "socket")]
    pub(crate) no_socket: bool,
    /// Stop after this time: 10s, 2m, 1h30m
    #[arg(long = "for", value_name = "DURATION", value_parser = duration)]
    pub(crate) duration: Option<Duration>,
}

#[cfg(feature = "live")]
#[derive(Debug, Subcommand)]
pub(crate) enum DthCommand {
    /// Announce the death of connections: set DTH on chosen segments as they leave
    ///
    /// A segment is marked when it fits every option given; one of --port, --host, --cgroup and
    /// --when has to be. SYN segments never are. Nothing is dropped or delayed and checksums stay
    /// right. Where a device cuts large segments up, every part carries the flag. Ctrl-C detaches
    /// and says how many segments were marked.
    Mark(MarkArgs),
    /// Tell when a peer has announced its death, and what became of it
    ///
    /// Shows the event `tcp.dth` and nothing else: an endpoint has set DTH for the first time; and,
    /// when the connection has ended, whether it died and how soon, or was only teasing. Watches
    /// all of TCP in this process; through a daemon, as `observer tail` does, only what carries HTTP.
    Watch(TailArgs),
}

#[cfg(feature = "live")]
#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// Print one JSON object instead of lines
    #[arg(long)]
    pub(crate) json: bool,
    /// Configuration file of the daemon, for its ring and its socket
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Other network namespaces that are to be watched, as for `tail`
    #[arg(long, value_name = "NETNS", value_delimiter = ',')]
    pub(crate) netns: Vec<Namespace>,
    /// Socket of the daemon to look for
    #[arg(long, value_name = "PATH")]
    pub(crate) socket: Option<PathBuf>,
}

#[cfg(feature = "live")]
#[derive(Debug, Args)]
#[command(after_help = EXPLAIN_EXAMPLES)]
pub(crate) struct ExplainArgs {
    /// The server's address and port; that of IPv6 in brackets, as in a URL
    #[arg(value_name = "ADDR:PORT", value_parser = super::explain::endpoint)]
    pub(crate) target: std::net::SocketAddr,
    /// Make the flow: connect, and ask for HEAD /
    #[arg(long)]
    pub(crate) probe: bool,
    /// Look for so long: 10s, 2m, 1h30m
    #[arg(long = "for", value_name = "DURATION", value_parser = duration, default_value = "10s")]
    pub(crate) duration: Duration,
    /// Print one JSON object instead of lines
    #[arg(long)]
    pub(crate) json: bool,
    /// What the daemon, or `observer tail`, is told to capture
    #[command(flatten)]
    pub(crate) capture: CaptureArgs,
    /// Configuration file of the daemon, for what it captures and its socket
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Socket of the daemon to look for
    #[arg(long, value_name = "PATH")]
    pub(crate) socket: Option<PathBuf>,
}

#[cfg(feature = "live")]
#[derive(Debug, Args)]
#[command(after_help = MARK_EXAMPLES)]
pub(crate) struct MarkArgs {
    /// Interface that the segments leave through; may be repeated or a list: eth0,lo
    #[arg(short, long = "interface", value_name = "NAME", value_delimiter = ',', required = true)]
    pub(crate) interfaces: Vec<String>,
    /// Only flows with this TCP port at either end; may be repeated or a list: 80,8080
    #[arg(short, long = "port", value_name = "PORT", value_delimiter = ',')]
    #[arg(value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) ports: Vec<u16>,
    /// Only flows with an address in this network at either end: 10.0.0.0/8, ::1
    #[arg(long = "host", value_name = "CIDR", value_delimiter = ',')]
    pub(crate) hosts: Vec<Network>,
    /// Only what processes of this cgroup (v2), or of one below it, send
    #[arg(long, value_name = "PATH")]
    pub(crate) cgroup: Option<PathBuf>,
    /// Only segments with this text in the first 2 KiB of their payload; up to 64 bytes
    #[arg(long, value_name = "TEXT")]
    pub(crate) when: Option<String>,
    /// Stop after this many segments
    #[arg(short = 'n', long, value_name = "COUNT")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1_048_576))]
    pub(crate) count: Option<u32>,
    /// Stop after this time: 10s, 2m, 1h30m
    #[arg(long = "for", value_name = "DURATION", value_parser = duration)]
    pub(crate) duration: Option<Duration>,
}

/// Bytes of one body or message, at most.
const MAX_PREFIX: i64 = crate::config::MAX_PREFIX_BYTES as i64;

/// What to capture. Absent means: not said, so that a configuration file can say it.
#[cfg(feature = "live")]
#[derive(Debug, Args)]
pub(crate) struct CaptureArgs {
    /// Interface to watch; may be repeated or a list; patterns and exceptions: eth0,'veth*','!docker0' [default: any]
    #[arg(short, long = "interface", value_name = "NAME", value_delimiter = ',')]
    pub(crate) interfaces: Vec<String>,
    /// Only flows with this TCP port at either end; may be repeated or a list: 80,8080
    #[arg(short, long = "port", value_name = "PORT", value_delimiter = ',')]
    #[arg(value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) ports: Vec<u16>,
    /// Only flows with an address in this network at either end: 10.0.0.0/8, ::1
    #[arg(long = "host", value_name = "CIDR", value_delimiter = ',')]
    pub(crate) hosts: Vec<Network>,
    /// Watch other network namespaces too: `all`, a process id, a name of `ip netns`, a path; may be repeated or a list
    #[arg(long, value_name = "NETNS", value_delimiter = ',')]
    pub(crate) netns: Vec<Namespace>,
    /// How to see traffic: classifiers on each interface, or one packet socket [default: auto]
    #[arg(long, value_name = "BACKEND")]
    pub(crate) backend: Option<BackendArg>,
    /// Do not tell of TLS connections
    #[arg(long)]
    pub(crate) no_tls: bool,
}

#[cfg(feature = "live")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum BackendArg {
    /// tc where it can be had, otherwise the packet socket
    Auto,
    /// tc classifiers: TCX since Linux 6.6, clsact before
    Tc,
    /// A filter on one AF_PACKET socket
    Socket,
}

/// How to show events.
#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// A line for people, or one JSON object a line
    #[arg(short, long, value_name = "FORMAT", default_value = "pretty")]
    pub(crate) format: Format,
    /// Report all header fields, secrets masked, not only the promoted ones
    #[arg(long)]
    pub(crate) headers: bool,
    /// Report the first N bytes of each body
    #[arg(long, value_name = "N", default_value_t = 0)]
    #[arg(value_parser = clap::value_parser!(u32).range(..=MAX_PREFIX))]
    pub(crate) body: u32,
    /// Report each WebSocket message, with its first N bytes unmasked
    #[arg(long, value_name = "N", num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "256", value_parser = clap::value_parser!(u32).range(..=MAX_PREFIX))]
    pub(crate) ws_messages: Option<u32>,
    /// Stop after this many exchanges
    #[arg(short = 'n', long, value_name = "COUNT")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) count: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Pretty,
    Ndjson,
}

/// Threads: as many as any machine has CPUs, at most.
fn jobs(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(n @ 1..=1024) => Ok(n),
        _ => Err("a number from 1 to 1024 is needed".to_owned()),
    }
}

/// `10s`, `2m`, `1h 30m`: what jiff reads as a duration, if it is longer than nothing.
#[cfg(feature = "live")]
fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is no duration: write 10s, 2m or 1h30m");
    let parsed: jiff::SignedDuration = text.parse().map_err(|_| wrong())?;
    let parsed = Duration::try_from(parsed).map_err(|_| wrong())?;
    match parsed.is_zero() || parsed > crate::config::MAX_DURATION {
        true => Err(format!("`{text}` is not longer than 0 and at most a year")),
        false => Ok(parsed),
    }
}

#[cfg(feature = "live")]
const EXAMPLES: &str = "\
Examples:
  sudo observer tail                       all HTTP on this host, live
  sudo observer tail -p 8080 --headers     one port, with header fields
  observer read capture.pcap -f ndjson     a capture file, as JSON lines
  sudo observer run -o /var/log/http.json  the daemon";
#[cfg(not(feature = "live"))]
const EXAMPLES: &str = "\
Examples:
  observer read capture.pcap               one line an exchange
  observer read capture.pcap -f ndjson     as JSON lines

This build reads files only: it was made without the feature `live`.";
#[cfg(feature = "live")]
const TAIL_EXAMPLES: &str = "\
Each line: time, client → server, method, host and path, status, ↑ size of the request body,
↓ size of the response body, total time, time to first byte, and what was not as it should be.

Examples:
  observer tail                            all HTTP on this host
  observer tail -i eth0 -p 80,8080         one interface, two ports
  observer tail --host 10.0.0.0/8 -n 5     five exchanges with that network
  observer tail -f ndjson --for 1m | jq .http.response.status_code";
const READ_EXAMPLES: &str = "\
Examples:
  observer read capture.pcap
  observer read a.pcap b.pcapng -p 8080 --headers
  tcpdump -w - port 80 | observer read - -f ndjson";
#[cfg(feature = "live")]
const RUN_EXAMPLES: &str = "\
Examples:
  observer run --config /etc/observer.toml
  observer run -o /var/log/observer.ndjson -p 80,8080
  observer run | vector --config vector.toml";
#[cfg(feature = "live")]
const MARK_EXAMPLES: &str = "\
Examples:
  observer dth mark -i lo -p 8080 -n 1             one segment of a flow with port 8080
  observer dth mark -i eth0 --host 10.0.0.7 --for 5s
  observer dth mark -i eth0 -p 80 --when 'この戦争が終わったら'";
#[cfg(feature = "live")]
const EXPLAIN_EXAMPLES: &str = "\
Examples:
  observer explain 127.0.0.1:8080 --probe          make a flow and follow it
  observer explain 10.0.0.7:80 --for 1m            the next flow to that server
  observer explain '[::1]:80' --json | jq .state";
