//! Owns `cargo xtask dist`: the packages. It builds the binary, makes manual pages and completions
//! with it, and gathers all that in one folder, from which cargo-deb and cargo-generate-rpm pack
//! what `observer/Cargo.toml` says, and tar the rest.
//!
//! The .deb and the .rpm are for machines with glibc and use it. The tarball is for all others: it is
//! linked with musl and needs nothing. Not so all of them, because with musl's allocator and string
//! functions `observer read` takes a fifth more CPU time (0.173 s to 0.145 s for 40,366 exchanges).

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};

use crate::{
    cross, profile,
    runner::{self, Runner},
    setup, workspace,
};

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Pack this binary instead of building one for release
    #[arg(long, value_name = "FILE")]
    observer: Option<PathBuf>,
    /// What to make
    #[arg(long, value_name = "KIND", value_delimiter = ',', value_enum)]
    #[arg(default_values_t = [Kind::Deb, Kind::Rpm, Kind::Tar])]
    only: Vec<Kind>,
    /// Where to [default: target/dist]
    #[arg(long, value_name = "FOLDER")]
    into: Option<PathBuf>,
    /// Compress less: for packages that are installed once, by a test
    #[arg(long)]
    fast: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Kind {
    Deb,
    Rpm,
    Tar,
}

pub(crate) fn dist(options: &Options) -> Result<()> {
    setup::setup(&setup::Options::default())?;
    let runner = Runner::new();
    let folder = match &options.into {
        Some(folder) => folder.clone(),
        None => workspace::root().join("target/dist"),
    };
    fs::create_dir_all(&folder)?;
    let folder = fs::canonicalize(folder)?;
    // What observer/Cargo.toml calls it.
    let stage = workspace::root().join("target/dist/stage");
    let told = options.observer.as_ref().map(fs::canonicalize).transpose()?;
    let wants = |kind| options.only.contains(&kind);
    let mut made = Vec::new();
    if wants(Kind::Deb) || wants(Kind::Rpm) {
        let binary = match told.clone() {
            Some(told) => told,
            None => profile::build(runner, &workspace::host_triple()?)?,
        };
        gather(runner, &binary, &stage)?;
        if wants(Kind::Deb) {
            made.push(deb(runner, &folder, options.fast)?);
        }
        if wants(Kind::Rpm) {
            made.push(rpm(runner, &folder, options.fast)?);
        }
    }
    if wants(Kind::Tar) {
        let host = workspace::host_triple()?;
        let (binary, triple) =
            told.map_or_else(|| portable(runner, &host), |told| Ok((told, host.clone())))?;
        gather(runner, &binary, &stage)?;
        let file = tar(runner, &stage, &folder, &triple)?;
        if triple != host {
            runs_alone(runner, &file, &folder)?;
        }
        made.push(file);
    }
    for file in made {
        let n_bytes = fs::metadata(&file)?.len();
        eprintln!("dist: {} ({:.1} MB)", file.display(), n_bytes as f64 / 1e6);
    }
    Ok(())
}

/// Linked statically with musl where rustup has that target; otherwise for the glibc of this
/// machine, which then is the oldest that it runs with.
fn portable(runner: Runner, host: &str) -> Result<(PathBuf, String)> {
    let musl = host.replace("-gnu", "-musl");
    if !cross::has_std(runner, &musl) {
        eprintln!("dist: rustup has no std for {musl} here: the tarball needs glibc");
        return Ok((profile::build(runner, host)?, host.to_owned()));
    }
    Ok((profile::build(runner, &musl)?, musl))
}

/// Unpacks it and runs what it holds where there is nothing else.
fn runs_alone(runner: Runner, file: &Path, folder: &Path) -> Result<()> {
    let empty = folder.join("alone");
    fs::create_dir_all(&empty)?;
    let mut unpack = runner::command("tar");
    unpack.arg("-C").arg(&empty).args(["--strip-components=1", "-xzf"]).arg(file);
    runner.run(&mut unpack)?;
    let mut alone = runner::command("unshare");
    alone.args(["--map-root-user", "chroot"]).arg(&empty).args(["/observer", "--version"]);
    let outcome = runner.run(&mut alone).context("the tarball's binary does not run by itself");
    fs::remove_dir_all(&empty)?;
    outcome
}

