//! `cargo xtask bench-load`: the load that wrk has no way to make. So many requests a second and no
//! more, on so many connections, beside others that are open and idle; or large downloads.
//!
//! A few threads, each with its share of the connections, send by a fixed timetable, one request at
//! a time: a thread that is late does not wait until it has caught up, so a short stall changes
//! when requests are sent and not how many. It counts an exchange when the whole response has come.
//! "ready" on standard output says that every connection is open and has had one exchange; then it
//! waits for a line on standard input, so that the cost of getting there is not measured.

use std::{
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use serde_json::json;

use super::lab::now;

#[derive(clap::Args)]
pub(crate) struct Options {
    #[arg(long)]
    address: SocketAddr,
    /// What is asked for
    #[arg(long)]
    path: String,
    /// Requests a second in all; 0: one after the other without a pause
    #[arg(long, default_value_t = 0)]
    rate: u64,
    #[arg(long, default_value_t = 1)]
    connections: usize,
    /// Further connections that stay open without a word
    #[arg(long, default_value_t = 0)]
    idle: usize,
    #[arg(long, default_value_t = 1)]
    threads: usize,
    #[arg(long)]
    seconds: u64,
}

/// What one thread did.
#[derive(Clone, Copy, Default)]
struct Done {
    completed: u64,
    bytes: u64,
    /// Requests that were sent more than 10 ms after their time.
    late: u64,
}

pub(crate) fn load(options: &Options) -> Result<()> {
    let request = format!("GET {} HTTP/1.1\r\nHost: bench.example\r\n\r\n", options.path);
    let (mut idle, mut n_before) = (Vec::new(), 0);
    let mut shares: Vec<Vec<Client>> = (0..options.threads.max(1)).map(|_| Vec::new()).collect();
    for number in 0..options.idle + options.connections {
        let mut client = Client::open(options.address)?;
        // A gigabyte per connection would be no way to get ready.
        if options.rate > 0 {
            client.exchange(request.as_bytes())?;
            n_before += 1;
        }
        match number.checked_sub(options.idle) {
            None => idle.push(client),
            Some(busy) => {
                let share = busy % shares.len();
                shares[share].push(client);
            }
        }
    }
    println!("ready");
    let mut go = String::new();
    io::stdin().read_line(&mut go)?;
    if go.is_empty() {
        bail!("nobody said go");
    }
    let start = now();
    let n_threads = shares.len() as u32;
    let interval = match options.rate {
        0 => Duration::ZERO,
        rate => Duration::from_secs(1) * n_threads / u32::try_from(rate)?,
    };
    let threads: Vec<_> = (0..n_threads)
        .zip(shares)
        .map(|(number, clients)| {
            let plan = Plan {
                first: start + interval * number / n_threads,
                interval,
                end: start + Duration::from_secs(options.seconds),
            };
            let request = request.clone();
            thread::spawn(move || run(clients, request.as_bytes(), &plan))
        })
        .collect();
    let mut sum = Done::default();
    for thread in threads {
        let done = thread.join().ok().context("a thread of the load failed")??;
        sum.completed += done.completed;
        sum.bytes += done.bytes;
        sum.late += done.late;
    }
    let seconds = start.elapsed().as_secs_f64();
    let Done { completed, bytes, late } = sum;
    println!(
        "{}",
        json!({
            "completed": completed,
            "bytes": bytes,
            "late": late,
            "seconds": seconds,
            "before": n_before,
        })
    );
    // The connections stay open until whoever measures has looked at what they cost.
    io::stdin().read_line(&mut go)?;
    drop(idle);
    Ok(())
}

/// When a thread sends.
struct Plan {
    first: Instant,
    interval: Duration,
    end: Instant,
}

fn run(mut clients: Vec<Client>, request: &[u8], plan: &Plan) -> Result<Done> {
    let mut done = Done::default();
    let mut due = plan.first;
    let mut turn = 0;
    while due < plan.end {
        let moment = now();
        if moment >= plan.end {
            break;
        }
        match due.checked_duration_since(moment) {
            Some(early) if !early.is_zero() => thread::sleep(early),
            _ if plan.interval.is_zero() => {}
            _ => done.late += u64::from(moment - due > LATE),
        }
        let n_clients = clients.len();
        let Some(client) = clients.get_mut(turn % n_clients.max(1)) else { break };
        done.bytes += client.exchange(request)?;
        done.completed += 1;
        turn += 1;
        due = if plan.interval.is_zero() { now() } else { due + plan.interval };
    }
    // Open until the end: see `load`.
    std::mem::forget(clients);
    Ok(done)
}

struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Client {
    fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).context("the server takes no connection")?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        Ok(Self { stream, buffer: vec![0; 256 << 10] })
    }

    /// One request and the whole of its response; how many bytes that was.
    fn exchange(&mut self, request: &[u8]) -> Result<u64> {
        self.stream.write_all(request)?;
        let mut n_bytes = self.read(0)?;
        let expected = loop {
            if let Some(expected) = expected(self.buffer.get(..n_bytes).unwrap_or_default())? {
                break expected;
            }
            n_bytes += self.read(n_bytes)?;
        };
        let mut left = expected.saturating_sub(n_bytes as u64);
        while left > 0 {
            left = left.saturating_sub(self.read(0)? as u64);
        }
        Ok(expected)
    }

    fn read(&mut self, at: usize) -> Result<usize> {
        let room = self.buffer.get_mut(at..).unwrap_or_default();
        let n_bytes = self.stream.read(room).context("the server sent no more")?;
        if n_bytes == 0 {
            bail!("the server closed the connection");
        }
        Ok(n_bytes)
    }
}

/// Bytes of the response that begins so, head and body; nothing while the head has no end.
fn expected(front: &[u8]) -> Result<Option<u64>> {
    let Some(end) = front.windows(4).position(|window| window == b"\r\n\r\n") else {
        return Ok(None);
    };
    let head = String::from_utf8_lossy(front.get(..end).unwrap_or_default());
    if !head.starts_with("HTTP/1.1 200 ") {
        bail!("the server answered {:?}", head.lines().next().unwrap_or_default());
    }
    let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
    let length: u64 = length.context("a response without length")?.trim().parse()?;
    Ok(Some(end as u64 + 4 + length))
}

const LATE: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_is_as_long_as_its_head_and_its_body() {
        let head = b"HTTP/1.1 200 OK\r\nServer: x\r\nContent-Length: 7\r\n\r\nab";
        assert_eq!(expected(head).unwrap(), Some(head.len() as u64 + 5));
        assert_eq!(expected(&head[..40]).unwrap(), None);
        assert!(expected(b"HTTP/1.1 404 Not Found\r\n\r\n").is_err());
    }
}
