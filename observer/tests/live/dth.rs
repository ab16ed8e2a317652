//! `observer dth mark` while curl talks to nginx: what tcpdump and tshark find on the wire, that
//! nothing else is disturbed, and what `observer dth watch` tells of it.

use std::net::Ipv4Addr;
use std::path::Path;

use aya::programs::{SchedClassifier, TcAttachType};

use crate::harness::can_run;
use crate::harness::client::{Route, curl};
use crate::harness::namespace::Namespace;
use crate::harness::observer::{BINARY, Observer};
use crate::harness::recorder::{count, tcpdump, tshark};
use crate::harness::server::Nginx;
use crate::harness::wait::{LONG, until};

#[test]
fn an_announced_death_is_told_with_what_became_of_it() {
    if !can_run("dth::watch", &["nginx", "curl"]) {
        return;
    }
    let namespace = Namespace::new();
    let nginx = Nginx::start(&namespace, 18_234);
    let route = Route { client: &namespace, host: "127.0.0.1", port: nginx.port };
    let mut watch = Observer::start(&namespace, &["dth", "watch", "--no-daemon"]);
    assert_eq!(curl(&route, &[], &["/path/unmarked"])[0].status, 200);

    let port = nginx.port.to_string();
    let mut mark = Observer::spawn(namespace.command(BINARY).args([
        "dth",
        "mark",
        "-i",
        "lo",
        "-p",
        &port,
        "--when",
        "/path/last",
        "-n",
        "1",
    ]));
    mark.wait_for_message("marking on lo");
    assert_eq!(curl(&route, &[], &["/path/last"])[0].status, 200, "curl is not disturbed");
    let lines = until("both halves of the story", LONG, || {
        let lines = watch.stdout.get();
        (lines.len() >= 2).then_some(lines)
    });
    assert_eq!(lines.len(), 2, "only what was marked: {lines:?}");
    assert!(
        lines[0].contains("☠ the client (127.0.0.1) has announced its death with exchange 1"),
        "{lines:?}"
    );
    assert!(
        lines[1].contains("☠ the client (127.0.0.1) announced its death and died (fin)"),
        "{lines:?}"
    );
    watch.signal(libc::SIGINT);
    watch.wait_for_message("2 events shown");
}

const PORT: u16 = 18_234;
/// Octet 12 with the bit: five words of header, and mask 0x08.
const MARKED: &str = "tcp[12] == 0x58";
const SYN: &str = "tcp[tcpflags] & tcp-syn != 0";
const FIN: &str = "tcp[tcpflags] & tcp-fin != 0";

#[test]
fn marks_on_loopback_are_where_they_belong_and_nowhere_else() {
    if !can_run("dth::loopback", &["nginx", "curl", "tcpdump", "tshark", "tc"]) {
        return;
    }
    let namespace = Namespace::new();
    // Else each header has an option, and is longer.
    namespace.set("ipv4/tcp_timestamps", "0");
    let nginx = Nginx::start(&namespace, PORT);
    let route = Route { client: &namespace, host: "127.0.0.1", port: nginx.port };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("lo.pcap");
    let mut recorder = tcpdump(&namespace, "lo", &file);
    let mut watch = Observer::start(&namespace, &["dth", "watch", "--no-daemon"]);

    let mark = marking(&namespace, "lo");
    let hanging = attached(&namespace, "lo");
    assert!(hanging.contains("mark_egress"), "{hanging}");
    let transfers = curl(&route, &[], &["/path/one", "/path/two", "/missing"]);
    assert_eq!(transfers.iter().map(|t| t.status).collect::<Vec<_>>(), [200, 200, 404]);
    let (n_marked, on_wire) = end(mark);
    assert_eq!(attached(&namespace, "lo").replace("observe_egress", ""), "", "nothing is left");
    curl(&route, &[], &["/path/after"]);
    until("both connections to be recorded", LONG, || (count(&file, FIN) == 4).then_some(()));
    recorder.signal(libc::SIGINT);
    recorder.wait();

    // Both directions of the first connection, but for the handshake's SYNs; of the second nothing.
    assert_eq!((on_wire, count(&file, MARKED)), (n_marked, n_marked), "nothing is cut up here");
    assert!(n_marked >= 2 + 3 + 3, "three requests, three responses, two FINs: {n_marked}");
    assert_eq!(count(&file, "tcp[12] & 0x08 != 0"), n_marked);
    assert_eq!(count(&file, SYN), 4);
    assert_eq!(count(&file, &format!("{SYN} and tcp[12] & 0x0f != 0")), 0);
    check_partial_sums(&file);

    let lines = until("both ends to have died", LONG, || {
        let lines = watch.stdout.get();
        (lines.len() >= 4).then_some(lines)
    });
    for who in ["client", "server"] {
        let says = |text: &str| lines.iter().filter(|line| line.contains(text)).count();
        assert_eq!(says(&format!("the {who} (127.0.0.1) has announced its death")), 1, "{lines:?}");
        assert_eq!(says(&format!("the {who} (127.0.0.1) announced its death and died (fin)")), 1);
    }
    watch.signal(libc::SIGINT);
    watch.wait_for_message("4 events shown");
}

