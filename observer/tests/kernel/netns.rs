//! Captures that reach into other network namespaces: which segments come from where, on TCX and on
//! clsact alike, and what stays there.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd as _;
use std::process::{Child, Command};
use std::time::Duration;

use aya::programs::{SchedClassifier, TcAttachType};
use observer::capture::live::{Backend, Capture, CaptureError, Options, TcAttach};
use observer::capture::namespaces::Namespace;
use observer::segment::FlowKey;
use observer_common::config::TC_EGRESS;

use crate::needs::{command, missing, namespace, output};

/// A process in a network namespace of its own.
struct Other(Child);

impl Other {
    fn new() -> Self {
        let own = std::fs::read_link("/proc/self/ns/net").unwrap();
        let thread = std::fs::read_link("/proc/thread-self/ns/net").unwrap();
        let child = Command::new("unshare").args(["-n", "sleep", "60"]).spawn().unwrap();
        let other = Self(child);
        eventually("a new namespace", || {
            let its = std::fs::read_link(other.file()).unwrap();
            its != own && its != thread
        });
        assert!(other.run("ip link set lo up"));
        other
    }

    fn file(&self) -> String {
        format!("/proc/{}/ns/net", self.0.id())
    }

    fn inode(&self) -> u32 {
        let link = std::fs::read_link(self.file()).unwrap();
        let number = link.to_str().unwrap().trim_start_matches("net:[").trim_end_matches(']');
        number.parse().unwrap()
    }

    fn run(&self, what: &str) -> bool {
        command("nsenter", &format!("-t {} -n {what}", self.0.id()))
    }

    fn output(&self, what: &str) -> String {
        output("nsenter", &format!("-t {} -n {what}", self.0.id()))
    }

