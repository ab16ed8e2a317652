//! tshark's exchanges: its requests and responses in two passes, and the pairs that it makes.

use std::{collections::HashMap, path::Path, process::Stdio};

use anyhow::{Context as _, Result, bail};

use super::{Connection, Exchange, Exchanges};
use crate::runner;

/// The fields that are asked for, in order. A frame can hold several messages, and a field then has
/// several values.
const FIELDS: [&str; 11] = [
    "frame.number",
    "tcp.stream",
    "ip.src",
    "ip.dst",
    "ipv6.src",
    "ipv6.dst",
    "tcp.srcport",
    "tcp.dstport",
    "http.request.method",
    "http.request.uri",
    "http.response.code",
];

/// Stands between several values of one field: a byte that no target contains.
const BETWEEN: char = '\u{1}';

pub(super) fn require() -> Result<()> {
    if runner::find_program("tshark").is_none() {
        bail!(
            "tshark is not installed, and the comparison is with it: `apt-get install tshark`, or \
             your distribution's wireshark-cli, brings it"
        );
    }
    Ok(())
}

pub(super) fn read(capture: &Path) -> Result<Exchanges> {
    let mut command = runner::command("tshark");
    // Two passes, so that a message is complete before it is shown; no name look-ups.
    command.args(["-2", "-n", "-Y", "http", "-T", "fields", "-E", "separator=/t"]);
    command.arg("-E").arg(format!("aggregator={BETWEEN}")).args(["-E", "occurrence=a"]);
    command.args(FIELDS.iter().flat_map(|field| ["-e", field]));
    command.arg("-r").arg(capture).stderr(Stdio::inherit());
    eprintln!("  $ {}", runner::describe(&command));
    let output = command.output().context("cannot start tshark")?;
    // tshark fails on a capture that breaks off, after it has shown what it holds.
    if !output.status.success() && output.stdout.is_empty() {
        bail!("tshark cannot read {}", capture.display());
    }
    Ok(pair(&String::from_utf8_lossy(&output.stdout)))
}

/// What is open on one connection.
#[derive(Default)]
struct Open {
    exchanges: Vec<Exchange>,
    /// The first exchange whose response has not come.
    next: usize,
}

/// First in, first out in each of tshark's streams; interim responses are no answer.
fn pair(lines: &str) -> Exchanges {
    let mut streams: HashMap<String, (Connection, Open)> = HashMap::new();
    let mut order = Vec::new();
    for line in lines.lines() {
        let mut fields = line.split('\t');
        let mut next = || fields.next().unwrap_or_default();
        let [_, stream, ip_src, ip_dst, ip6_src, ip6_dst, from, to, methods, targets, codes] =
            std::array::from_fn(|_| next());
        // Of tunnels the innermost counts.
        let last = |values: &str| values.rsplit(BETWEEN).next().unwrap_or_default().to_owned();
        let address = |v4: &str, v6: &str| if v4.is_empty() { last(v6) } else { last(v4) };
        let source = format!("{}:{}", address(ip_src, ip6_src), last(from));
        let destination = format!("{}:{}", address(ip_dst, ip6_dst), last(to));
        let stream = last(stream);
        let methods: Vec<&str> = values(methods).collect();
        let (_, open) = streams.entry(stream.clone()).or_insert_with(|| {
            order.push(stream);
            let connection = if methods.is_empty() {
                Connection { client: destination.clone(), server: source.clone() }
            } else {
                Connection { client: source.clone(), server: destination.clone() }
            };
            (connection, Open::default())
        });
        for (method, target) in methods.iter().zip(values(targets)) {
            let request = Some(((*method).to_owned(), target.to_owned()));
            open.exchanges.push(Exchange { request, status: None });
        }
        let codes = values(codes).filter_map(|code| code.parse::<u16>().ok());
        for status in codes.filter(|&code| code == 101 || !(100..200).contains(&code)) {
            match open.exchanges.get_mut(open.next) {
                Some(exchange) => exchange.status = Some(status),
                None => open.exchanges.push(Exchange { request: None, status: Some(status) }),
            }
            open.next += 1;
        }
    }
    let mut exchanges = Exchanges::new();
    for stream in order {
        if let Some((connection, open)) = streams.remove(&stream) {
            exchanges.entry(connection).or_default().extend(open.exchanges);
        }
    }
    exchanges
}

fn values(field: &str) -> impl Iterator<Item = &str> {
    field.split(BETWEEN).filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines of `from to method target code`, all of one stream; the exchanges in short.
    #[track_caller]
    fn check(lines: &[&str], expected: &[&str]) {
        let line = |line: &&str| {
            let words: Vec<&str> = line.split(' ').map(|w| if w == "-" { "" } else { w }).collect();
            let [from, to, method, target, code] = words[..] else { panic!("five words") };
            let many = |text: &str| text.replace('|', &BETWEEN.to_string());
            let (method, target, code) = (many(method), many(target), many(code));
            format!("1\t0\t1.1.1.1\t1.1.1.1\t\t\t{from}\t{to}\t{method}\t{target}\t{code}\n")
        };
        let exchanges = pair(&lines.iter().map(line).collect::<String>());
        let shown: Vec<String> = exchanges
            .iter()
            .flat_map(|(c, all)| all.iter().map(move |e| format!("{c}: {e}")))
            .collect();
        assert_eq!(shown, expected);
    }

    #[test]
    fn responses_answer_in_order() {
        check(
            &["4 80 GET|GET /a,b|/c -", "80 4 - - 100|200", "80 4 - - 404"],
            &["1.1.1.1:4 → 1.1.1.1:80: GET /a,b → 200", "1.1.1.1:4 → 1.1.1.1:80: GET /c → 404"],
        );
    }

    #[test]
    fn what_has_no_counterpart_stays_alone() {
        check(&["80 4 - - 200"], &["1.1.1.1:4 → 1.1.1.1:80: (no request) → 200"]);
        check(&["4 80 GET / -"], &["1.1.1.1:4 → 1.1.1.1:80: GET / → (no status)"]);
    }
}
