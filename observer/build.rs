//! Builds the eBPF object that `capture::live` loads. Without the feature `live` it does nothing,
//! so that the engine and the offline reader need a stable toolchain and nothing else.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    #[cfg(feature = "live")]
    if let Err(error) = ebpf::build() {
        // One line and no backtrace: what is missing, and what to do.
        println!("cargo:error={error:#}");
        std::process::exit(1);
    }
}

#[cfg(feature = "live")]
mod ebpf {
    use std::env;
    use std::path::{Path, PathBuf};
    use std::process::Command;

    use anyhow::{Context as _, Result, bail};

    /// Overrides the choice below: a toolchain that rustup knows by this name.
    const TOOLCHAIN: &str = "OBSERVER_BPF_TOOLCHAIN";

    /// What `cargo xtask setup` links Debian's compiler as.
    const DEBIAN: &str = "bpf-debian";

    pub(crate) fn build() -> Result<()> {
        println!("cargo:rerun-if-env-changed={TOOLCHAIN}");
        println!("cargo:rerun-if-changed=../observer-common");
        let here = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);
        let root = here.join("../observer-ebpf").canonicalize()?;
        if !runs("bpf-linker", &["--version"]) {
            bail!("bpf-linker is missing: run `cargo xtask setup`");
        }
        let toolchain = choose()?;
        let settings = bootstrap(&toolchain)?;
        // SAFETY: the build script has one thread.
        unsafe {
            env::set_var("RUSTC_BOOTSTRAP", settings);
            // aya-build passes every line that cargo prints on as a warning.
            env::set_var("CARGO_TERM_QUIET", "true");
        }
        // The eBPF crate is a workspace of its own, and aya-build starts cargo where we stand.
        env::set_current_dir(&root)?;
        let package = aya_build::Package {
            name: "observer-ebpf",
            root_dir: root.to_str().context("the path of the sources is not UTF-8")?,
            ..aya_build::Package::default()
        };
        aya_build::build_ebpf([package], aya_build::Toolchain::Custom(&toolchain))
            .with_context(|| format!("the eBPF programs do not build with `{toolchain}`"))
    }

    /// The named one; else nightly when it can build `core`; else Debian's.
    fn choose() -> Result<String> {
        if let Ok(named) = env::var(TOOLCHAIN) {
            return Ok(named);
        }
        if !runs("rustup", &["--version"]) {
            bail!("rustup is missing, and no eBPF compiler can be chosen without it");
        }
        if sysroot("nightly").is_some_and(|root| has_source(&root)) {
            return Ok("nightly".to_owned());
        }
        if sysroot(DEBIAN).is_some() {
            return Ok(DEBIAN.to_owned());
        }
        bail!(
            "no compiler for eBPF (a nightly with rust-src, or Debian's): run `cargo xtask setup`"
        )
    }

    /// `RUSTC_BOOTSTRAP` for the toolchain. aya-ebpf uses one unstable feature, and a toolchain
    /// that ships `core` for eBPF needs no more than leave for that; the others build `core`.
    fn bootstrap(toolchain: &str) -> Result<&'static str> {
        let root = sysroot(toolchain)
            .with_context(|| format!("rustup has no toolchain `{toolchain}`: see {TOOLCHAIN}"))?;
        let endian = env::var("CARGO_CFG_TARGET_ENDIAN")?;
        let target = if endian == "big" { "bpfeb-unknown-none" } else { "bpfel-unknown-none" };
        if root.join("lib/rustlib").join(target).is_dir() {
            return Ok("aya_ebpf,observe");
        }
        if !has_source(&root) {
            bail!("toolchain `{toolchain}` has neither rust-src nor `core` for {target}");
        }
        Ok("1")
    }

    fn sysroot(toolchain: &str) -> Option<PathBuf> {
        let output = Command::new("rustup")
            .args(["run", toolchain, "rustc", "--print", "sysroot"])
            .output()
            .ok()?;
        let root = String::from_utf8(output.stdout).ok()?;
        output.status.success().then(|| PathBuf::from(root.trim()))
    }

    fn has_source(root: &Path) -> bool {
        root.join("lib/rustlib/src/rust/library/core").is_dir()
    }

    fn runs(program: &str, args: &[&str]) -> bool {
        Command::new(program).args(args).output().is_ok_and(|output| output.status.success())
    }
}
