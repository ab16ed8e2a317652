//! Large bodies on connections of real servers: not copied, whatever segments they come in, and told
//! to the byte.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use crate::harness::can_run;
use crate::harness::namespace::Namespace;
use crate::harness::observer::Observer;
use crate::harness::server::Nginx;

const PAGE: u64 = 65_536;

/// nginx sends a head in a segment of its own with `sendfile` alone, and together with its body with
/// `tcp_nopush`. A response to HEAD is a head like that of the body.
#[test]
fn a_body_is_left_out_whether_its_head_comes_alone_or_not() {
    if !can_run("bodies", &["nginx"]) {
        return;
    }
    let near = Namespace::new();
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("page"), vec![b'x'; PAGE as usize]).unwrap();
    let files = folder.path().display();
    let more = format!(
        "location /apart/ {{ alias {files}/; sendfile on; tcp_nopush off; }}
         location /together/ {{ alias {files}/; sendfile on; tcp_nopush on; }}"
    );
    let nginx = Nginx::start_with(&near, 18234, &more);
    for place in ["/apart/page", "/together/page"] {
        let mut observer = Observer::start(&near, &["run", "--no-socket", "-p", "18234"]);
        let methods = ["GET", "HEAD", "GET", "HEAD", "HEAD", "GET", "GET"];
        let heads = near.inside(|| talk(nginx.port, place, &methods));
        let events = observer.take(methods.len());
        for ((event, method), head) in events.iter().zip(methods).zip(heads) {
            let body = if method == "GET" { PAGE } else { 0 };
            assert_eq!(event.text("/http/request/method"), method, "{}", event.0);
            assert_eq!(event.text("/obs/state"), "complete", "{}", event.0);
            assert_eq!(event.number("/http/response/body/size"), body, "{}", event.0);
            assert_eq!(event.number("/http/response/size"), head + body, "{}", event.0);
        }
        let account = observer.end(libc::SIGTERM).account.expect("statistics come last");
        account.assert_balanced();
        assert!(account.bytes < PAGE / 2, "{place}: {} bytes were copied", account.bytes);
    }
}

/// One request after the other on one connection. How long the head of each response was.
fn talk(port: u16, target: &str, methods: &[&str]) -> Vec<u64> {
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let mut stream = TcpStream::connect(address).unwrap();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let one = |method: &&str| {
        let request = format!("{method} {target} HTTP/1.1\r\nHost: a\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let (mut head, mut line) = (0, String::new());
        while line != "\r\n" {
            line.clear();
            head += reader.read_line(&mut line).unwrap() as u64;
        }
        if *method == "GET" {
            reader.read_exact(&mut vec![0; PAGE as usize]).unwrap();
        }
        head
    };
    methods.iter().map(one).collect()
}
