//! WebSockets between a real server and a real client, through nginx and directly.

use serde_json::{Value, json};

use crate::harness::can_run;
use crate::harness::event::Event;
use crate::harness::namespace::Namespace;
use crate::harness::observer::{BACKENDS, Observer};
use crate::harness::process::Process;
use crate::harness::python::script;
use crate::harness::server::Nginx;
use crate::harness::wait::{LONG, until};

const PORT: u16 = 18_765;
const NGINX_PORT: u16 = 18_234;

#[test]
fn a_websocket_through_nginx_is_the_same_on_both_legs() {
    if !can_run("tunnels::nginx", &["nginx", "python3:websockets"]) {
        return;
    }
    for backend in BACKENDS {
        let namespace = Namespace::new();
        let _server = serve(&namespace, &[]);
        let location = format!(
            "location /ws {{ proxy_pass http://127.0.0.1:{PORT}; proxy_http_version 1.1; \
             proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade; }}"
        );
        let nginx = Nginx::start_with(&namespace, NGINX_PORT, &location);
        let args = ["run", "--no-socket", "--backend", backend];
        let mut observer = Observer::start(&namespace, &args);
        let sent = call(&namespace, &format!("ws://127.0.0.1:{}/ws", nginx.port), &[]);
        assert_eq!(sent, [5, 0, 140_000, 1000, 15]);

        let events = observer.take(6);
        let closes: Vec<_> = events.iter().filter(|event| is_close(event)).collect();
        let [one, other] = closes[..] else { panic!("{events:?}") };
        let tunnel = |event: &Event| event.0["obs"]["tunnel"].clone();
        let ports = [one, other].map(|event| event.number("/server/port"));
        assert!(ports.contains(&u64::from(PORT)) && ports.contains(&u64::from(NGINX_PORT)));
        for key in ["bytes_to_server", "bytes_to_client", "frames", "protocol"] {
            assert_eq!(tunnel(one)[key], tunnel(other)[key], "{key}");
        }
        for event in [one, other] {
            let tunnel = tunnel(event);
            assert_eq!(tunnel["protocol"], "websocket");
            assert_eq!(tunnel["websocket"]["deflate"], true, "both libraries offer it: {tunnel}");
            for direction in ["to_server", "to_client"] {
                let frames = &tunnel["frames"][direction];
                assert_eq!(frames["messages"], 5, "{tunnel}");
                assert_eq!(frames["compressed"], 5, "{tunnel}");
                assert_eq!(frames["close"]["count"], 1, "{tunnel}");
            }
            // Of the message in pieces, by the client alone: the server answers in one.
            assert_eq!(tunnel["frames"]["to_server"]["fragmented"], 1, "{tunnel}");
            assert_eq!(tunnel["frames"]["to_client"]["fragmented"], Value::Null, "{tunnel}");
            let websocket = &tunnel["websocket"];
            assert_eq!(websocket["ping"]["client"]["answered"], 1, "{tunnel}");
            assert!(websocket["ping"]["client"]["min_ns"].as_u64() > Some(0), "{tunnel}");
            let close = json!({"code": 4001, "reason": "that is all"});
            assert_eq!(websocket["close"], json!({"client": close, "server": close}));
            assert_eq!(event.0.pointer("/obs/anomalies"), None, "{}", event.0);
        }
    }
}

#[test]
fn the_messages_of_a_chisel_connection_are_shown_unmasked() {
    if !can_run("tunnels::messages", &["python3:websockets"]) {
        return;
    }
    let namespace = Namespace::new();
    let _server = serve(&namespace, &["chisel-v3"]);
    let args = ["run", "--no-socket", "--ws-messages=20"];
    let mut observer = Observer::start(&namespace, &args);
    let sent = call(&namespace, &format!("ws://127.0.0.1:{PORT}/"), &["chisel-v3"]);
    assert_eq!(sent, [22, 25_600]);

    // 101, the tunnel's two ends, and the messages.
    let events = observer.take(8);
    let close = events.iter().find(|event| is_close(event)).unwrap();
    let tunnel = &close.0["obs"]["tunnel"];
    assert_eq!(tunnel["subprotocol"], "chisel-v3");
    assert_eq!(tunnel["inner"], "ssh");
    let banners = json!({"client": "SSH-chisel-v3-client", "server": "SSH-chisel-v3-server"});
    assert_eq!(tunnel["ssh"], banners);
    let messages: Vec<_> = events
        .iter()
        .filter(|event| event.name() == "websocket.message")
        .map(|event| &event.0["obs"]["message"])
        .map(|message| (&message["direction"], &message["size"], &message["content"]["text"]))
        .map(|(direction, size, text)| {
            (direction.as_str().unwrap(), size.as_u64().unwrap(), text.as_str().unwrap_or("-"))
        })
        .collect();
    let (client, server) = ("SSH-chisel-v3-client", "SSH-chisel-v3-server");
    assert_eq!(
        messages[..3],
        [("to_client", 22, server), ("to_server", 22, client), ("to_client", 22, client),]
    );
    assert_eq!(
        messages[3..].iter().map(|message| (message.0, message.1)).collect::<Vec<_>>(),
        [("to_server", 25_600), ("to_client", 25_600)]
    );
}

fn is_close(event: &Event) -> bool {
    event.text("/obs/tunnel/phase") == "close"
}

fn serve(namespace: &Namespace, subprotocol: &[&str]) -> Process {
    let mut command = script(namespace, "talk.py");
    let mut process = Process::start(command.arg("serve").arg(PORT.to_string()).args(subprotocol));
    until("the WebSocket server to listen", LONG, || {
        assert!(process.has_ended().is_none(), "it ended: {:?}", process.stderr.get());
        (process.stdout.count() > 0).then_some(())
    });
    process
}

/// The lengths of the messages that the client sent, by its own account.
fn call(namespace: &Namespace, url: &str, subprotocol: &[&str]) -> Vec<u64> {
    let mut command = script(namespace, "talk.py");
    let output = command.args(["call", url]).args(subprotocol).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    said["sent"].as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).collect()
}
