//! Clients, and what they say about the traffic they made.

use std::io::Write as _;
use std::process::Stdio;

use serde_json::Value;

use super::namespace::Namespace;

/// How a server is reached: from where, and under which host.
pub(crate) struct Route<'a> {
    pub(crate) client: &'a Namespace,
    /// As in a URL: IPv6 in brackets.
    pub(crate) host: &'a str,
    pub(crate) port: u16,
}

impl Route<'_> {
    pub(crate) fn url(&self, target: &str) -> String {
        format!("http://{}:{}{target}", self.host, self.port)
    }
}

/// One transfer by curl's own account (`--write-out '%{json}'`).
#[derive(Debug)]
pub(crate) struct Transfer {
    pub(crate) local_port: u64,
    pub(crate) status: u64,
    /// The bytes of all heads that came, interim ones included.
    pub(crate) heads: u64,
    /// Body bytes that came, after de-chunking.
    pub(crate) body: u64,
    /// Body bytes that went.
    pub(crate) upload: u64,
}

/// Fetches each target with the same options.
#[track_caller]
pub(crate) fn curl(route: &Route<'_>, options: &[&str], targets: &[&str]) -> Vec<Transfer> {
    let mut command = route.client.command("curl");
    command.args(["-q", "-s", "-S", "--noproxy", "*", "--max-time", "30", "--path-as-is"]);
    command.args(["-w", "%{stderr}%{json}\n"]).args(options);
    for target in targets {
        command.arg(route.url(target)).args(["-o", "/dev/null"]);
    }
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "curl {options:?} {targets:?}: {text}");
    text.lines().map(transfer).collect()
}

#[track_caller]
fn transfer(line: &str) -> Transfer {
    let json: Value = serde_json::from_str(line).unwrap_or_else(|err| panic!("{err}: {line}"));
    let number = |key: &str| json[key].as_u64().unwrap_or_else(|| panic!("no {key}: {line}"));
    Transfer {
        local_port: number("local_port"),
        status: number("response_code"),
        heads: number("size_header"),
        body: number("size_download"),
        upload: number("size_upload"),
    }
}

/// The port that nc sends from: outside the range from which the kernel gives ports to others.
pub(crate) const NC_PORT: u64 = 20_001;

/// Sends bytes with nc and returns what came back before the server closed.
#[track_caller]
pub(crate) fn nc(route: &Route<'_>, bytes: &[u8]) -> Vec<u8> {
    let mut command = route.client.command("nc");
    let host = route.host.trim_matches(['[', ']']);
    command.args(["-w", "30", "-p", &NC_PORT.to_string(), host, &route.port.to_string()]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(bytes).unwrap();
    child.wait_with_output().unwrap().stdout
}

/// What wrk says it did.
#[derive(Debug)]
pub(crate) struct Load {
    pub(crate) requests: u64,
    pub(crate) report: String,
}

/// Loads `/path/` from `connections` connections for some seconds. `script` is Lua.
#[track_caller]
pub(crate) fn wrk(route: &Route<'_>, connections: u32, seconds: u32, script: &str) -> Load {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), script).unwrap();
    let mut command = route.client.command("wrk");
    command.args(["-t1", &format!("-c{connections}"), &format!("-d{seconds}s"), "-s"]);
    let output = command.arg(file.path()).arg(route.url("/path/")).output().unwrap();
    let report = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "wrk: {report}{errors}");
    // `  184211 requests in 3.00s, 29.87MB read`
    let requests = report.lines().find_map(|line| line.trim().split_once(" requests in "));
    let requests = requests.and_then(|(n, _)| n.parse().ok());
    Load { requests: requests.unwrap_or_else(|| panic!("no count: {report}")), report }
}
