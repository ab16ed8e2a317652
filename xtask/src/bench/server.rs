//! The server that is watched: nginx as one process on the first CPU, with its access log off on
//! one port and on on another.

use std::{fs, path::PathBuf};

use anyhow::Result;

use super::{lab::Lab, process::Process};

pub(super) struct Nginx {
    pub(super) process: Process,
    log: PathBuf,
}

/// Nothing is logged here,
pub(super) const PORT: u16 = 8080;
/// and here every request is.
pub(super) const LOGGING_PORT: u16 = 8081;

/// The CPU of the server, and that of the load.
pub(super) const SERVER_CPU: usize = 0;
pub(super) const LOAD_CPU: usize = 1;

/// What can be asked for: a path and the bytes of its body.
const FILES: [(&str, u64); 3] = [("4k", 4 << 10), ("64k", 64 << 10), ("1g", 1 << 30)];
/// Made in memory, so that the server does next to nothing but HTTP.
const TINY_BYTES: usize = 200;

impl Nginx {
    pub(super) fn start(lab: &Lab) -> Result<Self> {
        let root = lab.folder().join("www");
        fs::create_dir_all(&root)?;
        for (name, size) in FILES {
            // Sparse: the page cache holds zeros, and the disk nothing.
            fs::File::create(root.join(name))?.set_len(size)?;
        }
        let folder = lab.folder().display().to_string();
        let log = lab.folder().join("access.log");
        let config = CONFIG
            .replace("LOGGING_PORT", &LOGGING_PORT.to_string())
            .replace("PORT", &PORT.to_string())
            .replace("FOLDER", &folder)
            .replace("TINY", &"x".repeat(TINY_BYTES));
        let file = lab.folder().join("nginx.conf");
        fs::write(&file, config)?;
        let mut command = lab.command("nginx", Some(SERVER_CPU));
        command.args(["-p", &folder, "-e", &format!("{folder}/nginx.log")]).arg("-c").arg(file);
        let mut process = Process::start(lab, "nginx", &mut command)?;
        process.listens(lab, PORT)?;
        Ok(Self { process, log })
    }

    /// Requests in the log since the last call, which empties it.
    pub(super) fn take_log(&self) -> Result<u64> {
        let n_lines = super::lines::count(&self.log, "HTTP/1.")?;
        // nginx appends, so it goes on at the new end.
        fs::OpenOptions::new().write(true).open(&self.log)?.set_len(0)?;
        Ok(n_lines)
    }
}

const CONFIG: &str = "
daemon off;
master_process off;
pid FOLDER/nginx.pid;
error_log FOLDER/nginx.log;
events { worker_connections 32768; }
http {
    access_log off;
    sendfile on;
    tcp_nopush on;
    keepalive_requests 1000000000;
    keepalive_timeout 600s;
    client_body_temp_path FOLDER/body;
    proxy_temp_path FOLDER/proxy;
    fastcgi_temp_path FOLDER/fastcgi;
    uwsgi_temp_path FOLDER/uwsgi;
    scgi_temp_path FOLDER/scgi;
    default_type application/octet-stream;
    open_file_cache max=16;
    if_modified_since before;
    root FOLDER/www;
    server {
        listen PORT backlog=4096;
        location = /tiny { return 200 TINY; }
    }
    server {
        listen LOGGING_PORT backlog=4096;
        access_log FOLDER/access.log combined;
        location = /tiny { return 200 TINY; }
    }
}
";
