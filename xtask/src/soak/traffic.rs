//! `cargo xtask soak-traffic`: a server and its client in one process, inside the namespace. Each
//! round makes a new connection for every way in which HTTP comes and goes; one more connection
//! stays open from the first round to the last.
//!
//! "ready" on standard output says that the server listens. When standard input ends, the round is
//! finished and the numbers of exchanges that were completed are printed, by the first word of the
//! path.

use std::{
    collections::BTreeMap,
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};

use crate::bench::now;

/// The server's port, on every address.
pub(super) const PORT: u16 = 8090;

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Rounds a second
    #[arg(long)]
    rate: u32,
}

pub(crate) fn traffic(options: &Options) -> Result<()> {
    let listener = TcpListener::bind(("0.0.0.0", PORT))?;
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // A client that goes away in the middle is what this is for.
            thread::spawn(move || serve(stream));
        }
    });
    static END: AtomicBool = AtomicBool::new(false);
    thread::spawn(|| {
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        END.store(true, Ordering::Relaxed);
    });
    println!("ready");
    let mut client = Client { kept: connect()?, completed: BTreeMap::new() };
    let (start, mut n_rounds) = (now(), 0u32);
    while !END.load(Ordering::Relaxed) {
        client.round()?;
        n_rounds += 1;
        let due = Duration::from_secs_f64(f64::from(n_rounds) / f64::from(options.rate.max(1)));
        // A round that is late does not hurry the next one.
        thread::sleep(due.saturating_sub(start.elapsed()).min(Duration::from_secs(1)));
    }
    println!("{}", serde_json::to_string(&client.completed)?);
    Ok(())
}

struct Client {
    kept: TcpStream,
    completed: BTreeMap<&'static str, u64>,
}

impl Client {
    fn round(&mut self) -> Result<()> {
        // Routes without end, and ids that belong to one route: metrics have to bound the first.
        let n = self.completed.values().sum();
        let kept = exchange(&mut self.kept, &format!("/kept/{}", word(n)), 1)?;
        self.count("kept", kept);
        let plain = exchange(&mut connect()?, &format!("/plain/{n}"), 1)?;
        self.count("plain", plain);
        let pipelined = exchange(&mut connect()?, "/pipelined", 4)?;
        self.count("pipelined", pipelined);

        let mut stream = connect()?;
        stream.write_all(
            b"POST /chunked HTTP/1.1\r\nHost: soak\r\nTransfer-Encoding: chunked\r\n\r\n",
        )?;
        stream.write_all(b"5;ext=1\r\nhello\r\n")?;
        stream.write_all(b"6\r\n world\r\n0\r\nX-Trailer: yes\r\n\r\n")?;
        read_until(&mut stream, b"0\r\nX-Sum: 1\r\n\r\n")?;
        self.count("chunked", 1);

        // The server's death in the middle of a body.
        let mut stream = connect()?;
        stream.write_all(&request("/cut"))?;
        io::copy(&mut stream, &mut io::sink())?;
        // Ours: what was not read makes the kernel send RST (RFC 2525, section 2.17).
        let mut stream = connect()?;
        stream.write_all(&request("/large"))?;
        stream.read_exact(&mut [0; 1000])?;
        drop(stream);
        // Half a request, and nothing.
        connect()?.write_all(b"GET /abandoned HTTP/1.1\r\nHost: so")?;
        // A takeover, and what never was HTTP.
        let mut stream = connect()?;
        stream.write_all(
            b"GET /upgrade HTTP/1.1\r\nHost: soak\r\nConnection: upgrade\r\nUpgrade: soak\r\n\r\n",
        )?;
        read_until(&mut stream, b"\r\n\r\n")?;
        stream.write_all(b"ping")?;
        stream.read_exact(&mut [0; 4])?;
        connect()?.write_all(b"SSH-2.0-soak\r\n")?;
        Ok(())
    }

    fn count(&mut self, path: &'static str, n: u64) {
        *self.completed.entry(path).or_default() += n;
    }
}

/// A number in letters: what looks like a number is taken for an id.
fn word(mut n: u64) -> String {
    let mut word = String::new();
    loop {
        word.push(char::from(b'a' + (n % 26) as u8));
        n /= 26;
        if n == 0 {
            return word;
        }
    }
}

fn connect() -> Result<TcpStream> {
    let stream = TcpStream::connect(("127.0.0.1", PORT)).context("the server is gone")?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    Ok(stream)
}

fn request(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: soak\r\n\r\n").into_bytes()
}

/// Sends `n` requests at once and waits for all their responses.
fn exchange(stream: &mut TcpStream, path: &str, n: u64) -> Result<u64> {
    let requests: Vec<u8> = (0..n).flat_map(|_| request(path)).collect();
    stream.write_all(&requests)?;
    for _ in 0..n {
        let mut response = vec![0; SMALL_HEAD.len() + SMALL_BODY];
        stream.read_exact(&mut response)?;
        ensure!(response.starts_with(SMALL_HEAD.as_bytes()), "another response than was sent");
    }
    Ok(n)
}

fn read_until(stream: &mut TcpStream, end: &[u8]) -> Result<()> {
    let (mut seen, mut buffer) = (Vec::new(), [0; 4096]);
    while !seen.ends_with(end) {
        let n = stream.read(&mut buffer)?;
        ensure!(n > 0, "the response ended early");
        seen.extend_from_slice(&buffer[..n]);
    }
    Ok(())
}

/// Answers requests until the connection ends.
fn serve(stream: TcpStream) -> Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut stream = stream;
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            ensure!(reader.read_until(b'\n', &mut head)? > 0, "the end");
            ensure!(head.starts_with(b"GET ") || head.starts_with(b"POST "), "no HTTP");
        }
        let head = String::from_utf8_lossy(&head);
        match head.split(' ').nth(1).unwrap_or_default() {
            "/chunked" => {
                let mut body = Vec::new();
                while !body.ends_with(b"\r\n\r\n") {
                    ensure!(reader.read_until(b'\n', &mut body)? > 0, "the end");
                }
                stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
                stream.write_all(b"3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n")?;
            }
            "/cut" => {
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")?;
                return Ok(stream.write_all(&[b'x'; 300])?);
            }
            "/large" => {
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 262144\r\n\r\n")?;
                stream.write_all(&[b'x'; 262_144])?;
            }
            "/upgrade" => {
                let switch = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n\
                              Upgrade: soak\r\n\r\n";
                stream.write_all(switch.as_bytes())?;
                io::copy(&mut reader, &mut stream)?;
                return Ok(());
            }
            _ => {
                stream.write_all(SMALL_HEAD.as_bytes())?;
                stream.write_all(&[b'x'; SMALL_BODY])?;
            }
        }
    }
}

const SMALL_HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Length: 200\r\n\r\n";
const SMALL_BODY: usize = 200;
