//! The example, values, and what is said about wrong ones.

use super::metrics::Listen;
use super::sinks::{Facility, FileSink, Rotate, SyslogAddress, To, WhenFull};
use super::*;

const EXAMPLE: &str = include_str!("../../../docs/observer.example.toml");

#[test]
fn the_example_shows_every_key_with_its_default() {
    assert_eq!(Config::parse(EXAMPLE).unwrap(), Config::default());
    let tree = DeTable::parse(EXAMPLE).unwrap();
    for (section, keys) in KEYS.iter().filter(|(section, _)| *section != "sinks") {
        let shown = tree.get_ref().get(*section).unwrap().get_ref();
        let shown: Vec<_> = shown.as_table().unwrap().keys().collect();
        assert_eq!(shown.len(), keys.len(), "[{section}]");
    }
}

#[test]
fn an_empty_file_is_the_default() {
    assert_eq!(Config::parse("").unwrap(), Config::default());
}

#[test]
fn values_are_taken() {
    let text = "[capture]\ninterfaces = ['lo']\nnetns = ['all', 'blue']\nreconcile = '5m'\nports = [80]\nhosts = ['10.0.0.0/8', '::1']\n\
                backend = 'tc'\nring_bytes = 65536\nrings = 3\nmax_flows = 99\ntls = false\n[http]\nheaders = true\n\
                body_bytes = 100\n[engine]\nmax_flows = 999\n\
                buffer_bytes = 1048576\n[governor]\ncpu_percent = 50\nmemory_bytes = 99999999\n\
                max_adjusted_count = 8\n[output]\nfile = '/tmp/x'\n[control]\nsocket = ''\n\
                [stats]\ninterval = '1h 30m'\n[metrics]\nlisten = '[::1]:9'\n\
                routes = ['/a/{b}']\nmax_series = 7\n[shutdown]\ndeadline = '1m'";
    let config = Config::parse(text).unwrap();
    let hosts = vec!["10.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()];
    assert_eq!(
        config,
        Config {
            capture: Capture {
                interfaces: vec!["lo".into()],
                netns: vec![Namespace::All, Namespace::File("/run/netns/blue".into())],
                reconcile: Duration::from_secs(300),
                ports: vec![80],
                hosts,
                backend: Backend::Tc,
                ring_bytes: 65536,
                rings: 3,
                max_flows: 99,
                tls: false,
            },
            http: Http { headers: true, body_bytes: 100, ..Http::default() },
            engine: Engine { max_flows: 999, buffer_bytes: 1 << 20 },
            governor: Governor { cpu_percent: 50, memory_bytes: 99_999_999, max_adjusted_count: 8 },
            output: Output { file: Some("/tmp/x".into()) },
            sinks: Vec::new(),
            control: Control { socket: "".into() },
            stats: Stats { interval: Duration::from_secs(5400) },
            metrics: Metrics {
                listen: Some(Listen::Port("[::1]:9".parse().unwrap())),
                routes: vec!["/a/{b}".parse().unwrap()],
                max_series: 7,
            },
            shutdown: Shutdown { deadline: Duration::from_secs(60) },
        }
    );
}

/// `text` is refused at `line` with `message`.
#[track_caller]
fn check(text: &str, line: usize, message: &str) {
    let (at, got) = Config::parse(text).unwrap_err();
    let got_line = 1 + text[..at].matches('\n').count();
    assert_eq!((got_line, got.as_str()), (line, message));
}

#[test]
fn an_unknown_key_names_the_nearest() {
    check("\n[capture]\nprot = [80]", 3, "unknown key `prot` in [capture]; did you mean `ports`?");
    check("[captur]", 1, "unknown key `captur`; did you mean `capture`?");
    check("[http]\nports = [80]", 2, "unknown key `ports` in [http]; it belongs in [capture]");
    check("[stats]\nqqq = 1", 2, "unknown key `qqq` in [stats]; known are interval");
    check("capture.prts = [80]", 1, "unknown key `prts` in [capture]; did you mean `ports`?");
}

#[test]
fn a_wrong_value_says_where_and_what() {
    check("[stats]\ninterval = 'soon'", 2, "`soon` is no duration: write 10s, 2m or 1h");
    check("[stats]\n\ninterval = '0s'", 3, "`0s` is no duration: write 10s, 2m or 1h");
    check(
        "[capture]\nhosts = ['example.org']",
        2,
        "`example.org` is no address and no network: write 10.0.0.0/8 or 192.0.2.7",
    );
    check(
        "[capture]\nbackend = 'tcx'",
        2,
        "unknown variant `tcx`, expected one of `auto`, `tc`, `socket`",
    );
    check("[capture]\nring_bytes = -1", 2, "invalid value: integer `-1`, expected u32");
}

#[test]
fn a_prefix_that_nobody_can_hold_is_refused() {
    let message = "`body_bytes = 4294967295` is out of range: 0 to 16777216";
    check("[http]\nbody_bytes = 4294967295", 2, message);
    let message = "`ws_message_bytes = 16777217` is out of range: 0 to 16777216";
    check("[http]\nws_message_bytes = 16777217", 2, message);
}

#[test]
fn what_is_no_toml_says_where() {
    let (at, _) = Config::parse("[capture]\nports = [80\n[http]").unwrap_err();
    assert!(at > 10, "{at}");
}

#[track_caller]
fn sinks(text: &str) -> Vec<Sink> {
    Config::parse(text).unwrap().all_sinks()
}

#[test]
fn without_sinks_there_is_standard_output_and_with_them_only_they() {
    assert!(matches!(sinks("").as_slice(), [Sink { to: To::Stdout, .. }]));
    let journald = "[[sinks]]\ntype = 'journald'\n";
    assert!(matches!(sinks(journald).as_slice(), [Sink { to: To::Journald, .. }]));
    let both = format!("[output]\nfile = '/x'\n{journald}");
    assert!(matches!(
        sinks(&both).as_slice(),
        [Sink { to: To::File(_), .. }, Sink { to: To::Journald, .. }]
    ));
}

#[test]
fn a_sink_is_what_its_type_says() {
    let text = "[[sinks]]\ntype = 'file'\npath = '/a'\nrotate_bytes = 4096\nrotate_every = '1h'\n\
                keep = 3\ncompress = true\nqueue_bytes = 65536\nwhen_full = 'drop_newest'\n\
                [[sinks]]\ntype = 'tcp'\nname = 'far'\naddress = '[::1]:5170'\n\
                when_full = 'spool'\nspool_path = '/s'\nspool_bytes = 1048576\n\
                [[sinks]]\ntype = 'syslog'\naddress = 'unix:///dev/log'\nfacility = 'local3'";
    let [file, tcp, syslog] = sinks(text).try_into().unwrap();
    let rotate =
        Rotate { bytes: 4096, every: Some(Duration::from_secs(3600)), keep: 3, compress: true };
    assert_eq!(file.to, To::File(FileSink { path: "/a".into(), rotate }));
    assert_eq!((file.name.as_str(), file.queue_bytes), ("/a", 65536));
    assert_eq!(file.when_full, WhenFull::DropNewest);
    assert_eq!(tcp.name, "far");
    assert_eq!(tcp.when_full, WhenFull::Spool { folder: "/s".into(), max_bytes: 1 << 20 });
    let address = SyslogAddress::Unix("/dev/log".into());
    assert_eq!(syslog.to, To::Syslog { address, facility: Facility::Local3 });
}

#[test]
fn a_wrong_sink_says_where_and_what() {
    let one = |rest: &str| format!("[[sinks]]\n{rest}");
    check(
        &one("type = 'file'\nptah = '/x'"),
        3,
        "unknown key `ptah` in [sinks]; did you mean `path`?",
    );
    check(&one("type = 'file'"), 1, "a sink of type \"file\" needs `path`, and not an empty one");
    check(
        &one("type = 'journald'\npath = '/x'"),
        1,
        "`path` does not apply to a sink of this type (journald)",
    );
    check(
        &one("type = 'tcp'\naddress = '::1:80'"),
        1,
        "`address = \"::1:80\"` is no host and port: write \"logs.example:5170\", \
         \"192.0.2.7:5170\" or \"[2001:db8::7]:5170\"",
    );
    check(
        &one("type = 'journald'\nqueue_bytes = 5"),
        1,
        "`queue_bytes = 5` is out of range: 65536 to 1073741824",
    );
    check(
        &one("type = 'stdout'\nwhen_full = 'spool'"),
        1,
        "a sink of type \"stdout\" cannot spool: use drop_oldest or drop_newest",
    );
    let two = one("type = 'journald'\n[[sinks]]\ntype = 'journald'");
    check(&two, 1, "two sinks are called `journald`: give each a `name` of its own");
}

#[test]
fn nonsense_names_the_key_the_value_and_the_range() {
    check(
        "[capture]\n\nports = [80, 0]",
        3,
        "`ports` holds 0, which is no port: 1 to 65535, or [] for all",
    );
    check(
        "[capture]\nnetns = [\"all\"]\nbackend = \"socket\"",
        2,
        "`netns` and `backend = \"socket\"` do not go together: a packet socket would keep other \
         network namespaces alive; use \"tc\" or \"auto\"",
    );
    check("[capture]\nmax_flows = 0", 2, "`max_flows = 0` is out of range: 16 to 4194304");
    check(
        "[capture]\nmax_flows = 4000000000",
        2,
        "`max_flows = 4000000000` is out of range: 16 to 4194304",
    );
    for value in [0, 1, 2_000_000_000] {
        let message = format!("`ring_bytes = {value}` is out of range: 65536 to 1073741824");
        check(&format!("[capture]\nring_bytes = {value}"), 2, &message);
    }
    for name in ["", "a b", "interface-too-long", "a/b"] {
        let message = format!(
            "`interfaces` holds {name:?}, which is no interface's name: 1 to 15 bytes without `/`, \
             `:` and blanks, with `*` and `?` for any text, or \"any\""
        );
        check(&format!("[capture]\ninterfaces = ['lo', '{name}']"), 2, &message);
    }
    check(
        "[metrics]\nlisten = '0.0.0.0:9464'",
        2,
        "`listen = \"0.0.0.0:9464\"` is reachable from other hosts, without TLS and without a \
         password: use a loopback address and put a proxy in front",
    );
    check(
        "[metrics]\nroutes = ['users']",
        2,
        "`users` is no route: it begins with `/`; write /users/{id} or /static/*",
    );
    check(
        "[output]\nfile = ''",
        2,
        "`file = \"\"` names no file: write a path, or \"-\" for standard output",
    );
}

#[test]
fn there_is_a_ring_for_every_four_cpus_and_two_on_small_machines_unless_the_user_says_how_many() {
    let capture = Capture::default();
    let by_cpus = [1, 2, 4, 8, 12, 64, 256].map(|n_cpus| capture.n_rings(n_cpus));
    assert_eq!(by_cpus, [1, 2, 2, 2, 3, 16, 16]);
    assert_eq!(Capture { rings: 3, ..capture }.n_rings(2), 3);
}

/// A configuration with every key there is, sinks of every type among them.
const FULL: &str = "[capture]\ninterfaces = ['lo', 'eth0']\nports = [80, 443]\n\
    hosts = ['10.0.0.0/8', '::1']\nbackend = 'socket'\nring_bytes = 65536\nrings = 3\nmax_flows = 99\n\
    tls = false\n[http]\nheaders = true\nbody_bytes = 100\nws_messages = true\n\
    ws_message_bytes = 3\n[engine]\nmax_flows = 999\nbuffer_bytes = 1048576\n[output]\n\
    file = '/tmp/x'\n[control]\nsocket = '/run/x'\n[stats]\ninterval = '1h 30m'\n[metrics]\n\
    listen = '127.0.0.1:9464'\nroutes = ['/a/{b}', '/c/*']\nmax_series = 7\n[shutdown]\n\
    deadline = '1m'\n[[sinks]]\ntype = 'file'\npath = '/a'\nrotate_bytes = 4096\n\
    rotate_every = '1h'\nkeep = 3\ncompress = true\nqueue_bytes = 65536\n[[sinks]]\n\
    type = 'tcp'\nname = 'far'\naddress = '[::1]:5170'\nwhen_full = 'spool'\nspool_path = '/s'\n\
    spool_bytes = 1048576\n[[sinks]]\ntype = 'syslog'\naddress = 'udp://h:514'\n\
    facility = 'local3'\n[[sinks]]\ntype = 'unix_datagram'\npath = '/d'\n[[sinks]]\n\
    type = 'journald'\n[[sinks]]\ntype = 'unix'\npath = '/u'\n[[sinks]]\ntype = 'stdout'\n";

/// xorshift64*: the same numbers in each run.
fn numbers(mut state: u64) -> impl FnMut(usize) -> usize {
    move |below| {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        (state.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % below.max(1)
    }
}

/// `text` with one to four wounds: bytes changed, cut out, doubled, or replaced by something that
/// a user or an attacker might write.
fn wounded(text: &str, next: &mut impl FnMut(usize) -> usize) -> String {
    const PIECES: &[&str] = &[
        "-1",
        "0",
        "18446744073709551616",
        "1e999",
        "nan",
        "''",
        "\"\\u0000\"",
        "[",
        "]]",
        "[[",
        "=",
        "\n",
        "true",
        "{}",
        "[[[[[[[[[[[[[[[[",
        "'''",
        "\u{0}",
        "\u{202e}",
        "\u{fffd}",
        "9999999999s",
        "-5m",
        "any",
        "::/0",
        "#",
    ];
    let mut bytes = text.as_bytes().to_vec();
    for _ in 0..=next(3) {
        let (at, n) = (next(bytes.len()), next(40));
        let end = (at + n).min(bytes.len());
        match next(5) {
            0 => bytes[at] = next(256) as u8,
            1 => drop(bytes.drain(at..end)),
            2 => {
                let piece = bytes[at..end].to_vec();
                let to = next(bytes.len());
                bytes.splice(to..to, piece);
            }
            3 => drop(bytes.splice(at..at, PIECES[next(PIECES.len())].bytes())),
            _ => {
                // A whole value.
                let start = bytes[at..].iter().position(|b| *b == b'=').map_or(at, |i| at + i + 1);
                let stop = bytes[start..].iter().position(|b| *b == b'\n');
                let stop = stop.map_or(bytes.len(), |i| start + i);
                drop(bytes.splice(start..stop, PIECES[next(PIECES.len())].bytes()));
            }
        }
        if bytes.is_empty() {
            bytes.push(b'\n');
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[test]
fn ten_thousand_wounded_files_are_taken_or_refused_with_a_word() {
    Config::parse(FULL).unwrap();
    let (mut next, mut n_taken, mut n_refused) = (numbers(0x6f62_7365_7276_6572), 0, 0);
    for i in 0..10_000 {
        let text = wounded(if i % 2 == 0 { FULL } else { EXAMPLE }, &mut next);
        match Config::parse(&text) {
            // What is taken is fit to be used, and compares with itself as a reload does.
            Ok(config) => {
                n_taken += 1;
                assert_eq!(config.check_all(), Ok(()), "{text}");
                assert_eq!(config, config.clone());
            }
            Err((at, message)) => {
                n_refused += 1;
                assert!(at <= text.len() && !message.trim().is_empty(), "{at} {message:?}: {text}");
                assert!(message.len() < 1000, "{} bytes of message: {text}", message.len());
            }
        }
    }
    // Both happen a lot, or the wounds are not what they should be.
    assert!(n_taken > 500 && n_refused > 3000, "{n_taken} {n_refused}");
}
