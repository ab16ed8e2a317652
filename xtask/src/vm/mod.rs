//! Owns `cargo xtask vm`: old kernels under software emulation, each with the kernel tests and the
//! binary inside. What a kernel's verifier and tc take is known only by that kernel.

mod console;
mod guest;
mod kernels;

use std::{path::PathBuf, process::Command, time::Instant};

use anyhow::{Context as _, Result, bail};

use self::console::Console;
use crate::{
    runner::{self, Runner},
    setup, workspace,
};

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Which kernels, as major and minor version
    #[arg(long = "kernel", value_name = "VERSION", value_delimiter = ',')]
    #[arg(default_values = kernels::VERSIONS)]
    kernels: Vec<String>,
    /// One old kernel and the tests that only another kernel can answer: for each change
    #[arg(long, conflicts_with = "kernels")]
    quick: bool,
}

pub(crate) fn vm(options: &Options) -> Result<()> {
    setup::setup(&setup::Options { vm: true, ..setup::Options::default() })?;
    let runner = Runner::new();
    let payload = build(&runner)?;
    let (versions, tests) = match options.quick {
        true => (vec![QUICK_KERNEL.to_owned()], QUICK_TESTS),
        false => (options.kernels.clone(), &[][..]),
    };
    let kernels = kernels::fetch(runner, &versions)?;
    let mut failed = Vec::new();
    for kernel in &kernels {
        let initrd = guest::pack(runner, kernel, &payload, tests)?;
        #[expect(clippy::disallowed_methods, reason = "xtask is no part of the engine")]
        let start = Instant::now();
        let mut console = Console::default();
        let outcome = runner.run_and_see(&mut emulator(kernel, &initrd), |line| console.see(line));
        let seconds = start.elapsed().as_secs();
        let faults = match outcome {
            Ok(()) if kernel.is_supported() => console.faults(),
            Ok(()) => console.faults_of_a_refusal(),
            Err(error) => vec![format!("{error:#}")],
        };
        eprintln!("vm: {} in {seconds} s: {}", kernel.version, console.summary());
        failed.extend(faults.into_iter().map(|fault| format!("{}: {fault}", kernel.version)));
    }
    if !failed.is_empty() {
        bail!("{}", failed.join("; "));
    }
    Ok(())
}

/// What runs inside.
struct Payload {
    observer: PathBuf,
    kernel_tests: PathBuf,
}

/// The binary and the kernel tests, as the tests build them: emulation, not our code, takes the time.
fn build(runner: &Runner) -> Result<Payload> {
    let build = ["build", "--package", "observer", "--bin", "observer"];
    runner.run(workspace::cargo().args(build))?;
    let tests = ["test", "--package", "observer", "--test", "kernel", "--no-run"];
    let mut kernel_tests = None;
    let mut cargo = workspace::cargo();
    let cargo = cargo.args(tests).arg("--message-format=json-render-diagnostics");
    eprintln!("  $ {}", runner::describe(cargo));
    let messages = runner::ask(cargo).context("the kernel tests do not compile")?;
    for message in messages.lines() {
        // One JSON object a line; those about the test's binary name it.
        let Ok(message) = serde_json::from_str::<serde_json::Value>(message) else { continue };
        if message["target"]["name"] == "kernel" && message["executable"].is_string() {
            kernel_tests = message["executable"].as_str().map(PathBuf::from);
        }
    }
    Ok(Payload {
        observer: workspace::target().join("debug/observer"),
        kernel_tests: kernel_tests.context("cargo names no binary of the kernel tests")?,
    })
}

/// A machine without disk or network that ends when its init ends.
fn emulator(kernel: &kernels::Kernel, initrd: &std::path::Path) -> Command {
    let mut command = runner::command("timeout");
    command.arg(TIME_MAX).arg("qemu-system-x86_64");
    // Two CPUs, for the per-CPU counters, but one thread for both: with a thread a CPU, qemu 7.2
    // runs into code that the kernel is patching (jump labels), and the guest dies of an int3.
    command.args(["-accel", "tcg,thread=single", "-cpu", "max", "-smp", "2", "-m", "1024"]);
    command.args(["-nographic", "-no-reboot", "-net", "none"]);
    command.arg("-kernel").arg(&kernel.image).arg("-initrd").arg(initrd);
    command.args(["-append", "console=ttyS0 quiet panic=1"]);
    command.stdin(std::process::Stdio::null());
    command
}

/// clsact instead of TCX, and the oldest verifier that Debian supports with updates for.
const QUICK_KERNEL: &str = "6.1";
/// Every backend, the way of clsact, each branch of the programs' headers, the loss ledger, DTH, other
/// network namespaces.
const QUICK_TESTS: &[&str] = &["capture::a_", "clsact::", "helpers::", "mark::", "netns::"];
/// A guest that hangs is a failure; one on a busy machine takes half an hour.
const TIME_MAX: &str = "2400";
