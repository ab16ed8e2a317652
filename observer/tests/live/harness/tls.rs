//! A server that speaks TLS: openssl's own, with a certificate made for the occasion.

use super::namespace::Namespace;
use super::process::Process;
use super::server::wait_for;

/// `openssl s_server`, which serves the files of a folder.
pub(crate) struct TlsServer {
    _process: Process,
    _folder: tempfile::TempDir,
}

impl TlsServer {
    /// Bytes of `/page`.
    pub(crate) const PAGE: usize = 8 << 20;

    /// Listens on the loopback address; speaks `http/1.1` where a client asks by ALPN.
    pub(crate) fn start(namespace: &Namespace, port: u16) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        std::fs::write(path("page"), vec![b'x'; Self::PAGE]).unwrap();
        let (key, certificate) = (path("key.pem"), path("cert.pem"));
        let mut make = namespace.command("openssl");
        make.args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=secret.example"]);
        let output = make.args(["-keyout", &key, "-out", &certificate]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let mut command = namespace.command("openssl");
        command.args([
            "s_server",
            "-accept",
            &port.to_string(),
            "-key",
            &key,
            "-cert",
            &certificate,
        ]);
        command.args(["-alpn", "http/1.1", "-quiet", "-WWW"]).current_dir(folder.path());
        let mut process = Process::start(&mut command);
        wait_for(namespace, port, &mut process);
        Self { _process: process, _folder: folder }
    }
}
