//! CONNECT through a proxy from Debian: what goes through is seen on the leg before it.

use super::tunnel_bytes;
use crate::harness::can_run;
use crate::harness::event::Event;
use crate::harness::namespace::Namespace;
use crate::harness::observer::Observer;
use crate::harness::process::Process;
use crate::harness::server::{Nginx, wait_for};
use crate::harness::tls::TlsServer;

const PROXY_PORT: u16 = 18_888;
const TLS_PORT: u16 = 18_443;

#[test]
fn http_and_tls_are_seen_inside_a_proxys_tunnels() {
    if !can_run("tunnels::proxy", &["tinyproxy", "nginx", "curl", "openssl"]) {
        return;
    }
    let namespace = Namespace::new();
    let nginx = Nginx::start(&namespace, 18_234);
    let (_proxy, _folder) = tinyproxy(&namespace);
    // The leg between the client and the proxy.
    let port = PROXY_PORT.to_string();
    let mut observer = Observer::start(&namespace, &["run", "--no-socket", "-p", &port]);

    let proxy = format!("http://127.0.0.1:{PROXY_PORT}");
    let mut curl = namespace.command("curl");
    curl.args(["-q", "-sS", "--max-time", "30", "--proxytunnel", "-x", &proxy, "-o", "/dev/null"]);
    let output = curl.arg(format!("http://127.0.0.1:{}/path/in", nginx.port)).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let events = observer.take(4);
    let names: Vec<_> = events.iter().map(Event::name).collect();
    assert_eq!(names, ["http.exchange", "http.tunnel", "http.exchange", "http.tunnel"]);
    assert_eq!(events[0].text("/obs/takeover"), "connect");
    assert_eq!(events[2].text("/url/path"), "/path/in");
    assert_eq!(events[2].number("/http/response/status_code"), 200);
    assert_eq!(events[2].text("/obs/tunnel/inside"), events[0].text("/obs/exchange/id"));
    assert_eq!(events[3].text("/obs/tunnel/inner"), "http/1");
    let inside = ["request", "response"].map(|m| events[2].number(&format!("/http/{m}/size")));
    assert_eq!(tunnel_bytes(&events[3]), (inside[0], inside[1]), "{}", events[3].0);

    let _server = TlsServer::start(&namespace, TLS_PORT);
    let mut client = namespace.command("openssl");
    client.args(["s_client", "-proxy", &format!("127.0.0.1:{PROXY_PORT}"), "-connect"]);
    client.args([&format!("127.0.0.1:{TLS_PORT}"), "-servername", "secret.example"]);
    client.args(["-alpn", "h2,http/1.1", "-tls1_2"]);
    let output = client.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let events = observer.take(3);
    let close = &events[2];
    assert_eq!(close.text("/obs/tunnel/inner"), "tls", "{}", close.0);
    assert_eq!(close.text("/tls/client/server_name"), "secret.example");
    assert_eq!(
        close.0["tls"]["client"]["offered_protocols"],
        serde_json::json!(["h2", "http/1.1"])
    );
    assert_eq!(close.text("/tls/protocol/version"), "1.2");
    assert_eq!(close.text("/tls/next_protocol"), "http/1.1");
    let (up, down) = tunnel_bytes(close);
    assert!(up > 200 && down > 1000, "{}", close.0);
}

fn tinyproxy(namespace: &Namespace) -> (Process, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("tinyproxy.conf");
    std::fs::write(&config, format!("Port {PROXY_PORT}\nListen 127.0.0.1\nMaxClients 10\n"))
        .unwrap();
    let mut process =
        Process::start(namespace.command("tinyproxy").arg("-d").arg("-c").arg(config));
    wait_for(namespace, PROXY_PORT, &mut process);
    (process, folder)
}
