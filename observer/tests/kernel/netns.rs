//! Captures that reach into other network namespaces: which segments come from where, on TCX and on
//! clsact alike, and what stays there.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command};
use std::time::Duration;

use aya::programs::{SchedClassifier, TcAttachType};
use observer::capture::live::{Backend, Capture, CaptureError, Options, TcAttach};
use observer::capture::namespaces::Namespace;
use observer::segment::FlowKey;
use observer_common::config::TC_EGRESS;

use crate::needs::{command, namespace, output};

/// A process in a network namespace of its own.
struct Other(Child);

impl Other {
    fn new() -> Self {
        let mut sleep = Command::new("sleep");
        // SAFETY: a system call without allocation, fit for a child after fork.
        unsafe {
            sleep.arg("60").pre_exec(|| match libc::unshare(libc::CLONE_NEWNET) {
                0 => Ok(()),
                _ => Err(std::io::Error::last_os_error()),
            });
        }
        let other = Self(sleep.spawn().unwrap());
        assert!(other.run("ip", "link set lo up"));
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

    /// Runs `work` on a thread inside; processes that it starts are inside as well.
    fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                let file = std::fs::File::open(self.file()).unwrap();
                // SAFETY: no pointers; the thread ends with this.
                assert_eq!(unsafe { libc::setns(file.as_raw_fd(), libc::CLONE_NEWNET) }, 0);
                drop(file);
                work()
            });
            thread.join().unwrap()
        })
    }

    fn run(&self, program: &str, arguments: &str) -> bool {
        self.inside(|| command(program, arguments))
    }

    fn output(&self, program: &str, arguments: &str) -> String {
        self.inside(|| output(program, arguments))
    }
}

/// A request and a response between two ports of the loopback address.
fn converse(request: &str) {
    let listener = TcpListener::bind(("127.0.0.1", 18_420)).unwrap();
    let mut client = TcpStream::connect(("127.0.0.1", 18_420)).unwrap();
    let (mut server, _) = listener.accept().unwrap();
    client.write_all(request.as_bytes()).unwrap();
    server.read_exact(&mut vec![0; request.len()]).unwrap();
    server.write_all(b"HTTP/1.1 204 None\r\n\r\n").unwrap();
    client.read_exact(&mut [0; 21]).unwrap();
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
    for _ in 0..3000 {
        if is_so() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("waited in vain for {what}");
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
    if !namespace() {
        return;
    }
    for mode in modes() {
        let (red, blue) = (Other::new(), Other::new());
        let mut capture = start(mode, &[&red, &blue]);
        red.inside(|| converse("GET /red HTTP/1.1\r\nHost: x\r\n\r\n"));
        converse("GET /own HTTP/1.1\r\nHost: x\r\n\r\n");
        blue.inside(|| converse("GET /blue HTTP/1.1\r\nHost: x\r\n\r\n"));
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
        // What comes now is not seen, and what was attached goes with the capture.
        red.inside(|| converse("GET /late HTTP/1.1\r\nHost: x\r\n\r\n"));
        assert_eq!(drain(&mut capture), BTreeSet::new(), "{mode:?}");
        assert_eq!(capture.ledger().unwrap(), ledger, "{mode:?}");
        assert!(capture.take_warnings().is_empty());
        drop(capture);
        for other in [&red, &blue] {
            let left = other.output("tc", "qdisc show dev lo")
                + &other.output("tc", "filter show dev lo egress");
            assert!(!left.contains("clsact") && !left.contains(TC_EGRESS), "{mode:?}: {left}");
        }
    }
}

#[test]
fn a_namespace_that_goes_takes_nothing_of_ours_along() {
    if !namespace() {
        return;
    }
    for mode in modes() {
        let other = Other::new();
        let pid = other.0.id();
        assert!(command("ip", &format!("link add tie0 type veth peer name e0 netns {pid}")));
        let mut capture = start(mode, &[&other]);
        assert_eq!(capture.elsewhere().interfaces.len(), 1, "{mode:?}");
        drop(other);
        // The kernel takes the near end away when nothing refers to the far end's namespace any more.
        eventually("the namespace to be freed", || !output("ip", "link").contains("tie0"));
        eventually("the namespace to be let go of", || capture.elsewhere().namespaces.is_empty());
        // The same interface index, program and handle: only the namespace tells them apart.
        converse("GET /still HTTP/1.1\r\nHost: x\r\n\r\n");
        let still = (0, 0, "GET /still HTTP/1.1".to_owned());
        assert!(drain(&mut capture).contains(&still), "{mode:?}");
        assert!(capture.take_warnings().is_empty(), "{mode:?}");
    }
}

#[test]
fn a_qdisc_that_somebody_deletes_is_put_back() {
    if !namespace() {
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
    assert!(other.run("tc", "qdisc del dev lo clsact"));
    eventually("our filter elsewhere", || ours(other.output("tc", "filter show dev lo egress")));
}

#[test]
fn what_cannot_be_is_said_at_once() {
    if !namespace() {
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
