//! Two rings: one worker turns for both where little comes, each for its own where much does, and
//! nothing is lost when the one for both is held up. Every exchange is told, and the account is exact.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use crate::harness::can_run;
use crate::harness::client::{Route, wrk};
use crate::harness::event::{Account, last_account};
use crate::harness::namespace::Namespace;
use crate::harness::observer::{Observer, ROOMY, configuration};
use crate::harness::server::Nginx;
use crate::harness::threads::{Held, n_waits};
use crate::harness::wait::{LONG, until};

/// Eight hundred requests a second on eight connections.
const PACED: &str = "delay = function() return 10 end";

/// The workers of the rings; the first, which is the main thread, has none.
const OTHERS: &str = "worker";

struct Watched {
    near: Namespace,
    nginx: Nginx,
    observer: Observer,
    folder: tempfile::TempDir,
}

impl Watched {
    fn start(config: &str) -> Self {
        let near = Namespace::new();
        let nginx = Nginx::start(&near, 18234);
        let text = configuration(config);
        let folder = tempfile::tempdir().unwrap();
        let (config, file) = (text.path().display(), folder.path().join("events"));
        let (config, file) = (config.to_string(), file.display().to_string());
        let args = ["run", "--no-socket", "--rings", "2", "--config", &config, "-o", &file];
        let observer = Observer::start(&near, &args);
        Self { near, nginx, observer, folder }
    }

    fn route(&self) -> Route<'_> {
        Route { client: &self.near, host: "127.0.0.1", port: self.nginx.port }
    }

    fn file(&self) -> std::path::PathBuf {
        self.folder.path().join("events")
    }

    /// How often the worker behind the first has waited meanwhile.
    fn n_waits_of_other(&self, work: impl FnOnce()) -> u64 {
        let before = n_waits(self.observer.pid(), OTHERS);
        work();
        n_waits(self.observer.pid(), OTHERS) - before
    }

    /// Ends it when the engine has everything: its account, and complete exchanges by client port.
    fn end(self) -> (Account, BTreeMap<u64, u64>) {
        let file = self.file();
        until("the engine to have everything", LONG, || {
            let account = last_account(&file)?;
            (account.seen > 0 && account.segments == account.records).then_some(())
        });
        self.observer.end(libc::SIGTERM);
        let account = last_account(&file).expect("statistics come last");
        account.assert_balanced();
        (account, told(&file))
    }
}

/// Complete exchanges by client port. By words, because there may be many.
fn told(file: &Path) -> BTreeMap<u64, u64> {
    let mut told = BTreeMap::new();
    let text = fs::read_to_string(file).unwrap_or_default();
    let is_whole = |line: &&str| {
        line.contains("\"http.exchange\"")
            && line.contains("\"state\":\"complete\"")
            && line.contains("\"pairing\":\"exact\"")
    };
    // What stands behind the last line end is still being written.
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    for line in whole.lines().filter(is_whole) {
        let (_, port) = line.split_once("\"client\":{").unwrap();
        let (_, port) = port.split_once("\"port\":").unwrap();
        let port: String = port.chars().take_while(char::is_ascii_digit).collect();
        *told.entry(port.parse().unwrap()).or_default() += 1;
    }
    told
}

#[test]
fn where_little_comes_one_worker_turns_for_two_rings() {
    if !can_run("lanes::little", &["nginx", "wrk"]) {
        return;
    }
    let watched = Watched::start("");
    let mut n_requests = 0;
    let first = n_waits(watched.observer.pid(), "observer");
    let other = watched.n_waits_of_other(|| {
        n_requests = wrk(&watched.route(), 8, 2, PACED).requests;
    });
    let first = n_waits(watched.observer.pid(), "observer") - first;
    let (account, told) = watched.end();
    println!(
        "{n_requests} requests, the first waited {first} times, the other {other}, {account:?}"
    );
    assert!(other < 5, "the other worker waited {other} times");
    assert!(first > 50, "the first worker waited {first} times");
    assert_eq!((account.lost, told.len()), (0, 8), "{told:?}");
    let n_told: u64 = told.values().sum();
    assert!((n_requests..=n_requests + 8).contains(&n_told), "{n_told} of {n_requests}");
}

#[test]
fn a_load_that_comes_and_goes_is_told_whole() {
    if !can_run("lanes::comes_and_goes", &["nginx", "wrk"]) {
        return;
    }
    let watched = Watched::start(ROOMY);
    let mut n_requests = 0;
    let mut load = |script| {
        watched.n_waits_of_other(|| n_requests += wrk(&watched.route(), 32, 1, script).requests)
    };
    let waits = ["", PACED, "", PACED].map(&mut load);
    let (account, told) = watched.end();
    println!("{n_requests} requests, the other worker waited {waits:?} times, {account:?}");
    let n_told: u64 = told.values().sum();
    assert_eq!(account.lost, 0, "{account:?}");
    // What is under way when wrk stops may still be answered.
    assert!((n_requests..=n_requests + 4 * 32).contains(&n_told), "{n_told} of {n_requests}");
}

/// A connection that sends one request after the other.
struct Client(BufReader<TcpStream>);

impl Client {
    fn new(port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self(BufReader::new(stream))
    }

    fn ask(&mut self) {
        self.0.get_mut().write_all(b"GET /path/ HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let mut n_bytes = 0;
        let mut line = String::new();
        while line != "\r\n" {
            line.clear();
            assert_ne!(self.0.read_line(&mut line).unwrap(), 0, "closed");
            if let Some(n) = line.strip_prefix("Content-Length: ") {
                n_bytes = n.trim().parse().unwrap();
            }
        }
        self.0.read_exact(&mut vec![0; n_bytes]).unwrap();
    }
}

#[test]
fn a_first_worker_that_is_held_up_holds_up_no_ring() {
    if !can_run("lanes::held_up", &["nginx"]) {
        return;
    }
    // Room for some 1300 exchanges.
    let watched = Watched::start("[capture]\nring_bytes = 1048576\n");
    let (file, port, first) = (watched.file(), watched.nginx.port, watched.observer.pid());
    let until_told = |n_each: u64, what: &str| {
        until(what, LONG, || {
            let told = told(&file);
            (told.len() == 16 && told.values().all(|n| *n == n_each)).then_some(())
        });
    };
    let connect = || (0..16).map(|_| Client::new(port)).collect::<Vec<_>>();
    let mut clients = watched.near.inside(connect);
    clients.iter_mut().for_each(Client::ask);
    until_told(1, "one exchange of each");

    // Little comes, and nobody calls the others.
    let held = Held::new(first).unwrap();
    clients.iter_mut().for_each(Client::ask);
    until_told(2, "what came while the first was held up");
    let before = last_account(&file).map_or(0, |account| account.segments);
    drop(held);
    until("the first to turn again", LONG, || {
        last_account(&file).filter(|account| account.segments > before)
    });

    // More than both rings hold, before the first is overdue.
    let held = Held::new(first).unwrap();
    for n in 0..N_BURST {
        clients.iter_mut().for_each(Client::ask);
        if n % 8 == 0 {
            std::thread::sleep(Duration::from_millis(8));
        }
    }
    until_told(2 + N_BURST, "every exchange of the burst");
    drop(held);
    drop(clients);
    let (account, told) = watched.end();
    println!("{account:?}");
    assert_eq!((account.lost, told.values().sum()), (0, 16 * (2 + N_BURST)), "{account:?}");
}

const N_BURST: u64 = 400;
