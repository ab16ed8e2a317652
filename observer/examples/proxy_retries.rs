//! A proxy that retries. A client asks nginx once and is answered 200; nginx's access log has one
//! line. On the wire there were three attempts, and each can be asserted: whom it went to, what it
//! carried, how it ended.
//!
//! Needs root and nginx, and traffic on loopback only: `sudo -E cargo run --example proxy_retries`.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use observer::message::Failure;
use observer::watch::{Exchange, Watch};

fn main() -> Result<()> {
    let story = Story::play("error timeout http_503")?;
    print!("{story}");
    story.check()
}

/// What was seen of one request through the proxy.
pub(crate) struct Story {
    /// nginx's own account.
    pub(crate) access_log: String,
    /// What crossed the wire, in the order in which it was asked.
    pub(crate) exchanges: Vec<Exchange>,
    pub(crate) proxy: SocketAddr,
    pub(crate) upstreams: [SocketAddr; 3],
}

impl Story {
    /// Three upstreams, of which the first is overloaded and the second dies over the request; a
    /// proxy before them; a watch; and one request. `retries` is when nginx asks the next one.
    pub(crate) fn play(retries: &str) -> Result<Self> {
        let upstreams = [
            upstream(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 5\r\n\r\nbusy\n")?,
            upstream(b"")?,
            upstream(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\npaid\n")?,
        ];
        let nginx = Nginx::start(&upstreams, retries)?;

        let mut watch = Watch::interface("lo").port(nginx.address.port()).bodies(4096);
        for address in upstreams {
            watch = watch.port(address.port());
        }
        let watching = watch.start().wait()?;

        ask(nginx.address)?;
        let report = watching.stop().wait()?;
        ensure!(report.n_lost() == 0, "{} segments were lost", report.n_lost());
        let mut exchanges = report.exchanges;
        // They come in the order in which they ended, and the client's own ended last.
        exchanges.sort_by_key(|exchange| exchange.timestamp);
        let proxy = nginx.address;
        let access_log = nginx.access_log()?;
        Ok(Self { access_log, exchanges, proxy, upstreams })
    }

    /// Every attempt was made, in this order, with the whole request, and ended as it must.
    pub(crate) fn check(&self) -> Result<()> {
        let [first, second, third] = self.upstreams;
        let expected = [
            (self.proxy, "PUT /orders/7 200", "paid\n"),
            (first, "PUT /orders/7 503", "busy\n"),
            (second, "PUT /orders/7 no_response", ""),
            (third, "PUT /orders/7 200", "paid\n"),
        ];
        for (n, (server, summary, body)) in expected.into_iter().enumerate() {
            let missing = || format!("missing: {summary} at {server}\n{self}");
            let exchange = self.exchanges.get(n).with_context(missing)?;
            ensure!(exchange.server == server && exchange.summary() == summary, missing());
            ensure!(exchange.request_body() == r#"{"paid":true}"#, "another body: {exchange}");
            match exchange.failure {
                Some(failure) => ensure!(failure == Failure::NoResponse, "{exchange}"),
                None => ensure!(exchange.response_body() == body, "another answer: {exchange}"),
            }
        }
        ensure!(self.exchanges.len() == expected.len(), "more than was expected\n{self}");
        Ok(())
    }
}

impl std::fmt::Display for Story {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "nginx's access log:\n  {}what crossed the wire:\n", self.access_log)?;
        for exchange in &self.exchanges {
            writeln!(f, "  {exchange}")?;
        }
        Ok(())
    }
}

const REQUEST: &str = "PUT /orders/7 HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\
                       Content-Length: 13\r\n\r\n{\"paid\":true}";

/// The client: one request, and the whole answer.
fn ask(proxy: SocketAddr) -> Result<()> {
    let mut connection = TcpStream::connect(proxy)?;
    connection.write_all(REQUEST.as_bytes())?;
    connection.read_to_string(&mut String::new())?;
    Ok(())
}

/// A server that reads one request and gives one answer; none when it is empty.
fn upstream(answer: &'static [u8]) -> Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    thread::spawn(move || -> std::io::Result<()> {
        let (mut connection, _) = listener.accept()?;
        let mut request = Vec::new();
        let mut piece = [0; 4096];
        while !request.ends_with(b"}") {
            match connection.read(&mut piece)? {
                0 => break,
                n => request.extend_from_slice(&piece[..n]),
            }
        }
        connection.write_all(answer)
    });
    Ok(address)
}

/// An nginx that dies with this value.
struct Nginx {
    process: Child,
    folder: tempfile::TempDir,
    address: SocketAddr,
}

impl Nginx {
    fn start(upstreams: &[SocketAddr], retries: &str) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        // A port that is free now; whoever takes it in between fails the example, and no more.
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let servers = upstreams.iter().map(|server| format!("server {server} max_fails=0;\n"));
        let config = CONFIG
            .replace("SERVERS", &servers.collect::<String>())
            .replace("LISTEN", &address.to_string())
            .replace("RETRIES", retries)
            .replace("FOLDER", &folder.path().display().to_string());
        let file = folder.path().join("nginx.conf");
        fs::write(&file, config)?;
        let program =
            ["/usr/sbin/nginx", "/sbin/nginx"].into_iter().find(|p| Path::new(p).exists());
        let process = Command::new(program.unwrap_or("nginx"))
            .arg("-e")
            .arg(folder.path().join("error.log"))
            .arg("-c")
            .arg(&file)
            .stdin(Stdio::null())
            .spawn()
            .context("cannot start nginx: `cargo xtask setup --tests` installs it")?;
        let nginx = Self { process, folder, address };
        for _ in 0..1000 {
            if TcpStream::connect(address).is_ok() {
                return Ok(nginx);
            }
            thread::sleep(Duration::from_millis(10));
        }
        anyhow::bail!("nginx does not listen on {address}")
    }

    /// The log, as soon as it has a line: nginx writes it after the client has its answer.
    fn access_log(&self) -> Result<String> {
        for _ in 0..1000 {
            let log = fs::read_to_string(self.folder.path().join("access.log"))?;
            if log.ends_with('\n') {
                return Ok(log);
            }
            thread::sleep(Duration::from_millis(10));
        }
        anyhow::bail!("nginx logged nothing")
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // Neither fails for a child that has not been waited for.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

const CONFIG: &str = "
daemon off;
master_process off;
pid FOLDER/nginx.pid;
error_log FOLDER/error.log;
events {}
http {
    log_format short '$request_method $request_uri $status';
    access_log FOLDER/access.log short;
    client_body_temp_path FOLDER/body;
    proxy_temp_path FOLDER/proxy;
    fastcgi_temp_path FOLDER/fastcgi;
    uwsgi_temp_path FOLDER/uwsgi;
    scgi_temp_path FOLDER/scgi;
    upstream orders {
        SERVERS
    }
    server {
        listen LISTEN;
        location / {
            proxy_pass http://orders;
            proxy_next_upstream RETRIES;
        }
    }
}
";
