//! Owns the root file system in which the tests boot a systemd: a small Debian, made once by
//! debootstrap and kept in the target folder. The tests never write to it: each boots it under an
//! overlay in memory.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Result;

use crate::{
    runner::{self, Runner},
    workspace,
};

/// What is in it beside Debian's essential packages.
const PACKAGES: &str = "systemd,systemd-sysv,dbus,iproute2,curl,procps,logrotate,rpm";
const SUITE: &str = "bookworm";

/// Makes the root file system unless it is there. Where it cannot be had, the tests that boot it
/// say so; everything else works without.
pub(super) fn prepare(runner: Runner) -> Result<()> {
    let root = root();
    if is_complete(&root) || runner::find_program("debootstrap").is_none() {
        return Ok(());
    }
    let target = workspace::target();
    fs::create_dir_all(&target)?;
    let partial = target.join("booted-root.partial");
    eprintln!("setup: a root file system to boot a systemd in, {} (once)", root.display());
    runner.run(runner::as_root("rm", &[]).arg("-rf").args([&partial, &root]))?;
    let mut make = runner::as_root("debootstrap", &[]);
    make.args(["--variant=minbase", &format!("--include={PACKAGES}"), SUITE]).arg(&partial);
    if let Err(error) = runner.run(&mut make) {
        eprintln!("setup: no booted systemd for the tests: {error:#}");
        return Ok(());
    }
    runner.run(runner::as_root("mv", &[]).args([&partial, &root]))
}

fn root() -> PathBuf {
    workspace::target().join("booted-root")
}

/// It is moved to its place when it is complete. One of an earlier observer may lack a program.
fn is_complete(root: &Path) -> bool {
    ["usr/lib/systemd/systemd", "usr/bin/rpm"].iter().all(|file| root.join(file).exists())
}
