//! Servers that the tests watch.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use super::namespace::Namespace;
use super::process::Process;
use super::wait::{LONG, until};

/// Waits until something listens on the port of the loopback address.
#[track_caller]
pub(crate) fn wait_for(namespace: &Namespace, port: u16, process: &mut Process) {
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    until("the server to listen", LONG, || {
        assert!(process.has_ended().is_none(), "it ended: {:?}", process.stderr.get());
        namespace.inside(|| TcpStream::connect_timeout(&address, Duration::from_secs(1)).ok())
    });
}

/// An nginx of one process, on every address of its namespace.
pub(crate) struct Nginx {
    _process: Process,
    _folder: tempfile::TempDir,
    pub(crate) port: u16,
}

impl Nginx {
    /// What it answers:
    /// `/path/...` with the target itself as the body, 404 for `/missing`, `/chunked` with a body
    /// of unknown length, `/upload` after it has read the whole request, which sends 100.
    #[track_caller]
    pub(crate) fn start(namespace: &Namespace, port: u16) -> Self {
        Self::start_with(namespace, port, "")
    }

    /// With more locations.
    #[track_caller]
    pub(crate) fn start_with(namespace: &Namespace, port: u16, more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().display().to_string();
        let config = folder.path().join("nginx.conf");
        let text = CONFIG.replace("MORE", more).replace("FOLDER", &path);
        fs::write(&config, text.replace("PORT", &port.to_string())).unwrap();
        let mut command = namespace.command("nginx");
        command.args(["-p", &path, "-e", &format!("{path}/error.log")]).arg("-c").arg(&config);
        let mut process = Process::start(&mut command);
        wait_for(namespace, port, &mut process);
        Self { _process: process, _folder: folder, port }
    }
}

/// What stands behind `/upload` and `/chunked` is on a Unix socket, out of every capture's sight.
const CONFIG: &str = "
daemon off;
master_process off;
pid FOLDER/nginx.pid;
error_log FOLDER/error.log;
events { worker_connections 256; }
http {
    access_log off;
    keepalive_requests 1000000;
    client_body_temp_path FOLDER/body;
    proxy_temp_path FOLDER/proxy;
    fastcgi_temp_path FOLDER/fastcgi;
    uwsgi_temp_path FOLDER/uwsgi;
    scgi_temp_path FOLDER/scgi;
    default_type text/plain;
    server {
        listen PORT backlog=512;
        listen [::]:PORT backlog=512;
        location /path/ { return 200 $request_uri; }
        location /upload { proxy_pass http://unix:FOLDER/backend.sock; }
        location /chunked {
            gzip on;
            gzip_types *;
            gzip_min_length 0;
            proxy_pass http://unix:FOLDER/backend.sock;
        }
        location / { return 404; }
        MORE
    }
    server {
        listen unix:FOLDER/backend.sock;
        location / { return 200 'received and understood\\n'; }
    }
}
";

/// A Redis without persistence.
pub(crate) struct Redis {
    _process: Process,
    _folder: tempfile::TempDir,
}

impl Redis {
    #[track_caller]
    pub(crate) fn start(namespace: &Namespace, port: u16) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut command = namespace.command("redis-server");
        command.args(["--port", &port.to_string(), "--save", "", "--appendonly", "no"]);
        command.args(["--bind", "127.0.0.1", "--daemonize", "no", "--dir"]).arg(folder.path());
        let mut process = Process::start(&mut command);
        wait_for(namespace, port, &mut process);
        Self { _process: process, _folder: folder }
    }
}
