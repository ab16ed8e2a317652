//! A real Prometheus scrapes; what it has equals what is in the NDJSON, series by series.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::harness::can_run;
use crate::harness::client::{Route, curl, wrk};
use crate::harness::event::Event;
use crate::harness::namespace::Namespace;
use crate::harness::observer::{Observer, configuration};
use crate::harness::process::Process;
use crate::harness::server::Nginx;
use crate::harness::wait::{LONG, until};

const NAME: &str = "http_server_request_duration_seconds";

/// Asks Prometheus; the values by their labels.
fn query(near: &Namespace, expression: &str) -> Vec<(Value, f64)> {
    let mut command = near.command("curl");
    command.args(["-q", "-s", "-G", "--noproxy", "*", "--max-time", "10"]);
    command.args(["http://127.0.0.1:19090/api/v1/query", "--data-urlencode"]);
    let output = command.arg(format!("query={expression}")).output().unwrap();
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let results = answer.pointer("/data/result").and_then(Value::as_array);
    let result = |result: &Value| {
        let value = result.pointer("/value/1").and_then(Value::as_str)?.parse().ok()?;
        Some((result["metric"].clone(), value))
    };
    results.into_iter().flatten().filter_map(result).collect()
}

/// One number.
fn number(near: &Namespace, expression: &str) -> Option<f64> {
    query(near, expression).first().map(|(_, value)| *value)
}

/// Method, route and status of each series, and what is counted there.
type Series = BTreeMap<(String, String, u64), u64>;

/// The same from the file, with the route worked out by hand for the paths of this test.
fn from_file(path: &Path) -> (Series, f64) {
    let text = fs::read_to_string(path).unwrap();
    let mut series = Series::new();
    let mut seconds = 0.0;
    for event in text.lines().map(Event::parse) {
        if event.name() != "http.exchange" {
            continue;
        }
        let total = event.0.pointer("/obs/timing/total_ns").and_then(Value::as_u64);
        let Some(total) = total else { continue };
        seconds += total as f64 / 1e9;
        let status = event.number("/http/response/status_code");
        let path = event.text("/url/path");
        let route = match (path, status) {
            (_, 404) => "_NOT_FOUND",
            (_, _) if path.starts_with("/path/users/") => "/path/users/{name}",
            (_, _) if path.starts_with("/path/orders/") => "/path/orders/{id}",
            _ => path,
        };
        let method = event.text("/http/request/method").to_owned();
        *series.entry((method, route.to_owned(), status)).or_default() += 1;
    }
    (series, seconds)
}

/// Every metric that the dashboard and the alert rules name.
fn names_in_deploy() -> std::collections::BTreeSet<String> {
    let texts = [
        include_str!("../../../deploy/prometheus/observer.rules.yml"),
        include_str!("../../../deploy/grafana/observer.json"),
    ];
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = texts.iter().flat_map(|text| text.split(|c| !is_name(c)));
    let ours = ["observer_", "http_server_", "process_"];
    let names: std::collections::BTreeSet<_> =
        words.filter(|word| ours.iter().any(|o| word.starts_with(o))).map(str::to_owned).collect();
    assert!(names.len() > 15, "{names:?}");
    names
}