    /// A request and a response between two ports of its loopback address, or of that of the
    /// calling thread's namespace.
    fn converse(other: Option<&Self>, request: &str) {
        std::thread::scope(|scope| {
            scope.spawn(|| {
                if let Some(other) = other {
                    let file = std::fs::File::open(other.file()).unwrap();
                    // SAFETY: no pointers; the thread ends here.
                    assert_eq!(unsafe { libc::setns(file.as_raw_fd(), libc::CLONE_NEWNET) }, 0);
                }
                let listener = TcpListener::bind(("127.0.0.1", 18_420)).unwrap();
                let mut client = TcpStream::connect(("127.0.0.1", 18_420)).unwrap();
                let (mut server, _) = listener.accept().unwrap();
                client.write_all(request.as_bytes()).unwrap();
                server.read_exact(&mut vec![0; request.len()]).unwrap();
                server.write_all(b"HTTP/1.1 204 None\r\n\r\n").unwrap();
                client.read_exact(&mut [0; 21]).unwrap();
            });
        });
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(tc_attach: TcAttach, others: &[&Other]) -> Capture {
    let namespaces = others.iter().map(|other| Namespace::Process(other.0.id())).collect();
    let reconcile = Duration::from_millis(50);
    let options =
        Options { backend: Backend::Tc, tc_attach, namespaces, reconcile, ..Options::default() };
    Capture::start(&options).unwrap()
}

/// TCX where the kernel has it, and clsact.
fn modes() -> Vec<TcAttach> {
    match SchedClassifier::query_tcx("lo", TcAttachType::Egress) {
        Ok(_) => vec![TcAttach::Tcx, TcAttach::Clsact],
        Err(_) => vec![TcAttach::Clsact],
    }
}

#[track_caller]
fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..500 {
        if is_so() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("waited in vain for {what}");
}

fn can_run() -> bool {
    namespace()
        && (command("unshare", "-n sleep 0") || missing("no unshare(1)"))
        && (enters() || missing("no nsenter(1)"))
}

fn enters() -> bool {
    command("nsenter", &format!("-t {} -n sleep 0", std::process::id()))
}

/// What came, by namespace: the start of each payload.
fn drain(capture: &mut Capture) -> BTreeSet<(u32, u32, String)> {
    let mut came = BTreeSet::new();
    let mut quiet = 0;
    while quiet < 3 {
        let n = capture.poll(Duration::from_millis(50), |segment| {
            assert_eq!(segment.origin.ifindex, 1);
            let netns = FlowKey::of(segment).netns;
            let text = String::from_utf8_lossy(segment.payload);
            let line = text.lines().next().unwrap_or_default().to_owned();
            if !line.is_empty() {
                came.insert((segment.origin.netns, netns, line));
            }
        });
        quiet = if n.unwrap() == 0 { quiet + 1 } else { 0 };
    }
    came
}

#[test]
fn each_segment_says_in_which_namespace_it_was_seen() {
    if !can_run() {
        return;
    }
    for mode in modes() {
        let (red, blue) = (Other::new(), Other::new());
        let mut capture = start(mode, &[&red, &blue]);
        Other::converse(Some(&red), "GET /red HTTP/1.1\r\nHost: x\r\n\r\n");
        Other::converse(None, "GET /own HTTP/1.1\r\nHost: x\r\n\r\n");
        Other::converse(Some(&blue), "GET /blue HTTP/1.1\r\nHost: x\r\n\r\n");
        let mut meant = BTreeSet::new();
        for (netns, path) in [(red.inode(), "red"), (0, "own"), (blue.inode(), "blue")] {
            meant.insert((netns, netns, format!("GET /{path} HTTP/1.1")));
            meant.insert((netns, netns, "HTTP/1.1 204 None".to_owned()));
        }
        assert_eq!(drain(&mut capture), meant, "{mode:?}");
        capture.detach();
        let ledger = capture.ledger().unwrap();
        assert!(ledger.is_balanced(), "{mode:?}: {ledger:?}");
        assert_eq!((ledger.flows, ledger.lost.unreadable), (3, 0), "{mode:?}: {ledger:?}");
        for other in [&red, &blue] {
            let left = other.output("tc qdisc show dev lo")
                + &other.output("tc filter show dev lo egress");
            assert!(!left.contains("clsact") && !left.contains(TC_EGRESS), "{mode:?}: {left}");
        }
        assert!(capture.take_warnings().is_empty());
    }
}

#[test]
fn a_namespace_that_goes_takes_nothing_of_ours_along() {
    if !can_run() {
        return;
    }
    for mode in modes() {
        let other = Other::new();
        let mut capture = start(mode, &[&other]);
        assert_eq!(capture.elsewhere().interfaces.len(), 1, "{mode:?}");
        drop(other);
        eventually("the namespace to be let go of", || capture.elsewhere().namespaces.is_empty());
        // The same interface index, program and handle: only the namespace tells them apart.
        Other::converse(None, "GET /still HTTP/1.1\r\nHost: x\r\n\r\n");
        let still = (0, 0, "GET /still HTTP/1.1".to_owned());
        assert!(drain(&mut capture).contains(&still), "{mode:?}");
        assert!(capture.take_warnings().is_empty(), "{mode:?}");
    }
}

#[test]
fn a_qdisc_that_somebody_deletes_is_put_back() {
    if !can_run() {
        return;
    }
    let other = Other::new();
    let mut capture = start(TcAttach::Clsact, &[&other]);
    let ours = |text: String| text.contains(TC_EGRESS);
    assert!(command("tc", "qdisc del dev lo clsact"));
    assert!(!ours(output("tc", "filter show dev lo egress")));
    eventually("our filter at home", || {
        capture.poll(Duration::from_millis(10), |_| {}).unwrap();
        ours(output("tc", "filter show dev lo egress"))
    });
    assert!(other.run("tc qdisc del dev lo clsact"));
    eventually("our filter elsewhere", || ours(other.output("tc filter show dev lo egress")));
}

#[test]
fn what_cannot_be_is_said_at_once() {
    if !can_run() {
        return;
    }
    let with = |namespace, backend| {
        let namespaces = vec![namespace];
        let options = Options { namespaces, backend, ..Options::default() };
        Capture::start(&options).map(|mut capture| capture.take_warnings())
    };
    let nobody = with(Namespace::Process(u32::MAX >> 1), Backend::Tc);
    assert!(matches!(nobody, Err(CaptureError::NoSuchProcess { .. })));
    let socket = with(Namespace::All, Backend::Socket);
    assert!(matches!(socket, Err(CaptureError::NamespacesNeedTc)));
    let later = with(Namespace::File("/run/netns/netns-nosuch".into()), Backend::Tc).unwrap();
    let [warning] = &later[..] else { panic!("{later:?}") };
    assert_eq!(warning, "network namespace netns-nosuch does not exist; watching for it to appear");
    let own = with(Namespace::File("/proc/thread-self/ns/net".into()), Backend::Tc).unwrap();
    assert!(own.iter().any(|it| it.contains("observer's own")), "{own:?}");
}