/// Large segments are marked as one and cut up by the router behind, which also computes their
/// checksums, as a network card would.
#[test]
fn marks_survive_segmentation_and_checksum_offload() {
    const BODY: u64 = 2 << 20;
    let programs = ["nginx", "curl", "tcpdump", "tshark", "tc", "ethtool"];
    if !can_run("dth::offload", &programs) {
        return;
    }
    let [server, router, client] = [(); 3].map(|()| Namespace::new());
    server.connect_in(&router, "near", 77);
    router.connect_in(&client, "far", 78);
    router.set("ipv4/ip_forward", "1");
    server.ip(&["route", "add", "default", "via", "10.77.0.2"]);
    client.ip(&["route", "add", "default", "via", "10.78.0.1"]);
    server.set("ipv4/tcp_timestamps", "0");
    for namespace in [&router, &client] {
        let mut ethtool = namespace.command("ethtool");
        let output = ethtool.args(["-K", "far", "tx", "off"]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let body: Vec<u8> = (0..BODY).map(|i| ((i * i) >> 3) as u8).collect();
    std::fs::write(path("body"), &body).unwrap();
    let location = format!("location /body {{ alias {}; }}", path("body").display());
    let nginx = Nginx::start_with(&server, PORT, &location);
    let route = Route { client: &client, host: "10.77.0.1", port: nginx.port };
    let file = path("far.pcap");
    let mut recorder = tcpdump(&client, "far", &file);
    let mut watch = Observer::start(&client, &["dth", "watch", "--no-daemon"]);

    let mark = marking(&server, "near");
    let mut fetch = client.command("curl");
    fetch.args(["-q", "-sS", "--max-time", "30", &route.url("/body")]);
    let output = fetch.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.stdout == body, "{} bytes came", output.stdout.len());
    until("the connection to be recorded", LONG, || (count(&file, FIN) == 2).then_some(()));
    let (n_marked, on_wire) = end(mark);
    assert_eq!(attached(&server, "near"), "", "nothing is left");
    recorder.signal(libc::SIGINT);
    recorder.wait();

    assert!(on_wire > 2 * n_marked, "{n_marked} segments marked, {on_wire} on the wire");
    let from_server = "src host 10.77.0.1";
    assert_eq!(count(&file, &format!("{from_server} and {MARKED}")), on_wire);
    assert_eq!(count(&file, &format!("{from_server} and not ({SYN}) and not ({MARKED})")), 0);
    assert_eq!(count(&file, &format!("{SYN} and tcp[12] & 0x08 != 0")), 0);
    let packets = tshark(&file, &["tcp.checksum.status", "frame.len"]);
    assert!(packets.len() > on_wire, "{} packets", packets.len());
    for packet in packets {
        // tshark's numbers: 0 is bad, 1 is good, 2 is not looked at.
        assert_eq!(packet[0], "1", "the checksum of a packet of {} bytes", packet[1]);
    }
    let lines = until("the server's death", LONG, || {
        let lines = watch.stdout.get();
        (lines.len() >= 2).then_some(lines)
    });
    assert!(lines[0].contains("the server (10.77.0.1) has announced its death"), "{lines:?}");
    assert!(lines[1].contains("announced its death and died (fin)"), "{lines:?}");
    assert_eq!(lines.len(), 2, "the client's half is not marked: {lines:?}");
    watch.signal(libc::SIGINT);
    watch.wait_for_message("2 events shown");
}

/// `observer dth mark`, which is at it when this returns.
fn marking(namespace: &Namespace, interface: &str) -> Observer {
    let mut command = namespace.command(BINARY);
    command.args(["dth", "mark", "-i", interface, "-p", &PORT.to_string()]);
    let mut mark = Observer::spawn(&mut command);
    mark.wait_for_message("marking on");
    mark
}

/// Ends it, and returns how many segments it says it has marked, and how many on the wire.
#[track_caller]
fn end(mut mark: Observer) -> (usize, usize) {
    mark.signal(libc::SIGINT);
    let said = mark.wait_for_message("in all, detached");
    assert_eq!(mark.wait().code(), Some(0));
    let mut numbers = said.split([' ', '(']).filter_map(|word| word.parse().ok());
    let n_marked = numbers.next().unwrap_or_else(|| panic!("no number: {said}"));
    (n_marked, numbers.next().unwrap_or(n_marked))
}

/// What hangs on the way out of an interface: the programs of TCX, and qdiscs and filters of clsact
/// where there is no TCX.
fn attached(namespace: &Namespace, interface: &str) -> String {
    let chain = namespace.inside(|| SchedClassifier::query_tcx(interface, TcAttachType::Egress));
    let programs = chain.map(|(_, programs)| programs).unwrap_or_default();
    let names = programs.iter().map(|info| info.name_as_str().unwrap_or_default().to_owned());
    let tc = |args: &[&str]| {
        let output = namespace.command("tc").args(args).args(["dev", interface]).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let qdiscs = tc(&["qdisc", "show"]);
    let clsact = qdiscs.lines().filter(|line| line.contains("clsact")).map(str::to_owned);
    let filters = clsact.clone().map(|_| tc(&["filter", "show", "egress"]));
    names.chain(clsact.clone()).chain(filters).collect()
}

/// On the loopback device nobody computes a checksum: the field holds the sum of the pseudo-header
/// (RFC 9293 §3.1), to which a network card would add the segment as it finds it. tshark calls that
/// bad, on any segment; here it must be what it was.
#[track_caller]
fn check_partial_sums(file: &Path) {
    let fields = ["ip.src", "ip.dst", "ip.len", "ip.hdr_len", "tcp.checksum"];
    for packet in tshark(file, &fields) {
        let words = |address: &str| {
            let [a, b, c, d] = address.parse::<Ipv4Addr>().unwrap().octets().map(u32::from);
            (a << 8 | b) + (c << 8 | d)
        };
        let number = |text: &str| text.parse::<u32>().unwrap();
        let tcp_len = number(&packet[2]) - number(&packet[3]);
        let mut sum = words(&packet[0]) + words(&packet[1]) + 6 + tcp_len;
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        let found = u32::from_str_radix(packet[4].trim_start_matches("0x"), 16).unwrap();
        assert_eq!(found, sum, "{packet:?}");
    }
}
