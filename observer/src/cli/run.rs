//! `observer run`: options over the configuration file, then the daemon.

use std::path::PathBuf;

use super::args::{BackendArg, CaptureArgs, RunArgs};
use super::{Failure, complain, signals, summary};
use crate::config::{self, Backend, Config};
use crate::daemon::{self, Orders};
use crate::sink::control::server;

pub(super) fn run(args: &RunArgs) -> Result<(), Failure> {
    let config = configuration(args).map_err(Failure::Config)?;
    if args.check_config {
        let sinks: Vec<_> = config.all_sinks().into_iter().map(|sink| sink.name).collect();
        complain(format_args!("the configuration is good; events go to {}", sinks.join(", ")));
        return Ok(());
    }
    let stop = signals::stop_flag()?;
    let reload = signals::reload_flag()?;
    let say = |message: &str| complain(format_args!("{message}"));
    let orders = Orders {
        stop: &stop,
        reload: &reload,
        configuration: &|| configuration(args),
        duration: args.duration,
        say: &say,
    };
    match daemon::run(&config, &orders) {
        Ok(last) => {
            for line in summary::daemon(&last) {
                complain(format_args!("{line}"));
            }
            Ok(())
        }
        // The path was chosen on the command line or in the file: it is for the user to change.
        Err(err) if err.is::<server::Error>() => Err(Failure::Config(err)),
        Err(err) => Err(Failure::Run(err)),
    }
}

/// The file's values, or the defaults, under those of the command line.
fn configuration(args: &RunArgs) -> anyhow::Result<Config> {
    let mut config = args.config.as_deref().map(Config::load).transpose()?.unwrap_or_default();
    lay_over(&args.capture, &mut config.capture);
    config.http.headers |= args.headers;
    if let Some(n_bytes) = args.body {
        config.http.body_bytes = n_bytes;
    }
    if let Some(n_bytes) = args.ws_messages {
        config.http.ws_messages = true;
        config.http.ws_message_bytes = n_bytes;
    }
    if let Some(percent) = args.cpu_percent {
        config.governor.cpu_percent = percent;
    }
    if let Some(n_bytes) = args.memory_bytes {
        config.governor.memory_bytes = n_bytes;
    }
    if let Some(rings) = args.rings {
        config.capture.rings = rings;
    }
    if let Some(file) = &args.output {
        config.output.file = Some(file.clone());
    }
    if let Some(socket) = &args.socket {
        config.control.socket.clone_from(socket);
    }
    if args.no_socket {
        config.control.socket = PathBuf::new();
    }
    config.check_all().map_err(anyhow::Error::msg)?;
    Ok(config)
}

/// What was said about the capture on the command line replaces what the file says.
pub(super) fn lay_over(args: &CaptureArgs, capture: &mut config::Capture) {
    if !args.interfaces.is_empty() {
        capture.interfaces.clone_from(&args.interfaces);
    }
    if !args.netns.is_empty() {
        capture.netns.clone_from(&args.netns);
    }
    if !args.ports.is_empty() {
        capture.ports.clone_from(&args.ports);
    }
    if !args.hosts.is_empty() {
        capture.hosts.clone_from(&args.hosts);
    }
    if let Some(backend) = args.backend {
        capture.backend = match backend {
            BackendArg::Auto => Backend::Auto,
            BackendArg::Tc => Backend::Tc,
            BackendArg::Socket => Backend::Socket,
        };
    }
    if args.no_tls {
        capture.tls = false;
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::super::args::{Cli, Command};
    use super::*;

    #[track_caller]
    fn parsed(line: &str) -> Config {
        let Command::Run(args) = Cli::parse_from(line.split(' ')).command else {
            panic!("no run command: {line}");
        };
        configuration(&args).unwrap()
    }

    #[test]
    fn without_options_everything_is_the_default() {
        assert_eq!(parsed("observer run"), Config::default());
    }

    #[test]
    fn options_override_the_file_and_the_rest_stays() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("o.toml");
        std::fs::write(&file, "[capture]\nports = [1]\nring_bytes = 65536\n[output]\nfile = '/a'")
            .unwrap();
        let line = format!(
            "observer run --config {} -p 80,81 -i lo --host ::1 --backend tc --no-tls --headers --body 9 --ws-messages=8 \
             -o /b --no-socket",
            file.display()
        );
        let config = parsed(&line);
        assert_eq!(config.capture.ports, [80, 81]);
        assert_eq!(config.capture.interfaces, ["lo"]);
        assert_eq!(config.capture.hosts, ["::1".parse().unwrap()]);
        assert_eq!(config.capture.backend, Backend::Tc);
        assert!(!config.capture.tls);
        assert_eq!(config.capture.ring_bytes, 65536);
        assert_eq!(config.output.file, Some(PathBuf::from("/b")));
        assert_eq!(config.control.socket, PathBuf::new());
        assert!(config.http.headers);
        assert_eq!(config.http.body_bytes, 9);
        assert!(config.http.ws_messages);
        assert_eq!(config.http.ws_message_bytes, 8);
    }
}
