//! Owns the set-up: it compares what is installed with what is needed, says what it will install
//! and why, installs it, and checks that it is there. Doing it twice does nothing the second time.

mod booted;
mod debian;
mod distribution;
mod needs;
mod other;
mod services;

use std::fs;

use anyhow::{Result, bail};

use self::{
    distribution::{Distribution, Family},
    needs::Missing,
};
use crate::{
    dist,
    ebpf::{self, Compiler, Found},
    runner::{self, Runner},
};

#[derive(clap::Args, Default)]
pub(crate) struct Options {
    /// Also install what the tests use: nginx, wrk, curl, tcpdump and the like
    #[arg(long)]
    pub(crate) tests: bool,
    /// Also install what the lints use: on Debian, clippy for the kernel side
    #[arg(long)]
    pub(crate) lint: bool,
    /// Also install what `bench` measures with and beside: the tests' servers, tcpflow and the like
    #[arg(long)]
    pub(crate) bench: bool,
    /// Also install what `vm` boots old kernels with: qemu, busybox, cpio
    #[arg(long)]
    pub(crate) vm: bool,
    /// Also install what `cross --test` emulates machines of another kind with
    #[arg(long)]
    pub(crate) cross: bool,
    /// Say what would be installed, and install nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// Brings the machine to the point where observer builds (and can be tested). Returns the eBPF
/// compiler that will be used.
pub(crate) fn setup(options: &Options) -> Result<Compiler> {
    let runner = Runner { dry_run: options.dry_run };
    let found = Found::look();
    if !found.rustup && found.told.is_none() {
        bail!("rustup is missing; it manages the compilers: install it from https://rustup.rs");
    }
    let distribution = distribution();
    let on_debian = distribution.family == Family::Debian;
    let compiler = ebpf::pick(&found, on_debian);
    let missing = Missing::find(&found, compiler.as_ref(), options, runner::has_program);
    if missing.is_nothing() {
        prepare_tests(runner, options)?;
        let compiler = said(compiler)?;
        eprintln!("setup: nothing is missing; eBPF compiler: {}", compiler.describe());
        return Ok(compiler);
    }
    if !on_debian {
        bail!("{}", other::advice(&missing, &distribution));
    }
    let compiler = said(compiler)?;
    eprintln!("setup: eBPF compiler: {}", compiler.describe());
    debian::install(runner, &missing)?;
    if options.dry_run {
        eprintln!("setup: a dry run: nothing was installed");
        return Ok(compiler);
    }
    verify(&compiler, options)?;
    prepare_tests(runner, options)?;
    eprintln!("setup: done");
    Ok(compiler)
}

/// What no package brings: a system to boot, and the packagers whose work is installed in it.
fn prepare_tests(runner: Runner, options: &Options) -> Result<()> {
    if !options.tests {
        return Ok(());
    }
    dist::prepare(runner)?;
    booted::prepare(runner)
}

/// Looks again after installing: a package may have changed its contents since this was written.
fn verify(compiler: &Compiler, options: &Options) -> Result<()> {
    let missing = Missing::find(&Found::look(), Some(compiler), options, runner::has_program);
    if !missing.is_nothing() {
        bail!("set-up ran, and this is still missing: {}", missing.names().join(", "));
    }
    Ok(())
}

/// `pick` finds no compiler only where `Missing` reports one, so this does not happen.
fn said(compiler: Option<Compiler>) -> Result<Compiler> {
    match compiler {
        Some(compiler) => Ok(compiler),
        None => bail!("no compiler for eBPF: {}", other::NIGHTLY),
    }
}

fn distribution() -> Distribution {
    let file = ["/etc/os-release", "/usr/lib/os-release"];
    let text = file.iter().find_map(|file| fs::read_to_string(file).ok());
    Distribution::parse(&text.unwrap_or_default())
}
