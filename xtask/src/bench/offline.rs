//! Owns `cargo xtask bench offline`: how fast captures are read, beside other tools that find HTTP in
//! them. Captures are made first (`generate`), so they are the same everywhere, and lie in the page
//! cache by the time they are read.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use super::{lab::now, ratio::Spread};
use crate::{
    generate::{self, Mix},
    profile,
    runner::{self, Runner},
    workspace,
};

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Megabytes of each capture
    #[arg(long, value_name = "N", default_value_t = 200)]
    megabytes: u64,
    /// Times that each tool reads it
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Also write what was measured as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// The observer to measure, instead of building one
    #[arg(long, value_name = "FILE")]
    observer: Option<PathBuf>,
}

/// Who reads: a name, a program, its arguments around the file, and what stands in each line that
/// tells of a response. Without pairs there is nothing that an exchange could be counted by.
struct Reader {
    name: &'static str,
    program: PathBuf,
    before: &'static [&'static str],
    behind: &'static [&'static str],
    mark: &'static str,
}

pub(super) fn bench(options: &Options) -> Result<()> {
    let observer = match &options.observer {
        Some(observer) => observer.canonicalize().context("there is no such observer")?,
        None => profile::build(Runner::new(), &workspace::host_triple()?)?,
    };
    let readers = readers(observer);
    let folder = workspace::target().join("bench");
    fs::create_dir_all(&folder)?;
    let mut all = serde_json::Map::new();
    for (mix, name) in [(Mix::Small, "small"), (Mix::Mixed, "mixed")] {
        let file = folder.join(format!("{name}.pcap"));
        let mut out = fs::File::create(&file)?;
        let made = generate::write(mix, CONNECTIONS, options.megabytes * 1_000_000, |bytes| {
            std::io::Write::write_all(&mut out, bytes).context("cannot write the capture")
        })?;
        println!("{name}: {} bytes, {} exchanges", made.bytes, made.exchanges);
        let results = measure(&readers, &file, options.rounds, made.bytes, made.exchanges);
        fs::remove_file(&file)?;
        all.insert(name.to_owned(), Value::Object(results?));
    }
    if let Some(file) = &options.json {
        fs::write(file, serde_json::to_string_pretty(&all)? + "\n")?;
    }
    Ok(())
}

/// Each reads in turn, and again; then once more to be counted.
fn measure(
    readers: &[Reader],
    file: &Path,
    rounds: u32,
    n_bytes: u64,
    n_exchanges: u64,
) -> Result<serde_json::Map<String, Value>> {
    let mut seconds = vec![Vec::new(); readers.len()];
    for _ in 0..rounds {
        for (reader, times) in readers.iter().zip(&mut seconds) {
            times.push(reader.time(file)?.as_secs_f64());
        }
    }
    println!("{:<10} {:>8} {:>9} {:>14} {:>9}", "read by", "s", "MB/s", "exchanges/s", "reported");
    let mut results = serde_json::Map::new();
    for (reader, times) in readers.iter().zip(&seconds) {
        let Some(Spread { median, min, max }) = Spread::of(times.iter().copied()) else { continue };
        let told = reader.count(file)?;
        let reported = told as f64 / n_exchanges.max(1) as f64;
        println!(
            "{:<10} {median:>8.3} {:>9.0} {:>14.0} {reported:>9.4}",
            reader.name,
            n_bytes as f64 / median / 1e6,
            n_exchanges as f64 / median,
        );
        let value = json!({"seconds": median, "min": min, "max": max, "bytes": n_bytes,
            "exchanges": n_exchanges, "reported": told});
        results.insert(reader.name.to_owned(), value);
    }
    Ok(results)
}

/// observer, and those of the others that are installed.
fn readers(observer: PathBuf) -> Vec<Reader> {
    let ours = Reader {
        name: "observer",
        program: observer,
        before: &["read"],
        behind: &["-f", "ndjson"],
        mark: r#""state":"complete""#,
    };
    let peer = |name, before, behind, mark| match runner::find_program(name) {
        Some(program) => Some(Reader { name, program, before, behind, mark }),
        None => {
            eprintln!("bench: NOT MEASURED: {name} is not installed (`cargo xtask setup --bench`)");
            None
        }
    };
    const FIELDS: &[&str] =
        &["-n", "-Y", "http.response", "-T", "fields", "-e", "http.response.code"];
    let peers = [
        peer("tshark", &["-r"], FIELDS, ""),
        peer("tcpflow", &["-c", "-r"], &[], "HTTP/1.1 "),
        peer("httpry", &["-r"], &[], "\t<\t"),
        peer("ngrep", &["-q", "-W", "byline", "-I"], &[], "HTTP/1.1 "),
    ];
    std::iter::once(ours).chain(peers.into_iter().flatten()).collect()
}

impl Reader {
    fn command(&self, file: &Path) -> Command {
        let mut command = runner::command(&self.program);
        command.args(self.before).arg(file).args(self.behind);
        command.stdin(Stdio::null()).stderr(Stdio::null());
        // Some write files where they stand.
        command.current_dir(workspace::target());
        command
    }

    /// Wall time, what it says thrown away.
    fn time(&self, file: &Path) -> Result<Duration> {
        let start = now();
        let status = self.command(file).stdout(Stdio::null()).status();
        let took = start.elapsed();
        if !status.with_context(|| format!("cannot start {}", self.name))?.success() {
            bail!("{} failed on {}", self.name, file.display());
        }
        Ok(took)
    }

    /// Lines that tell of a response.
    fn count(&self, file: &Path) -> Result<u64> {
        let mut child = self.command(file).stdout(Stdio::piped()).spawn()?;
        let stdout = child.stdout.take().context("a pipe was asked for")?;
        let mark = self.mark.as_bytes();
        let mut n_lines = 0;
        for line in BufReader::new(stdout).split(b'\n') {
            let line = line?;
            let is_it = mark.is_empty() || line.windows(mark.len()).any(|bytes| bytes == mark);
            n_lines += u64::from(is_it);
        }
        child.wait()?;
        Ok(n_lines)
    }
}

/// Open at once in a capture.
const CONNECTIONS: usize = 1000;