#[test]
fn what_prometheus_scrapes_equals_what_the_file_has() {
    if !can_run("metrics::prometheus", &["nginx", "wrk", "curl", "prometheus"]) {
        return;
    }
    let near = Namespace::new();
    let nginx = Nginx::start(&near, 18234);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("events");
    let config = configuration(
        "[metrics]\nlisten = '127.0.0.1:19464'\nroutes = ['/path/users/{name}']\n\
         [capture]\nring_bytes = 268435456\n",
    );
    let config = config.path().display().to_string();
    let output = file.display().to_string();
    let args = ["run", "--no-socket", "-p", "18234", "--config", &config, "-o", &output];
    let mut observer = Observer::start(&near, &args);

    let rules = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/prometheus/observer.rules.yml");
    let scrape = format!(
        "global: {{scrape_interval: 500ms}}\nrule_files: ['{rules}']\nscrape_configs:\n\
         - job_name: observer\n  static_configs: [{{targets: ['127.0.0.1:19464']}}]\n"
    );
    let prometheus = folder.path().join("prometheus.yml");
    fs::write(&prometheus, scrape).unwrap();
    let mut command = near.command("prometheus");
    command.arg(format!("--config.file={}", prometheus.display()));
    command.arg(format!("--storage.tsdb.path={}/tsdb", folder.path().display()));
    let _prometheus = Process::start(command.arg("--web.listen-address=127.0.0.1:19090"));

    let route = Route { client: &near, host: "127.0.0.1", port: nginx.port };
    wrk(
        &route,
        4,
        1,
        "request = function() return wrk.format('GET', '/path/users/' .. math.random(1e6)) end",
    );
    let targets: Vec<_> = (0..20).map(|n| format!("/path/orders/{n}")).collect();
    let targets: Vec<_> = targets.iter().map(String::as_str).collect();
    curl(&route, &[], &targets);
    curl(&route, &[], &["/missing", "/no/such/thing", "/path/words"]);
    curl(&route, &["-X", "BREW"], &["/path/words"]);

    // Until the last line that is in the file is counted in what was scraped.
    let n_in_file = || from_file(&file).0.values().sum::<u64>();
    until("Prometheus to have it all", LONG, || {
        let scraped = number(&near, &format!("sum({NAME}_count)"))? as u64;
        (scraped > 24 && scraped == n_in_file()).then_some(())
    });
    let (wanted, seconds) = from_file(&file);
    let label = |metric: &Value, name: &str| metric[name].as_str().unwrap_or("").to_owned();
    let scraped: Series = query(&near, &format!("{NAME}_count"))
        .iter()
        .map(|(metric, count)| {
            assert_eq!(label(metric, "server_address"), "127.0.0.1");
            assert_eq!(label(metric, "server_port"), "18234");
            let status = label(metric, "http_response_status_code").parse().unwrap();
            let key = (label(metric, "http_request_method"), label(metric, "http_route"), status);
            (key, *count as u64)
        })
        .collect();
    assert_eq!(scraped, wanted);
    assert!(wanted.contains_key(&("_OTHER".into(), "/path/words".into(), 200)), "{wanted:?}");
    assert_eq!(wanted[&("GET".into(), "/path/orders/{id}".into(), 200)], 20);
    let sum = number(&near, &format!("sum({NAME}_sum)")).unwrap();
    assert!((sum - seconds).abs() < 1e-6 * seconds.max(1.0), "{sum} {seconds}");
    let inf = number(&near, &format!("sum({NAME}_bucket{{le=\"+Inf\"}})")).unwrap();
    assert_eq!(inf as u64, wanted.values().sum::<u64>());

    // The observer's own: the ledger balances in Prometheus too, and nothing was lost.
    let seen = "observer_segments_seen_total - observer_segments_emitted_total \
                - observer_segments_skipped_total - sum without(reason) \
                (observer_segments_filtered_total) - sum without(reason) (observer_segments_lost_total)";
    assert_eq!(number(&near, seen), Some(0.0));
    let lost = "sum(observer_segments_lost_total) + sum(observer_sink_lost_total)";
    assert_eq!(number(&near, lost), Some(0.0));
    assert!(number(&near, "process_resident_memory_bytes").unwrap() > 1e6);
    assert!(number(&near, "process_open_fds").unwrap() > 3.0);
    for name in names_in_deploy() {
        let expression = format!("{{__name__=\"{name}\"}}");
        assert!(!query(&near, &expression).is_empty(), "{name} is in deploy/ and is not scraped");
    }
    assert_eq!(query(&near, "ALERTS").len(), 0, "{:?}", query(&near, "ALERTS"));
    observer.signal(libc::SIGTERM);
    observer.ended();
}

#[test]
fn each_alert_fires_for_a_host_that_is_ill_and_for_no_other() {
    if !can_run("metrics::alerts", &["promtool"]) {
        return;
    }
    let cases =
        concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/prometheus/observer.rules.test.yml");
    let output = std::process::Command::new("promtool").args(["test", "rules", cases]).output();
    let output = output.unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    // Whoever adds a rule adds it there.
    let rules = include_str!("../../../deploy/prometheus/observer.rules.yml");
    let n_rules = rules.matches("- alert: ").count();
    assert!(fs::read_to_string(cases).unwrap().contains(&format!("value: {n_rules}}}")));
}

#[test]
fn nothing_listens_unless_it_is_asked_for_and_a_unix_socket_is_not_for_everybody() {
    use std::io::{Read as _, Write as _};
    use std::os::unix::fs::PermissionsExt as _;
    if !can_run("metrics::socket", &["ss"]) {
        return;
    }
    let near = Namespace::new();
    let listening = || {
        let output = near.command("ss").args(["-Hltn"]).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    Observer::start(&near, &["run", "--no-socket"]).end(libc::SIGTERM);
    let quiet = Observer::start(&near, &["run", "--no-socket"]);
    assert_eq!(listening(), "");
    quiet.end(libc::SIGTERM);

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m");
    let config = configuration(&format!("[metrics]\nlisten = 'unix:{}'\n", path.display()));
    let config = config.path().display().to_string();
    let observer = Observer::start(&near, &["run", "--no-socket", "--config", &config]);
    assert_eq!(listening(), "");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
    let scrape = || {
        let mut stream = std::os::unix::net::UnixStream::connect(&path).unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    };
    // A client that says nothing keeps nobody else waiting.
    let _silent = std::os::unix::net::UnixStream::connect(&path).unwrap();
    let text = until("the account", LONG, || {
        Some(scrape()).filter(|text| text.contains("observer_segments_seen_total"))
    });
    assert!(text.starts_with("HTTP/1.1 200 OK\r\n") && text.ends_with("# EOF\n"), "{text}");
    observer.end(libc::SIGTERM);
    assert!(!path.exists());
}