/// Everything that some package holds.
fn gather(runner: Runner, binary: &Path, stage: &Path) -> Result<()> {
    if stage.exists() {
        fs::remove_dir_all(stage)?;
    }
    for part in ["man", "completions", "doc"] {
        fs::create_dir_all(stage.join(part))?;
    }
    let observer = stage.join("observer");
    runner.run(runner::command("strip").arg("-o").arg(&observer).arg(binary))?;
    runner.run(runner::command(&observer).args(["man", "--out"]).arg(stage.join("man")))?;
    fs::copy(workspace::root().join("CHANGELOG.md"), stage.join("changelog"))?;
    // Debian's policy: compressed as far as gzip can, and without the time of the build.
    let mut gzip = runner::command("gzip");
    gzip.args(["-9", "-n"]).arg(stage.join("changelog"));
    let pages = fs::read_dir(stage.join("man"))?.flatten();
    runner.run(gzip.args(pages.map(|entry| entry.path())))?;
    for (shell, file) in
        [("bash", "observer.bash"), ("zsh", "_observer"), ("fish", "observer.fish")]
    {
        let text = runner::ask(runner::command(&observer).args(["completions", shell]))
            .with_context(|| format!("the binary makes no completions for {shell}"))?;
        fs::write(stage.join("completions").join(file), text)?;
    }
    let root = workspace::root();
    for (file, name) in DEPLOYED {
        fs::copy(root.join(file), stage.join(name))?;
    }
    for file in DOCUMENTS {
        let path = root.join(file);
        let name = path.file_name().context("a document has a name")?;
        fs::copy(&path, stage.join("doc").join(name))?;
    }
    Ok(())
}

fn deb(runner: Runner, folder: &Path, fast: bool) -> Result<PathBuf> {
    packager(runner, "cargo-deb", DEB_VERSION)?;
    // The binary is built and stripped already; only what stands in the stage is packed.
    let mut cargo = workspace::cargo();
    cargo.args(["deb", "--package", "observer", "--no-build", "--no-strip"]);
    if fast {
        cargo.arg("--fast");
    }
    runner.run(cargo.arg("--output").arg(folder))?;
    newest(folder, "deb")
}

fn rpm(runner: Runner, folder: &Path, fast: bool) -> Result<PathBuf> {
    packager(runner, "cargo-generate-rpm", RPM_VERSION)?;
    let mut cargo = workspace::cargo();
    cargo.args(["generate-rpm", "--package", "observer"]);
    cargo.args(["--payload-compress", if fast { "none" } else { "zstd" }]);
    runner.run(cargo.arg("--output").arg(folder))?;
    newest(folder, "rpm")
}

fn tar(runner: Runner, stage: &Path, folder: &Path, triple: &str) -> Result<PathBuf> {
    let name = format!("observer-{}-{triple}", env!("CARGO_PKG_VERSION"));
    let file = folder.join(format!("{name}.tar.gz"));
    let mut tar = runner::command("tar");
    tar.arg("-C").arg(stage).args(["--owner=0", "--group=0", "--sort=name"]);
    tar.arg(format!("--transform=s,^\\.,{name},")).arg("-czf").arg(&file).arg(".");
    runner.run(&mut tar)?;
    Ok(file)
}

/// Installs the packagers, as far as they are not there: the tests install what they make.
pub(crate) fn prepare(runner: Runner) -> Result<()> {
    packager(runner, "cargo-deb", DEB_VERSION)?;
    packager(runner, "cargo-generate-rpm", RPM_VERSION)
}

/// Installs a packager if it is not there, as the lints do with cargo-deny.
fn packager(runner: Runner, name: &str, version: &str) -> Result<()> {
    if runner::find_program(name).is_some() {
        return Ok(());
    }
    eprintln!("dist: installing {name} (about a minute)");
    let mut cargo = runner::command("cargo");
    cargo.env_remove("CARGO_TARGET_DIR").args(["install", "--quiet", "--locked"]);
    runner.run(cargo.arg(format!("{name}@{version}")))
}

/// The file that has just been made.
fn newest(folder: &Path, extension: &str) -> Result<PathBuf> {
    let files = fs::read_dir(folder)?.flatten().map(|entry| entry.path());
    let files = files.filter(|path| path.extension().is_some_and(|it| it == extension));
    let changed = |path: &PathBuf| fs::metadata(path).and_then(|data| data.modified()).ok();
    match files.max_by_key(changed) {
        Some(file) => Ok(file),
        None => bail!("the packager said that it succeeded and made no .{extension}"),
    }
}

const DEB_VERSION: &str = "3.8.0";
const RPM_VERSION: &str = "0.21.1";
/// What is neither made nor a document, and what it is called in the stage.
const DEPLOYED: &[(&str, &str)] = &[
    ("deploy/observer.toml", "observer.toml"),
    ("deploy/observer.service", "observer.service"),
    ("deploy/observer.sysusers", "observer.conf"),
];
const DOCUMENTS: &[&str] = &[
    "README.md",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "docs/events.md",
    "docs/events.schema.json",
    "docs/install.md",
    "docs/limitations.md",
    "docs/metrics.md",
    "docs/security.md",
    "docs/observer.example.toml",
    "deploy/observer.service.d/netns.conf",
];
