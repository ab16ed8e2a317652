//! Owns builds with a profile fed back (rustc's "profile-guided optimization"): one build counts which
//! way it goes while it reads captures that we make, and another is laid out after that. Packages are
//! built so, and what is measured is what packages hold. It takes twice as long as a plain build
//! and no root.
//!
//! Counted is `observer read`: the engine and the lines are the same in the daemon, and traffic of
//! its own would need root and differ from build to build.

use std::{
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::{Context as _, Result, bail};

use crate::{
    generate::{self, Mix},
    runner::{self, Runner},
    workspace,
};

/// Builds the release binary for `triple`, and says where it is. Where there is no tool to make a
/// profile with, the build is a plain one, and that is said.
pub(crate) fn build(runner: Runner, triple: &str) -> Result<PathBuf> {
    let folder = workspace::target().join("profiled");
    let Some(merge) = tool(runner)? else {
        eprintln!("  NOT PROFILED: rustup has no llvm-tools here, so this is a plain build");
        return build_with(runner, triple, &folder.join("plain"), None);
    };
    let profile = profile(runner, &merge, &folder)?;
    let flag = format!("-Cprofile-use={}", profile.display());
    build_with(runner, triple, &folder.join("used"), Some(&flag))
}

/// Where it was counted how often each way is taken. Made again when what counts was built again.
fn profile(runner: Runner, merge: &Path, folder: &Path) -> Result<PathBuf> {
    let counts = folder.join("counts");
    // Whoever runs what counts by hand leaves counts there too, and not where this is called from.
    let flag = format!("-Cprofile-generate={}", counts.display());
    let host = workspace::host_triple()?;
    let counting = build_with(runner, &host, &folder.join("counting"), Some(&flag))?;
    let profile = folder.join("observer.profdata");
    let changed = |file: &Path| fs::metadata(file).and_then(|data| data.modified());
    if profile.is_file() && changed(&profile)? >= changed(&counting)? {
        return Ok(profile);
    }
    if counts.exists() {
        fs::remove_dir_all(&counts)?;
    }
    fs::create_dir_all(&counts)?;
    for (mix, n_bytes) in [(Mix::Small, 20_000_000), (Mix::Mixed, 60_000_000)] {
        let capture = folder.join("capture.pcap");
        let mut file = File::create(&capture)?;
        generate::write(mix, N_CONNECTIONS, n_bytes, |bytes| Ok(file.write_all(bytes)?))?;
        let mut read = runner::command(&counting);
        read.arg("read").arg(&capture).args(["-f", "ndjson"]).stdout(Stdio::null());
        runner.run(&mut read)?;
        fs::remove_file(&capture)?;
    }
    if fs::read_dir(&counts)?.next().is_none() {
        bail!("what should count left nothing in {}", counts.display());
    }
    runner.run(runner::command(merge).args(["merge", "-o"]).arg(&profile).arg(&counts))?;
    Ok(profile)
}

fn build_with(runner: Runner, triple: &str, folder: &Path, flag: Option<&str>) -> Result<PathBuf> {
    let mut cargo = workspace::cargo();
    // With a target named, what cargo runs while it builds is not built so.
    cargo.args(["build", "--release", "--package", "observer", "--target", triple]);
    if let Some(flag) = flag {
        cargo.arg("--config").arg(format!(r#"target.{triple}.rustflags=["{flag}"]"#));
    }
    runner.run(cargo.arg("--target-dir").arg(folder))?;
    Ok(folder.join(triple).join("release/observer"))
}

/// llvm-profdata of the compiler that builds, which is one of rustup's components.
fn tool(runner: Runner) -> Result<Option<PathBuf>> {
    let folder = runner::ask(runner::command("rustc").args(["--print", "target-libdir"]))
        .context("rustc does not say where its libraries are")?;
    let tool = Path::new(folder.trim()).with_file_name("bin").join("llvm-profdata");
    if !tool.is_file() && runner::find_program("rustup").is_some() {
        // Where it cannot be had, a plain build serves.
        let _ = runner.run(runner::command("rustup").args(["component", "add", "llvm-tools"]));
    }
    Ok(tool.is_file().then_some(tool))
}

/// As `bench offline` has them.
const N_CONNECTIONS: usize = 1000;
