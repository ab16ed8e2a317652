//! Owns how xtask starts other programs: it prints each command line first, and a failure names the
//! command that failed. Knows nothing about what the commands are for.

use std::{
    env,
    ffi::OsStr,
    fs,
    io::{BufRead as _, BufReader},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail};

/// Starts commands, with a search path that also holds what set-up installs.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Runner {
    /// Print what would be run and run nothing.
    pub(crate) dry_run: bool,
}

impl Runner {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Runs the command to its end, its output going to the terminal; a bad exit is an error.
    pub(crate) fn run(self, command: &mut Command) -> Result<()> {
        eprintln!("  $ {}", describe(command));
        if self.dry_run {
            return Ok(());
        }
        let status =
            command.status().with_context(|| format!("could not start `{}`", describe(command)))?;
        if !status.success() {
            bail!("`{}` failed: {status}", describe(command));
        }
        Ok(())
    }

    /// Like [`Runner::run`], and hands each line of standard output to `see` after printing it.
    pub(crate) fn run_and_see(
        self,
        command: &mut Command,
        mut see: impl FnMut(&str),
    ) -> Result<()> {
        eprintln!("  $ {}", describe(command));
        if self.dry_run {
            return Ok(());
        }
        let mut child = command
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("could not start `{}`", describe(command)))?;
        if let Some(stdout) = child.stdout.take() {
            // Split at line ends by hand: a test may print bytes that are no UTF-8.
            let mut reader = BufReader::new(stdout);
            let mut line = Vec::new();
            while reader.read_until(b'\n', &mut line)? > 0 {
                let text = String::from_utf8_lossy(&line);
                print!("{text}");
                see(text.trim_end());
                line.clear();
            }
        }
        let status = child.wait()?;
        if !status.success() {
            bail!("`{}` failed: {status}", describe(command));
        }
        Ok(())
    }
}

/// A command that finds what cargo and the system's administrators install, whether or not the
/// caller's PATH does: Debian leaves /usr/sbin out of an ordinary user's PATH.
pub(crate) fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    if let Ok(path) = env::join_paths(search_path()) {
        command.env("PATH", path);
    }
    command
}

/// The standard output of a short question, if the program is there and succeeds. Not printed.
pub(crate) fn ask(command: &mut Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Where an executable file of this name lies.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    search_path().into_iter().map(|folder| folder.join(name)).find(|file| is_executable(file))
}

/// Whether a program is there; `python3:NAME` is a module of the distribution's Python, which need
/// not be the first in PATH.
pub(crate) fn has_program(name: &str) -> bool {
    match name.strip_prefix("python3:") {
        Some(module) => {
            let mut python = Command::new("/usr/bin/python3");
            ask(python.args(["-c", &format!("import {module}")]).env_remove("PYTHONPATH")).is_some()
        }
        None => find_program(name).is_some(),
    }
}

/// The effective user of this process is root. `/proc/self` belongs to the effective user.
pub(crate) fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|metadata| metadata.uid() == 0)
}

/// A command that runs as root: itself when we are root, through sudo otherwise. `envs` are set
/// with env(1) behind sudo, which would drop them from its own environment.
pub(crate) fn as_root(program: &str, envs: &[(&str, &str)]) -> Command {
    if is_root() {
        let mut direct = command(program);
        direct.envs(envs.iter().copied());
        return direct;
    }
    let mut sudo = command("sudo");
    if !envs.is_empty() {
        sudo.arg("env").args(envs.iter().map(|(key, value)| format!("{key}={value}")));
    }
    sudo.arg(program);
    sudo
}

fn search_path() -> Vec<PathBuf> {
    let mut folders = vec![cargo_home().join("bin")];
    folders.extend(env::split_paths(&env::var_os("PATH").unwrap_or_default()));
    for folder in ["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from) {
        if !folders.contains(&folder) {
            folders.push(folder);
        }
    }
    folders
}

fn cargo_home() -> PathBuf {
    match env::var_os("CARGO_HOME") {
        Some(home) => home.into(),
        None => home_dir().join(".cargo"),
    }
}

pub(crate) fn home_dir() -> PathBuf {
    env::home_dir().unwrap_or_default()
}

fn is_executable(file: &Path) -> bool {
    fs::metadata(file).is_ok_and(|metadata| metadata.is_file() && metadata.mode() & 0o111 != 0)
}

/// The command as a person would type it: PATH is left out, as it is always set and says nothing,
/// and cargo, which rustup hands to us by its full path, is called by its name.
pub(crate) fn describe(command: &Command) -> String {
    let envs = command.get_envs().filter_map(|(key, value)| {
        let value = value?;
        (key != "PATH").then(|| format!("{}={}", key.display(), quote(value)))
    });
    let program = match Path::new(command.get_program()) {
        path if path.ends_with("bin/cargo") => OsStr::new("cargo"),
        path => path.as_os_str(),
    };
    let words = std::iter::once(program).chain(command.get_args()).map(quote);
    envs.chain(words).collect::<Vec<_>>().join(" ")
}

fn quote(word: &OsStr) -> String {
    let word = word.to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.into_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_described_command_can_be_pasted_into_a_shell() {
        let mut command = Command::new("/opt/rust/bin/cargo");
        command.env("RUSTFLAGS", "-L /x").env("PATH", "/secret").args(["test", "it's", ""]);
        assert_eq!(describe(&command), r"RUSTFLAGS='-L /x' cargo test 'it'\''s' ''");
    }

    #[test]
    fn a_dry_run_starts_nothing() {
        let runner = Runner { dry_run: true };
        assert!(runner.run(&mut Command::new("/nonexistent/program")).is_ok());
        assert!(Runner::new().run(&mut Command::new("/nonexistent/program")).is_err());
    }

    #[test]
    fn a_bad_exit_is_an_error_that_names_the_command() {
        let error = Runner::new().run(&mut Command::new("false")).unwrap_err();
        assert!(error.to_string().contains("`false` failed"), "{error}");
    }

    #[test]
    fn lines_are_seen_and_a_bad_exit_is_still_an_error() {
        let mut seen = Vec::new();
        let mut script = Command::new("sh");
        script.args(["-c", r"printf 'one\n\377two'; exit 3"]);
        let outcome = Runner::new().run_and_see(&mut script, |line| seen.push(line.to_owned()));
        assert!(outcome.is_err());
        assert_eq!(seen, ["one", "\u{fffd}two"]);
    }
}
