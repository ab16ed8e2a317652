//! The binary as a user meets it: every message, every exit code.

#[path = "../common/pcap.rs"]
mod pcap;
mod read;

use std::process::{Command, Output, Stdio};

fn observer(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_observer")).args(args).stdin(Stdio::null()).output().unwrap()
}

/// `args` fail with `code`, and standard error is exactly `message`.
#[track_caller]
fn fails(args: &[&str], code: i32, message: &str) {
    let output = observer(args);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), stderr.as_ref()), (Some(code), message));
    assert!(output.stdout.is_empty());
}

/// A usage error that clap reports: exit 2, and the first line is `message`.
#[track_caller]
fn misused(args: &[&str], message: &str) {
    let output = observer(args);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(stderr.lines().next(), Some(message), "{stderr}");
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn help_and_version_are_good_exits() {
    for args in [&["--help"][..], &["read", "--help"], &["--version"]] {
        let output = observer(args);
        assert_eq!(output.status.code(), Some(0));
        assert!(String::from_utf8(output.stdout).unwrap().contains("observer"));
    }
}

#[test]
fn the_schema_is_printed() {
    let output = observer(&["schema"]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(output.stdout, observer::event::JSON_SCHEMA.as_bytes());
}

#[test]
fn completions_and_pages_know_the_commands() {
    for (shell, words) in
        [("bash", "_observer()"), ("zsh", "#compdef observer"), ("fish", "complete -c observer")]
    {
        let output = observer(&["completions", shell]);
        assert_eq!(output.status.code(), Some(0));
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains(words) && text.contains("read"), "{shell}: {text}");
    }
    misused(&["completions", "cmd"], "error: invalid value 'cmd' for '<SHELL>'");

    let output = observer(&["man"]);
    let page = String::from_utf8(output.stdout).unwrap();
    assert!(page.contains(".TH observer 1"), "{page}");
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("new").display().to_string();
    assert_eq!(observer(&["man", "--out", &out]).status.code(), Some(0));
    for command in ["observer", "observer-read", "observer-schema"] {
        let page = std::fs::read_to_string(format!("{out}/{command}.1")).unwrap();
        assert!(page.contains(&format!(".TH {command} 1")), "{page}");
    }
}

#[test]
fn wrong_options_say_what_is_right() {
    misused(
        &["read", "x", "-p", "0"],
        "error: invalid value '0' for '--port <PORT>': 0 is not in 1..=65535",
    );
    misused(
        &["read", "x", "--host", "example.org"],
        "error: invalid value 'example.org' for '--host <CIDR>': `example.org` is no address and \
         no network: write 10.0.0.0/8 or 192.0.2.7",
    );
    misused(&["read", "x", "-f", "json"], "error: invalid value 'json' for '--format <FORMAT>'");
    misused(&["reed"], "error: unrecognized subcommand 'reed'");
}

#[test]
fn a_closed_standard_output_is_a_quiet_end() {
    // A pipe whose reader has gone before the first byte.
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = Command::new(env!("CARGO_BIN_EXE_observer"))
        .arg("schema")
        .stdout(writer)
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(output.stderr.is_empty());
}

#[cfg(feature = "live")]
mod live {
    use std::path::Path;

    use super::*;

    #[test]
    fn durations_that_are_none() {
        misused(
            &["tail", "--for", "soon"],
            "error: invalid value 'soon' for '--for <DURATION>': `soon` is no duration: write 10s, \
             2m or 1h30m",
        );
    }

    #[test]
    fn what_is_no_place_to_explain() {
        for target in ["localhost:80", "127.0.0.1", "127.0.0.1:0"] {
            let message = format!(
                "error: invalid value '{target}' for '<ADDR:PORT>': write an address and a port: \
                 127.0.0.1:8080, [::1]:80"
            );
            misused(&["explain", target], &message);
        }
    }

    fn config(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        file
    }

    fn text(path: &Path) -> &str {
        path.to_str().unwrap()
    }

    #[test]
    fn an_unknown_key_names_file_line_and_the_nearest() {
        let file = config("# comment\n[capture]\nprots = [80]\n");
        let path = text(file.path());
        fails(
            &["run", "--config", path],
            2,
            &format!(
                "observer: {path}:3: unknown key `prots` in [capture]; did you mean `ports`?\n"
            ),
        );
    }

    #[test]
    fn a_configuration_that_is_not_there() {
        fails(
            &["run", "--config", "/nowhere/o.toml"],
            2,
            "observer: cannot read the configuration /nowhere/o.toml: No such file or directory \
             (os error 2)\n",
        );
    }

    #[test]
    fn an_output_that_cannot_be_opened() {
        fails(
            &["run", "--no-socket", "-o", "/nowhere/events"],
            1,
            "observer: cannot open /nowhere/events for events: No such file or directory (os \
             error 2); make its directory first\n",
        );
    }

    #[test]
    fn a_socket_that_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let _daemon = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let path = text(&path);
        fails(
            &["run", "--socket", path],
            2,
            &format!(
                "observer: already running: another observer listens on {path}; stop it, or use \
                 --socket with another path or --no-socket\n"
            ),
        );
    }

    #[test]
    fn a_socket_path_that_is_a_file() {
        let file = config("");
        let path = text(file.path());
        fails(
            &["run", "--socket", path],
            2,
            &format!(
                "observer: {path} exists and is no socket: remove it or use --socket with another \
                 path\n"
            ),
        );
        assert!(file.path().exists());
    }

    #[test]
    fn a_daemon_that_is_not_there() {
        fails(
            &["tail", "--socket", "/nowhere/s"],
            1,
            "observer: cannot attach to /nowhere/s: No such file or directory (os error 2): no \
             daemon listens there; start one with `observer run`, or leave --socket out\n",
        );
    }

    #[test]
    fn a_socket_of_somebody_else() {
        use std::io::{Read as _, Write as _};
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let other = std::thread::spawn(move || {
            let (mut client, _) = listener.accept().unwrap();
            let _ = client.read(&mut [0; 64]).unwrap();
            client.write_all(b"220 smtp ready\r\n").unwrap();
        });
        let path = text(&path);
        fails(
            &["tail", "--socket", path],
            1,
            &format!(
                "observer: cannot attach to {path}: what listens there is no observer daemon\n"
            ),
        );
        other.join().unwrap();
    }
}
