//! Owns getting Debian's kernels: apt with a list of its own, into the target folder, nothing of it
//! installed.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};

use crate::{
    runner::{self, Runner},
    workspace,
};

/// The kernels of the matrix: one that is too old, the oldest packaged one that can work, without
/// TCX, and one with. The verifier of 5.10 takes no pointer as an argument of a global function
/// (that came with 5.13); what is asked of it is whether observer says so.
pub(crate) const VERSIONS: [&str; 3] = ["5.10", "6.1", "6.12"];

/// A kernel, unpacked.
pub(super) struct Kernel {
    /// As asked for: `6.1`.
    pub(super) version: String,
    pub(super) image: PathBuf,
    /// The folder with its modules.
    pub(super) modules: PathBuf,
}

impl Kernel {
    /// Whether its verifier takes the programs, which it does since 5.13.
    pub(super) fn is_supported(&self) -> bool {
        let mut numbers = self.version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
        (numbers.next(), numbers.next()) >= (Some(5), Some(13))
    }
}

pub(super) fn fetch(runner: Runner, versions: &[String]) -> Result<Vec<Kernel>> {
    let folder = workspace::target().join("vm");
    fs::create_dir_all(&folder)?;
    versions
        .iter()
        .map(|version| match unpacked(&folder, version) {
            Some(kernel) => Ok(kernel),
            None => {
                download(runner, &folder, version)?;
                unpacked(&folder, version).context("the kernel's package has no kernel in it")
            }
        })
        .collect()
}

/// What an earlier run has left.
fn unpacked(folder: &Path, version: &str) -> Option<Kernel> {
    let root = folder.join(version);
    let boot = fs::read_dir(root.join("boot")).ok()?.flatten();
    let mut files = boot.map(|entry| entry.path());
    let is_image = |path: &PathBuf| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("vmlinuz-"))
    };
    let image = files.find(is_image)?;
    let modules = root.join("lib/modules");
    Some(Kernel { version: version.to_owned(), image, modules })
}

fn download(runner: Runner, folder: &Path, version: &str) -> Result<()> {
    let own = OwnLists::new(folder)?;
    runner.run(own.apt("apt-get").args(["update", "-q"]))?;
    let pattern = format!("^linux-image-{}\\..*-cloud-amd64$", version.replace('.', "\\."));
    let search = ["search", "--names-only", &pattern];
    let found = runner::ask(own.apt("apt-cache").args(search)).unwrap_or_default();
    let Some(package) = newest(&found) else {
        bail!("Debian's security archive has no cloud kernel {version}");
    };
    eprintln!("vm: kernel {version} is {package}");
    runner.run(own.apt("apt-get").args(["download", "-q", package]).current_dir(folder))?;
    let prefix = format!("{package}_");
    let file = fs::read_dir(folder)?.flatten().map(|entry| entry.path()).find(|path| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&prefix))
    });
    let file = file.context("apt-get has downloaded nothing")?;
    let mut unpack = runner::command("dpkg-deb");
    runner.run(unpack.arg("-x").arg(&file).arg(folder.join(version)))?;
    fs::remove_file(&file)?;
    Ok(())
}

/// The last by its numbers among lines of `NAME - DESCRIPTION`.
fn newest(found: &str) -> Option<&str> {
    let names = found.lines().filter_map(|line| line.split_whitespace().next());
    names.max_by_key(|name| {
        let digits = name.split(|c: char| !c.is_ascii_digit());
        digits.filter_map(|word| word.parse().ok()).collect::<Vec<u32>>()
    })
}

/// apt's state beside the system's own: which archives it reads, and what it knows of them.
struct OwnLists(PathBuf);

impl OwnLists {
    /// The kernels of both Debians are in the security archive that this machine uses already.
    fn new(folder: &Path) -> Result<Self> {
        let targets = ["indextargets", "--format", "$(REPO_URI)", "Created-By: Packages"];
        let uris = runner::ask(runner::command("apt-get").args(targets)).unwrap_or_default();
        let Some(uri) = uris.lines().find(|uri| uri.contains("debian-security")) else {
            bail!("apt knows no security archive of Debian: this needs a Debian");
        };
        let folder = folder.join("apt");
        for part in ["lists/partial", "cache/archives/partial"] {
            fs::create_dir_all(folder.join(part))?;
        }
        let line = |suite: &str| format!("deb [signed-by={KEYRING}] {uri} {suite} main\n");
        fs::write(folder.join("sources.list"), SUITES.map(line).concat())?;
        Ok(Self(folder))
    }

    fn apt(&self, program: &str) -> std::process::Command {
        let mut command = runner::command(program);
        let at = |part: &str| self.0.join(part).display().to_string();
        for option in [
            format!("Dir::Etc::sourcelist={}", at("sources.list")),
            "Dir::Etc::sourceparts=/nonexistent".to_owned(),
            format!("Dir::State::lists={}", at("lists")),
            format!("Dir::Cache={}", at("cache")),
            // The folder may be one that apt's own user cannot reach.
            "APT::Sandbox::User=root".to_owned(),
        ] {
            command.args(["-o", &option]);
        }
        command
    }
}

/// Debian 11, which brings 5.10, and 12, which brings the others.
const SUITES: [&str; 2] = ["bullseye-security", "bookworm-security"];
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_kernel_is_newest_by_number() {
        let found = "linux-image-6.1.0-9-cloud-amd64 - Linux 6.1\n\
                     linux-image-6.1.0-50-cloud-amd64 - Linux 6.1\n\
                     linux-image-6.1.0-47-cloud-amd64 - Linux 6.1\n";
        assert_eq!(newest(found), Some("linux-image-6.1.0-50-cloud-amd64"));
        assert_eq!(newest(""), None);
    }
}
